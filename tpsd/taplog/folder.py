"""The tap log's files: one a day and lane, closed ones compressed, the oldest removed for age and size.

``2026-11-23.jsonl`` is the daemon's own, ``2026-11-23.front.jsonl`` a lane's; ``…front+001.jsonl.gz`` is a closed part.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

PART_BYTES_MAX: Final = 64 * 2**20  # a part is compressed in about a second, while the queue waits
PARTS_MIN: Final = 8  # so many parts make up the whole: pruning then takes an eighth of what is kept, not all
FILE_MODE: Final = 0o640  # its group may read: no card data is in it
COMPRESS_LEVEL: Final = 6

_NAME: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(\.(?P<lane>[a-z0-9_-]+))?(\+(?P<part>\d{3,}))?\.jsonl(?P<gz>\.gz)?"
)


@dataclass(slots=True)
class _Open:
    path: Path
    descriptor: int
    size: int


def is_log(path: Path) -> bool:
    """Whether a file has a tap log's name."""
    return _NAME.fullmatch(path.name) is not None


def in_order(path: Path) -> tuple[str, str, int, int]:
    """A sort key: by day and lane, closed parts before the open one."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return (path.name, "", 0, 0)
    part = found["part"]
    return (found["day"], found["lane"] or "", 0 if part else 1, int(part or 0))


class Folder:
    """One folder, which is there already. Not safe for two threads. Everything raises OSError."""

    def __init__(self, path: Path, *, keep_days: int, bytes_max: int) -> None:
        self.path = path
        self._keep_days = keep_days
        self._bytes_max = bytes_max
        self._part_bytes = min(PART_BYTES_MAX, bytes_max // PARTS_MIN)
        self._open: dict[str | None, _Open] = {}
        self._day: date | None = None
        self._total = 0
        self.untidy = False  # ``tidy`` is due

    def turn_to(self, day: date) -> None:
        """Lines are of that day from now on."""
        if day != self._day:
            self.close()
            self._day, self.untidy = day, True

    def tidy(self) -> None:
        """Compress what is not open, remove what is too old or too much. What cannot be done now is left for later."""
        self.untidy = False
        open_ones = {file.path for file in self._open.values()}
        for path in self._files():
            if path.suffix == ".jsonl" and path not in open_ones:
                self._compress(path)
        self._prune()

    def is_new(self, lane: str | None) -> bool:
        """Whether the next line of a lane is the first in a file that this process opened."""
        return lane not in self._open

    def append(self, lane: str | None, lines: Sequence[str]) -> None:
        """Whole lines, in one write; after an error none, some or a part of them may stand there."""
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        file = self._opened(lane)
        try:
            if os.fstat(file.descriptor).st_nlink == 0:
                raise OSError(errno.ENOENT, "the file was removed")
            written = os.write(file.descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._forget(lane)  # opened anew, a line that was cut is ended first
            raise
        file.size += len(data)
        self._total += len(data)
        if file.size >= self._part_bytes:
            self._forget(lane)
            self.untidy = True
        self.untidy |= self._total > self._bytes_max

    def close(self) -> None:
        """Let go of the open files, which stay as they are."""
        for lane in list(self._open):
            self._forget(lane)

    def _opened(self, lane: str | None) -> _Open:
        file = self._open.get(lane)
        if file is None:
            if self._day is None:
                raise ValueError("no day yet: turn_to goes first")
            name = ".".join(filter(None, (self._day.isoformat(), lane, "jsonl")))
            path = self.path / name
            file = self._open[lane] = _opened(path)
        return file

    def _forget(self, lane: str | None) -> None:
        file = self._open.pop(lane, None)
        if file is not None:
            os.close(file.descriptor)

    def _compress(self, path: Path) -> None:
        stem = path.name.removesuffix(".jsonl")
        taken = [in_order(other)[3] for other in self._files() if other.name.startswith(f"{stem}+")]
        target = path.with_name(f"{stem}+{max(taken, default=0) + 1:03d}.jsonl.gz")
        part = target.with_suffix(".part")
        try:
            with path.open("rb") as source, gzip.open(part, "wb", COMPRESS_LEVEL) as packed:
                shutil.copyfileobj(source, packed)
            part.chmod(FILE_MODE)
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        path.unlink()

    def _prune(self) -> None:
        """Remove what is too old, then the oldest until the rest fits; open files are closed for it if they must."""
        files = self._files()
        if self._day is not None:
            oldest = (self._day - timedelta(days=self._keep_days)).isoformat()
            files = self._without(files, [path for path in files if path.name[:10] < oldest])
        sizes = {path: path.stat().st_size for path in files}
        self._total = sum(sizes.values())
        for path in files:
            if self._total <= self._bytes_max:
                return
            for lane in [lane for lane, file in self._open.items() if file.path == path]:
                self._forget(lane)
            path.unlink()
            self._total -= sizes[path]

    @staticmethod
    def _without(files: list[Path], gone: list[Path]) -> list[Path]:
        for path in gone:
            path.unlink()
        return [path for path in files if path not in gone]

    def _files(self) -> list[Path]:
        """Ours, the oldest first."""
        return sorted((path for path in self.path.iterdir() if is_log(path)), key=in_order)


def _opened(path: Path) -> _Open:
    """At its end; a line that was cut is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)  # the service's umask would keep the group out
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
    except BaseException:
        os.close(descriptor)
        raise
    return _Open(path, descriptor, size)
