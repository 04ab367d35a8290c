"""Opening an SQLite journal: the checks before the first write, and the settings that make a commit durable."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import apsw

from tpsd.errors import JournalError
from tpsd.lockfile import HeldByOtherError, LockFile
from tpsd.store import migrations
from tpsd.store.epochs import sync_names

APPLICATION_ID = 0x74707364  # "tpsd" in the file's header, so that another program's file is never taken for ours
BACKUP_ID = 0x74707362  # "tpsb": a copy made by backup; running it would send what the original has sent since
HEADER_BYTES = 100  # https://sqlite.org/fileformat2.html section 1.3
_MAGIC = b"SQLite format 3\x00"
_ID_OFFSET = 68
QUICK_CHECK_BYTES_MAX = 64 * 2**20  # bytes: about a second on a slow card; a larger file is checked while running

CHECKPOINT_PAGES = 1000  # SQLite's own default: a log of 4 MB

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI

Sync = Callable[[Path], None]
"""Makes the names in a folder durable. Raises OSError."""

_PRAGMAS: tuple[tuple[str, str, object], ...] = (
    ("locking_mode", "EXCLUSIVE", "exclusive"),  # one daemon; also no shared-memory file
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),  # NORMAL would lose the last commits at a power cut
    ("secure_delete", "ON", 1),  # deleted card data is overwritten in the file
    ("foreign_keys", "ON", 1),
    ("temp_store", "MEMORY", 2),  # sealed or not, rows never go to a temporary file
    ("journal_size_limit", str(16 * 2**20), 16 * 2**20),
)


def lock(path: Path) -> LockFile:
    """Claim the journal for this process. Raises JournalError naming the holder."""
    try:
        return LockFile(path.with_name(path.name + ".lock"))
    except HeldByOtherError as exc:
        raise JournalError(
            f"{path} is in use by process {exc.holder}: a journal has one daemon; stop that one first"
        ) from exc
    except OSError as exc:
        raise JournalError(f"{path}.lock cannot be made: {exc.strerror}") from exc


def refuse_what_is_no_journal(path: Path) -> None:
    """Look at the file's header before SQLite does. Raises JournalError."""
    try:
        if not path.parent.is_dir():
            raise JournalError(f"{path.parent} is no folder: make it, or correct [store] url")
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        application = application_id(header)
        if not header or _is_for_sqlite(path, application):
            return
    except FileNotFoundError:
        return
    except OSError as exc:
        raise JournalError(f"{path} cannot be read: {exc.strerror}") from exc
    if application is None:
        raise JournalError(f"{path} is damaged or no SQLite file: restore a backup with 'tpsd store restore'")
    if application == BACKUP_ID:
        raise JournalError(
            f"{path} is a backup, or was left by 'tpsd store copy': its pending taps may have been sent since; "
            "use 'tpsd store restore', never run on it"
        )
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is an SQLite file of another program: correct [store] url")


def application_id(header: bytes) -> int | None:
    """The application id in a file's first HEADER_BYTES; None when it is no SQLite file."""
    if len(header) < HEADER_BYTES or not header.startswith(_MAGIC):
        return None
    return int.from_bytes(header[_ID_OFFSET : _ID_OFFSET + 4], "big")


def _is_for_sqlite(path: Path, application: int | None) -> bool:
    """Whether power may have gone while SQLite wrote the first page: a log stands beside from which it mends that.

    Until then the page may be a part of one, or garbage. What it is in the end, ``_settle_in`` looks at.
    """
    logs = {None: ("-journal", "-wal"), 0: ("-journal",)}.get(application, ())
    return any(path.with_name(path.name + log).exists() for log in logs)


def connect(path: Path, vfs: str | None = None, sync: Sync = sync_names) -> apsw.Connection:
    """A connection with the settings set and read back, and the schema up to date. Raises JournalError."""
    try:
        if vfs is None and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = apsw.Connection(_uri(path), flags=_FLAGS, vfs=vfs)
    except (apsw.Error, OSError) as exc:
        raise JournalError(f"{path} cannot be opened: {exc}") from exc
    try:
        _settle_in(connection, path)
        sync(path.parent)  # SQLite does too, and goes on where that fails: a power cut could then take the whole log
    except OSError as exc:
        connection.close()
        raise JournalError(f"{path.parent} cannot be flushed ({exc.strerror}): look at the disk's health") from exc
    except apsw.BusyError as exc:
        connection.close()
        raise JournalError(f"{path} is in use by another process: stop it first") from exc
    except (apsw.NotADBError, apsw.CorruptError) as exc:
        connection.close()
        raise JournalError(f"{path} is damaged ({exc}): restore a backup with 'tpsd store restore'") from exc
    except apsw.Error as exc:
        connection.close()
        raise JournalError(f"{path} cannot be used: {exc}") from exc
    except JournalError:
        connection.close()
        raise
    return connection


def checkpoint_when_long(connection: apsw.Connection, name: str, pages: int) -> int:
    """The connection's hook after each commit: bring a long log into the database.

    SQLite's own says nothing of a disk that fails meanwhile, and tries again at each commit while the log grows.
    Here it is an error of the commit, which stands all the same. Where there is only no room, it can wait.
    """
    if pages >= CHECKPOINT_PAGES:
        with suppress(apsw.FullError):
            connection.wal_checkpoint(name)
    return apsw.SQLITE_OK


def _make_durable(connection: apsw.Connection) -> None:
    """What a process that was killed, or whose last flush failed, left in the log is read, but may not be on the disk.

    Nothing may be built on it before it is: not the destruction of a key, and no commit behind a part that is missing.
    """
    with suppress(apsw.FullError):  # the log was flushed before room was needed; the lanes open when there is some
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _uri(path: Path) -> str:
    """The journal to SQLite, without its trust in "powersafe overwrite".

    By default it believes that a power cut never harms what stands beside the bytes being written, and lets the next
    commit begin in the sector in which the last one ended. A card or a flash drive that loses the whole sector then
    loses a tap that was acknowledged. Now each commit fills its last sector (4096 bytes), with one page more.
    """
    return f"file:{quote(str(path))}?psow=0"


def _settle_in(connection: apsw.Connection, path: Path) -> None:
    connection.pragma("locking_mode", "EXCLUSIVE")  # before the first look inside, or a shared-memory file is made
    application = connection.pragma("application_id")
    if application == 0 and connection.pragma("schema_version") == 0:
        connection.pragma("application_id", APPLICATION_ID)
    elif application != APPLICATION_ID:
        raise JournalError(f"{path} is an SQLite file of another program: correct [store] url")
    for name, value, expected in _PRAGMAS:
        connection.pragma(name, value)
        if connection.pragma(name) != expected:
            raise JournalError(f"{path}: SQLite did not take {name}={value}: this file system cannot hold a journal")
    # Without this, SQLite plans a query anew for each binding that a partial index's condition might know, and takes
    # twenty times as long: https://sqlite.org/c3ref/c_dbconfig_defensive.html, "query planner stability guarantee".
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    _make_durable(connection)
    connection.set_wal_hook(checkpoint_when_long)
    if connection.filename and path.exists() and path.stat().st_size <= QUICK_CHECK_BYTES_MAX:
        verdict = connection.pragma("quick_check")
        if verdict != "ok":
            raise JournalError(f"{path} is damaged ({in_words(verdict)}): restore a backup with 'tpsd store restore'")
    migrations.apply(connection, migrations.known("sqlite"))


def in_words(verdict: str | Sequence[str]) -> str:
    """What SQLite's check found, of one fault or several."""
    return verdict if isinstance(verdict, str) else "; ".join(verdict)
