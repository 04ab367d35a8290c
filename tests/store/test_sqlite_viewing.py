"""A journal that is looked at without a daemon."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.store.builders import APPROVED, send, take, take_many
from tests.store.engines import SqliteEngine
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, NotFoundError
from tpsd.store.opening import APPLICATION_ID
from tpsd.store.viewing import JournalView


@pytest.fixture
def engine(tmp_path: Path) -> SqliteEngine:
    return SqliteEngine(tmp_path / "engine", inline=True)


async def test_it_says_what_the_journal_said_and_changes_no_byte(engine: SqliteEngine) -> None:
    journal = await engine.open()
    await take(journal, 1)
    await send(journal, APPROVED)
    await take_many(journal, range(2, 6))
    rows, story, totals = await journal.taps(TapFilter()), await journal.story("1"), await journal.totals()
    crashed = engine.after_sigkill()
    await journal.close()
    before = crashed.path.read_bytes()
    view = JournalView(crashed.path)
    try:
        assert await view.taps(TapFilter()) == rows
        assert await view.story("1") == story
        assert await view.totals() == totals
        with pytest.raises(NotFoundError):
            await view.story("6")
    finally:
        view.close()
    assert crashed.path.read_bytes() == before


async def test_nobody_looks_past_a_daemon(engine: SqliteEngine) -> None:
    journal = await engine.open()
    with pytest.raises(JournalError, match="is in use by process"):
        JournalView(engine.path)
    await journal.close()


def test_what_cannot_be_looked_at_is_named_and_let_go(engine: SqliteEngine) -> None:
    for _ in range(2):
        with pytest.raises(JournalError, match="does not exist or cannot be opened"):
            JournalView(engine.path)
    engine.path.write_text("no journal at all" * 100)
    with pytest.raises(JournalError, match="damaged or no SQLite file"):
        JournalView(engine.path)


def test_a_journal_without_a_schema_is_an_earlier_version_s(engine: SqliteEngine) -> None:
    with sqlite3.connect(engine.path) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.close()
    with pytest.raises(JournalError, match="at schema 0, which an earlier version made: start tpsd once"):
        JournalView(engine.path)


async def test_damage_behind_the_header_is_named(engine: SqliteEngine) -> None:
    await (await engine.open()).close()
    content = bytearray(engine.path.read_bytes())
    content[100:4096] = bytes(3996)
    engine.path.write_bytes(content)
    with pytest.raises(JournalError, match="cannot be read"):
        JournalView(engine.path)
