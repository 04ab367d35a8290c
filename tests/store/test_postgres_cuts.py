"""The connection is cut around a COMMIT, and nobody knows whether it stands: one row of each tap, and one verdict."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

import pytest

from tests.store.builders import take
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.postgres import PostgresJournal
from tpsd.store.session import Database

CUTS = 60  # of each kind
SOCKET = ".s.PGSQL.5432"

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_DONE = b"COMMIT\x00"


class Cut(Enum):
    """Where it is cut."""

    BEFORE = auto()  # PostgreSQL never hears of the COMMIT
    DURING = auto()  # it does, and its client is gone meanwhile
    AFTER = auto()  # it says that it is done, and nobody hears it


class Wire:
    """A socket in ``folder`` that leads to the server's. ``cut`` is done at the next COMMIT, once."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.cut: Cut | None = None
        self.commits_cut = 0
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._lines: set[asyncio.Task[None]] = set()
        server = await asyncio.start_unix_server(self._line, self.folder / SOCKET)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)
        theirs, ours = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(self._answers(theirs, writer))
        try:
            while data := await reader.read(65536):
                cut = self.cut if _COMMIT in data else None
                if cut is not None:
                    self.cut = None
                    self.commits_cut += 1
                if cut is Cut.BEFORE:
                    break
                if cut is Cut.AFTER:
                    answers.cancel()
                    await asyncio.gather(answers, return_exceptions=True)
                ours.write(data)
                await ours.drain()
                if cut is Cut.AFTER:
                    assert _DONE in await theirs.read(65536)
                if cut is not None:
                    break
        finally:
            answers.cancel()
            for end in (writer, ours):
                end.transport.abort()

    async def _answers(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await theirs.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
def engine(databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(16), tmp_path / "engine")
    yield engine
    engine.drop()


@pytest.fixture
def wire(databases: Callable[[int], Databases], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    wire = Wire(tmp_path_factory.mktemp("wire"), databases(16).cluster.folder / SOCKET)
    yield wire
    wire.close()


@pytest.mark.parametrize("cut", list(Cut), ids=lambda cut: cut.name.lower())
async def test_a_tap_whose_commit_was_cut_is_kept_once(
    engine: PostgresEngine, databases: Callable[[int], Databases], wire: Wire, cut: Cut
) -> None:
    """Its validator was told nothing, and sends it again."""
    here = databases(16).cluster.folder
    through = Database(engine.url.replace(str(here), str(wire.folder)))
    kept = 0
    for counter in range(1, CUTS + 1):
        journal = await PostgresJournal.open(through, IDENTITY, KEK)
        if counter > 1:
            again = await take(journal, counter - 1)
            kept += not again.new
            assert again.told is not None
            assert again.told.verdict.accepts
        wire.cut = cut
        with pytest.raises(JournalUnavailableError, match="nothing was acknowledged"):
            await take(journal, counter)
        with pytest.raises(JournalError, match="stays closed until tpsd starts again"):
            await take(journal, counter)
        await journal.close()
    assert wire.commits_cut == CUTS
    if cut is not Cut.DURING:
        assert kept == (0 if cut is Cut.BEFORE else CUTS - 1), "the cut was where it was meant to be"
    last = await engine.open()
    await take(last, CUTS)
    rows = [row.tap_id for row in await last.taps(TapFilter(limit=2 * CUTS))]
    assert sorted(map(str, rows)) == sorted(f"VAL00042:3:{counter}" for counter in range(1, CUTS + 1))
    assert await last.upkeep.check() == []
    await last.close()
