"""What keeps card data from outliving its purpose (design 5): epochs turn, rows are wrapped anew, keys go.

Everything is measured in running time: a vehicle that stands in the depot for a week has not aged its keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.core.notices import cause_key
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import DAY, HOUR, Micros
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

EPOCH_US = 24 * HOUR  # how long an epoch takes new bodies
REWRAP_AFTER_US = 47 * HOUR  # after closing; 24 + 47 + 1 hour of work = 72, the bound of invariant I7
REWRAP_SLICE = 100  # rows: about 4 ms of work, so that a slice stays under 10 ms
PROBE_BYTES = 64 * 1024  # of 4 KiB pages: what some taps write; a disk with room for less would close the lane again
ERASE_SLICE = 100  # rows: the same


@dataclass(frozen=True, slots=True)
class Keep:
    """How long resting rows keep their body, and final rows stay whole, in microseconds of running time."""

    failed_us: int = 7 * DAY
    held_us: int = 30 * DAY
    retention_us: int = 90 * DAY


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch whose key still stands. Running time in microseconds."""

    number: int
    ran_opened: int
    ran_closed: int | None


def live_epochs(connection: Connection) -> list[EpochRow]:
    """All epochs whose key was not destroyed, ascending."""
    return [EpochRow(*row) for row in connection.execute(Q["live_epochs"])]


def last_epoch(connection: Connection) -> int:
    """The highest number ever used."""
    return int(connection.execute(Q["last_epoch"]).get)


def begin_epoch(connection: Connection, number: int, ran: int) -> None:
    """Close whatever is open and begin ``number``; its key already stands on the shelf."""
    connection.execute(Q["close_epochs"], (ran,))
    connection.execute(Q["insert_epoch"], (number, ran))


def sealed_slice(connection: Connection, epoch: int) -> list[tuple[str, str, bytes]]:
    """Some rows still under an old epoch: owner, purpose, wrapped key."""
    return [
        (owner, purpose, key) for owner, purpose, key in connection.execute(Q["sealed_slice"], (epoch, REWRAP_SLICE))
    ]


def rewrap(connection: Connection, old: int, new: int, rows: list[tuple[str, str, bytes]]) -> int:
    """Put rows under the new epoch; rows erased meanwhile stay erased."""
    moved = 0
    for owner, purpose, wrapped in rows:
        connection.execute(Q["rewrap"], (new, wrapped, owner, purpose, old))
        moved += connection.changes()
    return moved


def erase_damaged(connection: Connection, old: int, rows: list[tuple[str, str]], now: Micros) -> None:
    """Erase rows that their own epoch's key does not open: nobody can read them again, and they must not keep it."""
    for owner, purpose in rows:
        connection.execute(Q["erase_part"], (owner, purpose, old))
        uuid = None if purpose == "payload" else owner
        tap = None if uuid is None else connection.execute(Q["tap_of_uuid"], (uuid,)).get
        alarm = NoticeDraft(NoticeKind.ALARM, cause_key(NoticeKind.ALARM, "seal"), f"a sealed {purpose} did not open")
        insert_notices(connection, (alarm,), tap, uuid, now)


def retire_epoch(connection: Connection, number: int) -> bool:
    """Mark an epoch destroyed if none of its rows is left; only then may its key go."""
    connection.execute(Q["retire_epoch"], (number,))
    return connection.changes() == 1


def erase_rested(connection: Connection, ran: int, keep: Keep) -> int:
    """Erase some bodies that rested as long as they may, and some payloads; the rows without card data stay.

    The number of taps that lost card data; 0 when none is left to do so.
    """
    owners: list[str] = []
    for state, limit_us in (
        ("permanently_failed", keep.failed_us),
        ("in_doubt", keep.failed_us),
        ("held", keep.held_us),
    ):
        owners += [uuid for (uuid,) in connection.execute(Q["rested_too_long"], (state, ran - limit_us, ERASE_SLICE))]
    kept_too_long = connection.execute(Q["payloads_kept_too_long"], (ran - keep.failed_us, ERASE_SLICE))
    owners += [owner for (owner,) in kept_too_long]
    for owner in owners:
        connection.execute(Q["erase"], (owner,))
    return len(owners)


def read_ran(connection: Connection) -> int:
    """The journal's running time so far, microseconds."""
    return int(connection.execute(Q["get_meta"], ("ran_us",)).get or 0)


def write_probe(connection: Connection, content: bytes) -> None:
    """Write some bytes for the sake of writing."""
    connection.execute(Q["set_meta"], ("probe", content))


def add_ran(connection: Connection, ran_us: int) -> int:
    """Add some running time; how much it is now."""
    ran = read_ran(connection) + ran_us
    connection.execute(Q["set_meta"], ("ran_us", ran))
    return ran
