"""How SQLite finds the numbers that watchers ask for: hot indexes and bounded pages, however much is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.figures import PAGE_ROWS, JournalNumbers
from tpsd.store.queries import load
from tpsd.store.totals import totals

Q = load("sqlite")
KEPT, WAITING, RESTING = 20_000, 5_000, 3_000

PLANS = {
    "pending_page": "INDEX authorisation_due ((due,uuid)>(?,?))",
    "pending_counts": "INDEX authorisation_due ((due,uuid)>(?,?) AND (due,uuid)<(?,?))",
    "pending_lanes": "INDEX authorisation_due ((due,uuid)>(?,?) AND (due,uuid)<(?,?))",
    "unsealed_lanes": "INDEX authorisation_bodiless ((due,uuid)>(?,?) AND (due,uuid)<(?,?))",
    "resting_lanes": "INDEX authorisation_cause ((cause,created_at,uuid)>(?,?,?) AND",
    "unsealed_page": "INDEX authorisation_bodiless ((due,uuid)>(?,?))",
    "unsealed_counts": "INDEX authorisation_bodiless ((due,uuid)>(?,?) AND (due,uuid)<(?,?))",
    "resting_page": "COVERING INDEX authorisation_cause ((cause,created_at,uuid)>(?,?,?))",
    "resting_counts": "COVERING INDEX authorisation_cause ((cause,created_at,uuid)>(?,?,?) AND",
    "resting_without_cause": "COVERING INDEX authorisation_cause (cause=?)",
    "sending_now": "INDEX authorisation_sending",
    "awaiting_oldest": "INDEX authorisation_unclear",
    "mails_unaccepted": "INDEX mail_due",
    "last_tap": "SEARCH tap",
    "tap_totals": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "authorisation_page": "PRIMARY KEY (uuid>?)",
    "authorisation_totals": "PRIMARY KEY (uuid>? AND uuid<?)",
    "oldest_waiting": "COVERING INDEX authorisation_waiting",
    "oldest_unsealed": "INDEX authorisation_bodiless",
}

ROW = """
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, due, created_at)
VALUES (?, 'MTT', 'deferred', 'gate-1', ?, ?, ?, '/p', 'common', 250, '978', zeroblob(32), 1, ?, ?)
"""


@pytest.fixture
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    with connection:
        connection.execute(Q["insert_ladder"], ("[[3, 60000000]]",))
        kept = (("approved", None, None) for _ in range(KEPT))
        waiting = (("pending", None, 1000 + number) for number in range(WAITING))
        resting = (("held", f"system.41@X:{number % 9}", None) for number in range(RESTING))
        rows = (
            (f"{number * 7919 % 2**31:032x}", f"X:{number % 60}", state, cause, due, number + 1)
            for number, (state, cause, due) in enumerate((*kept, *waiting, *resting))
        )
        connection.executemany(ROW, rows)
    yield connection
    connection.close()


@pytest.mark.parametrize("analysed", [False, True])
def test_the_plans(connection: apsw.Connection, analysed: bool) -> None:
    if analysed:
        connection.execute("ANALYZE")
    for name, wanted in PLANS.items():
        sql = Q[name]
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))]
        assert any(wanted in step for step in steps), (name, steps)


class Timed:
    """Reads on a connection, with the seconds that each took."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.seconds: list[float] = []

    async def read(self, work):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        try:
            return work(self._connection)
        finally:
            self.seconds.append(time.perf_counter() - began)


async def test_many_rows_are_many_short_looks(connection: apsw.Connection) -> None:
    reads = Timed(connection)
    found = await JournalNumbers(reads).now()
    assert sum(rung.count for rung in found.rungs) == WAITING
    assert sum(rest.count for rest in found.resting) == RESTING
    assert len(reads.seconds) >= (WAITING + RESTING) // PAGE_ROWS
    reads = Timed(connection)
    whole = await totals(reads)
    assert whole.states == {"approved": KEPT, "pending": WAITING, "held": RESTING}
    assert whole.oldest_pending == KEPT + 1
    assert len(reads.seconds) >= (KEPT + WAITING + RESTING) // 2000
    print(f"longest look {max(reads.seconds) * 1000:.2f} ms, {len(reads.seconds)} of them")
