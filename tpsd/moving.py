"""A journal moved from its file into a PostgreSQL database, with no daemon running; it names the concrete parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import asyncpg

from schemas.config import Configuration
from tpsd.config.keys import read_hex_key
from tpsd.domain.audit import AuditDraft
from tpsd.domain.upkeep import Moved
from tpsd.errors import JournalError, RefusedError, SealError
from tpsd.store import housekeeping, opening
from tpsd.store.entering import POSTGRES, WHOLE_SECONDS, connect
from tpsd.store.epochs import EpochKeys, KeyFolder
from tpsd.store.moving import Move, Told
from tpsd.store.queries import Q
from tpsd.store.seal import KEY_BYTES, unwrap
from tpsd.store.session import OWN, Database, Session
from tpsd.store.viewing import looking

AGAIN: Final = "the journal is still in its file, and the copy stays unused; copy again, and it goes on from there"
_COPYING: Final = (
    0x74707365,
    7,
)  # beside those of chores (store.entering): the advisory lock of who copies a journal into a database


def move_journal(
    config: Configuration, source: Path, database: Database, move: str, by: AuditDraft, told: Told
) -> Moved:
    """Move a journal, or go on with a move that did not come to its end. ``move``: the id of a new one.

    ``config`` has the keys the journal is used with. Raises TpsdError.
    """
    if not source.is_file():
        raise RefusedError(f"{source} is not there: name the journal's file")
    lock = opening.lock(source)
    try:
        with _file(source) as held, _database(database) as session:
            journal = str(held.execute(Q["get_meta"], ("journal_id",)).get)
            work = Move(held, session, _keys(config, held, journal), told)
            compared = work.make(move, by, str(source), str(database))
            return Moved(str(source), str(database), journal, compared)
    except apsw.Error as exc:
        raise JournalError(f"{source} cannot be read or marked ({type(exc).__name__}: {exc}): {AGAIN}") from exc
    except asyncpg.IntegrityConstraintViolationError as exc:
        raise JournalError(
            f"{source} contradicts itself, and {database} does not take it ({exc.args[0]}): see 'tpsd store check'"
        ) from exc
    except OWN as exc:
        raise JournalError(f"{database} cannot be written ({POSTGRES.words(exc)}): {AGAIN}") from exc
    finally:
        lock.release()


@contextmanager
def _file(source: Path) -> Iterator[apsw.Connection]:
    connection = looking(source)
    try:
        if connection.pragma("application_id") not in (opening.APPLICATION_ID, opening.BACKUP_ID):
            raise RefusedError(f"{source} is an SQLite file of another program: name the journal's file")
        yield connection
    finally:
        connection.close()


@contextmanager
def _database(database: Database) -> Iterator[Session]:
    session = connect(database, copying=True)
    try:
        session.seconds = WHOLE_SECONDS
        if not session.execute("SELECT pg_try_advisory_lock(?, ?)", _COPYING).get:
            raise RefusedError(f"another copy into {database} is under way: wait for it")
        yield session
    finally:
        session.close()


def _keys(config: Configuration, held: apsw.Connection, journal: str) -> dict[int, bytes]:
    """The journal's live epoch keys as they stand on their shelf, once each has opened. Raises JournalError."""
    private, folder = config.mode == "production", config.keys.epoch_dir
    kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    if not folder.is_dir():
        raise RefusedError(f"{folder} is not there: name the configuration whose epoch_dir the journal is used with")
    shelf, found = KeyFolder(folder), {}
    try:
        unwrap(kek, bytes(held.execute(Q["get_meta"], ("digest_key",)).get), f"digest key of journal {journal}")
        keys = EpochKeys(shelf, kek, journal)
        for epoch in housekeeping.live_epochs(held):
            keys.open(epoch.number)
            found[epoch.number] = shelf.get(epoch.number)
    except SealError as exc:
        raise JournalError(
            f"the keys do not fit this journal ({exc}): name the configuration it is used with; where a key is lost, "
            "start tpsd on the file once, which erases what it opened"
        ) from exc
    return found
