"""The journal's disk in memory, as an SQLite VFS: it can be full, and a process that dies loses its hold on it.

What was written stays when a process dies, as it does in an operating system; power cuts are another test's.
"""

from __future__ import annotations

import itertools
from typing import Any

import apsw

from tpsd.errors import SealError

_numbers = itertools.count(1)


class MemoryDisk(apsw.VFS):
    """``full``: the write-ahead log may not grow any more. ``refused`` counts what did not fit.

    The database itself may: it grows in checkpoints alone, whose failure SQLite passes over in silence, while an error
    raised in Python would come out of the commit before it, which was made.
    """

    def __init__(self) -> None:
        self.name = f"memory-{next(_numbers)}"
        self.files: dict[str, bytearray] = {}
        self.full = False
        self.refused = 0
        self.mount = 0
        self.mounted = False
        super().__init__(self.name, "")

    def begin(self) -> None:
        """A process may open files."""
        self.mount, self.mounted = self.mount + 1, True

    def cut(self) -> None:
        """It is dead: nothing it still does reaches them."""
        self.mounted = False

    def copy(self) -> MemoryDisk:
        """Another disk with the same content, to look at."""
        other = MemoryDisk()
        other.files = {name: bytearray(content) for name, content in self.files.items()}
        other.begin()
        return other

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = (name.filename() if isinstance(name, apsw.URIFilename) else name) or f"unnamed-{next(_numbers)}"
        flags[1] = flags[0]
        return _File(self, self.files.setdefault(path, bytearray()), path.endswith("-wal"))

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self.files

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.mounted:
            self.files.pop(filename, None)

    def xFullPathname(self, name: str) -> str:
        return name


class _File:
    """One open file. After its process died, nothing can be written."""

    def __init__(self, disk: MemoryDisk, content: bytearray, is_log: bool) -> None:
        self._disk = disk
        self._is_log = is_log
        self._content = content
        self._mount = disk.mount

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._live()
        content = self._content
        missing = offset + len(data) - len(content)
        if missing > 0:
            if self._is_log and self._disk.full:
                self._disk.refused += 1
                raise apsw.FullError("no space left on the device")
            content.extend(bytes(missing))
        content[offset : offset + len(data)] = data

    def xTruncate(self, newsize: int) -> None:
        self._live()
        del self._content[newsize:]

    def xSync(self, flags: int) -> None:
        self._live()

    def xFileSize(self) -> int:
        return len(self._content)

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        pass

    def _live(self) -> None:
        if not self._disk.mounted or self._mount != self._disk.mount:
            raise apsw.IOError("the process that opened this is dead")


class MemoryShelf:
    """``store.epochs.KeyShelf`` beside a disk: it outlives processes, and is full when the disk is."""

    shared = False

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self.keys: dict[int, bytes] = {}

    def put(self, number: int, wrapped: bytes) -> None:
        if number in self.keys:
            raise SealError(f"epoch key {number} exists already")
        if self._disk.full:
            self._disk.refused += 1
            raise SealError(f"epoch key {number} cannot be written: no space left on the device")
        self.keys[number] = wrapped

    def get(self, number: int) -> bytes:
        if number not in self.keys:
            raise SealError(f"epoch key {number} is missing")
        return self.keys[number]

    def destroy(self, number: int) -> None:
        self.keys.pop(number, None)

    def numbers(self) -> list[int]:
        return sorted(self.keys)
