"""Coming into a PostgreSQL database: who may not, each told in one line what to do; and what its errors mean.

No word of the role, and none of its password, is in any of them.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from tpsd.errors import JournalError
from tpsd.leases import LEASE_US
from tpsd.store import migrations
from tpsd.store.faults import Faults
from tpsd.store.movable import COPYING
from tpsd.store.queries import F, Q
from tpsd.store.session import COMMAND_SECONDS, OWN, Database, Session

SERVER_OLDEST = 16  # whose planner and syntax the queries were written for, and the oldest the suite runs on
EXAMINED_BYTES = 64 * 2**20  # bytes: rows of about a second's look; a larger journal is checked while running

WHOLE_SECONDS = 3600.0  # for a statement that looks at every row, or changes a table: nobody waits for it
ALONE_SECONDS = 2  # the server has noticed by then that our former life's connection is closed

_DURABLE: Final = frozenset({"on", "remote_apply"})
"""Values of synchronous_commit under which neither a crash nor a failover loses what was acknowledged."""

NAMES: Final = 0x74707364
"""Of advisory locks: a daemon's name. "tpsd" as a number, and the names of others are their hash beside it."""

_CHORES: Final = 0x74707365
PRESIDING: Final = (_CHORES, 1)
"""The lock of who does what one daemon does for all."""

_MIGRATING: Final = (_CHORES, 2)

_BY_INDEX: Final = "SET enable_seqscan = off"
"""A plan made while a table was empty lasts as long as the connection: reading all of it would cost more each day."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migration (
  number bigint PRIMARY KEY,
  name   text NOT NULL,
  digest text NOT NULL,
  oldest bigint NOT NULL
)
"""

_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    OSError,
    TimeoutError,
)
"""After these nobody knows whether the last commit stands: only a start, which looks, may go on."""

POSTGRES: Final = Faults(
    own=OWN,
    breaking=_LOST,
    trouble=(
        *_LOST,
        asyncpg.InsufficientResourcesError,
        asyncpg.TransactionRollbackError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.LockNotAvailableError,
    ),
    begin="BEGIN; SELECT here_still()",  # nobody has declared this life gone, nor can before the transaction ends
    broken=(
        "the connection to PostgreSQL was lost ({words}): whether the last commit stands is not known, so the journal "
        "stays closed until tpsd starts again and has looked; look at the server"
    ),
    unavailable="PostgreSQL cannot be written or read ({words}): nothing was acknowledged; look at the server",
    crossed=(asyncpg.DeadlockDetectedError,),
)


def connect(database: Database, *, copying: bool = False) -> Session:
    """A daemon's connection: alone under its name, the schema up to date, its new life told. Raises JournalError.

    ``copying``: it is that of who copies a journal there for this daemon, which has no life yet.
    """
    session = _connected(database)
    try:
        _refuse_what_cannot_hold_a_journal(session, database)
        _be_alone(session, database)
        session.seconds = WHOLE_SECONDS
        session.execute("SELECT pg_advisory_lock(?, ?)", _MIGRATING)
        migrations.apply(session, migrations.known("postgres"), _TABLE)
        session.execute("SELECT pg_advisory_unlock(?, ?)", _MIGRATING)
        session.seconds = COMMAND_SECONDS
        session.execute(_BY_INDEX)
        if not copying:
            _refuse_a_part(session, database)
            session.execute(F["say_life"], (str(session.execute(F["register_daemon"], (LEASE_US,)).get),))
    except asyncpg.InsufficientPrivilegeError as exc:
        session.close()
        raise JournalError(
            f"{database}: the role may not make tables there ({exc.args[0]}): make it the owner of its database"
        ) from exc
    except OWN as exc:
        session.close()
        raise JournalError(f"{database} cannot be used ({POSTGRES.words(exc)})") from exc
    except JournalError:
        session.close()
        raise
    return session


def _be_alone(session: Session, database: Database) -> None:
    """The lock is the connection's own: who loses that has lost the journal, and can write nothing more to it."""
    session.execute(f"SET lock_timeout = '{ALONE_SECONDS}s'")
    try:
        session.execute("SELECT pg_advisory_lock(?, hashtext(current_setting('tpsd.daemon', true)))", (NAMES,))
    except asyncpg.LockNotAvailableError as exc:
        raise JournalError(
            f"{database} is in use by another daemon called {database.daemon}: stop that one first, or give each a "
            "name of its own in [store] daemon"
        ) from exc
    session.execute("SET lock_timeout = 0")


def _refuse_a_part(session: Session, database: Database) -> None:
    if session.execute(Q["get_meta"], (COPYING,)).get is not None:
        raise JournalError(
            f"{database} holds a copy of a journal that did not come to its end: run 'tpsd store copy' again, or drop "
            "the database and make it anew"
        )


def try_to_connect(database: Database) -> str:
    """What it is, where a journal can be in it. Raises JournalError."""
    session = _connected(database)
    try:
        _refuse_what_cannot_hold_a_journal(session, database)
        version, fsync = session.execute("SELECT current_setting('server_version'), current_setting('fsync')").get
        unsafe = "" if fsync == "on" else ", fsync off: a power cut loses what was acknowledged; set it on"
        return f"PostgreSQL {version}{unsafe}"
    finally:
        session.close()


def holds_a_journal(database: Database) -> bool:
    """Whether one was ever made there. Raises JournalError."""
    session = _connected(database)
    try:
        return _is_made(session)
    except OWN as exc:
        raise JournalError(f"{database} cannot be read ({POSTGRES.words(exc)})") from exc
    finally:
        session.close()


def _is_made(session: Session) -> bool:
    return session.execute("SELECT to_regclass('migration')::text").get is not None


def look(database: Database) -> Session:
    """A connection to a journal that is only looked at. Raises JournalError."""
    session = _connected(database, {"default_transaction_read_only": "on"})
    try:
        if not _is_made(session):
            raise JournalError(f"{database} holds no journal: start tpsd once, then look")
        applied = session.execute("SELECT coalesce(max(number), 0) FROM migration").get
        if applied < migrations.known("postgres")[-1].number:
            raise JournalError(
                f"{database} is at schema {applied}, which an earlier version made: start tpsd once, then look"
            )
    except OWN as exc:
        session.close()
        raise JournalError(f"{database} cannot be read ({POSTGRES.words(exc)})") from exc
    except JournalError:
        session.close()
        raise
    return session


def _connected(database: Database, settings: dict[str, str] | None = None) -> Session:
    """A connection, or what a person can do about its not being there. No word of the URL's role or password."""
    where = str(database)
    try:
        return Session(database, settings)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as exc:
        raise JournalError(
            f"{where} does not let the role of [store] url in: correct role and password there, or make the role"
        ) from exc
    except asyncpg.InvalidCatalogNameError as exc:
        raise JournalError(f"{where} is not there: make the database, or correct [store] url") from exc
    except asyncpg.CannotConnectNowError as exc:
        raise JournalError(f"{where} takes no connections now ({exc.args[0]}): wait until it has started") from exc
    except asyncpg.TooManyConnectionsError as exc:
        raise JournalError(f"{where} has no connection left: raise max_connections, or end others") from exc
    except asyncpg.PostgresError as exc:
        raise JournalError(f"{where} refuses the connection ({POSTGRES.words(exc)})") from exc
    except asyncpg.TargetServerAttributeNotMatched as exc:
        raise JournalError(f"{where} has no primary among its hosts: promote a standby, or wait until it is") from exc
    except (OSError, TimeoutError, asyncpg.InternalClientError) as exc:
        start = "start or promote one of them" if "," in where else "start the server"
        raise JournalError(
            f"{where} cannot be reached ({type(exc).__name__}): {start}, or correct [store] url"
        ) from exc
    except (asyncpg.InterfaceError, ValueError) as exc:
        raise JournalError(
            "[store] url is no address of a PostgreSQL database: write postgresql://role@host:5432/name"
        ) from exc


def _refuse_what_cannot_hold_a_journal(session: Session, database: Database) -> None:
    where = str(database)
    version, encoding, standby, durable = session.execute(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'), "
        "pg_is_in_recovery(), current_setting('synchronous_commit')"
    ).get
    if version < SERVER_OLDEST:
        raise JournalError(f"{where} is PostgreSQL {version}: tpsd needs {SERVER_OLDEST} or newer")
    if encoding != "UTF8":
        raise JournalError(f"{where} is encoded in {encoding}: make a database with encoding UTF8")
    if standby:
        raise JournalError(f"{where} is a standby and cannot be written: name the primary in [store] url")
    if durable not in _DURABLE:
        session.execute("SET synchronous_commit = on")


def is_small(session: Session) -> bool:
    """Whether the whole journal can be looked through at a start."""
    return int(session.execute("SELECT pg_database_size(current_database())").get) <= EXAMINED_BYTES
