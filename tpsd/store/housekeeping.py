"""What keeps card data from outliving its purpose (design 5): epochs turn, rows are wrapped anew, keys go.

Everything is measured in running time: a vehicle that stands in the depot for a week has not aged its keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from tpsd.domain.time import DAY, HOUR
from tpsd.store.commits import Q

EPOCH_US = 24 * HOUR  # how long an epoch takes new bodies
REWRAP_AFTER_US = 47 * HOUR  # after closing; 24 + 47 + 1 hour of work = 72, the bound of invariant I7
REWRAP_SLICE = 100  # rows: about 4 ms of work, so that a slice stays under 10 ms
ERASE_SLICE = 100  # rows: the same


@dataclass(frozen=True, slots=True)
class Keep:
    """How long resting rows keep their body, in microseconds of running time."""

    failed_us: int = 7 * DAY
    held_us: int = 30 * DAY


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch whose key still stands. Running time in microseconds."""

    number: int
    ran_opened: int
    ran_closed: int | None


def live_epochs(connection: apsw.Connection) -> list[EpochRow]:
    """All epochs whose key was not destroyed, ascending."""
    return [EpochRow(*row) for row in connection.execute(Q["live_epochs"])]


def last_epoch(connection: apsw.Connection) -> int:
    """The highest number ever used."""
    return int(connection.execute(Q["last_epoch"]).get)


def begin_epoch(connection: apsw.Connection, number: int, ran: int) -> None:
    """Close whatever is open and begin ``number``; its key already stands on the shelf."""
    connection.execute(Q["close_epochs"], (ran,))
    connection.execute(Q["insert_epoch"], (number, ran))


def sealed_slice(connection: apsw.Connection, epoch: int) -> list[tuple[str, str, bytes]]:
    """Some rows still under an old epoch: owner, purpose, wrapped key."""
    return [
        (owner, purpose, key) for owner, purpose, key in connection.execute(Q["sealed_slice"], (epoch, REWRAP_SLICE))
    ]


def rewrap(connection: apsw.Connection, old: int, new: int, rows: list[tuple[str, str, bytes]]) -> int:
    """Put rows under the new epoch; rows erased meanwhile stay erased."""
    moved = 0
    for owner, purpose, wrapped in rows:
        connection.execute(Q["rewrap"], (new, wrapped, owner, purpose, old))
        moved += connection.changes()
    return moved


def retire_epoch(connection: apsw.Connection, number: int) -> bool:
    """Mark an epoch destroyed if none of its rows is left; only then may its key go."""
    connection.execute(Q["retire_epoch"], (number,))
    return connection.changes() == 1


def erase_rested(connection: apsw.Connection, ran: int, keep: Keep) -> int:
    """Erase the bodies of rows that rested as long as they may; the rows without card data stay."""
    erased = 0
    for state, limit_us in (
        ("permanently_failed", keep.failed_us),
        ("in_doubt", keep.failed_us),
        ("held", keep.held_us),
    ):
        connection.execute(Q["erase_rested"], (state, ran - limit_us, ERASE_SLICE))
        erased += connection.changes()
    connection.execute(Q["erase_payloads"], (ran - keep.failed_us,))
    return erased + connection.changes()


def read_ran(connection: apsw.Connection) -> int:
    """The journal's running time so far, microseconds."""
    return int(connection.execute(Q["get_meta"], ("ran_us",)).get or 0)


def write_ran(connection: apsw.Connection, ran: int) -> None:
    """Keep the running time."""
    connection.execute(Q["set_meta"], ("ran_us", ran))
