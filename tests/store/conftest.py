"""The engines that pass the conformance suite; a new engine is one more parameter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.engines import Engine, SqliteEngine
from tpsd.ports import Journal
from tpsd.store.sqlite import SqliteJournal

ENGINES = ["sqlite-threaded", "sqlite-inline"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """One engine with a place of its own."""
    return SqliteEngine(tmp_path / "engine", inline=request.param == "sqlite-inline")


@pytest.fixture
async def journal(engine: Engine) -> AsyncIterator[Journal]:
    """A new journal, closed at the end."""
    journal = await engine.open()
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture
async def whole(journal: SqliteJournal) -> AsyncIterator[None]:
    """Whatever a case leaves, the journal contradicts itself nowhere."""
    yield
    assert await journal.upkeep.check() == []
