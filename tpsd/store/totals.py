"""The journal in numbers, from its first tap on: in pages, since a year of taps is more than one look may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tpsd.domain.tap import Verdict
from tpsd.domain.time import Micros
from tpsd.domain.views import JournalTotals
from tpsd.store.connection import Connection
from tpsd.store.figures import Reads
from tpsd.store.queries import Q

PAGE_ROWS = 2000  # about 2 ms of the writer's time

_LAST_UUID = "g"  # behind every hexadecimal digit


async def totals(reads: Reads, page_rows: int = PAGE_ROWS) -> JournalTotals:
    """What is there; taps that come meanwhile may be in it or not. Raises JournalError."""
    verdicts: Counter[str] = Counter()
    dispositions: Counter[str] = Counter()
    last = await reads.read(lambda connection: int(connection.execute(Q["last_tap"]).get))
    for after in range(0, last, page_rows):
        for verdict, disposition, count in await reads.read(_taps(after, after + page_rows)):
            verdicts[Verdict(verdict).name.lower() if verdict else "undecided"] += count
            if disposition is not None:
                dispositions[disposition] += count
    states: Counter[str] = Counter()
    sends, after_uuid = 0, ""
    while after_uuid < _LAST_UUID:
        rows, after_uuid = await reads.read(_authorisations(after_uuid, page_rows))
        for state, count, attempts in rows:
            states[state] += count
            sends += attempts
    waiting, accepted, oldest, next_due = await reads.read(_singles)
    return JournalTotals(
        taps=verdicts.total(),
        verdicts=dict(verdicts),
        dispositions=dict(dispositions),
        states=dict(states),
        sends=sends,
        oldest_pending=oldest,
        next_due=next_due,
        mails_waiting=waiting,
        mails_accepted=accepted,
    )


def _taps(after: int, upto: int) -> Callable[[Connection], list[tuple[Any, ...]]]:
    return lambda connection: list(connection.execute(Q["tap_totals"], (after, upto)))


def _authorisations(after: str, size: int) -> Callable[[Connection], tuple[list[tuple[Any, ...]], str]]:
    """One page's counts and the UUID it ends at, which is behind all of them for the last page."""

    def work(connection: Connection) -> tuple[list[tuple[Any, ...]], str]:
        end = connection.execute(Q["authorisation_page"], (after, size - 1)).get or _LAST_UUID
        return list(connection.execute(Q["authorisation_totals"], (after, end))), end

    return work


def _singles(connection: Connection) -> tuple[int, int, Micros | None, Micros | None]:
    waiting, accepted = connection.execute(Q["count_mails"]).get
    _, sending = connection.execute(Q["sending_now"]).get
    found = (connection.execute(Q[name]).get for name in ("oldest_waiting", "oldest_unsealed", "awaiting_oldest"))
    oldest = min((Micros(at) for at in (*found, sending) if at is not None), default=None)
    return waiting, accepted, oldest, connection.execute(Q["next_due"]).get
