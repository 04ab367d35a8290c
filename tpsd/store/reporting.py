"""What a report counts, read in pages: a report over a year must not stop a verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from tpsd.domain.authorisation import State
from tpsd.domain.reported import Counted
from tpsd.domain.tap import Disposition
from tpsd.domain.time import DAY, Micros
from tpsd.store.connection import Connection
from tpsd.store.figures import Reads
from tpsd.store.queries import Q

PAGE_ROWS = 200  # taps a look: about 2 ms of the writer's time, and then as much of the event loop's
SLACK_US = DAY  # how much a trusted clock may have been behind for a whole page of taps without one being missed

_BEYOND = 1 << 62  # any tap's number, any time
_LAST = ("g", "")  # behind every hexadecimal digit

Row = tuple[Any, ...]


class Counts:
    """Taps and transactions of a span of time, on whatever reads."""

    def __init__(self, reads: Reads, page_rows: int = PAGE_ROWS) -> None:
        self._reads = reads
        self._page_rows = page_rows

    async def between(self, since: Micros | None, until: Micros | None) -> AsyncIterator[list[Counted]]:
        """Those from ``since`` to before ``until`` (wall clock), some at a time; None: from the first, to the last.

        Nobody can have tapped after we received it, so the walk back ends with the taps received before ``since``. How
        long the one after it was stored at its validator does not matter. Taps that come meanwhile are not in it.
        """
        span = (0 if since is None else since, _BEYOND if until is None else until)
        below: int | None = _BEYOND
        while below is not None:
            rows, below = await self._reads.read(partial(_taps, below, span, self._page_rows))
            yield [_counted(row) for row in rows]
        after: Row | None = ("", "")
        while after is not None:
            rows, after = await self._reads.read(partial(_followers, after, span, self._page_rows))
            yield [_counted(row) for row in rows]


def _taps(below: int, span: tuple[int, int], size: int, connection: Connection) -> tuple[list[Row], int | None]:
    """The taps of one page in the span, and where to go on; None: no earlier one can be in it."""
    first, received_at, tapped_at = connection.execute(Q["report_page"], (below, size)).get
    if first is None:
        return [], None
    rows = list(connection.execute(Q["report_taps"], (first, below, *span)))
    over = received_at is not None and max(received_at + SLACK_US, tapped_at) < span[0]
    return rows, None if over else first


def _followers(after: Row, span: tuple[int, int], size: int, connection: Connection) -> tuple[list[Row], Row | None]:
    """Those of one page of transactions that follow another, no tap having led to them; None after the last page."""
    end = connection.execute(Q["report_follower_page"], (*after, size - 1)).fetchone()
    rows = list(connection.execute(Q["report_followers"], (*after, *(end or _LAST), *span)))
    return rows, end


def _counted(row: Row) -> Counted:
    (at, lane, kind, reason, disposition, state, cause, currency, amount, approved, may_have_charged, tapped,
     superseded, standing, releases) = row  # fmt: skip
    return Counted(
        at=at,
        lane=lane,
        kind=kind,
        reason=reason,
        disposition=None if disposition is None else Disposition(disposition),
        state=None if state is None else State(state),
        cause=cause,
        currency=currency,
        amount=amount,
        approved=approved,
        may_have_charged=bool(may_have_charged),
        tapped=bool(tapped),
        superseded=bool(superseded),
        standing=bool(standing),
        releases=releases,
    )
