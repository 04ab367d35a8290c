"""The journal on SQLite: one connection in one writer, one daemon (design 6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import apsw

from tpsd.lockfile import LockFile
from tpsd.store import opening
from tpsd.store.epochs import sync_names
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity, Secrets, SqlJournal
from tpsd.store.upkeep import Upkeep
from tpsd.store.writer import InlineWriter, ThreadedWriter, Writer

__all__ = ["Identity", "Secrets", "SqliteJournal"]

MakeWriter = Callable[[Callable[[], apsw.Connection]], Writer]
"""From how the connection is opened."""


class SqliteJournal(SqlJournal):
    """``ports.Journal`` on one SQLite file."""

    KEYS: ClassVar[str] = (
        "give the kek_file and the epoch_dir it was made with; each journal needs an epoch_dir of its own"
    )

    _lock: LockFile | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        identity: Identity,
        keys: Secrets,
        keep: Keep | None = None,
        *,
        inline: bool = False,
        vfs: str | None = None,
        sync: opening.Sync = sync_names,
        make_writer: MakeWriter | None = None,
    ) -> Self:
        """Open or make a journal. ``inline`` runs every call at once, without a thread. Raises JournalError.

        ``vfs`` and ``sync`` are another disk's. ``make_writer`` gives a writer of the caller's own, with another idea
        of when work runs.
        """
        lock = None
        if vfs is None:
            opening.refuse_what_is_no_journal(path)
            lock = opening.lock(path)
        try:
            make_writer = make_writer or (InlineWriter if inline else _threaded)
            writer = make_writer(lambda: opening.connect(path, vfs, sync))
            journal = cls(writer, keep or Keep(), keys.entropy, Upkeep(writer, path, keys.shelf.numbers))
            journal._lock = lock
            try:
                await journal._unlock(identity, keys)
            except BaseException:
                await writer.close()
                raise
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return journal

    async def close(self) -> None:
        """Finish what was submitted and let go of the file."""
        try:
            await super().close()
        finally:
            if self._lock is not None:
                self._lock.release()


def _threaded(connect: Callable[[], apsw.Connection]) -> ThreadedWriter:
    writer = ThreadedWriter(connect)
    writer.start()
    return writer
