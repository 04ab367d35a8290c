"""Holds and their canaries as work on a connection; the caller holds the transaction.

A row of ``hold`` stands as long as its terminal's new taps must join the held ones; it is begun in ``commits``.
"""

from __future__ import annotations

from tpsd.core.canary import next_canary
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.time import Micros
from tpsd.store.commits import ClaimedRow, begin_attempt
from tpsd.store.connection import Connection
from tpsd.store.queries import Q


def claim_canaries(connection: Connection, now: Micros, limit: int) -> list[ClaimedRow]:
    """One canary for each hold that is due one, over its oldest clean row; the attempt's number is written."""
    claims = []
    for (cause,) in list(connection.execute(Q["canaries_due"], (now, limit))):
        connection.execute(Q["canary_gone"], (next_canary(cause, now), cause))
        row = connection.execute(Q["canary_row"], (cause,)).fetchone()
        if row is None:
            end_if_empty(connection, cause)
            continue
        connection.execute(Q["canary_sending"], (row[0],))
        claims.append(begin_attempt(connection, row, AttemptReason.CANARY, now, cause))
    return claims


def next_due(connection: Connection) -> Micros | None:
    """When a ladder's send or a canary is due, whichever is earlier."""
    found = (connection.execute(Q[name]).get for name in ("next_due", "next_canary"))
    return min((Micros(due) for due in found if due is not None), default=None)


def end(connection: Connection, cause: str) -> None:
    """The cause is mended: from here on its terminal's taps are sent."""
    connection.execute(Q["end_hold"], (cause,))


def end_if_empty(connection: Connection, cause: str) -> None:
    """End a hold under which nothing is held any more."""
    connection.execute(Q["lock_hold"], (cause,))
    connection.execute(Q["end_empty_hold"], (cause,))
