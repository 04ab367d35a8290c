"""How SQLite walks what a report counts: one page by its key, however much is kept."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

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
