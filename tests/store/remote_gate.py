"""A journal on PostgreSQL with its spool, and a hand at its server: connections cut, doors shut, processes stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.store.builders import NOW
from tests.store.databases import PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tpsd.domain.views import TapFilter, TapRow
from tpsd.errors import JournalUnavailableError
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import Secrets, SqlJournal
from tpsd.store.reconnecting import ReconnectingWriter
from tpsd.store.session import Database
from tpsd.store.spool import Spool
from tpsd.store.spooled import DRAINED_AT_ONCE, SpooledJournal

SLOW_SECONDS = 0.2


class Gate:
    """A journal with its spool in ``folder``, and a hand at its server."""

    def __init__(self, engine: PostgresEngine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._cluster = engine._databases.cluster
        self.journal: SpooledJournal

    @asynccontextmanager
    async def open(self, drained_at_once: int = DRAINED_AT_ONCE) -> AsyncIterator[SpooledJournal]:
        """As the daemon opens it."""
        spool = await Spool.open(self.folder / "spool.db", IDENTITY, Secrets(KEK, KeyFolder(self.folder / "epochs")))
        journal = await SpooledJournal.open(Database(self.engine.url), IDENTITY, KEK, make_writer=ReconnectingWriter)
        self.journal = journal
        try:
            await journal.begin(spool, SLOW_SECONDS, drained_at_once)
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

    async def lose(self) -> None:
        """The connection is gone, nobody gets in, and it knows."""
        await asyncio.to_thread(self.shut)
        with pytest.raises(JournalUnavailableError):
            await self.journal.next_due()

    async def find(self) -> None:
        """The server is there again, and everything is where it belongs."""
        self.unshut()
        await self.connected()
        await self.drained()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """The server's processes for it stand still."""
        pids = self.backends()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

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
