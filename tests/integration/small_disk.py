"""A disk with so many bytes and no more, as SQLite sees it: what would make a file longer fails when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

NAME = "small-disk"


class SmallDisk(apsw.VFS):
    """``capacity`` may be changed at any time; ``refused`` counts the writes that did not fit."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.capacity = 2**40
        self.refused = 0
        self.sizes: dict[str, int] = {}
        super().__init__(NAME, base)

    @property
    def used(self) -> int:
        return sum(self.sizes.values())

    def fill(self, left: int = 0) -> None:
        """Somebody else's file takes all but ``left`` bytes."""
        self.capacity = self.used + left

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # type: ignore[override]
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.sizes.pop(filename, None)


class _File(apsw.VFSFile):
    def __init__(self, disk: SmallDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = (name.filename() if isinstance(name, apsw.URIFilename) else name) or f"unnamed {id(self)}"
        super().__init__(disk.base, name, flags)
        disk.sizes[self._name] = self.xFileSize()

    def xWrite(self, data: Any, offset: int) -> None:
        size = self._disk.sizes[self._name]
        longer = max(0, offset + len(data) - size)
        if longer and self._disk.used + longer > self._disk.capacity:
            self._disk.refused += 1
            raise apsw.FullError("no space left on the device")
        super().xWrite(data, offset)
        self._disk.sizes[self._name] = size + longer

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.sizes[self._name] = newsize


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """All journals opened meanwhile are on it."""
    before = apsw.vfs_names()[0]
    disk = SmallDisk(before)
    apsw.set_default_vfs(NAME)
    try:
        yield disk
    finally:
        apsw.set_default_vfs(before)
        apsw.unregister_vfs(NAME)
