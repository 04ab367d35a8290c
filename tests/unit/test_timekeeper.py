"""Who asks what time it is: how often, of whom, and when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.integration.stage import until
from tests.machine import BOOT, UnsetClock
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import SECOND, Micros
from tpsd.workers.timekeeper import Timekeeper

TRUE = Micros(1_790_000_000_000_000)


class Asked:
    """Under which credential and when (seconds after the boot) TPS was asked; ``then`` is what its answer does."""

    def __init__(self, clock: WarpClock, then: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self.then = then
        self.questions: list[tuple[str, float]] = []
        self.known: list[float] = []

    async def ask(self, credential: str) -> None:
        self.questions.append((credential, self._now()))
        self.then()

    def on_trusted(self) -> None:
        self.known.append(self._now())

    def _now(self) -> float:
        return (self.clock.schedule() - BOOT) / SECOND


@asynccontextmanager
async def keeping(asked: Asked, clock: WarpClock, *credentials: str) -> AsyncIterator[Timekeeper]:
    keeper = Timekeeper(clock, credentials or ("common",), asked.ask, asked.on_trusted)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def go_on(clock: UnsetClock) -> None:
    """To the next instant at which it does something."""
    await until(lambda: clock.quiet(1), "a wait")
    due = clock.next_due()
    assert due is not None
    clock.jump(due)
    await until(lambda: clock.quiet(1) or clock.trusted, "what it did then")


async def test_a_clock_that_is_trusted_is_left_alone() -> None:
    clock = WarpClock()
    clock.stand_still()
    asked = Asked(clock)
    async with keeping(asked, clock):
        for _ in range(10):
            await asyncio.sleep(0)
    assert (asked.questions, asked.known) == ([], [])


async def test_asks_at_once_and_then_ever_more_slowly() -> None:
    clock = UnsetClock()
    asked = Asked(clock)
    async with keeping(asked, clock):
        while len(asked.questions) < 8:
            await go_on(clock)
    assert [at for _, at in asked.questions] == [0, 5, 15, 35, 75, 135, 195, 255]
    assert clock.looks == 1 + 255 / 5, "the system itself is asked every five seconds"
    assert asked.known == []


async def test_credentials_take_turns() -> None:
    clock = UnsetClock()
    asked = Asked(clock)
    async with keeping(asked, clock, "common", "gate-1"):
        while len(asked.questions) < 3:
            await go_on(clock)
    assert [credential for credential, _ in asked.questions] == ["common", "gate-1", "common"]


async def test_stops_with_the_answer() -> None:
    clock = UnsetClock()
    asked = Asked(clock)
    async with keeping(asked, clock):
        await go_on(clock)
        asked.then = lambda: clock.adopt(TRUE)
        while not clock.trusted:
            await go_on(clock)
        await until(lambda: asked.known, "the word that the time is known")
        assert ([at for _, at in asked.questions], asked.known) == ([0, 5, 15], [15])
        assert clock.quiet(0), "it waits on the schedule clock no more"


async def test_stops_when_the_system_becomes_synchronised() -> None:
    clock = UnsetClock()
    asked = Asked(clock)
    async with keeping(asked, clock):
        await until(lambda: clock.quiet(1), "a wait")
        clock.synchronised_at = TRUE
        await go_on(clock)
        await until(lambda: asked.known, "the word that the time is known")
    assert len(asked.questions) == 1
    assert asked.known == [5]


async def test_stops_when_somebody_elses_exchange_brought_the_date() -> None:
    clock = UnsetClock()
    asked = Asked(clock)
    async with keeping(asked, clock) as keeper:
        await until(lambda: clock.quiet(1), "a wait")
        clock.adopt(TRUE)
        keeper.wake.set()
        await until(lambda: asked.known, "the word that the time is known")
    assert asked.known == [0]
