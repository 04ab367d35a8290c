"""The disk as the epoch keys' folder sees it: the parts of ``os`` and ``Path`` that it uses, done with a Disk.

The folder's own code runs. While ``keys_on_disks`` lasts, its ``os`` knows files on such disks beside those of this
machine; which of the two is meant, the path says.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.power.disk import Disk
from tests.power.files import File, parent
from tpsd.store import epochs


class DiskPath:
    """A path on a disk."""

    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path

    def __str__(self) -> str:
        return self.path

    def __truediv__(self, name: str) -> DiskPath:
        return DiskPath(self.disk, f"{self.path.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> DiskPath:
        return DiskPath(self.disk, parent(self.path))

    @property
    def parents(self) -> list[DiskPath]:
        return [] if self.path == "/" else [self.parent, *self.parent.parents]

    def with_name(self, name: str) -> DiskPath:
        return self.parent / name

    def exists(self) -> bool:
        return self.disk.exists(self.path)

    def is_dir(self) -> bool:
        return self.disk.is_folder(self.path)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        del mode
        if self.is_dir() and exist_ok:
            return
        if parents and not self.parent.is_dir():
            self.parent.mkdir(parents=True)
        self.disk.make_folder(self.path)

    def iterdir(self) -> Iterator[DiskPath]:
        return iter([DiskPath(self.disk, path) for path in self.disk.names(self.path)])

    def unlink(self, missing_ok: bool = False) -> None:
        if not (missing_ok and not self.exists()):
            self.disk.unlink(self.path)

    def read_bytes(self) -> bytes:
        file = self.disk.open(self.path)
        return self.disk.read(file, len(file.now), 0)

    def open(self, mode: str) -> io.BytesIO:
        assert mode == "rb", "what a journal's opener does"
        return io.BytesIO(self.read_bytes())


class DiskOs:
    """``os`` with a table of its own for descriptors on disks."""

    FIRST = 1 << 20  # far above what this process is given

    def __init__(self) -> None:
        self._open: dict[int, tuple[Disk, File | str, int]] = {}  # the file or folder, and where the next write goes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if not isinstance(path, DiskPath):
            return os.open(path, flags, mode)
        descriptor = max(self._open, default=self.FIRST) + 1
        self._open[descriptor] = (path.disk, self._node(path, flags), 0)
        return descriptor

    def _node(self, path: DiskPath, flags: int) -> File | str:
        if flags & os.O_DIRECTORY:
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            return path.path
        if flags & os.O_CREAT and (flags & os.O_EXCL or not path.exists()):
            return path.disk.create(path.path)
        return path.disk.open(path.path)

    def write(self, descriptor: int, data: bytes) -> int:
        if descriptor not in self._open:
            return os.write(descriptor, data)
        disk, file, at = self._open[descriptor]
        assert isinstance(file, File)
        taken = disk.write(file, bytes(data), at)
        self._open[descriptor] = (disk, file, at + taken)
        return taken

    def fsync(self, descriptor: int) -> None:
        if descriptor not in self._open:
            os.fsync(descriptor)
            return
        disk, node, _ = self._open[descriptor]
        if isinstance(node, File):
            disk.sync(node)
        else:
            disk.sync_folder(node)

    def fstat(self, descriptor: int) -> Any:
        if descriptor not in self._open:
            return os.fstat(descriptor)
        _, file, _ = self._open[descriptor]
        return SimpleNamespace(st_size=len(file.now) if isinstance(file, File) else 0)

    def close(self, descriptor: int) -> None:
        if self._open.pop(descriptor, None) is None:
            os.close(descriptor)

    def fdopen(self, descriptor: int, mode: str) -> Any:
        if descriptor not in self._open:
            return os.fdopen(descriptor, mode)
        return io.BufferedWriter(_Raw(self, descriptor))


class _Raw(io.RawIOBase):
    def __init__(self, system: DiskOs, descriptor: int) -> None:
        super().__init__()
        self._system = system
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        return self._system.write(self._descriptor, bytes(data))

    def close(self) -> None:
        if not self.closed:
            self._system.close(self._descriptor)
        super().close()


@contextmanager
def keys_on_disks() -> Iterator[None]:
    """Key folders may be on a Disk meanwhile: ``KeyFolder(DiskPath(disk, "/epochs"))``."""
    with patch.object(epochs, "os", DiskOs()):
        yield
