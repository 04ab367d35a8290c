"""The journal's numbers for health, metrics and the queue: in pages, so that no verdict waits for a scrape.

Rows move between two pages; a number may be off by what moved meanwhile. Nothing that decides may use them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tpsd.domain.authorisation import Ladder
from tpsd.domain.lane import LaneWaits
from tpsd.domain.picture import JournalFigures, RestCount, RungCount
from tpsd.domain.time import Micros
from tpsd.store.commits import ladder_of
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

PAGE_ROWS = 1000  # about 1 ms of the writer's time, so that a verdict waits for one page at most
PAGES_MAX = 5000  # five million rows: far above any queue; a table that grows meanwhile must not be walked for ever

T = TypeVar("T")
Row = tuple[Any, ...]
RungKey = tuple[int, int]  # ladder, sends
RestKey = tuple[str, str]  # state, cause

_PENDING = ("pending", "unsealed")
_FIRST_DUE, _LAST_DUE = (-1, ""), (1 << 62, "")
_FIRST_CAUSE, _LAST_CAUSE = ("", -1, ""), ("\U0010ffff", 0, "")


class Reads(Protocol):
    """The one thing wanted of a journal's connection."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` outside any transaction."""


class JournalNumbers:
    """Counts over what is pending, resting and unmailed."""

    def __init__(self, reads: Reads, page_rows: int = PAGE_ROWS) -> None:
        self._reads = reads
        self._page_rows = page_rows

    async def now(self) -> JournalFigures:
        """The figures of about this moment. Raises JournalError."""
        ladders = await self._reads.read(_ladders)
        rungs: dict[RungKey, RungCount] = {}
        for kind in _PENDING:
            async for row in self._pages(kind, "counts", _FIRST_DUE, _LAST_DUE):
                _add_rung(rungs, ladders, row)
        resting: dict[RestKey, RestCount] = {}
        async for row in self._pages("resting", "counts", _FIRST_CAUSE, _LAST_CAUSE):
            _add_rest(resting, row)
        bare, sending, oldest_others, mails, oldest_mail = await self._reads.read(_singles)
        oldest = [rung.oldest for rung in rungs.values()] + oldest_others
        return JournalFigures(
            rungs=tuple(rungs.values()),
            resting=(*resting.values(), *bare),
            sending=sending,
            oldest_pending=min(oldest, default=None),
            mails_waiting=mails,
            oldest_mail=oldest_mail,
        )

    async def by_lane(self) -> dict[str, LaneWaits]:
        """What waits by lane, of about this moment; lanes of which nothing waits are missing. Raises JournalError."""
        waits: dict[str, LaneWaits] = {}
        for kind in _PENDING:
            async for row in self._pages(kind, "lanes", _FIRST_DUE, _LAST_DUE):
                _add_lane(waits, row)
        async for row in self._pages("resting", "lanes", _FIRST_CAUSE, _LAST_CAUSE):
            _add_lane(waits, row)
        return waits

    async def _pages(self, kind: str, what: str, start: Row, last: Row) -> AsyncIterator[Row]:
        after: Row | None = start
        for _ in range(PAGES_MAX):
            if after is None:
                return
            rows, after = await self._reads.read(_page(kind, what, after, last, self._page_rows))
            for row in rows:
                yield row


def _page(
    kind: str, what: str, after: Row, last: Row, size: int
) -> Callable[[Connection], tuple[list[Row], Row | None]]:
    """The counts of one page and the key it ends at, None after the last page."""

    def work(connection: Connection) -> tuple[list[Row], Row | None]:
        end = connection.execute(Q[f"{kind}_page"], (*after, size - 1)).fetchone()
        rows = list(connection.execute(Q[f"{kind}_{what}"], (*after, *(last if end is None else end))))
        return rows, end

    return work


def _ladders(connection: Connection) -> dict[int, Ladder]:
    return {number: ladder_of(tiers) for number, tiers in connection.execute(Q["ladders"])}


def _add_rung(rungs: dict[RungKey, RungCount], ladders: Mapping[int, Ladder], row: Row) -> None:
    ladder, sends, count, due, oldest, unreleased, unsealed = row
    so_far = rungs.get((ladder, sends))
    if so_far is None:
        rungs[ladder, sends] = RungCount(ladders.get(ladder, ()), sends, count, due, oldest, unreleased, unsealed)
        return
    known = (at for at in (so_far.oldest_unreleased, unreleased) if at is not None)
    rungs[ladder, sends] = replace(
        so_far,
        count=so_far.count + count,
        next_due=min(so_far.next_due, due),
        oldest=min(so_far.oldest, oldest),
        oldest_unreleased=min(known, default=None),
        unsealed=so_far.unsealed + unsealed,
    )


def _add_rest(resting: dict[RestKey, RestCount], row: Row) -> None:
    state, cause, count, oldest = row
    so_far = resting.get((state, cause))
    resting[state, cause] = (
        RestCount(state, cause, count, oldest)
        if so_far is None
        else replace(so_far, count=so_far.count + count, oldest=min(so_far.oldest, oldest))
    )


def _add_lane(waits: dict[str, LaneWaits], row: Row) -> None:
    lane, pending, held, oldest = row
    so_far = waits.get(lane, LaneWaits())
    known = (at for at in (so_far.oldest, oldest) if at is not None)
    waits[lane] = LaneWaits(so_far.pending + pending, so_far.held + held, min(known, default=None))


def _singles(connection: Connection) -> tuple[list[RestCount], int, list[Micros], int, Micros | None]:
    bare = [RestCount(*row) for row in connection.execute(Q["resting_without_cause"])]
    sending, oldest_sending = connection.execute(Q["sending_now"]).get
    awaiting = connection.execute(Q["awaiting_oldest"]).get
    mails, oldest_mail = connection.execute(Q["mails_unaccepted"]).get
    oldest = [Micros(at) for at in (oldest_sending, awaiting) if at is not None]
    return bare, sending, oldest, mails, oldest_mail
