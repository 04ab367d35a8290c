"""The heartbeat: beats only while the journal's thread answers and the loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from tests.writer_disk import Disk, Gate
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.writer import ThreadedWriter
from tpsd.workers.heartbeat import BEATS_PER_WATCHDOG, Heartbeat

WATCHDOG_SECONDS = 0.03
BOUND_SECONDS = 60.0


class Beats:
    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._more.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            while self.count < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def beating(look: Callable[[], Awaitable[object]], beats: Beats) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Heartbeat(look, beats, WATCHDOG_SECONDS).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_it_beats_several_times_in_a_watchdogs_span(writer: ThreadedWriter) -> None:
    beats = Beats()
    async with beating(lambda: writer.read(lambda connection: None), beats):
        await beats.reach(3 * BEATS_PER_WATCHDOG)


async def test_a_writer_that_stands_still_stops_it_and_one_that_goes_on_starts_it_again(
    writer: ThreadedWriter,
) -> None:
    beats, gate = Beats(), Gate()
    stuck = asyncio.create_task(writer.read(gate))
    await asyncio.to_thread(gate.reached.wait, BOUND_SECONDS)
    async with beating(lambda: writer.read(lambda connection: None), beats):
        for _ in range(5):
            await asyncio.to_thread(gate.opened.wait, WATCHDOG_SECONDS)
        assert beats.count == 0
        gate.opened.set()
        await stuck
        await beats.reach(1)


async def test_a_writer_that_died_ends_it_and_is_logged(disk: Disk) -> None:
    writer = ThreadedWriter(disk.connect)
    writer.start()
    await writer.close()
    beats = Beats()
    with capture_logs() as logs:
        async with beating(lambda: writer.read(lambda connection: None), beats) as task:
            await asyncio.wait_for(task, BOUND_SECONDS)
    assert beats.count == 0
    assert [entry["event"] for entry in logs] == ["heart_stopped"]


async def test_a_full_disk_is_no_reason_to_be_started_again() -> None:
    async def full() -> None:
        raise JournalUnavailableError("the disk is full")

    beats = Beats()
    async with beating(full, beats):
        await beats.reach(2)


async def test_an_error_for_people_ends_it_quietly_enough_for_the_daemon_to_say_why() -> None:
    async def damaged() -> None:
        raise JournalError("the journal is damaged")

    beats = Beats()
    with capture_logs() as logs:
        async with beating(damaged, beats) as task:
            await asyncio.wait_for(task, BOUND_SECONDS)
    assert logs[0]["error"] == "the journal is damaged"
