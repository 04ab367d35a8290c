"""A backup while the journal is at work: SQLite's own copy in slices, then a file that cannot be run by mistake.

The copy is marked as a backup in its header, stands alone (no write-ahead log) and holds no epoch key, so its
bodies open only beside the epoch folder of its journal, and only until their epoch's key is destroyed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from tpsd.errors import JournalError, RefusedError
from tpsd.store.opening import BACKUP_ID, in_words

SLICE_SECONDS = 0.005  # design 6: what a passenger's tap may have to wait for in the writer
SLICE_PAGES = 16  # of 4096 bytes: under 1 ms on a slow card, so that a slice ends close to its time
SPARE_BYTES = 64 * 2**20  # bytes left on the disk: a backup must not fill the journal's own

Monotonic = Callable[[], float]


class Copy:
    """One backup under way: made anywhere, begun and stepped where the journal's connection lives."""

    def __init__(self, target: Path, spare_bytes: int = SPARE_BYTES) -> None:
        """Claim the target's name. Raises RefusedError when it is taken or cannot be made."""
        self._target = target
        self._spare_bytes = spare_bytes
        self._part = target.with_name(f".{target.name}.part")
        self._backup: apsw.Backup | None = None
        self._copy: apsw.Connection | None = None
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise RefusedError(f"{target} is there already: name a file that is not, or move it away") from None
        except OSError as exc:
            raise RefusedError(
                f"{target} cannot be made ({exc.strerror}): name a file in a folder that tpsd may write to"
            ) from exc

    def begin(self, journal: apsw.Connection) -> None:
        """Begin. Raises RefusedError when the disk has no room for it."""
        needed = int(journal.pragma("page_count")) * int(journal.pragma("page_size")) + self._spare_bytes
        free = shutil.disk_usage(self._target.parent).free
        if free < needed:
            raise RefusedError(
                f"{self._target.parent} has {free >> 20} MiB free and needs {needed >> 20} MiB: use another disk"
            )
        self._part.unlink(missing_ok=True)
        os.close(os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self._blaming_the_copy():
            self._copy = apsw.Connection(str(self._part))
            self._copy.pragma("journal_mode", "OFF")  # a half-made copy is thrown away, never rolled back
            self._copy.pragma("synchronous", "OFF")  # synced once, at the end, outside the writer
            self._backup = self._copy.backup("main", journal, "main")

    def step(self, monotonic: Monotonic = time.monotonic) -> bool:
        """One slice; True when all pages are copied. What the journal writes meanwhile goes into the copy too."""
        if self._backup is None:
            raise JournalError("this backup was not begun")
        until = monotonic() + SLICE_SECONDS
        with self._blaming_the_copy():
            while not self._backup.done and monotonic() < until:
                self._backup.step(SLICE_PAGES)
            if self._backup.done:
                self._backup.finish()
                self._backup = None
        return self._backup is None

    def finish(self) -> int:
        """Mark it, read it back, sync it and give it its name, away from the writer; its size in bytes.

        Raises JournalError when what was copied is damaged: then the journal is.
        """
        if self._copy is None:
            raise JournalError("this backup was not begun")
        self._copy.pragma("journal_mode", "DELETE")
        self._copy.pragma("application_id", BACKUP_ID)
        verdict = self._copy.pragma("quick_check")
        self._copy.close()
        self._copy = None
        if verdict != "ok":
            raise JournalError(
                f"the journal is damaged ({in_words(verdict)}), and so is a copy of it: see 'tpsd store check'"
            )
        sync(self._part)
        size = self._part.stat().st_size
        self._part.replace(self._target)
        sync(self._target.parent)
        return size

    @contextmanager
    def _blaming_the_copy(self) -> Iterator[None]:
        """A disk error here must not close the lanes: it may well be the stick the copy goes to."""
        try:
            yield
        except apsw.Error as exc:
            raise JournalError(f"{self._target} cannot be written ({type(exc).__name__}: {exc})") from exc

    def abandon(self, *, whole: bool = False) -> None:
        """Let go of everything; unless it is ``whole``, leave no file behind. May be called at any time."""
        for part in (self._backup, self._copy):
            with suppress(apsw.Error):
                if part is not None:
                    part.close()
        self._backup = self._copy = None
        if not whole:
            self._part.unlink(missing_ok=True)
            self._target.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """A file's content, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
