"""What a power cut makes of sectors, sizes and names that were written and not synced. Plain functions of dice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")

KEPT = (0.0, 0.5, 0.9, 1.0)
"""How likely an un-synced write reached the disk, drawn once a cut: nothing, some, most, all."""

HARMED = (0.0, 0.0, 0.1, 0.5)
"""How likely one that did was torn or is garbage."""


class Write(NamedTuple):
    """What whole sectors held after a write: where they begin, and from where to where in them it reached. Bytes."""

    start: int
    image: bytes
    low: int
    high: int


class Fates:
    """The luck of one cut. Some disks write in order, so that one moment divides what is there from what is not."""

    def __init__(self, luck: Random | None, sector: int) -> None:
        self._none = luck is None
        self._luck = luck = luck or Random(0)
        self._sector = sector
        self._kept = luck.choice(KEPT)
        self._harmed = luck.choice(HARMED)
        self._orderly = luck.random() < 0.25

    def one_of(self, history: Sequence[T]) -> T:
        """What a name stands for: what it did at the last sync, or at any time since."""
        return history[0] if self._none or len(history) == 1 else self._luck.choice(history)

    def content(self, durable: bytes | bytearray, dirty: Sequence[Write | int], size: int) -> bytearray:
        """A file's content, given its synced one, what came after it, and the size that programs saw."""
        content = bytearray(durable)
        if self._none or not dirty:
            return content
        steps = [step for one in dirty for step in (sectors(one, self._sector) if isinstance(one, Write) else [one])]
        last = self._luck.randrange(len(steps) + 1)
        for at, one in enumerate(steps):
            if at < last if self._orderly else self._luck.random() < self._kept:
                self._apply(content, one)
            elif self._orderly and at == last and isinstance(one, Write):
                self._tear(content, one)
        self._resize(content, min([len(durable), *(one for one in dirty if isinstance(one, int))]), size)
        return content

    def _apply(self, content: bytearray, one: Write | int) -> None:
        if isinstance(one, int):
            del content[one:]
        elif self._luck.random() >= self._harmed:
            _lay(content, one.start, one.image)
        elif self._luck.random() < 0.5:
            self._tear(content, one)
        else:
            _lay(content, one.start, self._luck.randbytes(len(one.image)))

    def _tear(self, content: bytearray, one: Write) -> None:
        """One side of the written part is new, the other is as before."""
        at = self._luck.randint(one.low, one.high)
        low, high = (one.low, at) if self._luck.random() < 0.5 else (at, one.high)
        _lay(content, one.start + low, one.image[low:high])

    def _resize(self, content: bytearray, least: int, seen: int) -> None:
        sizes = [len(content), len(content), least, seen, least + self._luck.randrange(max(seen - least, 0) + 1)]
        size = self._luck.choice(sizes)
        if size > len(content):
            missing = size - len(content)
            content.extend(self._luck.randbytes(missing) if self._luck.random() < self._harmed else bytes(missing))
        del content[size:]


def sectors(write: Write, size: int) -> Iterator[Write]:
    """A write as what it is to the disk: one sector after the other."""
    for at in range(0, len(write.image), size):
        low, high = max(write.low - at, 0), min(write.high - at, size)
        yield Write(write.start + at, write.image[at : at + size], low, high)


def _lay(content: bytearray, start: int, data: bytes) -> None:
    if start > len(content):
        content.extend(bytes(start - len(content)))
    content[start : start + len(data)] = data
