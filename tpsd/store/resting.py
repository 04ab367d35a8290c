"""What rests in a journal, and what was done by hand: counted page by page, so that no read is long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tpsd.core.operations import what_to_do
from tpsd.domain.audit import AuditRow
from tpsd.domain.authorisation import State
from tpsd.domain.resting import DoubtRow, RestingCause
from tpsd.domain.time import Micros
from tpsd.store.audit import AuditLog
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

PAGE_ROWS = 2000  # about 3 ms of a covering index: reads come in slices of 5 ms

T = TypeVar("T")


class Reads(Protocol):
    """A journal open for writing, or only looked at."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run work outside any transaction."""


class RestingReader:
    """``operating.OperationsReader`` on whatever reads."""

    def __init__(self, reads: Reads, page_rows: int = PAGE_ROWS) -> None:
        self._reads = reads
        self._page_rows = page_rows
        self._audit = AuditLog(reads)

    async def held(self) -> list[RestingCause]:
        """See ``operating.OperationsReader``; a hold under which nothing is held yet is one too."""
        found = await self._by_cause(State.HELD)
        holds = await self._reads.read(lambda connection: list(connection.execute(Q["holds"])))
        for cause, since, canary_due in holds:
            before = found.get(cause, _Sum())
            found[cause] = _Sum(before.count, before.sums, since, holding=True, canary_due=canary_due)
        return _most_first(found)

    async def doubts(self) -> list[RestingCause]:
        """See ``operating.OperationsReader``."""
        return _most_first(await self._by_cause(State.IN_DOUBT))

    async def doubt_rows(self, limit: int) -> list[DoubtRow]:
        """See ``operating.OperationsReader``."""
        return await self._reads.read(
            lambda connection: [_doubt(row) for row in connection.execute(Q["doubt_rows"], (limit,))]
        )

    async def awaited_rows(self, limit: int) -> list[DoubtRow]:
        """See ``operating.OperationsReader``."""
        return await self._reads.read(
            lambda connection: [_doubt(row) for row in connection.execute(Q["awaited_rows"], (limit,))]
        )

    async def audited(self, limit: int) -> list[AuditRow]:
        """See ``operating.OperationsReader``."""
        return await self._audit.rows(limit)

    async def _by_cause(self, state: State) -> dict[str, _Sum]:
        found: dict[str, _Sum] = {}
        key: tuple[Any, ...] = ("", 0, "")
        while True:
            page = await self._reads.read(_page_reader(state, key, self._page_rows))
            for cause, created_at, _, amount, currency in page:
                found.setdefault(cause, _Sum(since=created_at)).add(created_at, amount, currency)
            if len(page) < self._page_rows:
                return found
            key = page[-1][:3]


class _Sum:
    def __init__(
        self,
        count: int = 0,
        sums: Counter[str] | None = None,
        since: int = 0,
        *,
        holding: bool = False,
        canary_due: int | None = None,
    ) -> None:
        self.count, self.since, self.holding, self.canary_due = count, since, holding, canary_due
        self.sums: Counter[str] = Counter() if sums is None else sums

    def add(self, created_at: int, amount: int, currency: str) -> None:
        self.count += 1
        self.sums[currency] += amount
        self.since = min(self.since, created_at)


def _page_reader(state: State, key: tuple[Any, ...], rows: int) -> Callable[[Connection], list[tuple[Any, ...]]]:
    return lambda connection: list(connection.execute(Q["resting_by_cause"], (state.value, *key, rows)))


def _most_first(found: dict[str, _Sum]) -> list[RestingCause]:
    rows = [
        RestingCause(
            cause=cause,
            count=one.count,
            sums=dict(sorted(one.sums.items())),
            since=Micros(one.since),
            holding=one.holding,
            canary_due=None if one.canary_due is None else Micros(one.canary_due),
            what_to_do=what_to_do(cause),
        )
        for cause, one in found.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.cause))


def _doubt(row: tuple[Any, ...]) -> DoubtRow:
    number, serial, boot, counter, *rest = row
    name = None if boot is None else f"{serial}:{boot}:{counter}"
    return DoubtRow(*(number, name, *rest[:-1], bool(rest[-1])))
