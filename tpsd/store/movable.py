"""What of a journal moves from one database to another: its tables in an order in which every row finds what it names.

Words and values only; who carries them is ``tpsd.store.moving``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Row = Sequence[Any]
Key = tuple[Any, ...]

COPYING: Final = "copying"
"""In ``meta`` of a copy under way: what it is a copy of (``Mark``). No daemon runs on it."""

WENT: Final = "went_by"
"""In ``meta`` of a file: the move by which its journal left it."""

CAME: Final = "came_by"
"""In ``meta`` of a database: the move by which its journal came."""

MARKS: Final = (COPYING, WENT, CAME)
"""What says something about one of the two alone, and does not move."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a copy under way is of: one move of one journal, whose ``meta`` was as its digest says."""

    move: str
    journal: str
    as_of: str

    def text(self) -> str:
        """As ``read`` reads it."""
        return f"{self.move} {self.journal} {self.as_of}"

    @classmethod
    def read(cls, text: str) -> Mark:
        """The inverse of ``text``. Raises ValueError for anything else."""
        move, journal, as_of = text.split(" ")
        return cls(move, journal, as_of)


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``later``: a column that names rows of the same table, and so is filled in when they are all there.

    ``numbers``: it numbers its rows by its key. ``where``: which rows move.
    """

    name: str
    key: tuple[str, ...]
    later: str | None = None
    numbers: bool = False
    where: str = "TRUE"

    def count(self) -> str:
        """How many rows there are."""
        return f"SELECT count(*) FROM {self.name} WHERE {self.where}"

    def page(self, columns: Sequence[str], *, first: bool) -> str:
        """The next rows by key, at most the last argument; behind the key that comes before it, unless ``first``."""
        behind = "" if first else f" AND ({_names(self.key)}) > ({_places(len(self.key))})"
        return (
            f"SELECT {_names(columns)} FROM {self.name} WHERE {self.where}{behind} ORDER BY {_names(self.key)} LIMIT ?"
        )

    def last(self) -> str:
        """The highest key."""
        order = ", ".join(f'"{name}" DESC' for name in self.key)
        return f"SELECT {_names(self.key)} FROM {self.name} WHERE {self.where} ORDER BY {order} LIMIT 1"

    def key_of(self, columns: Sequence[str], row: Row) -> Key:
        """A row's key."""
        return tuple(row[columns.index(name)] for name in self.key)

    def fill(self, columns: Sequence[str], types: Mapping[str, str]) -> str:
        """Many new rows at once, for PostgreSQL: an array for each column."""
        arrays = ", ".join(f"?::{types[name]}[]" for name in columns)
        return f"INSERT INTO {self.name} ({_names(columns)}) SELECT * FROM unnest({arrays})"

    def fill_later(self, types: Mapping[str, str]) -> str:
        """The column ``later`` of many rows, for PostgreSQL: an array of keys, one of values."""
        (key,) = self.key
        return (
            f'UPDATE {self.name} SET "{self.later}" = given.value '
            f"FROM unnest(?::{types[key]}[], ?::{types[str(self.later)]}[]) AS given (key, value) "
            f'WHERE {self.name}."{key}" = given.key'
        )

    def number_on(self, highest: str) -> str:
        """The number of the next row is behind ``highest``, a query; for PostgreSQL."""
        (key,) = self.key
        return (
            f"SELECT setval(pg_get_serial_sequence('{self.name}', '{key}'), highest) "
            f"FROM ({highest}) AS numbers (highest) WHERE highest > 0"
        )


TABLES: Final = (
    Table("ladder", ("id",), numbers=True),
    Table("authorisation", ("uuid",), later="replaced_by"),
    Table("tap", ("id",), numbers=True),
    Table("identity", ("number",)),
    Table("attempt", ("uuid", "number")),
    Table("epoch", ("number",)),
    Table("sealed", ("owner", "purpose")),
    Table("hold", ("cause",)),
    Table("outage", ("host",)),
    Table("deny_generation", ("number",), numbers=True),
    Table("deny", ("generation", "token")),
    Table("deny_feed", ("source",)),
    Table("deny_feed_ignored", ("id",), numbers=True),
    Table("journey", ("id",), numbers=True),
    Table("mail", ("id",), numbers=True),
    Table("notice", ("id",), numbers=True),
    Table("episode", ("kind", "cause")),
    Table("audit", ("id",), numbers=True),
    Table("device_key", ("id",), numbers=True),
    Table("terminal_identity", ("lane",)),
    Table("feed_parameters", ("kind",)),
    Table("feed_record", ("id",), numbers=True),
    Table("meta", ("key",), where=f"key NOT IN ({', '.join(repr(name) for name in MARKS)})"),
)

OF_A_FILE: Final = frozenset({"migration", "spooled"})
"""Tables that are a file's own: what was applied to it, and what waits in it where it is a spool."""

_HIGHEST: Final = {
    "tap": (
        "SELECT greatest((SELECT max(id) FROM tap), (SELECT max(number) FROM identity),"
        " (SELECT max(taps_before) FROM epoch))"
    )
}
"""Where a number was given to a row that has gone since, others remember it."""


def renumberings() -> list[str]:
    """What PostgreSQL is told, so that no number is given twice."""
    return [
        table.number_on(_HIGHEST.get(table.name, f"SELECT max({table.key[0]}) FROM {table.name}"))
        for table in TABLES
        if table.numbers
    ]


FOR_ITS_DAEMON: Final = (
    """UPDATE meta SET key = regexp_replace(key, '^(lane_closed|lane_device)/',
                                         '\\1/' || current_setting('tpsd.daemon') || '/')
       WHERE starts_with(key, 'lane_closed/') OR starts_with(key, 'lane_device/')""",
    """UPDATE meta SET key = 'clock_life:' || current_setting('tpsd.daemon') || '/' || substr(key, 12)
       WHERE starts_with(key, 'clock_life:')""",
    "DELETE FROM meta WHERE key IN ('clock_shift', 'clock_bound') OR starts_with(key, 'clock_guess:')",
    """INSERT INTO daemon (name, life, lease_until, gone_at)
       SELECT current_setting('tpsd.daemon'), 0, left_at.us, left_at.us FROM (SELECT now_us() AS us) left_at
       ON CONFLICT DO NOTHING""",
)
"""What a file's one daemon has under plain names, many keep under their own; due times follow the database's clock.

It has left until it starts: where none of its name ever does, others tell of its rows.
"""


def digest(rows: Iterable[Row]) -> tuple[int, str]:
    """How many rows there are, and a SHA-256 over their values in their order."""
    count, hashed = 0, hashlib.sha256()
    for row in rows:
        count += 1
        hashed.update(repr(tuple(row)).encode())
    return count, hashed.hexdigest()


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _places(count: int) -> str:
    return ", ".join("?" * count)
