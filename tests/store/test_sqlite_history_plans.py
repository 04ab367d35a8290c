"""How SQLite finds what is kept of one tap: by an index, however much is kept; orders by hand page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")

BINDINGS: dict[str, Any] = {
    "history_tap": (1,),
    "history_card": ("t",),
    "history_taps": ("u",),
    "history_transactions": ("u", 0),
    "history_mailings": {"tap": 1, "uuids": '["u"]', "shift": 0},
    "history_boxes": ('["u"]',),
    "history_hold": ("c", 0),
    "last_order": (),
    "orders_about": (0, 2000, '["u"]'),
}

NAMED = {"former", "json_each", "CONSTANT"}  # what the tap itself names: a few transactions


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    yield connection
    connection.close()


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("name", BINDINGS)
def test_no_table_is_scanned(connection: apsw.Connection, name: str, analysed: bool) -> None:
    if analysed:
        connection.execute("ANALYZE")
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[name]}", BINDINGS[name])]
    scans = [step for step in steps if step.startswith("SCAN") and step.split()[1] not in NAMED]
    assert scans == [], steps
