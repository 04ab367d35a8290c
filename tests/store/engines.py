"""The journal's engines as the conformance suite sees them: something that opens, crashes and leaves traces."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from tpsd.ports import Journal
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.sqlite import Identity, Secrets, SqliteJournal

KEK = bytes(range(100, 132))
IDENTITY = Identity("test", "tps.example", 1001)


class Engine(Protocol):
    """One engine with one place for its data."""

    async def open(self, identity: Identity = IDENTITY, kek: bytes = KEK, keep: Keep | None = None) -> Journal:
        """Open or make the journal."""

    def after_sigkill(self) -> Engine:
        """A copy of everything that is on disk now, as a process killed at this moment would leave it."""

    def epoch_keys(self) -> list[int]:
        """The epochs whose key still exists."""

    def lose_key(self, number: int) -> None:
        """An epoch's key is gone, and nobody said so."""

    def traces(self) -> list[Path]:
        """Every file or folder in which card data could have been left."""


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
        (self.key_folder / f"epoch-{number:08d}.key").unlink()

    def traces(self) -> list[Path]:
        """Database, write-ahead log, lock file and keys."""
        return [self.folder]
