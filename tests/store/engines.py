"""The journal's engines as the conformance suite sees them: something that opens, crashes and leaves traces."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity, OwnUpkeep, Secrets, SqlJournal
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.upkeep import Upkeep
from tpsd.store.viewing import JournalView, Reading

KEK = bytes(range(100, 132))
IDENTITY = Identity("test", "tps.example", 1001)


FILES = pytest.mark.parametrize("engine", ["sqlite-threaded", "sqlite-inline"], indirect=True)
"""For what is about a file: a backup that ``tpsd store`` makes is SQLite's."""


class Engine(Protocol):
    """One engine with one place for its data."""

    async def open(self, identity: Identity = IDENTITY, kek: bytes = KEK, keep: Keep | None = None) -> SqlJournal:
        """Open or make the journal."""

    def after_sigkill(self) -> Engine:
        """A copy of everything that is on disk now, as a process killed at this moment would leave it."""

    def epoch_keys(self) -> list[int]:
        """The epochs whose key still exists."""

    def lose_key(self, number: int) -> None:
        """An epoch's key is gone, and nobody said so."""

    def damage_key(self, number: int) -> None:
        """An epoch's key is there, and is none."""

    def tamper(self, statements: Sequence[str]) -> None:
        """Change rows without any guard, each statement some; nobody has the journal open."""

    def traces(self) -> list[Path]:
        """Every file or folder in which card data could have been left."""

    def looked_at(self) -> AbstractAsyncContextManager[Reading]:
        """The journal without a daemon, for people."""

    def unexamined(self, journal: SqlJournal) -> OwnUpkeep:
        """The upkeep of a journal that is too large to be looked through at a start."""


class SqliteEngine:
    """SQLite in a folder; the epoch keys in another."""

    def __init__(self, folder: Path, *, inline: bool) -> None:
        self._inline = inline
        self._copies = 0
        self.folder = folder
        self.path = folder / "store" / "journal.db"
        self.key_folder = folder / "epochs"
        self.path.parent.mkdir(parents=True)

    async def open(self, identity: Identity = IDENTITY, kek: bytes = KEK, keep: Keep | None = None) -> SqliteJournal:
        """Open or make the journal."""
        secrets = Secrets(kek, KeyFolder(self.key_folder))
        return await SqliteJournal.open(self.path, identity, secrets, keep, inline=self._inline)

    def after_sigkill(self) -> SqliteEngine:
        """A copy of database, write-ahead log and keys; the lock file's lock dies with its process."""
        self._copies += 1
        copy = SqliteEngine(self.folder.with_name(f"{self.folder.name}-copy-{self._copies}"), inline=self._inline)
        shutil.copytree(self.path.parent, copy.path.parent, dirs_exist_ok=True)
        shutil.copytree(self.key_folder, copy.key_folder)
        return copy

    def epoch_keys(self) -> list[int]:
        """The epochs whose key file stands."""
        return KeyFolder(self.key_folder).numbers()

    def lose_key(self, number: int) -> None:
        """Remove a key file."""
        self._key(number).unlink()

    def damage_key(self, number: int) -> None:
        """Write over a key file."""
        self._key(number).write_bytes(bytes(60))

    def tamper(self, statements: Sequence[str]) -> None:
        """Change the file's rows without any guard."""
        connection = sqlite3.connect(self.path)
        connection.executescript("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        try:
            with connection:
                for statement in statements:
                    assert connection.execute(statement).rowcount > 0, statement
        finally:
            connection.close()

    def traces(self) -> list[Path]:
        """Database, write-ahead log, lock file and keys."""
        return [self.folder]

    @asynccontextmanager
    async def looked_at(self) -> AsyncIterator[Reading]:
        """The file, opened by nobody else."""
        view = JournalView(self.path)
        try:
            yield view
        finally:
            view.close()

    def unexamined(self, journal: SqlJournal) -> Upkeep:
        """One to which every file is large."""
        return Upkeep(journal._writer, self.path, self.epoch_keys, examined_bytes=0)

    def _key(self, number: int) -> Path:
        return self.key_folder / f"epoch-{number:08d}.key"
