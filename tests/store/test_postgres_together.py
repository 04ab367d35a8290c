"""Many ends at once, which PostgreSQL writes in one statement: what they leave is what one after another leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    outcome_of,
    settle,
    take,
)
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import Engine, SqliteEngine
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.time import HOUR, SECOND
from tpsd.ports import SettledLate
from tpsd.store.dialect import array
from tpsd.store.journal import SqlJournal
from tpsd.store.settling import Settling

ENDS: list[Exchange] = [
    APPROVED,
    DECLINED,
    SILENCE,
    UNAVAILABLE,
    NO_CONNECTION,
    TAP_REFUSED,
    Answer(200, action_code="002", amount=100),
]
ROUNDS = 4  # of all these ends
ROWS = (
    """SELECT uuid, state, cause, attempt, sends, fence, due, may_have_charged, approved_amount, action_code,
              created_at, settled_at, ran_rested, warned, enquiries, enquiry_due
       FROM authorisation ORDER BY uuid""",
    "SELECT * FROM attempt ORDER BY uuid, number",
    "SELECT owner, purpose FROM sealed ORDER BY owner, purpose",
    "SELECT kind, cause, detail, uuid FROM notice ORDER BY kind, cause, uuid",
)


@pytest.fixture(params=[18])
def database(
    request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path
) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(request.param), tmp_path / "database")
    yield engine
    engine.drop()


async def rows(journal: SqlJournal) -> list[list[Any]]:
    """What the two engines must agree on."""
    return await journal._writer.read(
        lambda connection: [[tuple(row) for row in connection.execute(query)] for query in ROWS]
    )


async def ended(engine: Engine, *, at_once: bool) -> list[list[Any]]:
    """Taps with every end; the first was ended before, and is being sent again: its end here is late."""
    journal = await engine.open()
    try:
        for number in range(1, ROUNDS * len(ENDS) + 1):
            await take(journal, number, uuid=UUID(int=number))
        claims = await journal.claim(NOW, 100)
        assert [claimed.number for claimed in claims] == [1] * ROUNDS * len(ENDS)
        await settle(journal, claims[0], UNAVAILABLE)
        (again,) = await journal.claim(after(HOUR / SECOND), 100)
        assert again.uuid == claims[0].uuid
        work = [
            settle(journal, claimed, ENDS[number % len(ENDS)], after(number / 7))
            for number, claimed in enumerate(claims)
        ]
        if at_once:
            results = await asyncio.gather(*work, return_exceptions=True)
        else:
            results = [await _caught(one) for one in work]
        late = [result for result in results if isinstance(result, BaseException)]
        assert [type(error) for error in late] == [SettledLate]
        assert await journal.upkeep.check() == []
        return await rows(journal)
    finally:
        await journal.close()


async def _caught(work: Any) -> Any:
    try:
        return await work
    except SettledLate as exc:
        return exc


async def test_the_same_rows_as_one_after_another(database: PostgresEngine, tmp_path: Path) -> None:
    expected = await ended(SqliteEngine(tmp_path / "file", inline=True), at_once=False)
    assert await ended(database, at_once=True) == expected


async def test_what_was_settled_together_needed_few_statements(database: PostgresEngine) -> None:
    """Or it would not be worth its while: a statement is a way to the server and back."""
    journal = await database.open()
    try:
        for number in range(1, 51):
            await take(journal, number)
        claims = await journal.claim(NOW, 50)
        session = await journal._writer.read(lambda connection: connection)
        sent, execute = [], session.execute

        def counted(statements: str, bindings: Any = None) -> Any:
            sent.append(statements)
            return execute(statements, bindings)

        session.execute = counted
        await asyncio.gather(*(settle(journal, claimed, APPROVED) for claimed in claims))
        assert len(sent) < len(claims)
    finally:
        await journal.close()


async def test_only_plain_ends_go_together(database: PostgresEngine) -> None:
    journal = await database.open()
    try:
        for number in range(1, 4):
            await take(journal, number)
        stamp = journal._stamp(NOW)
        for claimed, exchange, plain in zip(
            await journal.claim(NOW, 3), [APPROVED, TAP_REFUSED, TERMINAL_REFUSED], [True, False, False], strict=True
        ):
            assert Settling(claimed, *outcome_of(claimed, exchange), stamp).is_plain is plain
    finally:
        await journal.close()


async def test_plans_that_were_made_for_an_empty_journal_go_by_index(database: PostgresEngine) -> None:
    """A statement is planned for good at its sixth run, and a journal begins empty."""
    journal = await database.open()
    numbers = iter(range(1, 1000))

    async def round_of(taps: int) -> None:
        await asyncio.gather(*(take(journal, next(numbers)) for _ in range(taps)))
        while claims := await journal.claim(NOW, 10):
            await asyncio.gather(*(settle(journal, claimed, APPROVED) for claimed in claims))

    async def whole_reads() -> list[tuple[str, int]]:
        await journal._writer.read(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
        return await journal._writer.read(
            lambda connection: list(
                connection.execute(
                    "SELECT relname::text, seq_scan FROM pg_stat_user_tables "
                    "WHERE relname IN ('authorisation', 'attempt', 'sealed', 'tap') ORDER BY relname"
                )
            )
        )

    try:
        for _ in range(8):
            await round_of(2)
        before = await whole_reads()
        await round_of(100)
        assert await whole_reads() == before
    finally:
        await journal.close()


async def test_an_array_comes_as_it_was_written(database: PostgresEngine) -> None:
    values = ["", "NULL", None, 'a "b" \\ {c, d}\n\t', "\\n", "'", "ä€\U0001f68b"]
    journal = await database.open()
    try:
        session = await journal._writer.read(lambda connection: connection)
        texts = await journal._writer.read(lambda _: session.execute("SELECT ?::text::text[]", (array(values),)).get)
        numbers = await journal._writer.read(
            lambda _: session.execute("SELECT ?::text::bigint[]", (array([1, None, -(2**63)]),)).get
        )
    finally:
        await journal.close()
    assert (texts, numbers) == (values, [1, None, -(2**63)])
