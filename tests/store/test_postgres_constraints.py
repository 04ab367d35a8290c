"""The last guard on PostgreSQL: what SQLite's schema refuses, whatever the code above it does, this one does too."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from tests.store.builders import APPROVED, TERMINAL_REFUSED, send, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.test_sqlite_constraints import (
    CHECK,
    FOREIGN,
    IS_APPROVED,
    NOT_NULL,
    PENDING,
    REFUSED,
    TYPE,
    UNIQUE,
    Copy,
)
from tpsd.store.session import Database, Session

ERRORS = {
    CHECK: asyncpg.CheckViolationError,
    FOREIGN: asyncpg.ForeignKeyViolationError,
    UNIQUE: asyncpg.UniqueViolationError,
    NOT_NULL: asyncpg.NotNullViolationError,
    TYPE: asyncpg.DataError,
}


@pytest.fixture(scope="module")
def filled(databases: Callable[[int], Databases], tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresEngine]:
    """The rows of ``test_sqlite_constraints``."""
    engine = PostgresEngine(databases(16), tmp_path_factory.mktemp("constraints"))

    async def fill() -> None:
        journal = await engine.open()
        await take(journal, 1)
        await send(journal, APPROVED)
        await take(journal, 2)
        await send(journal, TERMINAL_REFUSED)
        await take(journal, 3, serial="OTHER")
        await take(journal, 4, kind=0x04)
        await take(journal, None, fault="cut")
        await journal.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(fill())).result()
    yield engine
    engine.drop()


@pytest.fixture
def session(filled: PostgresEngine) -> Iterator[Session]:
    """A transaction that comes to nothing."""
    session = Session(Database(filled.url))
    session.execute("BEGIN")
    yield session
    session.close()


def add(session: Session, table: str, row: dict[str, Any]) -> None:
    places = ", ".join("?" * len(row))
    session.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


def attempt(session: Session, what: str | Copy) -> None:
    if isinstance(what, str):
        session.execute(what)
        return
    names = [name for (name,) in session.execute(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position",
        (what.table,),
    )]  # fmt: skip
    row = session.execute(f"SELECT * FROM {what.table} WHERE {what.where} LIMIT 1").fetchone()
    assert row is not None
    values = dict(zip(names, row, strict=True))
    values.pop("id", None)
    add(session, what.table, values | what.changes)


@pytest.mark.parametrize(("what", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_the_schema_refuses(session: Session, what: str | Copy, why: str) -> None:
    with pytest.raises(ERRORS[why]):
        attempt(session, what)


@pytest.mark.parametrize(("due", "accepted_at"), [(5, 5), (None, None)])
def test_a_mail_is_due_or_accepted(session: Session, due: int | None, accepted_at: int | None) -> None:
    mail = {"message_id": "m", "subject": "s", "text": "t", "created_at": 0, "due": due, "accepted_at": accepted_at}
    with pytest.raises(asyncpg.CheckViolationError):
        add(session, "mail", mail)


def test_a_right_mail_is_taken(session: Session) -> None:
    add(session, "mail", {"message_id": "m", "subject": "s", "text": "t", "created_at": 0, "due": 5})


def journey(session: Session, state: str, token: str, check_in: str, tries: int = 0) -> None:
    uuid = session.execute(f"SELECT uuid FROM authorisation WHERE {check_in}").get
    row = {"operator": 1, "token": token, "state": state, "check_in": uuid, "tries": tries, "opened_at": 0}
    add(session, "journey", row)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (("checking_out", "card", IS_APPROVED, 0), UNIQUE),
        (("closed", "another card", PENDING, 0), UNIQUE),
        (("closed", "another card", IS_APPROVED, 4), CHECK),
    ],
)
def test_a_card_has_one_open_journey_and_a_check_in_one_journey(
    session: Session, second: tuple[str, str, str, int], why: str
) -> None:
    journey(session, "open", "card", PENDING)
    with pytest.raises(ERRORS[why]):
        journey(session, *second)


def test_another_journey_is_taken(session: Session) -> None:
    journey(session, "open", "card", PENDING)
    journey(session, "closed", "card", IS_APPROVED, tries=3)
