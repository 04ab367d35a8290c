"""How SQLite walks what a report counts: one page by its key, however much is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from tpsd.domain.time import HOUR, Micros
from tpsd.store import opening
from tpsd.store.queries import load
from tpsd.store.reporting import PAGE_ROWS, Counts

T = TypeVar("T")
Q = load("sqlite")

PLANS = {
    "report_page": ["SEARCH tap USING INTEGER PRIMARY KEY (rowid<?)"],
    "report_taps": [
        "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "SEARCH a USING PRIMARY KEY (uuid=?)",
        "SEARCH y USING COVERING INDEX tap_uuid (uuid=? AND rowid>?)",
        "SEARCH o USING INDEX authorisation_follows (initial_uuid=?)",
        "SEARCH i USING PRIMARY KEY (uuid=?)",
    ],
    "report_follower_page": ["COVERING INDEX authorisation_follows ((initial_uuid,uuid)>(?,?))"],
    "report_followers": [
        "INDEX authorisation_follows ((initial_uuid,uuid)>(?,?) AND (initial_uuid,uuid)<(?,?))",
        "SEARCH t USING COVERING INDEX tap_uuid (uuid=?)",
        "SEARCH x USING PRIMARY KEY (uuid=? AND number=?)",
    ],
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    yield connection
    connection.close()


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("name", PLANS)
def test_the_plans(connection: apsw.Connection, name: str, analysed: bool) -> None:
    if analysed:
        connection.execute("ANALYZE")
    sql = Q[name]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))]
    for wanted in PLANS[name]:
        assert any(wanted in step for step in steps), (wanted, steps)
    assert [step for step in steps if step.startswith("SCAN") and "subquery" not in step] == [], steps


TAP = """
INSERT INTO tap (serial, boot, counter, digest, type_name, lane, terminal, tapped_at, received_at, oda, shown, verdict,
                 reason, disposition, pass_group, config_digest)
VALUES ('V', 1, ?1, zeroblob(32), 'T', 'gate-1', 'T', ?2, ?2, 0, 0, 2, 'expired', 'denied', 'gate-1', 'c0ffee')
"""


class Reads:
    """Reads on a connection, counted."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.count = 0

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        self.count += 1
        return work(self._connection)


async def test_many_taps_are_many_short_looks_and_only_those_of_the_span(tmp_path: Path) -> None:
    connection = opening.connect(tmp_path / "journal.db")
    kept = 20 * PAGE_ROWS
    with connection:
        connection.executemany(TAP, ((number, number * HOUR) for number in range(1, kept + 1)))
    reads = Reads(connection)
    assert sum([len(some) async for some in Counts(reads).between(None, None)]) == kept
    assert reads.count >= kept // PAGE_ROWS
    reads, since = Reads(connection), Micros((kept - PAGE_ROWS // 2) * HOUR)
    assert sum([len(some) async for some in Counts(reads).between(since, None)]) == PAGE_ROWS // 2 + 1
    assert reads.count <= 4, "its page, the one before, and the followers"
    connection.close()
