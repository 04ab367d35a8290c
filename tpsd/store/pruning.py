"""Old final rows go and leave their identity behind; identities go after 400 days (design 4).

How old a tap is, is counted in running time by the epochs, as all keeping times are: a clock that steps by years
must neither empty the journal nor make it forget a tap that its validator may still send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from tpsd.domain.time import DAY, Micros
from tpsd.domain.upkeep import Pruned
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

IDENTITY_US = 400 * DAY  # of running time: a tap that comes again is never taken for a new one within this
SLICE = 50  # taps a commit, about 4 ms of work: a passenger's tap waits no longer for its turn
IDENTITY_SLICE = 500  # rows a commit, the same
MAIL_SLICE = 50  # rows a commit, the same


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may go: rows final ``before`` (schedule clock) among the taps up to ``last``; identities up to ``forget``.

    ``before`` is compared with wall clocks too, for taps that were never sent and for mails.
    """

    before: Micros
    last: int
    forget: int


@dataclass(frozen=True, slots=True)
class Step:
    """Where a walk over the taps has come to: ``after`` this number; ``done`` when there is nothing beyond."""

    after: int
    done: bool
    pruned: Pruned


def bounds(connection: Connection, before: Micros, ran: int, keep_us: int | None) -> Bounds:
    """``keep_us`` of running time protects younger taps too; None for a person who says how old is old."""
    last = 2**62 if keep_us is None else _aged(connection, ran - keep_us)
    return Bounds(before, last, _aged(connection, ran - IDENTITY_US))


def prune_taps(connection: Connection, limits: Bounds, after: int, *, dry: bool = False) -> Step:
    """One slice of the walk, oldest taps first; journeys and what has no tap of its own go with the tap they follow."""
    bindings = {"before": limits.before, "after": after, "last": limits.last, "limit": SLICE}
    rows = list(connection.execute(Q["walk_taps"], bindings))
    gone = [(tap, uuid) for tap, uuid, prunable in rows if prunable]
    if gone and not dry:
        _remove(connection, [tap for tap, _ in gone], sorted({uuid for _, uuid in gone if uuid}))
    pruned = Pruned(limits.before, taps=len(gone))
    return Step(rows[-1][0] if rows else 0, len(rows) < SLICE, pruned)


def prune_identities(connection: Connection, limits: Bounds) -> Pruned:
    """One slice of the identities nobody can ask for any more."""
    connection.execute(Q["prune_identities"], (limits.forget, IDENTITY_SLICE))
    return Pruned(limits.before, identities=connection.changes())


def prune_mails(connection: Connection, limits: Bounds) -> Pruned:
    """One slice of the mails that SMTP accepted long ago and whose taps have gone."""
    mails = json.dumps([mail for (mail,) in connection.execute(Q["prunable_mails"], (limits.before, MAIL_SLICE))])
    connection.execute(Q["prune_notices_of_mails"], (mails,))
    connection.execute(Q["prune_mails"], (mails,))
    return Pruned(limits.before, mails=connection.changes())


def total(one: Pruned, other: Pruned) -> Pruned:
    """Both together."""
    return replace(
        one,
        taps=one.taps + other.taps,
        identities=one.identities + other.identities,
        mails=one.mails + other.mails,
    )


def _aged(connection: Connection, ran: int) -> int:
    """The highest tap number that stood at this running time."""
    return int(connection.execute(Q["taps_aged"], (ran,)).get)


def _remove(connection: Connection, taps: list[int], uuids: list[str]) -> None:
    numbers = json.dumps(taps)
    connection.execute(Q["keep_identities"], (numbers,))
    connection.execute(Q["prune_notices_of_taps"], (numbers,))
    connection.execute(Q["prune_taps"], (numbers,))
    nobodys = [uuid for (uuid,) in connection.execute(Q["authorisations_of_nobody"], (json.dumps(uuids),))]
    names = json.dumps(nobodys)
    for query in ("prune_journeys", "prune_notices_of_authorisations", "prune_attempts", "prune_authorisations"):
        connection.execute(Q[query], (names,))
