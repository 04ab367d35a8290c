"""How SQLite finds what rests: by an index, however much is kept, and pages without sorting."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")
RESTING, KEPT = 20_000, 20_000

ROW = """
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, created_at, replaced_by)
VALUES (?, 'MTT', 'deferred', 'gate-1', ?, ?, ?, '/p', 'common', 250, '978', zeroblob(32), 1, ?, NULL)
"""

PLANS = {
    "held_cause": (("T",), "hold_terminal"),
    "next_canary": ((), "hold_canary"),
    "canaries_due": ((1, 1), "hold_canary"),
    "canary_row": (("c",), "authorisation_cause (cause=?)"),
    "end_empty_hold": (("c",), "authorisation_cause (cause=?)"),
    "standing_page": (("c", 1, "u", 1, '["held"]', 1), "authorisation_cause (cause=? AND (created_at,uuid)>(?,?)"),
    "resting_by_cause": (("held", "c", 1, "u", 1), "COVERING INDEX authorisation_cause"),
    "doubt_rows": ((1,), "authorisation_cause"),
    "audit_rows": ((1,), "audit"),
    "kept_tap": (("u",), "tap_uuid"),
    "tap_by_replaced_uuid": (("u", "v"), "PRIMARY KEY (uuid>? AND uuid<?)"),
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    with connection:
        connection.execute(Q["insert_ladder"], ("[]",))
        states = [("approved", "action.000")] * KEPT + [
            (("held", "permanently_failed", "in_doubt")[number % 3], f"http.{number % 40}@T")
            for number in range(RESTING)
        ]
        rows = (
            (f"{number * 7919 % 2**31:032x}", f"GATE-X1:VAL{number % 60:05d}", state, cause, number)
            for number, (state, cause) in enumerate(states)
        )
        connection.executemany(ROW, rows)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", PLANS)
def test_the_plans(connection: apsw.Connection, name: str) -> None:
    bindings, wanted = PLANS[name]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[name]}", bindings)]
    assert any(wanted in step for step in steps), steps
    assert not any("TEMP B-TREE FOR ORDER BY" in step or "TEMP B-TREE FOR LAST" in step for step in steps), steps
