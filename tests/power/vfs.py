"""The disk as SQLite sees it: what its own VFS for Unix does with a file system, done with a Disk.

Sector size, device characteristics, the folder synced with a new log, the file of no bytes that is as good as none,
the errors: each is os_unix.c's, so that what SQLite leaves undone here it leaves undone on a machine.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from itertools import count
from typing import Any, TypeVar

import apsw

from tests.power.disk import Disk
from tests.power.files import File, parent

F = TypeVar("F", bound=Callable[..., Any])

_NUMBERS = count(1)

SECTOR_BYTES = 4096  # SQLITE_DEFAULT_SECTOR_SIZE, whatever the device has
LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


def failing_as(code: int) -> Callable[[F], F]:
    """Give SQLite the kernel's error as ``code``; no room and no such file have their own."""

    def decorate(method: F) -> F:
        @wraps(method)
        def wrapped(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            except OSError as exc:
                raise apsw.exception_for(_code(exc, code)) from exc

        return wrapped  # type: ignore[return-value]

    return decorate


def _code(error: OSError, code: int) -> int:
    if error.errno == errno.ENOSPC and code == apsw.SQLITE_IOERR_WRITE:
        return apsw.SQLITE_FULL
    if error.errno == errno.ENOENT and code == apsw.SQLITE_IOERR_DELETE:
        return apsw.SQLITE_IOERR_DELETE_NOENT
    return code


class DiskVfs(apsw.VFS):
    """All journals opened on it are on ``disk``, which may be another one from one opening to the next."""

    def __init__(self, name: str) -> None:
        self.name = f"disk {next(_NUMBERS)}: {name}"
        self.disk = Disk()
        self.entropy: Callable[[int], bytes] = bytes
        super().__init__(self.name)

    def xFullPathname(self, name: str) -> str:
        return name

    @failing_as(apsw.SQLITE_IOERR_ACCESS)
    def xAccess(self, path: str, _flags: int) -> bool:
        return self.disk.exists(path) and len(self.disk.open(path).now) > 0

    @failing_as(apsw.SQLITE_CANTOPEN)
    def xOpen(self, name: Any, flags: list[int]) -> DiskFile:  # type: ignore[override]
        if name is None:
            raise apsw.CantOpenError("a journal has no temporary files")
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        powersafe = not isinstance(name, apsw.URIFilename) or name.uri_boolean("psow", True)
        new = not self.disk.exists(path)
        if new and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError(f"{path} is not there")
        file = self.disk.create(path) if new else self.disk.open(path)
        flags[1] = flags[0]
        return DiskFile(self.disk, file, powersafe=powersafe, new_log=new and bool(flags[0] & LOGS))

    def xDelete(self, path: str, sync_folder: bool) -> None:
        self._unlink(path)
        if sync_folder:
            self._sync_folder(parent(path))

    @failing_as(apsw.SQLITE_IOERR_DELETE)
    def _unlink(self, path: str) -> None:
        self.disk.unlink(path)

    @failing_as(apsw.SQLITE_IOERR_DIR_FSYNC)
    def _sync_folder(self, path: str) -> None:
        self.disk.sync_folder(path)

    def xRandomness(self, size: int) -> bytes:
        return self.entropy(size)

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTimeInt64(self) -> int:
        return 0

    def xGetLastError(self) -> tuple[int, str]:
        return 0, ""


class DiskFile:
    """A file that one process has open: locks are always given."""

    def __init__(self, disk: Disk, file: File, *, powersafe: bool, new_log: bool) -> None:
        self._disk = disk
        self._file = file
        self._new_log = new_log
        self._character = apsw.SQLITE_IOCAP_SUBPAGE_READ
        if powersafe:
            self._character |= apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    @failing_as(apsw.SQLITE_IOERR_READ)
    def xRead(self, amount: int, offset: int) -> bytes:
        return self._disk.read(self._file, amount, offset)

    @failing_as(apsw.SQLITE_IOERR_WRITE)
    def xWrite(self, data: bytes, offset: int) -> None:
        while data:
            taken = self._disk.write(self._file, data, offset)
            data, offset = data[taken:], offset + taken

    @failing_as(apsw.SQLITE_IOERR_TRUNCATE)
    def xTruncate(self, size: int) -> None:
        self._disk.truncate(self._file, size)

    @failing_as(apsw.SQLITE_IOERR_FSYNC)
    def xSync(self, _flags: int) -> None:
        self._disk.sync(self._file)
        if self._new_log:
            self._new_log = False
            with suppress(OSError):
                self._disk.sync_folder(parent(self._file.path))

    def xFileSize(self) -> int:
        return len(self._file.now)

    def xLock(self, _level: int) -> None:
        pass

    def xUnlock(self, _level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, _op: int, _pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        return self._character

    def xClose(self) -> None:
        pass


def sqlites_dice(vfs: DiskVfs, entropy: Callable[[int], bytes]) -> None:
    """Let SQLite draw its salts from ``entropy`` from here on, as it would from the system's."""
    vfs.entropy = entropy
    before = apsw.vfs_names()[0]
    apsw.set_default_vfs(vfs.name)
    try:
        apsw.randomness(0)
        apsw.randomness(1)
    finally:
        apsw.set_default_vfs(before)
