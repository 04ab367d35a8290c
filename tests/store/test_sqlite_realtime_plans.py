"""How SQLite finds a card's journey, what waits and what is overdue: by an index, however much is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import apsw
import pytest
from apsw.ext import query_info

from tpsd.store import opening
from tpsd.store.queries import load

Q = load("sqlite")
KEPT = 100_000  # authorisations, each with its tap and its attempt; half as many journeys

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :kept - 1)"
UUID, BEFORE = (f"printf('%032x', ({i}) * 7919 % 2147483648)" for i in ("i", "i - 1"))
TOKEN = "printf('%064x', i / 2)"
FILL = (
    Q["insert_ladder"].replace("?", "'[]'"),
    f"""{NUMBERS}
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency, body_digest,
                           ladder, attempt, created_at, settled_at, token, initial_uuid, enquiry_due)
SELECT {UUID}, iif(i % 2, 'RETAIL_CHECK_OUT', 'RETAIL_CHECK_IN'), 'realtime', 'gate-1', 'GATE-X1:VAL' || i % 60,
       CASE WHEN i % 1000 = 1 THEN 'in_doubt' WHEN i % 5000 = 3 THEN 'awaiting_tap' WHEN i % 20000 = 5 THEN 'sending'
            ELSE 'approved' END,
       '/p', 'common', 320, '978', zeroblob(32), 1, 1, i, i, {TOKEN}, iif(i % 2, {BEFORE}, NULL),
       iif(i % 1000 = 1, i, NULL)
FROM n""",
    f"""{NUMBERS}
INSERT INTO attempt (uuid, number, release, reason, started_at, ended_at, outcome, may_have_charged)
SELECT {UUID}, 1, 1, 'tap', i, i, 'approved', 1 FROM n""",
    f"""{NUMBERS}
INSERT INTO tap (serial, boot, counter, digest, type_name, lane, terminal, kind, tapped_at, received_at, token, oda,
                 shown, verdict, reason, uuid, pass_group, config_digest, delivered, made_at)
SELECT 'VAL' || i % 60, 3, i, zeroblob(32), 'GATE-X1', 'gate-1', 'GATE-X1:VAL' || i % 60,
       iif(i % 2, 'RETAIL_CHECK_OUT', 'RETAIL_CHECK_IN'), i, i, {TOKEN}, 0, 0, iif(i % 20000 = 5, NULL, 5), 'ok',
       {UUID}, 'gate-1', 'c0ffee', iif(i % 9999 = 0, 0, 1), i
FROM n""",
    f"""{NUMBERS}
INSERT INTO journey (operator, token, state, check_in, check_out, tries, opened_at, ended_at, lane)
SELECT 1001, {TOKEN}, iif(i % 10000 = 1, 'checking_out', 'closed'), {BEFORE}, {UUID}, 1, i,
       iif(i % 10000 = 1, NULL, i), 'gate-1'
FROM n WHERE i % 2""",
)

PLANS = {
    # commits 1 and 2
    "taps_of_identity": "INDEX tap_identity (serial=? AND boot=? AND counter=?)",
    "journey_of_card": "INDEX journey_one_open (operator=? AND token=?)",
    "under_way": "INDEX authorisation_sending",
    "doubtful": "INDEX authorisation_unclear (token=?)",
    "card_unsettled": "INDEX authorisation_unclear (token=?)",
    "awaited": "PRIMARY KEY (uuid=?)",
    "ask_same": "PRIMARY KEY (uuid=?)",
    "try_journey": "INTEGER PRIMARY KEY (rowid=?)",
    "journey_by_hand": "INTEGER PRIMARY KEY (rowid=?)",
    # commit 3
    "fence_of": "PRIMARY KEY (uuid=?)",
    "waiting": "INDEX tap_uuid (uuid=?)",
    "undecided": "INDEX tap_uuid (uuid=?)",
    "decide_tap": "INTEGER PRIMARY KEY (rowid=?)",
    "cover_tap": "INTEGER PRIMARY KEY (rowid=?)",
    "covered": "PRIMARY KEY (uuid=?)",
    "tap_delivered": "INTEGER PRIMARY KEY (rowid=?)",
    "tap_of_uuid": "COVERING INDEX tap_uuid (uuid=?)",
    "journey_of_check_out": "COVERING INDEX journey_check_out (check_out=?)",
    "journey_by_number": "INTEGER PRIMARY KEY (rowid=?)",
    "journey_of_authorisation": "COVERING INDEX journey_check_in (check_in=?)",
    "move_journey": "INTEGER PRIMARY KEY (rowid=?)",
    "unordered_return": "PRIMARY KEY (uuid=?)",
    "original": "COVERING INDEX tap_uuid (uuid=?)",
    "followers": "INDEX authorisation_follows (initial_uuid=?)",
    "ladder_of_authorisation": "PRIMARY KEY (uuid=?)",
    # enquiries beside the series
    "enquired_one": "PRIMARY KEY (uuid=?)",
    "mark_asked_beside": "PRIMARY KEY (uuid=?)",
    "shown_of": "INDEX tap_uuid (uuid=?)",
    "ask_soon": "PRIMARY KEY (uuid=?)",
    # sweeps, and a start
    "overdue_journeys": "INDEX journey_overdue (opened_at<?)",
    "first_overdue": "INDEX journey_overdue",
    "give_up_awaited": "PRIMARY KEY (uuid=?)",
    "undelivered": "INDEX tap_undelivered (received_at<?)",
    "first_undelivered": "INDEX tap_undelivered",
    "undelivered_told": "INTEGER PRIMARY KEY (rowid=?)",
    "walk_taps": "COVERING INDEX authorisation_follows (initial_uuid=?)",
    "authorisations_of_nobody": "INDEX authorisation_follows (initial_uuid=?)",
    "prune_journeys": "INDEX journey_check_out (check_out=?)",
    "left_open": "INDEX authorisation_sending",
    "enquiries_left_open": "INDEX attempt_enquiring",
    # people
    "journey_page": "INTEGER PRIMARY KEY (rowid<?)",
    "journey_row": "INTEGER PRIMARY KEY (rowid=?)",
    "authorisation_by_uuid": "PRIMARY KEY (uuid>? AND uuid<?)",
    "tap_by_following_uuid": "PRIMARY KEY (uuid>? AND uuid<?)",
    "tap_by_replaced_uuid": "COVERING INDEX tap_uuid (uuid=?)",
}

FEW = re.compile(
    r"SCAN (CONSTANT ROW|json_each .*|\(subquery-\d+\)|family|gone|later|shown|l"
    r"|\w+ USING INDEX (authorisation_sending|attempt_enquiring))"
)
"""What may be gone through whole: what the statement made itself, the ladders, and what is on its way now."""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = opening.connect(tmp_path_factory.mktemp("plans") / "journal.db")
    connection.pragma("synchronous", "OFF")
    with connection:
        for statement in FILL:
            connection.execute(statement, {"kept": KEPT} if ":kept" in statement else None)
    yield connection
    connection.close()


@pytest.fixture(params=[False, True], ids=["new", "analysed"], scope="module")
def planned(request: pytest.FixtureRequest, connection: apsw.Connection) -> Iterator[apsw.Connection]:
    """The journal as it is, and as one that somebody ran ANALYZE on."""
    if request.param:
        connection.execute("ANALYZE")
    yield connection
    if request.param:
        connection.execute("DELETE FROM sqlite_stat1; ANALYZE sqlite_schema")


@pytest.mark.parametrize("name", PLANS)
def test_the_plans(planned: apsw.Connection, name: str) -> None:
    bindings = (1,) * query_info(planned, Q[name]).bindings_count
    steps = [row[3] for row in planned.execute(f"EXPLAIN QUERY PLAN {Q[name]}", bindings)]
    assert any(PLANS[name] in step for step in steps), steps
    whole = [step for step in steps if step.startswith("SCAN") and not FEW.fullmatch(step)]
    assert whole == [], steps


def test_there_is_something_to_find(connection: apsw.Connection) -> None:
    """The plans are those of a journal in which each of these has some to choose from."""
    for table, wanted in (("authorisation", KEPT), ("tap", KEPT), ("attempt", KEPT), ("journey", KEPT // 2)):
        assert connection.execute(f"SELECT count(*) FROM {table}").get == wanted
    assert len(list(connection.execute(Q["overdue_journeys"], (KEPT, 50)))) == 10
    assert len(list(connection.execute(Q["undelivered"], (KEPT, 50)))) == 11
    assert connection.execute(Q["first_overdue"]).get == 1
    assert connection.execute(Q["first_undelivered"]).get == 0
