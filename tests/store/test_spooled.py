"""A gate that does not wait for its database: taps go to the spool, and from there into the database, once each."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.store.builders import NOW, after, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tpsd.core.spooling import NOTE
from tpsd.domain.tap import Verdict
from tpsd.domain.views import TapFilter, TapRow
from tpsd.errors import JournalUnavailableError
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import Secrets
from tpsd.store.reconnecting import ReconnectingWriter
from tpsd.store.session import Database
from tpsd.store.spool import Spool
from tpsd.store.spooled import SpooledJournal

SLOW_SECONDS = 0.2


class Gate:
    """A journal with its spool in ``folder``, and a hand at its server."""

    def __init__(self, engine: PostgresEngine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        self._cluster = engine._databases.cluster
        self.journal: SpooledJournal

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SpooledJournal]:
        """As the daemon opens it."""
        spool = await Spool.open(self._folder / "spool.db", IDENTITY, Secrets(KEK, KeyFolder(self._folder / "epochs")))
        journal = await SpooledJournal.open(Database(self.engine.url), IDENTITY, KEK, make_writer=ReconnectingWriter)
        await journal.begin(spool, SLOW_SECONDS)
        self.journal = journal
        try:
            yield journal
        finally:
            await journal.close()

    def backends(self) -> list[int]:
        """The server's processes for it."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'tpsd'"
        rows = self._cluster.ask(lambda one: one.fetch(query, self.engine.name))
        return [row["pid"] for row in rows]

    def shut(self) -> None:
        """Nobody gets in any more, and who is in is thrown out."""
        name = self.engine.name
        self._cluster.run(
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

    def unshut(self) -> None:
        """They may come again."""
        self._cluster.run(f"ALTER DATABASE {self.engine.name} ALLOW_CONNECTIONS true")

    async def connected(self) -> None:
        """Once it has found its server again."""
        journal, back = self.journal, asyncio.Event()
        loop = asyncio.get_running_loop()
        journal.on_connection(lambda: loop.call_soon_threadsafe(back.set))
        while not journal.is_connected:
            back.clear()
            await asyncio.wait_for(back.wait(), 30)
        journal.recovered(journal.losses)

    async def drained(self) -> None:
        """Until nothing waits."""
        while await self.journal.drain(NOW):
            pass


@pytest.fixture(params=[16, 18])
def gate(request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[Gate]:
    engine = PostgresEngine(databases(request.param), tmp_path / "engine")
    gate = Gate(engine, tmp_path)
    yield gate
    gate.unshut()
    engine.drop()


async def rows(journal: Any) -> list[TapRow]:
    return list(await journal.taps(TapFilter(limit=1000)))[::-1]


async def lost(gate: Gate, journal: SpooledJournal) -> None:
    """The connection is gone, and it knows."""
    await asyncio.to_thread(gate.shut)
    with pytest.raises(JournalUnavailableError):
        await journal.next_due()


async def test_nothing_is_spooled_while_the_database_answers(gate: Gate) -> None:
    async with gate.open() as journal:
        await take(journal)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert (facts.waiting, facts.oldest_seconds, facts.in_use_seconds, facts.away) == (0, None, None, None)
        assert [row.state for row in await rows(journal)] == ["pending"]


async def test_taps_without_a_database_are_drained_in_their_order(gate: Gate) -> None:
    async with gate.open() as journal:
        await lost(gate, journal)
        told = [await take(journal, counter) for counter in range(1, 121)]
        assert {one.told.verdict for one in told if one.told} == {Verdict.ACCEPTED}
        assert await journal.claim(NOW, 10) == []
        facts = await journal.spool_facts(after(3))
        assert facts is not None
        assert (facts.waiting, facts.oldest_seconds) == (120, 3.0)
        assert facts.away is not None
        gate.unshut()
        await gate.connected()
        await gate.drained()
        found = await rows(journal)
        assert [row.tap_id for row in found] == [f"VAL00042:3:{counter}" for counter in range(1, 121)]
        assert {(row.state, row.verdict, row.reason) for row in found} == {("pending", 1, "ok")}
        assert await journal.upkeep.check() == []
        claims = await journal.claim(NOW, 200)
        assert len(claims) == 120
        assert all(claimed.body for claimed in claims)
        assert {(await journal.histories.of(str(found[0].number))).note} == {NOTE}
        spool = journal._spool
        assert (await spool.waits()).count == 0
        left = await spool._writer.read(
            lambda one: [
                one.execute(f"SELECT count(*) FROM {table}").get for table in ("tap", "sealed", "authorisation")
            ]
        )
        assert left == [0, 0, 0]


async def test_a_tap_known_to_the_spool_gets_the_same_verdict(gate: Gate) -> None:
    async with gate.open() as journal:
        await lost(gate, journal)
        first = await take(journal)
        again = await take(journal)
        assert (again.new, again.told) == (False, first.told)
        gate.unshut()
        await gate.connected()
        await gate.drained()
        after_all = await take(journal)
        assert (after_all.new, after_all.told) == (False, first.told)
        (row,) = await rows(journal)
        assert row.repeats == 2


async def test_a_tap_the_database_has_answered_gets_that_answer_without_it(gate: Gate) -> None:
    async with gate.open() as journal:
        first = await take(journal)
        await lost(gate, journal)
        again = await take(journal)
        assert (again.new, again.told) == (False, first.told)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert facts.waiting == 0


async def test_a_slow_database_is_not_waited_for(gate: Gate) -> None:
    async with gate.open() as journal:
        await take(journal, 1)
        pids = gate.backends()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            told = await take(journal, 2)
            assert loop.time() - began >= SLOW_SECONDS
            began = loop.time()
            more = await take(journal, 3)
            assert told.new
            assert more.new
            assert journal.unsure
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert await journal.claim(NOW, 10) == []
        await gate.drained()
        found = await rows(journal)
        assert [row.tap_id for row in found] == [f"VAL00042:3:{counter}" for counter in (1, 2, 3)]
        assert not journal.unsure
        assert len(await journal.claim(NOW, 10)) == 3
