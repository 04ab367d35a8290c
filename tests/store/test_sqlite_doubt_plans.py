"""Enquiries and warnings are looked for by an index, however many rows are kept."""

from importlib.resources import files

import apsw
import pytest

from tpsd.store.queries import load

Q = load("sqlite")
PLANS = [
    ("doubtful_since", ("uuid",), "attempt USING PRIMARY KEY"),
    ("enquiries_due", (1, 10), "authorisation USING INDEX authorisation_enquiry"),
    ("next_enquiry", (), "authorisation USING INDEX authorisation_enquiry"),
    ("pull_enquiries", (1, 1), "authorisation USING INDEX authorisation_enquiry"),
    ("enquiries_to_end", (10,), "authorisation USING INDEX authorisation_enquiry"),
    ("begin_enquiries", (1,), "authorisation USING INDEX authorisation_resting"),
    ("enquiries_left_open", (), "t USING INDEX attempt_enquiring"),
    ("control", (1, 2), "authorisation USING COVERING INDEX authorisation_approved"),
    ("bodies_going", ("held", 1, 10), "authorisation USING INDEX authorisation_unwarned"),
    ("rested_too_long", ("held", 1, 10), "authorisation_resting"),
]


@pytest.fixture(scope="module")
def schema() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute((files("schemas") / "sql" / "sqlite" / "0001_journal.sql").read_text())
    return connection


@pytest.mark.parametrize(("name", "bindings", "index"), PLANS)
def test_no_query_reads_the_whole_table(
    schema: apsw.Connection, name: str, bindings: tuple[object, ...], index: str
) -> None:
    steps = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {Q[name]}", bindings)]
    assert any(index in step for step in steps), steps
    assert not any(step in ("SCAN authorisation", "SCAN a", "SCAN attempt", "SCAN t") for step in steps), steps
