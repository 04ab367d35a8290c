"""How SQLite finds what waits for the time: by an index, however many taps and rows are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")
WAITING, KEPT = 5_000, 20_000

ROW = """
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, due, created_at)
VALUES (?, 'MTT', 'deferred', 'gate-1', 'T:1', ?, NULL, '', 'common', 250, '978', ?, 1, ?, ?)
"""
TAP = """
INSERT INTO tap (serial, boot, counter, digest, type_name, lane, terminal, kind, tapped_at, received_at, oda, shown,
                 verdict, reason, uuid, pass_group, clock_life, config_digest)
VALUES ('V', 1, ?, zeroblob(32), 'T', 'gate-1', 'T:1', 'MTT', ?, ?, 0, 0, 1, 'ok', ?, 'gate-1', ?, 'c')
"""

PLANS: dict[str, tuple[Any, str]] = {
    "untimed_life": (("",), "COVERING INDEX tap_untimed (clock_life>?)"),
    "untimed_last": (("life-1",), "COVERING INDEX tap_untimed (clock_life=?)"),
    "untimed_taps": (("life-1", 9), "COVERING INDEX tap_untimed (clock_life=?)"),
    "bodiless": ((9,), "authorisation_waits_body"),
    "mend_ages": ({"now": 9, "floor": 5}, "COVERING INDEX authorisation_waiting (created_at<?)"),
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    with connection:
        connection.execute(Q["insert_ladder"], ("[]",))
        rows, taps = [], []
        for number in range(KEPT + WAITING):
            uuid, waits = f"{number * 7919 % 2**31:032x}", number < WAITING
            state = "pending" if waits or number % 2 else "approved"
            digest, due = None if waits else bytes(32), number if state == "pending" else None
            rows.append((uuid, state, digest, due, number))
            taps.append((number, number, number, uuid, f"life-{number % 3}" if waits else None))
        connection.executemany(ROW, rows)
        connection.executemany(TAP, taps)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", PLANS)
def test_the_plans(connection: apsw.Connection, name: str) -> None:
    bindings, wanted = PLANS[name]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[name]}", bindings)]
    assert any(wanted in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
    assert not any(step.startswith("SCAN") and "INDEX" not in step for step in steps), steps
