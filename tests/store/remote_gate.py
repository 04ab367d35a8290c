"""A journal on PostgreSQL with its spool, and a hand at its server: connections cut, doors shut, processes stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.store.builders import NOW
from tests.store.databases import PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tpsd.domain.views import TapFilter, TapRow
from tpsd.errors import JournalUnavailableError
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import Secrets, SqlJournal
from tpsd.store.session import Database
from tpsd.store.spool import Spool
from tpsd.store.spooled import DRAINED_AT_ONCE, SpooledJournal, confirming

SLOW_SECONDS = 1.0  # so that a busy machine is not taken for a slow database


class Server:
    """A hand at the server of one database."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self.name = name
        self.url = cluster.url(name)
        self._cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    def cut(self) -> None:
        """Every connection to it is lost; new ones may be made."""
        self._cluster.run(self._cut)

    def shut(self) -> None:
        """Nobody gets in any more, and who is in is thrown out."""
        self._cluster.run(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false", self._cut)

    def unshut(self) -> None:
        """They may come again."""
        self._cluster.run(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Its processes for this database stand still, and their connections with them."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = $1"
        pids = [row["pid"] for row in self._cluster.ask(lambda one: one.fetch(query, self.name))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


class Gate:
    """A journal with its spool in ``folder``, and a hand at its server."""

    def __init__(self, engine: PostgresEngine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.server = Server(engine._databases.cluster, engine.name)
        self.journal: SpooledJournal

    @asynccontextmanager
    async def open(self, drained_at_once: int = DRAINED_AT_ONCE) -> AsyncIterator[SpooledJournal]:
        """As the daemon opens it."""
        spool = await Spool.open(self.folder / "spool.db", IDENTITY, Secrets(KEK, KeyFolder(self.folder / "epochs")))
        journal = await SpooledJournal.open(Database(self.engine.url), IDENTITY, KEK, make_writer=confirming)
        self.journal = journal
        try:
            await journal.begin(spool, SLOW_SECONDS, drained_at_once)
            yield journal
        finally:
            await journal.close()

    async def connected(self) -> None:
        """Once it has found its server again."""
        await self._once(lambda: self.journal.is_connected)
        self.journal.recovered(self.journal.losses)

    async def _once(self, true: Callable[[], bool]) -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        self.journal.on_connection(lambda: loop.call_soon_threadsafe(heard.set))
        async with asyncio.timeout(30):
            while not true():
                heard.clear()
                await heard.wait()

    async def drained(self) -> None:
        """Until nothing waits."""
        while await self.journal.drain(NOW):
            pass

    async def lose(self) -> None:
        """The connection is gone, nobody gets in, and it knows."""
        before = self.journal.losses
        await asyncio.to_thread(self.server.shut)
        with pytest.raises(JournalUnavailableError):
            await self.journal.next_due()
        await self._once(lambda: self.journal.losses > before)

    async def find(self) -> None:
        """The server is there again, and everything is where it belongs."""
        self.server.unshut()
        await self.connected()
        await self.drained()

    def spool_after_sigkill(self, name: str) -> Path:
        """The spool and its keys as a process killed now would leave them, in a folder of their own."""
        return self.copied(self.folder, name)

    def copied(self, folder: Path, name: str) -> Path:
        """Another copy of a spool."""
        copy = self.folder / name
        copy.mkdir()
        for file in folder.glob("spool.db*"):
            shutil.copy(file, copy)
        shutil.copytree(folder / "epochs", copy / "epochs")
        return copy


async def rows(journal: SqlJournal) -> list[TapRow]:
    """All taps, oldest first."""
    return list(await journal.taps(TapFilter(limit=1000)))[::-1]
