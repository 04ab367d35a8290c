"""How SQLite answers what commit 1 asks of a card: always by an index, however much is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator

import apsw
import pytest

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")
TOKENS = 50_000

PLANS = {
    "accepted_before": ("tap_card (token=? AND pass_group=? AND tapped_at>? AND tapped_at<?)",),
    "accepted_after": ("tap_card (token=? AND pass_group=? AND tapped_at>? AND tapped_at<?)",),
    "riders": ("tap_card (token=? AND pass_group=? AND tapped_at>? AND tapped_at<?)",),
    "card_unsettled": ("authorisation_unclear (token=?)",),
    "deny_holds": ("SCAN g", "SEARCH d USING PRIMARY KEY (generation=? AND token=?)"),
    "deny_slice_end": ("SEARCH deny USING PRIMARY KEY (generation=?)",),
    "deny_copy_slice": ("SEARCH deny USING PRIMARY KEY (generation=? AND token<?)",),
    "deny_drop_slice": ("SEARCH deny USING PRIMARY KEY (generation=? AND token<?)",),
    "feed_lost_slice": (
        "SEARCH deny USING PRIMARY KEY (generation=? AND token>?)",
        "SEARCH s USING PRIMARY KEY (generation=? AND token=?)",
        "SCAN d",
    ),
    "deny_delete": ("SEARCH deny USING PRIMARY KEY (generation=? AND token=?)",),
}


@pytest.fixture(scope="module", params=["as it runs", "with statistics"])
def connection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    rng = random.Random(1)
    with connection:
        for source in ("file", "feed", "hand"):
            connection.execute(Q["deny_begin"], (source, "live", 1, 1, None))
        rows = ((1 + number % 3, rng.randbytes(32)) for number in range(TOKENS))
        connection.executemany(Q["deny_insert"], rows)
    if request.param == "with statistics":
        connection.execute("ANALYZE")
    yield connection
    connection.close()


@pytest.mark.parametrize("name", PLANS)
def test_the_plan(connection: apsw.Connection, name: str) -> None:
    named = dict.fromkeys(("shadow", "old", "after", "slice"))
    bindings = named if ":shadow" in Q[name] else (None,) * Q[name].count("?")
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[name]}", bindings)]
    wanted = PLANS[name]
    for part in wanted:
        assert any(part in step for step in steps), steps
    scans = [step for step in steps if step.startswith("SCAN") and step not in wanted]
    assert [step for step in scans if "subquery" not in step] == []
