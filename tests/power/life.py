"""One process life of the real journal, on a disk: opened as the daemon opens it, its commits watched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from tests.power.disk import Disk
from tests.power.files import parent
from tests.power.keyfiles import DiskPath
from tests.power.vfs import DiskVfs
from tests.power.writer import GroupWriter
from tests.store.builders import crashed_asked
from tests.store.engines import IDENTITY, KEK
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Outcome
from tpsd.domain.time import DAY, Micros
from tpsd.store import opening
from tpsd.store.epochs import CHECK_BYTES, KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.seal import WRAPPED_BYTES
from tpsd.store.sqlite import Secrets, SqliteJournal

HOME = "/power-test"  # on no machine: the journal asks the real file of its name what concerns real files only
JOURNAL = f"{HOME}/journal/journal.db"
KEYS = f"{HOME}/keys/epochs"
KEEP = Keep(failed_us=3 * DAY, held_us=5 * DAY, retention_us=6 * DAY)

LONG_PAGES = 40
"""When a log is long: the journal's own measure would come once in a thousand operations."""

Content = dict[str, list[tuple[Any, ...]]]
"""Every row of every table."""


def new_disk(sector: int, seed: int) -> Disk:
    """An empty one, with the folders that an installation makes."""
    disk = Disk(sector, seed)
    for folder in (HOME, parent(JOURNAL), parent(KEYS)):
        disk.make_folder(folder)
        disk.sync_folder(parent(folder))
    return disk


class Life:
    """``promised``: what the journal held when it was opened, and after each commit since."""

    def __init__(self, journal: SqliteJournal, writer: GroupWriter, shelf: KeyFolder, disk: Disk) -> None:
        self.journal = journal
        self.writer = writer
        self.connection = writer.connection
        self.shelf = shelf
        self.promised: list[Content] = []
        self._disk = disk
        self._promise()
        journal.pulse.on_commit = lambda _seconds: self._promise()
        self.connection.set_wal_hook(_checkpoint_sooner)

    @classmethod
    async def begin(cls, vfs: DiskVfs, disk: Disk, entropy: Callable[[int], bytes]) -> Life:
        """Open, or make, the journal on this disk. Raises JournalError, SealError."""
        vfs.disk = disk
        opening.refuse_what_is_no_journal(DiskPath(disk, JOURNAL))  # type: ignore[arg-type]
        shelf = KeyFolder(DiskPath(disk, KEYS))  # type: ignore[arg-type]
        secrets = Secrets(KEK, shelf, entropy)
        writers: list[GroupWriter] = []

        def make_writer(connect: Callable[[], apsw.Connection]) -> GroupWriter:
            writers.append(GroupWriter(connect))
            return writers[-1]

        try:
            journal = await SqliteJournal.open(
                Path(JOURNAL),
                IDENTITY,
                secrets,
                KEEP,
                vfs=vfs.name,
                sync=lambda folder: disk.sync_folder(str(folder)),
                make_writer=make_writer,
            )
            return cls(journal, writers[-1], shelf, disk)
        except BaseException:
            for writer in writers:
                let_go(writer.connection)
            raise

    async def recover(self, now: Micros, settled: Callable[[Claimed], tuple[Outcome, Settlement]]) -> None:
        """What a start does before anything else; ``settled`` says what becomes of a send that was under way."""
        await self.journal.bodies.begin(now, Micros(0))
        await self.journal.recover(now, ["common"], settled, crashed_asked)

    def abandon(self) -> None:
        """Its power or its process is gone: nothing more is written."""
        self._disk.watch = None
        let_go(self.connection)

    def _promise(self) -> None:
        watch, self._disk.watch = self._disk.watch, None  # nobody but the test reads all of it
        self.promised.append(content(self.connection))
        self._disk.watch = watch


def let_go(connection: apsw.Connection) -> None:
    """Close it without another write; closed late, by the collector, it would write on whatever its VFS is by then."""
    with suppress(apsw.ConnectionClosedError):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(force=True)


def _checkpoint_sooner(connection: apsw.Connection, name: str, pages: int) -> int:
    return opening.checkpoint_when_long(connection, name, pages * opening.CHECKPOINT_PAGES // LONG_PAGES)


def content(connection: apsw.Connection) -> Content:
    """Read whole."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return {name: list(connection.execute(f"SELECT * FROM {name}")) for (name,) in list(tables)}


def keys_on(disk: Disk) -> dict[int, bytes]:
    """The wrapped epoch keys that stand in their folder, by number; one that a cut took with its name never counted."""
    paths = disk.names(KEYS) if disk.is_folder(KEYS) else []
    stored = {int(path[-12:-4]): bytes(disk.open(path).durable) for path in paths}
    return {number: key[:WRAPPED_BYTES] for number, key in stored.items() if len(key) == WRAPPED_BYTES + CHECK_BYTES}
