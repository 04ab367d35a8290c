"""What the journal's upkeep tells people: findings, what was pruned, copied, restored."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros

DAMAGE = "integrity"
"""The rule of a finding that SQLite makes: the file itself is damaged, and writing on would make it worse."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a journal. ``examples`` are some of ``count``: numbers, UUIDs, SQLite's words."""

    rule: str
    what: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning removed, or would. ``before`` on the schedule clock; taps leave their identity behind."""

    before: Micros
    taps: int = 0
    identities: int = 0
    mails: int = 0


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A finished backup: its file, its size, and how many rows of the journal were not final in it, by state."""

    file: str
    bytes: int
    unfinished: dict[str, int]


@dataclass(frozen=True, slots=True)
class Tried:
    """What an update would do to a journal: the migrations, by name, and what is wrong with the copy afterwards."""

    bytes: int
    migrations: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored journal holds.

    ``in_doubt``: rows that were at work in the backup. ``bodies_lost``: those whose card data cannot be opened any
    more, some of them named in ``lost``. ``set_aside``: where the journal that stood there is now.
    """

    file: str
    journal: str
    taps: int
    in_doubt: int
    bodies_kept: int
    bodies_lost: int
    lost: tuple[str, ...]
    set_aside: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One table of a journal that moved, on both sides: how many rows, and a digest over all of their values."""

    table: str
    rows: int
    digest: str
    rows_there: int
    digest_there: str

    @property
    def same(self) -> bool:
        """Whether they hold the same."""
        return (self.rows, self.digest) == (self.rows_there, self.digest_there)


@dataclass(frozen=True, slots=True)
class Moved:
    """A journal that is in a database now. ``tables``: as compared; none where it had come there before."""

    file: str
    database: str
    journal: str
    tables: tuple[Compared, ...]
