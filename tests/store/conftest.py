"""The engines that pass the conformance suite; a new engine is one more parameter."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import Engine, SqliteEngine
from tests.store.remote_gate import Gate
from tpsd.store.journal import SqlJournal

ENGINES = ["sqlite-threaded", "sqlite-inline", "postgres-16", "postgres-18"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[Engine]:
    """One engine with a place of its own."""
    kind, _, which = request.param.partition("-")
    if kind == "sqlite":
        yield SqliteEngine(tmp_path / "engine", inline=which == "inline")
        return
    engine = PostgresEngine(databases(int(which)), tmp_path / "engine")
    yield engine
    engine.drop()


@pytest.fixture
async def journal(engine: Engine) -> AsyncIterator[SqlJournal]:
    """A new journal, closed at the end."""
    journal = await engine.open()
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture
async def whole(journal: SqlJournal) -> AsyncIterator[None]:
    """Whatever a case leaves, the journal contradicts itself nowhere."""
    yield
    assert await journal.upkeep.check() == []


@pytest.fixture
def gate(databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[Gate]:
    """A gate with a spool, whose way to its database can be shut."""
    engine = PostgresEngine(databases(18), tmp_path / "engine")
    gate = Gate(engine, tmp_path)
    yield gate
    gate.server.unshut()
    engine.drop()
