"""A start looks for wounds by indexes that final rows are not in, however many of those are kept."""

from importlib.resources import files

import apsw
import pytest

from tpsd.store.queries import load

Q = load("sqlite")
PLANS = {
    "wounded": (
        "INDEX authorisation_bodiless",
        "INDEX authorisation_sending",
        "a USING PRIMARY KEY",
        "t USING PRIMARY KEY",
    ),
    "wound_sealed": ("s USING COVERING INDEX", "a USING PRIMARY KEY"),
    "wound_epochs": ("s USING COVERING INDEX sealed_epoch",),
    "wound_sealed_under": ("s USING INDEX sealed_epoch (epoch=?)",),
    "wound_unheard": ("n USING INDEX notice_waiting",),
}
BINDINGS = {"wound_sealed_under": (1,)}


@pytest.fixture(scope="module")
def schema() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute((files("schemas") / "sql" / "sqlite" / "0001_journal.sql").read_text())
    return connection


@pytest.mark.parametrize("name", PLANS)
def test_no_query_reads_what_is_final(schema: apsw.Connection, name: str) -> None:
    steps = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {Q[name]}", BINDINGS.get(name, ()))]
    for index in PLANS[name]:
        assert any(index in step for step in steps), steps
    tables = ("authorisation", "a", "attempt", "t", "sealed", "s", "notice", "n")
    assert not [step for step in steps if step in {f"SCAN {table}" for table in tables}], steps
