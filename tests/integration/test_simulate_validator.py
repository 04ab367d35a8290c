"""``tpsd simulate validator`` over a pty, against a daemon's end that answers by itself."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from device.vl1.daemon import DaemonSession
from device.vl1.events import DaemonEvent, Received
from device.vl1.greeting import HelloAck
from device.vl1.messages import VerdictMessage, decode_message
from device.vl1.tap_message import TapMessage
from tpsd.cli.simulate_validator import Plan, Report, run_validator
from tpsd.errors import PortError
from tpsd.simulated_lane import SimulatedLine

PLAN = Plan(
    serial="VAL00042",
    type_name="GATE-X1",
    taps=3,
    interval=0.0,
    seed=7,
    amounts=(250, 300),
    currency="978",
    baud=115_200,
    patience=None,
    boot=9,
)
BOUND_SECONDS = 60.0


class Counterpart:
    """The daemon's end of the wire on the pty's master: gives every tap the verdict that ``decide`` names."""

    def __init__(self, descriptor: int, decide: Callable[[TapMessage], int]) -> None:
        self.taps: list[TapMessage] = []
        self._decide = decide
        self._session = DaemonSession(rng=random.Random(1), baud=115_200, hello_ack=lambda _: HelloAck())
        self._line = SimulatedLine(self._session, descriptor, self._heard)
        self.start, self.stop = self._line.start, self._line.stop

    def _heard(self, event: DaemonEvent) -> None:
        if isinstance(event, Received):
            message = decode_message(event.payload)
            assert isinstance(message, TapMessage)
            self.taps.append(message)
            verdict = VerdictMessage(message.tap, self._decide(message), reason="ok", text="Good trip")
            self._line.act(lambda now: self._session.send(verdict.encode(), now))


@asynccontextmanager
async def counterpart(decide: Callable[[TapMessage], int]) -> AsyncIterator[tuple[Counterpart, str, int]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    other = Counterpart(master, decide)
    other.start()
    try:
        yield other, os.ttyname(slave), slave
    finally:
        other.stop()
        os.close(master)


async def test_every_tap_gets_its_verdict_printed() -> None:
    said: list[str] = []
    report = Report()
    async with counterpart(lambda tap: 2 if tap.amount == 300 else 1) as (other, port, slave):
        os.close(slave)
        await asyncio.wait_for(run_validator(port, PLAN, report, said.append), BOUND_SECONDS)
    summary = report.summary(PLAN)
    assert (summary["taps"], summary["waiting"]) == (3, 0)
    assert summary["verdicts"] == {"accepted": 2, "denied": 1}
    assert [row["tap"] for row in summary["rows"]] == ["VAL00042:9:1", "VAL00042:9:2", "VAL00042:9:3"]
    assert summary["verdict_ms"]["p50"] > 0
    assert [tap.amount for tap in other.taps] == [250, 300, 250]
    assert any("accepted (ok) 'Good trip'" in line for line in said)


async def test_without_an_amount_the_lanes_fare_counts() -> None:
    report = Report()
    async with counterpart(lambda _: 1) as (other, port, slave):
        os.close(slave)
        plan = replace(PLAN, amounts=(), taps=1)
        await asyncio.wait_for(run_validator(port, plan, report, None), BOUND_SECONDS)
    assert [(tap.amount, tap.currency, tap.kind) for tap in other.taps] == [(None, None, 0)]


async def test_the_same_seed_taps_the_same_cards() -> None:
    cards = []
    for _ in range(2):
        async with counterpart(lambda _: 1) as (other, port, slave):
            os.close(slave)
            await asyncio.wait_for(run_validator(port, PLAN, Report(), None), BOUND_SECONDS)
            cards.append([[item.value[-12:] for item in tap.card] for tap in other.taps])
    assert cards[0] == cards[1]


async def test_a_port_that_goes_away_ends_it_with_a_reason() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    running = asyncio.ensure_future(run_validator(os.ttyname(slave), PLAN, Report(), None))
    os.close(slave)
    os.set_blocking(master, False)
    heard = asyncio.Event()
    asyncio.get_running_loop().add_reader(master, heard.set)
    await asyncio.wait_for(heard.wait(), BOUND_SECONDS)  # it said HELLO
    asyncio.get_running_loop().remove_reader(master)
    os.close(master)
    with pytest.raises(PortError, match="went away"):
        await asyncio.wait_for(running, BOUND_SECONDS)


async def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(PortError, match="/dev/none cannot be opened"):
        await run_validator("/dev/none", PLAN, Report(), None)
