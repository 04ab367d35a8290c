"""A lane before the time is known: what it tells its validator, and the taps that see the time become known."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.gate import Gate, Line, until
from tests.machine import BOOT, UnsetClock
from tests.store.builders import LANE, report, setting
from tests.unit.test_lane import Chatter
from tests.unit.workshop import workshop
from tpsd.core.intake import LanePolicy
from tpsd.core.texts import load as load_texts
from tpsd.daemon import Daemon
from tpsd.domain.time import MINUTE, SECOND, Micros
from tpsd.domain.views import TapFilter
from tpsd.link.serial import SerialPort
from tpsd.link.vl1 import Vl1Device
from tpsd.ports import Device, DeviceEvent, DeviceUp, Taken, TapArrived
from tpsd.workers.reader import Lane, LaneParts

TRUE = Micros(1_790_000_000_000_000)


@pytest.fixture
async def clock() -> UnsetClock:
    return UnsetClock()


@pytest.fixture
async def daemon(tmp_path: Path, clock: UnsetClock) -> AsyncIterator[Daemon]:
    async with workshop(tmp_path, clock=clock) as found:
        yield found


@contextlib.asynccontextmanager
async def lane_of(
    daemon: Daemon,
    line: Line,
    policy: LanePolicy = LANE,
    device: Device | None = None,
    on_taken: Callable[[Taken], None] = lambda taken: None,
) -> AsyncIterator[Lane]:
    rng = random.Random(1)
    parts = LaneParts(
        port=SerialPort(str(line.path), 115_200),
        device=device or Vl1Device(rng=rng, baud=115_200, language="en", idle_text="gate-1"),
        policy=policy,
        catalogue=load_texts("en"),
        pause=lambda: 0.01,
        port_was_good=lambda: None,
    )
    lane = Lane(parts, "The gate", daemon.journal, setting(daemon.journal), daemon.clock, rng, on_taken)
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path / "tty")


async def test_a_realtime_lane_is_closed_until_the_time_is_known(daemon: Daemon, line: Line, clock: UnsetClock) -> None:
    gate = Gate("VAL00042", clock)
    async with lane_of(daemon, line, replace(LANE, realtime=True)) as lane:
        try:
            await until(lambda: lane.state.state == "waiting", "an open port")
            lane.time_is_known()
            assert lane.state.state == "waiting", "nobody is there to be told"
            gate.plug(line.master)
            await until(lambda: gate.opened == [False], "CONFIG")
            assert (lane.state.state, lane.state.reason) == ("closed", "clock")
            clock.adopt(TRUE)
            lane.time_is_known()
            await until(lambda: gate.opened == [False, True], "CONFIG")
            assert (lane.state.state, lane.state.reason) == ("ready", "")
        finally:
            gate.unplug()
            line.pull()


class Timed(Chatter):
    """Hands over taps that were stamped in the instant they came, ages in milliseconds."""

    def __init__(self, *ages: int) -> None:
        super().__init__(len(ages))
        self.ages = ages

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        self.deadline = None
        taps = (
            TapArrived(report(number, received_at=wall, tapped_at=None, age_ms=age), number)
            for number, age in enumerate(self.ages, 1)
        )
        return [DeviceUp("VAL00042", "GATE-X1", "1.0"), *taps]


async def test_the_time_becomes_known_while_a_tap_waits_for_its_turn(
    daemon: Daemon, line: Line, clock: UnsetClock
) -> None:
    clock.jump(Micros(BOOT + MINUTE))
    heard: list[Taken] = []

    def on_taken(taken: Taken) -> None:
        heard.append(taken)
        clock.adopt(Micros(TRUE + MINUTE))

    async with lane_of(daemon, line, device=Timed(0, 30_000), on_taken=on_taken):
        await until(lambda: len(heard) == 2, "both taps")
    assert [taken.untimed for taken in heard] == [True, False]
    rows = (await daemon.journal.taps(TapFilter()))[::-1]
    assert [row.tapped_at for row in rows] == [BOOT + MINUTE, TRUE + MINUTE - 30 * SECOND]
    assert rows[1].received_at == TRUE + MINUTE
    (claimed,) = await daemon.journal.claim(clock.schedule(), 9)
    assert str(claimed.uuid) == rows[1].uuid, "it needs no late body"
    line.pull()
