"""The writer whose connection goes and comes back: nobody waits for it, and nobody is told that something was done."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.faults import SQLITE
from tpsd.store.reconnecting import ReconnectingWriter, SlowError
from tpsd.store.writer import Urgency


class Server:
    """Gives connections to one database, or none."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.refuses: Exception | None = None
        self.given = 0
        kept = apsw.Connection(self._path)
        kept.pragma("journal_mode", "wal")
        kept.execute("CREATE TABLE row (number INTEGER)")
        kept.close()

    def connect(self) -> apsw.Connection:
        if self.refuses is not None:
            raise self.refuses
        self.given += 1
        return apsw.Connection(self._path)

    def rows(self) -> list[int]:
        with closing(apsw.Connection(self._path)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM row ORDER BY number")]


def insert(number: int) -> Callable[[Any], None]:
    return lambda connection: connection.execute("INSERT INTO row VALUES (?)", (number,)) and None


def lost(_connection: object) -> None:
    raise apsw.IOError("the connection is gone")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "one.db")


@pytest.fixture
async def writer(server: Server) -> AsyncIterator[ReconnectingWriter]:
    def greet(connection: Any) -> None:
        if server.given > 1:
            connection.execute("INSERT INTO row VALUES (?)", (1000 + server.given,))

    writer = ReconnectingWriter(server.connect, SQLITE, on_connected=greet)
    writer.start()
    yield writer
    await writer.close()


async def back(writer: ReconnectingWriter) -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    writer.on_change = lambda: loop.call_soon_threadsafe(heard.set)
    while writer.away is not None or not writer.losses:
        heard.clear()
        await asyncio.wait_for(heard.wait(), 30)


async def test_it_comes_back(server: Server, writer: ReconnectingWriter) -> None:
    await writer.write(insert(1))
    with pytest.raises(JournalUnavailableError):
        await writer.write(lost)
    await back(writer)
    await writer.write(insert(2))
    assert server.rows() == [1, 2, 1002]
    assert (writer.losses, server.given) == (1, 2)


async def test_who_comes_while_it_is_away_hears_so_at_once(server: Server, writer: ReconnectingWriter) -> None:
    server.refuses = JournalError("it does not answer")
    with pytest.raises(JournalUnavailableError):
        await writer.write(lost)
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    writer.on_change = lambda: loop.call_soon_threadsafe(heard.set)
    while writer.away is None or "does not answer" not in writer.away.why:
        heard.clear()
        await asyncio.wait_for(heard.wait(), 30)
    for work in (writer.write(insert(1)), writer.read(insert(1)), writer.write_within(insert(1), 9, Urgency.INTAKE)):
        with pytest.raises(JournalUnavailableError, match=r"no connection .* \(it does not answer\)"):
            await work
    server.refuses = None
    await back(writer)
    assert server.rows() == [1002]


async def test_it_closes_while_it_is_away(server: Server, writer: ReconnectingWriter) -> None:
    server.refuses = JournalError("it does not answer")
    with pytest.raises(JournalUnavailableError):
        await writer.write(lost)
    await asyncio.wait_for(writer.close(), 10)
    with pytest.raises(JournalError, match="the journal is closed"):
        await writer.write(insert(1))


async def test_work_that_had_not_begun_is_taken_back(server: Server, writer: ReconnectingWriter) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slow(connection: Any) -> None:
        begun.set()
        gate.wait(30)

    reading = asyncio.create_task(writer.read(slow))
    await asyncio.to_thread(begun.wait, 30)
    with pytest.raises(SlowError) as caught:
        await writer.write_within(insert(1), 0.01, Urgency.INTAKE)
    assert not caught.value.tried
    gate.set()
    await reading
    await writer.write(insert(2))
    assert server.rows() == [2]


async def test_work_that_had_begun_may_be_done_all_the_same(server: Server, writer: ReconnectingWriter) -> None:
    gate = threading.Event()

    def slow(connection: Any) -> None:
        insert(1)(connection)
        gate.wait(30)

    writer.unsure = False
    with pytest.raises(SlowError) as caught:
        await writer.write_within(slow, 0.05, Urgency.INTAKE)
    assert caught.value.tried
    assert writer.unsure
    gate.set()
    await writer.write(insert(2))
    assert server.rows() == [1, 2]


async def test_nobody_complains_of_an_error_that_nobody_waits_for(writer: ReconnectingWriter) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    gate = threading.Event()

    def slow(connection: Any) -> None:
        gate.wait(30)
        lost(connection)

    async def given_up() -> None:
        with pytest.raises(SlowError):
            await writer.write_within(slow, 0.05, Urgency.INTAKE)

    await asyncio.create_task(given_up())
    gate.set()
    await back(writer)
    await writer.write(insert(2))
    gc.collect()
    assert complaints == []


async def test_what_is_done_in_time_is_given_back(writer: ReconnectingWriter) -> None:
    assert await writer.write_within(lambda _: 7, 30, Urgency.INTAKE) == 7
    with pytest.raises(ValueError, match="no"):
        await writer.write_within(lambda _: int("no"), 30, Urgency.INTAKE)
