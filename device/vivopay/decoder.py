"""From a stream of bytes to frames. Wherever the stream is cut, the same comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from device.vivopay.frames import HEAD_SIZE, HEADER, Frame, Side, checksum, found_order, is_from
from device.vivopay.garbage import Garbage, GarbageReason, GarbageRun
from device.vivopay.limits import DATA_MAX, OVERHEAD, SILENCE_SECONDS

Item: TypeAlias = Frame | Garbage


class Decoder:
    """Looks for the frames of one side. After a damaged one it goes on one byte further, so none behind is lost.

    Holds less than one frame between calls. Its time is linear in the input: a byte is summed up once for each
    header before it that could be a frame's, of which DATA_MAX bytes have room for some four hundred.
    """

    def __init__(self, side: Side = Side.ANSWERS) -> None:
        self._side = side
        self._held = bytearray()
        self._base = 0  # where in the stream what is held begins
        self._needed = 0  # bytes to be held before anything new can be found
        self._heard_at: float | None = None
        self._found: list[Item] = []
        self._run = GarbageRun(self._found.append)

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``; None: nothing is held."""
        if self._heard_at is None or not (self._held or self._run.is_open):
            return None
        return self._heard_at + SILENCE_SECONDS

    @property
    def passed_over(self) -> int:
        """Bytes between frames that are nobody's: 00 padding and the ends of lines."""
        return self._run.passed_over

    def feed(self, data: bytes, now: float) -> Iterator[Item]:
        """All of ``data`` is taken in before this returns.

        Silence is not judged: bytes that waited while this process could not run are heard first.
        """
        if not data:
            return iter(())
        self._heard_at = now
        self._held += data
        if len(self._held) < self._needed:
            return iter(())
        self._search(silent=False)
        return self._handed_over()

    def tick(self, now: float) -> Iterator[Item]:
        """After 250 ms of silence, what is held is no frame, nor the beginning of one; frames inside it are found."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return iter(())
        self._search(silent=True)
        self._run.close()
        return self._handed_over()

    def reset(self) -> None:
        """Forgets what was held: the port was opened anew."""
        self._base += len(self._held)
        self._held.clear()
        self._run.reset()
        self._needed = 0

    def _handed_over(self) -> Iterator[Item]:
        # The list itself stays: the run appends to it.
        found = tuple(self._found)
        self._found.clear()
        return iter(found)

    def _search(self, *, silent: bool) -> None:
        buffer = bytes(self._held)
        self._needed = at = 0
        while (start := self._next_header(buffer, at, silent)) is not None:
            at = start
            item = self._read(buffer, at, silent)
            if item is None:
                break
            if isinstance(item, Frame):
                self._run.close()
                self._found.append(item)
                at += OVERHEAD + len(item.data)
            else:
                self._run.damaged(item, buffer[at + 10] if len(buffer) > at + 10 else None)
                self._run.add(buffer[at : at + 1], self._base + at)
                at += 1
        else:
            at = len(buffer) - _header_begun(buffer, at, silent)
        del self._held[:at]
        self._base += at

    def _next_header(self, buffer: bytes, at: int, silent: bool) -> int | None:
        """Where the next header stands. What is before it, or could not begin one, is dropped."""
        start = buffer.find(HEADER, at)
        end = start if start >= 0 else len(buffer) - _header_begun(buffer, at, silent)
        if end > at:
            self._run.add(buffer[at:end], self._base + at)
        return start if start >= 0 else None

    def _read(self, buffer: bytes, at: int, silent: bool) -> Frame | GarbageReason | None:
        """What the header at ``at`` begins: a frame, damage, or None: it is not all there yet."""
        held = len(buffer) - at
        size = buffer[at + 12] << 8 | buffer[at + 13] if held >= HEAD_SIZE else 0
        if size > DATA_MAX:
            return GarbageReason.LENGTH
        if held < OVERHEAD + size:
            if silent:
                return GarbageReason.CUT
            self._needed = OVERHEAD + size
            return None
        end = at + HEAD_SIZE + size
        command, code = buffer[at + 10], buffer[at + 11]
        order = found_order(checksum(buffer[at:end]), buffer[end], buffer[end + 1])
        if order is None or not is_from(self._side, order, command, code):
            return GarbageReason.CRC
        return Frame(command, code, buffer[at + HEAD_SIZE : end], order, self._base + at)


def _header_begun(buffer: bytes, at: int, silent: bool) -> int:
    """How many bytes at the end could be the beginning of a header."""
    sizes = range(min(len(HEADER) - 1, len(buffer) - at), 0, -1)
    return 0 if silent else next((size for size in sizes if buffer.endswith(HEADER[:size])), 0)


def listed(data: bytes) -> Sequence[Item]:
    """Everything in captured bytes in order, of either side; a frame that the end cuts is garbage."""
    decoder = Decoder(Side.BOTH)
    return [*decoder.feed(data, 0.0), *decoder.tick(math.inf)]
