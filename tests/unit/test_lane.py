"""A lane's loop: real VL1 over ptys and a real journal; and a device that floods it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from device.vl1.codes import StatusState
from device.vl1.messages import StatusMessage
from device.vl1.tap_memory import ValidatorState
from tests.intake_taps import told_of
from tests.integration.stage import Gate, Line, until
from tests.store.builders import LANE, report, setting
from tests.unit.workshop import workshop
from tpsd.core.display import Display
from tpsd.core.texts import load as load_texts
from tpsd.daemon import Daemon
from tpsd.demo.clock import WarpClock
from tpsd.domain.tap import Told
from tpsd.domain.time import Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import PortError
from tpsd.link.serial import SerialPort
from tpsd.link.vl1 import Vl1Device
from tpsd.ports import CardMissed, Device, DeviceEvent, DeviceUp, Port, PortWanted, Taken, TapArrived
from tpsd.workers.reader import TAPS_WAITING_MAX, Lane, LaneParts


class MissingPort:
    """A port that cannot be opened so many times, and then is another."""

    def __init__(self, failures: int, then: Port) -> None:
        self.name = then.name
        self.failures = failures
        self.opened = 0
        self._then = then

    async def open(self, wake: asyncio.Event) -> Any:
        self.opened += 1
        if self.opened <= self.failures:
            raise PortError(f"{self.name} is not there")
        return await self._then.open(wake)


class Chatter:
    """A device that says it is up and then hands over any number of taps at once."""

    deadline: float | None = None
    garbage = 0

    def __init__(self, taps: int) -> None:
        self.taps = taps
        self.told: list[object] = []

    def open(self, now: float) -> None:
        self.deadline = now

    def receive(self, data: bytes, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        return []

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        self.deadline = None
        arrived = (TapArrived(report(number), number) for number in range(1, self.taps + 1))
        return [DeviceUp("VAL00042", "GATE-X1", "1.0"), *arrived]

    def tell(self, answer_to: object, told: Told, display: Display, now: float) -> None:
        self.told.append(answer_to)

    def keep(self, answer_to: object, now: float) -> None:
        raise AssertionError("no tap here is realtime")

    def configure(self, lane_open: bool, wall: Micros | None, now: float, idle_text: str | None = None) -> None:
        return

    def output(self) -> bytes:
        return b""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    found = Line(tmp_path / "tty")
    yield found
    found.pull()


@contextlib.asynccontextmanager
async def lane_of(
    daemon: Daemon,
    port: Port,
    device: Device | None = None,
    *,
    pause: Callable[[], float] = lambda: 0.01,
    on_taken: Callable[[Taken], None] = lambda taken: None,
) -> AsyncIterator[Lane]:
    """A lane that runs until the block ends."""
    rng = random.Random(1)
    parts = LaneParts(
        port=port,
        device=device or Vl1Device(rng=rng, baud=115_200, language="en", idle_text="gate-1"),
        policy=LANE,
        catalogue=load_texts("en"),
        pause=pause,
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
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with workshop(tmp_path) as found:
        yield found


@pytest.fixture
async def gate(daemon: Daemon, line: Line) -> AsyncIterator[Gate]:
    assert isinstance(daemon.clock, WarpClock)
    found = Gate("VAL00042", daemon.clock)
    yield found
    found.unplug()


async def plugged(lane: Lane, gate: Gate, line: Line) -> None:
    """Waits for the port, then for a session."""
    await until(lambda: lane.state.state == "waiting", "an open port")
    gate.plug(line.master)
    await gate.is_up()
    await until(lambda: gate.validator.lane_open is not None, "CONFIG")


def gives_reason(lane: Lane, reason: str) -> bool:
    return lane.state.reason == reason


async def test_what_a_lane_says_of_itself(daemon: Daemon, line: Line, gate: Gate) -> None:
    async with lane_of(daemon, SerialPort(str(line.path), 115_200)) as lane:
        assert (lane.state.name, lane.state.alias, lane.state.port) == ("gate-1", "The gate", str(line.path))
        await plugged(lane, gate, line)
        state = lane.state
        assert (state.state, state.serial, state.terminal) == ("ready", "VAL00042", "GATE-X1:VAL00042")
        assert (state.firmware, state.taps, state.last_tap_at) == ("1.4.2", 0, None)
        tap = gate.tap()
        await gate.verdict(tap)
        assert (state.taps, state.internal_errors) == (1, 0)
        assert state.last_tap_at == daemon.clock.wall()
        gate.again(tap)
        await gate.verdict(tap)
        assert state.taps == 1, "a repeat is no other tap"


async def test_whoever_waits_for_taps_hears_of_each(daemon: Daemon, line: Line, gate: Gate) -> None:
    heard: list[Taken] = []
    async with lane_of(daemon, SerialPort(str(line.path), 115_200), on_taken=heard.append) as lane:
        await plugged(lane, gate, line)
        await gate.verdict(gate.tap())
        await gate.verdict(gate.tap(card=()))
        assert [(taken.number, taken.new, int(told_of(taken).verdict)) for taken in heard] == [
            (1, True, 1),
            (2, True, 3),
        ]


async def test_a_port_that_is_missing_is_tried_again_after_each_pause(daemon: Daemon, line: Line, gate: Gate) -> None:
    port = MissingPort(3, SerialPort(str(line.path), 115_200))
    pauses: list[float] = []

    def pause() -> float:
        pauses.append(0.0)
        return 0.0

    async with lane_of(daemon, port, pause=pause) as lane:
        await plugged(lane, gate, line)
        assert (port.opened, len(pauses)) == (4, 3)
        await gate.verdict(gate.tap())


async def test_the_reason_of_a_missing_port_is_shown(daemon: Daemon, line: Line) -> None:
    port = MissingPort(1000, SerialPort(str(line.path), 115_200))
    async with lane_of(daemon, port) as lane:
        await until(lambda: lane.state.reason, "a reason")
        assert (lane.state.state, lane.state.reason) == ("offline", f"{line.path} is not there")


async def test_a_validator_without_a_type_is_closed_out_and_keeps_its_taps(
    daemon: Daemon, line: Line, gate: Gate
) -> None:
    """TPS knows a terminal by serial number and type: without one nothing could be sent."""
    nameless = Gate("VAL00042", gate.clock, type_name="")
    async with lane_of(daemon, SerialPort(str(line.path), 115_200)) as lane:
        try:
            await plugged(lane, nameless, line)
            tap = nameless.tap()
            assert nameless.validator.lane_open is False
            assert lane.state.state == "closed"
            assert "terminal_type" in lane.state.reason
            nameless.unplug()
            gate.replace(nameless.validator.state())
            gate.plug(line.master)
            assert (await gate.verdict(tap)).verdict == 1
            assert nameless.verdicts == {}
        finally:
            nameless.unplug()


async def test_how_the_validator_is(daemon: Daemon, line: Line, gate: Gate) -> None:
    async with lane_of(daemon, SerialPort(str(line.path), 115_200)) as lane:
        await plugged(lane, gate, line)
        for status, said in (
            (StatusMessage(StatusState.TAMPER, "cover open"), "tamper cover open"),
            (StatusMessage(StatusState.TAMPER, "card 4761739001010119"), "tamper card 476173******0119"),
            (StatusMessage(StatusState.READER_FAULT), "reader fault"),
            (StatusMessage(StatusState.READY), ""),
        ):
            gate.say(status)
            await until(partial(gives_reason, lane, said), said or "ready")
        assert lane.state.state == "ready"


async def test_counters_that_go_back_are_no_reason_to_refuse_taps(daemon: Daemon, line: Line, gate: Gate) -> None:
    async with lane_of(daemon, SerialPort(str(line.path), 115_200)) as lane:
        gate.replace(ValidatorState(boot=9, last_tap=100))
        await plugged(lane, gate, line)
        await gate.verdict(gate.tap())
        gate.replace(ValidatorState(boot=3, last_tap=7))
        gate.plug(line.master)
        tap = gate.tap()
        assert (await gate.verdict(tap)).verdict == 1
        assert tap.number == (3, 8)


async def test_a_flood_is_dropped_and_the_rest_is_served(daemon: Daemon, line: Line) -> None:
    """What is dropped was not acknowledged: a validator sends it again."""
    chatter = Chatter(TAPS_WAITING_MAX + 40)
    async with lane_of(daemon, SerialPort(str(line.path), 115_200), chatter):
        await until(lambda: len(chatter.told) >= TAPS_WAITING_MAX, "the verdicts")
        rows = await daemon.journal.taps(TapFilter(limit=1000))
        assert len(rows) == len(chatter.told) < chatter.taps
        assert chatter.told == list(range(1, len(chatter.told) + 1)), "in the order they came"


class Probing(Chatter):
    """A device to which nobody answers: it asks for another rate, then for its port opened anew at a third."""

    def __init__(self) -> None:
        super().__init__(0)
        self.opened = 0

    def open(self, now: float) -> None:
        self.opened += 1
        self.deadline = now

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        self.deadline = None
        wanted = {1: PortWanted(57_600), 2: PortWanted(38_400, anew=True)}
        return [wanted[self.opened]] if self.opened in wanted else []


async def test_a_port_is_set_to_what_its_device_wants_and_opened_anew_at_that(daemon: Daemon, line: Line) -> None:
    port, probing = MissingPort(0, SerialPort(str(line.path), 115_200)), Probing()
    reasons: list[str] = []

    def pause() -> float:
        reasons.append(lane.state.reason)
        return 0.0

    async with lane_of(daemon, port, probing, pause=pause) as lane:
        await until(lambda: probing.opened == 3, "the third time")
        assert port.opened == 2
        assert termios.tcgetattr(line.master)[4] == termios.B38400
        assert reasons == ["nobody answers on it"]


class Missing(Chatter):
    """A device that loses two cards and cannot read a third."""

    def __init__(self) -> None:
        super().__init__(0)

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        self.deadline = None
        lost = CardMissed("its data is lost: damaged")
        return [lost, lost, CardMissed("the card could not be read", read=False)]


async def test_cards_that_are_no_taps_are_counted(daemon: Daemon, line: Line) -> None:
    chatter = Missing()
    with capture_logs() as said:
        async with lane_of(daemon, SerialPort(str(line.path), 115_200), chatter) as lane:
            await until(lambda: lane.state.cards_unread, "the cards")
            assert (lane.state.cards_lost, lane.state.cards_unread) == (2, 1)
    assert [entry["why"] for entry in said if entry["event"] == "card_lost"] == ["its data is lost: damaged"]
