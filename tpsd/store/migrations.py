"""Schema migrations: they only go up and only add; an applied file may never change (design 6)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from tpsd.errors import JournalError
from tpsd.store.connection import Connection

_FILE = re.compile(r"^(\d{4})_([a-z_]+)\.sql$")
_OLDEST = re.compile(r"Oldest code that may read it: schema (\d+)")

_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL,
  digest TEXT NOT NULL,
  oldest INTEGER NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``schemas/sql``; ``oldest`` is the oldest schema number whose code may still read the result."""

    number: int
    name: str
    sql: str
    digest: str
    oldest: int


def known(dialect: str) -> tuple[Migration, ...]:
    """All migrations of this code, ascending."""
    found = []
    for entry in (files("schemas") / "sql" / dialect).iterdir():
        match = _FILE.match(entry.name)
        if match:
            sql = entry.read_text(encoding="utf-8")
            oldest = _OLDEST.search(sql)
            if oldest is None:
                raise JournalError(f"migration {entry.name} does not say the oldest code that may read it")
            digest = hashlib.sha256(sql.encode()).hexdigest()
            found.append(Migration(int(match[1]), match[2], sql, digest, int(oldest[1])))
    return tuple(sorted(found, key=lambda migration: migration.number))


def apply(connection: Connection, migrations: tuple[Migration, ...], table: str = _TABLE) -> list[str]:
    """Bring the schema up, each migration in its own transaction; the names of those applied.

    ``table``: how the engine makes the table in which they are kept, unless it is there.

    Raises JournalError for a journal made by newer code that ours may not read, and for an applied file that changed.
    """
    connection.execute(table)
    applied = {
        number: (name, digest, oldest)
        for number, name, digest, oldest in connection.execute("SELECT number, name, digest, oldest FROM migration")
    }
    newest = migrations[-1].number
    for number, (name, _, oldest) in sorted(applied.items()):
        if number > newest and oldest > newest:
            raise JournalError(
                f"the journal is at schema {number} ({name}), which this version (schema {newest}) may not read: "
                "run the newer tpsd"
            )
    done = []
    for migration in migrations:
        before = applied.get(migration.number)
        if before is None:
            with connection:
                connection.execute(migration.sql)
                connection.execute(
                    "INSERT INTO migration VALUES (?, ?, ?, ?)",
                    (migration.number, migration.name, migration.digest, migration.oldest),
                )
            done.append(migration.name)
        elif before[1] != migration.digest:
            raise JournalError(
                f"migration {migration.number:04d}_{migration.name} was changed after it was applied: "
                "install the tpsd version that made this journal, or a newer one"
            )
    return done


def behind(connection: Connection, migrations: tuple[Migration, ...]) -> int | None:
    """The journal's schema number where it is older than this code's; None where it is not."""
    applied = 0
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").get:
        applied = connection.execute("SELECT coalesce(max(number), 0) FROM migration").get
    return applied if applied < migrations[-1].number else None
