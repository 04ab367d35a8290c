"""What people do to a journal that no daemon has open; like ``tpsd.app``, it names the concrete parts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from pathlib import Path

import apsw

from schemas.config import Configuration
from tpsd import config as settings
from tpsd.config.keys import read_hex_key
from tpsd.database import database_of
from tpsd.domain.audit import AuditDraft
from tpsd.domain.upkeep import Finding, Restored, Tried
from tpsd.errors import JournalError, RefusedError
from tpsd.store import checking, housekeeping, opening, restoring
from tpsd.store.connection import Connection
from tpsd.store.copying import Copy
from tpsd.store.entering import holds_a_journal
from tpsd.store.epochs import EpochKeys, KeyFolder, KeyShelf
from tpsd.store.housekeeping import EpochRow
from tpsd.store.keyrows import KeyRows
from tpsd.store.postgres import PostgresView
from tpsd.store.queries import Q
from tpsd.store.restoring import Keyring
from tpsd.store.seal import KEY_BYTES
from tpsd.store.session import Session
from tpsd.store.viewing import JournalView


async def has_journal(config: Configuration) -> bool:
    """Whether a start has made the journal of this configuration. Raises TpsdError."""
    database = database_of(config)
    if database is not None:
        return await asyncio.to_thread(holds_a_journal, database)
    return settings.store_path(config).exists()


async def check_journal(config: Configuration) -> list[Finding]:
    """Everything that is wrong with the journal of this configuration; it is not changed. Raises TpsdError."""
    database = database_of(config)
    if database is not None:
        looked_at = PostgresView(database)
        try:
            return await looked_at.check()
        finally:
            await looked_at.close()
    keys = _epochs(config.keys.epoch_dir)
    view = JournalView(settings.store_path(config))
    try:
        return await view.read(lambda connection: checking.examine(connection, keys))
    finally:
        view.close()


async def open_epochs(config: Configuration) -> int:
    """How many live epochs there are, once each has opened under the key-encryption key. Raises TpsdError."""
    private = config.mode == "production"
    kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    database = database_of(config)
    if database is not None:
        looked_at, shelf = PostgresView(database), KeyRows(partial(Session, database))
        try:
            return _opened(shelf, kek, *await looked_at.read(_epochs_of))
        finally:
            shelf.close()
            await looked_at.close()
    view = JournalView(settings.store_path(config))
    try:
        found = await view.read(_epochs_of)
    except apsw.Error as exc:
        raise JournalError(f"{settings.store_path(config)} cannot be read: {exc}") from exc
    finally:
        view.close()
    return _opened(KeyFolder(config.keys.epoch_dir), kek, *found)


def _epochs_of(connection: Connection) -> tuple[str, list[EpochRow]]:
    return str(connection.execute(Q["get_meta"], ("journal_id",)).get), housekeeping.live_epochs(connection)


def _opened(shelf: KeyShelf, kek: bytes, journal_id: str, live: list[EpochRow]) -> int:
    keys = EpochKeys(shelf, kek, journal_id)
    for epoch in live:
        keys.open(epoch.number)
    return len(live)


async def copy_journal(config: Configuration, target: Path) -> None:
    """A marked copy of this configuration's journal; it is not changed. Raises JournalError, RefusedError."""
    view = JournalView(settings.store_path(config))
    try:
        copy, whole = Copy(target), False
        try:
            await view.read(copy.begin)
            while not copy.step():
                pass
            copy.finish()
            whole = True
        finally:
            copy.abandon(whole=whole)
    finally:
        view.close()


def try_update(config: Configuration, copy: Path) -> Tried:
    """Bring a copy's schema up to date, as the first start of this version would, and look it through.

    The copy is of no use afterwards. Raises JournalError for what the start would raise it for.
    """
    size, before = copy.stat().st_size, _migrations(copy)
    restoring.unmark(copy)
    connection = opening.connect(copy)
    try:
        found = checking.examine(connection, _epochs(config.keys.epoch_dir))
    finally:
        connection.close()
    return Tried(size, tuple(name for name in _migrations(copy) if name not in before), tuple(found))


def restore_journal(config: Configuration, source: Path, by: AuditDraft, *, force: bool = False) -> Restored:
    """Put a backup in the place of this configuration's journal. Raises TpsdError; then nothing was changed."""
    keys, private = config.keys, config.mode == "production"
    kek = read_hex_key(keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    if not keys.epoch_dir.is_dir():
        raise RefusedError(
            f"{keys.epoch_dir} is not there, and without the epoch keys no card data of the backup can be opened: "
            "put the folder back, or make an empty one to go on without"
        )
    return restoring.restore(
        source, settings.store_path(config), Keyring(kek, KeyFolder(keys.epoch_dir)), by, force=force
    )


def _migrations(path: Path) -> list[str]:
    """The names of those that a closed file has had, in order. Raises JournalError."""
    try:
        connection = checking.snapshot(path)
        try:
            return [name for (name,) in connection.execute("SELECT name FROM migration ORDER BY number")]
        finally:
            connection.close()
    except apsw.Error as exc:
        raise JournalError(f"{path} cannot be read: {exc}") from exc


def _epochs(folder: Path) -> Collection[int]:
    return KeyFolder(folder).numbers() if folder.is_dir() else ()
