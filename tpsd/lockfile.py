"""Advisory locks that say who holds them: one daemon a journal, one a serial port."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class HeldByOtherError(Exception):
    """Someone else holds it; ``holder`` is their pid as text, or ``?``."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"held by process {holder}")


class LockFile:
    """A file locked by ``flock`` with the holder's pid in it; the lock ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises HeldByOtherError, or OSError when the file cannot be made."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "?"
            self.release()
            raise HeldByOtherError(holder) from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give it back. The file stays: removing it would let two holders lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
