"""The last guard: what the schema itself refuses, whatever the code above it does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest
from apsw.ext import query_info

from tests.store.builders import APPROVED, TERMINAL_REFUSED, send, take
from tests.store.engines import SqliteEngine
from tpsd.store import opening
from tpsd.store.queries import load


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    """A journal with an approved, a held, a pending and a denied tap, and one without a name; closed."""
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    journal = await engine.open()
    await take(journal, 1)
    await send(journal, APPROVED)
    await take(journal, 2)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 3, serial="OTHER")
    await take(journal, 4, kind=0x04)
    await take(journal, None, fault="cut")
    await journal.close()
    return engine.path


@pytest.fixture
def connection(filled: Path) -> Iterator[apsw.Connection]:
    connection = opening.connect(filled)
    yield connection
    connection.close()


def insert(connection: apsw.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


def copy_of(connection: apsw.Connection, table: str, where: str) -> dict[str, Any]:
    """One row of the table as a dictionary, its own number left out."""
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where} LIMIT 1")
    names = [column[0] for column in cursor.description]
    row = dict(zip(names, next(cursor), strict=True))
    cursor.close()
    row.pop("id", None)
    return row


@dataclass(frozen=True, slots=True)
class Copy:
    """A row like one that stands there, with changes."""

    table: str
    where: str
    changes: dict[str, Any] = field(default_factory=dict)

    def add(self, connection: apsw.Connection) -> None:
        insert(connection, self.table, copy_of(connection, self.table, self.where) | self.changes)


DENIED, UNNAMED = "disposition = 'denied'", "boot IS NULL"
PENDING, IS_APPROVED, HELD = "state = 'pending'", "state = 'approved'", "state = 'held'"
APPROVED_UUID = "SELECT uuid FROM authorisation WHERE state = 'approved'"


def changed(where: str, change: str) -> str:
    return f"UPDATE authorisation SET {change} WHERE {where}"


def denied_tap(**changes: Any) -> Copy:
    return Copy("tap", DENIED, {"counter": 99} | changes)


CHECK, FOREIGN, UNIQUE, NOT_NULL, TYPE = "CHECK", "FOREIGN KEY", "UNIQUE", "NOT NULL", "cannot store"
REFUSED: dict[str, tuple[str | Copy, str]] = {
    "a state nobody knows": (changed(IS_APPROVED, "state = 'lost'"), CHECK),
    "pending and never due": (changed(PENDING, "due = NULL"), CHECK),
    "final and due": (changed(IS_APPROVED, "due = 1"), CHECK),
    "held and due": (changed(HELD, "due = 1"), CHECK),
    "a negative amount": (changed(PENDING, "amount = -1"), CHECK),
    "an amount that is text": (changed(PENDING, "amount = 'much'"), TYPE),
    "a type nobody knows": (changed(PENDING, "type = 'GIFT'"), CHECK),
    "a timing nobody knows": (changed(PENDING, "timing = 'later'"), CHECK),
    "release 0": (changed(PENDING, "release = 0"), CHECK),
    "fewer than no sends": (changed(PENDING, "sends = -1"), CHECK),
    "an attempt before the first": (changed(PENDING, "attempt = -1"), CHECK),
    "half a doubt": (changed(PENDING, "may_have_charged = 2"), CHECK),
    "a ladder that is not there": (changed(PENDING, "ladder = 99"), FOREIGN),
    "a replacement that is not there": (changed(PENDING, "replaced_by = 'nobody'"), FOREIGN),
    "an authorisation deleted under its tap": (f"DELETE FROM authorisation WHERE {PENDING}", FOREIGN),
    "one authorisation twice": (Copy("authorisation", PENDING), UNIQUE),
    "a tap with neither authorisation nor disposition": (denied_tap(disposition=None), CHECK),
    "a disposition nobody knows": (denied_tap(disposition="lost"), CHECK),
    "a boot counter without a tap counter": (denied_tap(counter=None), CHECK),
    "a tap counter without a boot counter": (denied_tap(boot=None), CHECK),
    "a digest that is too short": (denied_tap(digest=bytes(31)), CHECK),
    "verdict 0": (denied_tap(verdict=0), CHECK),
    "verdict 11": (denied_tap(verdict=11), CHECK),
    "a tap of an authorisation that is not there": (denied_tap(disposition=None, uuid="nobody"), FOREIGN),
    "a delivery nobody knows": (denied_tap(delivered=3), CHECK),
    "the same tap twice": (Copy("tap", DENIED), UNIQUE),
    "the same unnamed tap twice": (Copy("tap", UNNAMED), UNIQUE),
    "a tap with both authorisation and disposition": (
        f"UPDATE tap SET uuid = ({APPROVED_UUID}) WHERE {DENIED}",
        CHECK,
    ),
    "an ended attempt without an outcome": ("UPDATE attempt SET outcome = NULL", CHECK),
    "an outcome without an end": ("UPDATE attempt SET ended_at = NULL", CHECK),
    "an outcome nobody knows": ("UPDATE attempt SET outcome = 'maybe'", CHECK),
    "a reason nobody knows": ("UPDATE attempt SET reason = 'boredom'", CHECK),
    "attempt 0": ("UPDATE attempt SET number = 0", CHECK),
    "one attempt number twice": (Copy("attempt", "number = 1"), UNIQUE),
    "an attempt of nothing": (Copy("attempt", "number = 1", {"uuid": "nobody"}), FOREIGN),
    "a body under no epoch": (Copy("sealed", "purpose = 'body'", {"owner": "x", "epoch": 99}), FOREIGN),
    "a second body of one owner": (Copy("sealed", "purpose = 'body'"), UNIQUE),
    "a purpose nobody knows": ("UPDATE sealed SET purpose = 'curiosity'", CHECK),
    "an epoch deleted under its rows": ("DELETE FROM epoch", FOREIGN),
    "half a destruction": ("UPDATE epoch SET destroyed = 2", CHECK),
    "a notice of a kind nobody knows": (Copy("notice", "kind = 'held'", {"kind": "gossip"}), CHECK),
    "a notice of a tap that is not there": (Copy("notice", "kind = 'held'", {"tap": 77}), FOREIGN),
    "a notice in a mail that is not there": (Copy("notice", "kind = 'held'", {"mail": 77}), FOREIGN),
    "a second episode of a cause": (Copy("episode", "kind = 'held'"), UNIQUE),
    "a null setting": ("INSERT INTO meta VALUES ('key', NULL)", NOT_NULL),
}


@pytest.mark.parametrize(("attempt", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_the_schema_refuses(connection: apsw.Connection, attempt: str | Copy, why: str) -> None:
    with pytest.raises(apsw.ConstraintError, match=why):
        attempt.add(connection) if isinstance(attempt, Copy) else connection.execute(attempt)


@pytest.mark.parametrize(("due", "accepted_at"), [(5, 5), (None, None)])
def test_a_mail_is_due_or_accepted(connection: apsw.Connection, due: int | None, accepted_at: int | None) -> None:
    mail = {"message_id": "m", "subject": "s", "text": "t", "created_at": 0, "due": due, "accepted_at": accepted_at}
    with pytest.raises(apsw.ConstraintError, match=CHECK):
        insert(connection, "mail", mail)
    insert(connection, "mail", mail | {"due": 5, "accepted_at": None})


def journey(connection: apsw.Connection, state: str, token: str, check_in: str, tries: int = 0) -> None:
    uuid = connection.execute(f"SELECT uuid FROM authorisation WHERE {check_in}").get
    row = {"operator": 1, "token": token, "state": state, "check_in": uuid, "tries": tries, "opened_at": 0}
    insert(connection, "journey", row)


def test_a_card_has_one_open_journey_and_a_check_in_one_journey(connection: apsw.Connection) -> None:
    journey(connection, "open", "card", PENDING)
    with pytest.raises(apsw.ConstraintError, match=UNIQUE):
        journey(connection, "checking_out", "card", IS_APPROVED)
    with pytest.raises(apsw.ConstraintError, match=UNIQUE):
        journey(connection, "closed", "another card", PENDING)
    with pytest.raises(apsw.ConstraintError, match=CHECK):
        journey(connection, "closed", "another card", IS_APPROVED, tries=4)
    journey(connection, "closed", "card", IS_APPROVED, tries=3)


def test_rows_like_those_refused_are_taken_when_they_are_right(connection: apsw.Connection) -> None:
    denied_tap().add(connection)
    Copy("tap", DENIED, {"digest": bytes(32)}).add(connection)
    Copy("tap", UNNAMED, {"digest": bytes(32)}).add(connection)
    Copy("tap", UNNAMED, {"serial": "another"}).add(connection)
    Copy("attempt", "number = 1", {"number": 2, "outcome": None, "ended_at": None}).add(connection)
    Copy("sealed", "purpose = 'body'", {"owner": "x"}).add(connection)
    Copy("notice", "kind = 'held'").add(connection)
    Copy("authorisation", PENDING, {"uuid": "another"}).add(connection)


def test_every_named_query_is_good_sql(connection: apsw.Connection) -> None:
    for sql in load("sqlite").values():
        assert query_info(connection, sql).query_remaining is None


HOT = {
    "claim_due": "authorisation_due",
    "left_open": "authorisation_sending",
    "taps_of_identity": "tap_identity",
    "tap_unnamed": "tap_unnamed",
    "tap_of_uuid": "tap_uuid",
    "tap_by_uuid": "tap_uuid",
    "notices_waiting": "notice_waiting",
    "mails_due": "mail_due",
    "windows_over": "episode_closes",
    "sealed_slice": "sealed_epoch",
}


@pytest.mark.parametrize("name", HOT)
def test_what_runs_often_goes_by_its_index(connection: apsw.Connection, name: str) -> None:
    sql = load("sqlite")[name]
    bindings = (None,) * query_info(connection, sql).bindings_count
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    assert any(HOT[name] in step for step in plan), plan
