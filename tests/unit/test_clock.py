"""The clocks: the machine's, and the one that jumps."""

from __future__ import annotations

import asyncio
import time

from tests.integration.stage import until
from tpsd.clock import SystemClock
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import HOUR, SECOND, Micros

Clocks = SystemClock | WarpClock


def soon(clock: Clocks, seconds: float) -> Micros:
    return Micros(clock.schedule() + int(seconds * SECOND))


async def timed(clock: Clocks, wake: asyncio.Event, due: Micros | None) -> float:
    """How long a wait took, seconds."""
    start = time.monotonic()
    async with asyncio.timeout(5):
        await clock.wait(wake, due)
    return time.monotonic() - start


async def test_the_machines_clock() -> None:
    clock = SystemClock()
    assert abs(clock.wall() - time.time() * 1e6) < SECOND
    assert abs(clock.schedule() - clock.wall()) < SECOND
    readings = [clock.schedule() for _ in range(1000)]
    assert readings == sorted(readings)


async def test_waiting_for_a_time() -> None:
    for clock in (SystemClock(), WarpClock()):
        asleep = asyncio.Event()
        assert 0.045 < await timed(clock, asleep, soon(clock, 0.05)) < 2
        assert await timed(clock, asleep, soon(clock, -1)) < 0.05, "what is past is due at once"
        assert not asleep.is_set()


async def test_waking_before_the_time() -> None:
    for clock in (SystemClock(), WarpClock()):
        for due in (soon(clock, 60), None):
            wake = asyncio.Event()
            asyncio.get_running_loop().call_later(0.02, wake.set)
            assert await timed(clock, wake, due) < 2
            assert await timed(clock, wake, due) < 0.05, "an event that is set does not wait"


async def test_a_clock_that_stands_still() -> None:
    clock = WarpClock()
    clock.stand_still()
    before = clock.schedule()
    measured = clock.monotonic()
    await until(lambda: clock.monotonic() > measured + 0.02, "real time")
    assert clock.schedule() == clock.wall() == before


async def test_jumping_lets_exactly_those_go_on_whose_time_has_come() -> None:
    clock = WarpClock()
    clock.stand_still()
    start = clock.schedule()
    events = [asyncio.Event() for _ in range(3)]
    dues = (Micros(start + HOUR), Micros(start + 2 * HOUR), None)
    waits = [asyncio.create_task(clock.wait(*pair)) for pair in zip(events, dues, strict=True)]
    await until(lambda: clock.quiet(3), "three that wait")
    assert clock.next_due() == start + HOUR
    clock.jump(Micros(start + HOUR))
    assert not clock.quiet(3)
    await until(waits[0].done, "the first")
    await until(lambda: clock.quiet(2), "two that wait")
    clock.jump(Micros(start + HOUR - 1))
    assert clock.schedule() == start + HOUR, "it never goes back"
    assert [wait.done() for wait in waits] == [True, False, False]
    clock.jump(Micros(start + 3 * HOUR))
    events[2].set()
    async with asyncio.timeout(5):
        await asyncio.gather(*waits)
    assert clock.next_due() is None


async def test_standing_still_stops_timers_that_run() -> None:
    clock = WarpClock()
    wait = asyncio.create_task(clock.wait(asyncio.Event(), soon(clock, 0.05)))
    await until(lambda: clock.next_due() is not None, "one that waits")
    clock.stand_still()
    measured = clock.monotonic()
    await until(lambda: clock.monotonic() > measured + 0.1, "real time")
    assert not wait.done()
    clock.jump(soon(clock, 1))
    async with asyncio.timeout(5):
        await wait
