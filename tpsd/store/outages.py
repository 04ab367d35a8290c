"""Outages of TPS's host in the journal: when one began, who was told, and how what waited is spread after it.

After an outage every first send that waited is given its own due time before any is claimed: in slices, behind a
cursor that commits with each slice, so that a restart goes on where it was.
"""

from __future__ import annotations

from tpsd.core.uplink import Outage, Spread, reachable, spread_due, unreachable
from tpsd.domain.time import Micros
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

SPREAD_SLICE = 200  # rows: about 4 ms of work, so that a passenger's tap never waits long behind a slice


class SqlOutages:
    """``outages.Outages`` on the journal's writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._spreading = True  # unless a look into the journal shows that nothing is

    async def unfinished(self, host: str) -> Outage | None:
        """The outage that an earlier life of this daemon left; those of other hosts are forgotten."""

        def look(connection: Connection) -> Outage | None:
            connection.execute(Q["forget_outages"], (host,))
            return _outage(connection, host)

        return await self._writer.write(look)

    async def begin(self, host: str, since: Micros) -> None:
        """The host cannot be reached. An outage that has begun already stays as it is."""
        await self._writer.write(lambda connection: connection.execute(Q["begin_outage"], (host, since)) and None)

    async def tell(self, host: str, now: Micros) -> bool:
        """Write the notice of a lasting outage, once; whether it was written now."""

        def write(connection: Connection) -> bool:
            outage = _outage(connection, host)
            connection.execute(Q["outage_told"], (host,))
            if outage is None or not connection.changes():
                return False
            insert_notices(connection, (unreachable(host, outage, _waiting(connection, now)),), None, None, now)
            return True

        return await self._writer.write(write)

    async def end(self, host: str, now: Micros, spread: Spread | None) -> bool:
        """The host was reached: begin the spread if there is to be one; whether a notice was written."""

        def write(connection: Connection) -> bool:
            outage = _outage(connection, host)
            if outage is not None and outage.told:
                notice = reachable(host, outage, _waiting(connection, now), now)
                insert_notices(connection, (notice,), None, None, now)
            if spread is None:
                connection.execute(Q["end_outage"], (host,))
            else:
                connection.execute(Q["begin_spread"], (now, spread.over_us, spread.seed, host))
            return outage is not None and outage.told

        told = await self._writer.write(write)
        self._spreading = True
        return told

    async def spread(self) -> bool:
        """Give one slice of the first sends that waited its due times; whether all of them have theirs."""
        if self._spreading:
            self._spreading = not await self._writer.write(spread_slice)
        return not self._spreading


def spread_slice(connection: Connection) -> bool:
    """One slice of the spread under way; True when there is nothing left to spread."""
    under_way = connection.execute(Q["spread_under_way"]).get
    if under_way is None:
        return True
    host, ended_at, over_us, seed, past_due, past_uuid, place = under_way
    rows = list(connection.execute(Q["spread_slice"], (past_due, past_uuid, ended_at, SPREAD_SLICE)))
    spread = Spread(over_us, seed)
    first_sends = [(uuid, terminal) for uuid, _, terminal, sends in rows if not sends]
    connection.executemany(
        Q["spread_one"],
        [
            (spread_due(spread, terminal, ended_at, place + number), uuid)
            for number, (uuid, terminal) in enumerate(first_sends)
        ],
    )
    if len(rows) < SPREAD_SLICE:
        connection.execute(Q["end_outage"], (host,))
        return True
    last_uuid, last_due, *_ = rows[-1]
    connection.execute(Q["spread_past"], (last_due, last_uuid, place + len(first_sends), host))
    return False


def _outage(connection: Connection, host: str) -> Outage | None:
    row = connection.execute(Q["outage"], (host,)).get
    return None if row is None else Outage(row[0], bool(row[1]))


def _waiting(connection: Connection, now: Micros) -> int:
    return int(connection.execute(Q["count_waiting"], {"now": now}).get)
