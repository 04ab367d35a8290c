"""The journal's disk as SQLite sees it: it can be full, and it can fail. Everything else is the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

NAME = "failing-disk"


class FailingDisk(apsw.VFS):
    """``trouble`` is raised by every write while it is set; ``refused`` counts them."""

    def __init__(self, real: str) -> None:
        self.real = real
        self.trouble: type[apsw.Error] | None = None
        self.refused = 0
        super().__init__(NAME, real)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(disk.real, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if self._disk.trouble is not None:
            self._disk.refused += 1
            raise self._disk.trouble("the disk said so")
        super().xWrite(data, offset)


@contextmanager
def failing_disk() -> Iterator[FailingDisk]:
    """All journals opened meanwhile are on it."""
    before = apsw.vfs_names()[0]
    disk = FailingDisk(before)
    apsw.set_default_vfs(NAME)
    try:
        yield disk
    finally:
        apsw.set_default_vfs(before)
        apsw.unregister_vfs(NAME)
