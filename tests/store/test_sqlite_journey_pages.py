"""Journeys are looked at in short reads, however many there are and however few are wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from tpsd.domain.journey import JourneyState
from tpsd.store import opening
from tpsd.store.asked import PAGE_ROWS, ROWS_A_READ, JourneyRows
from tpsd.store.queries import load

T = TypeVar("T")
Q = load("sqlite")
KEPT = 2 * PAGE_ROWS + 7
OLD = {3: "expired", 5: "ended_unpaid", PAGE_ROWS: "expired"}

CHECK_IN = """
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency, body_digest,
                           ladder, created_at)
VALUES (?, 'RETAIL_CHECK_IN', 'realtime', 'gate-1', 'T', 'approved', '/p', 'common', 500, '978', zeroblob(32), 1, 1)
"""
JOURNEY = "INSERT INTO journey (id, operator, token, state, check_in, opened_at) VALUES (?, 1, 't', ?, ?, 1)"


class Reads:
    """A journal's reads, counted."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.count = 0

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        self.count += 1
        return work(self._connection)


@pytest.fixture
def reads(tmp_path: Path) -> Reads:
    connection = opening.connect(tmp_path / "journal.db")
    with connection:
        connection.execute(Q["insert_ladder"], ("[]",))
        connection.executemany(CHECK_IN, ((f"{number:032x}",) for number in range(1, KEPT + 1)))
        connection.executemany(
            JOURNEY, ((number, OLD.get(number, "closed"), f"{number:032x}") for number in range(1, KEPT + 1))
        )
    return Reads(connection)


async def test_the_few_are_found_among_the_many(reads: Reads) -> None:
    found = await JourneyRows(reads).rows([JourneyState.EXPIRED], 50)
    assert [row.id for row in found] == [PAGE_ROWS, 3]
    assert reads.count == 3
    found = await JourneyRows(reads).rows([JourneyState.EXPIRED, JourneyState.ENDED_UNPAID], 2)
    assert [(row.id, row.state) for row in found] == [(PAGE_ROWS, "expired"), (5, "ended_unpaid")]
    assert await JourneyRows(reads).rows([JourneyState.OPEN], 50) == []


async def test_many_are_told_of_in_several_reads(reads: Reads) -> None:
    found = await JourneyRows(reads).rows([], 3 * ROWS_A_READ + 1)
    assert [row.id for row in found] == list(range(KEPT, KEPT - 3 * ROWS_A_READ - 1, -1))
    assert reads.count == 4
