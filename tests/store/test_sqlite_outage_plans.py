"""How SQLite finds what an outage keeps waiting: by an index, however much is kept.

The ladders (``l``) are a handful, and what waits may be read whole from its index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.outages import SPREAD_SLICE, spread_slice
from tpsd.store.queries import load

Q = load("sqlite")
WAITING, KEPT = 20_000, 5_000

PLANS = {
    "claim_old": "COVERING INDEX authorisation_waiting (created_at<?)",
    "count_waiting": "COVERING INDEX authorisation_waiting (created_at<?)",
    "spread_slice": "authorisation_due ((due,uuid)>(?,?) AND due<?)",
    "spread_one": "PRIMARY KEY (uuid=?)",
    "uncount_send": "PRIMARY KEY (uuid=?)",
    "pull_first_sends": "authorisation_bodiless (due>?)",
}

ROW = """
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency, body_digest,
                           ladder, due, created_at)
VALUES (?, 'MTT', 'deferred', 'gate-1', ?, ?, '/p', 'common', 250, '978', zeroblob(32), 1, ?, ?)
"""


@pytest.fixture
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    with connection:
        connection.execute(Q["insert_ladder"], ("[]",))
        kept = (("approved", None) for _ in range(KEPT))
        waiting = (("pending", 1000 + number) for number in range(WAITING))
        rows = (
            (f"{number * 7919 % 2**31:032x}", f"GATE-X1:VAL{number % 60:05d}", state, due, due or 1)
            for number, (state, due) in enumerate((*kept, *waiting))
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
        bindings: object = {"now": 1, "latest": 1} if ":now" in sql else (1,) * sql.count("?")
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]  # type: ignore[arg-type]
        assert any(wanted in step for step in steps), (name, steps)
        scans = [step for step in steps if re.match("SCAN (?!l$)(?!.* COVERING INDEX authorisation_waiting)", step)]
        assert scans == [], name


def test_a_spread_looks_at_each_row_once(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(Q["begin_outage"], ("tps.example", 1))
        connection.execute(Q["begin_spread"], (10**9, 300_000_000, b"one draw", "tps.example"))
        slices = 1
        while not spread_slice(connection):
            slices += 1
    assert slices == WAITING // SPREAD_SLICE + 1
    assert connection.execute("SELECT count(*), min(due) > 1000000000 FROM authorisation WHERE due > 0").get == (
        WAITING,
        1,
    )
    assert connection.execute(Q["spread_under_way"]).get is None
