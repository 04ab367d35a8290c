"""How SQLite finds a tap's receipt and the journeys of a page: by an index, however much is kept."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")

BINDINGS = {
    "receipt_tap": (1,),
    "receipt_moved": ("u",),
    "receipt_journey": (1,),
    "journey_of_authorisation": ("u",),
    "followers": ("u", True),
    "original": ("u",),
    "journey_page": (1 << 62, 2000),
    "journey_row": (1,),
    "awaited_rows": (50,),
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    yield connection
    connection.close()


@pytest.mark.parametrize("name", BINDINGS)
def test_no_table_is_scanned(connection: apsw.Connection, name: str) -> None:
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[name]}", BINDINGS[name])]
    scans = [step for step in steps if step.startswith("SCAN") and "USING INDEX authorisation_unclear" not in step]
    assert scans == []
