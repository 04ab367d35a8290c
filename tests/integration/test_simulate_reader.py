"""``tpsd simulate reader`` over a pty, against a daemon's end that answers by itself."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from device.vivopay.codes import Beep, Led, Text
from device.vivopay.commands import PING, Transaction, UserInterface
from device.vivopay.events import CardTapped, ReaderEvent
from device.vivopay.session import ReaderSession
from device.vivopay.tap import CardTap
from tpsd.cli import app
from tpsd.cli.simulate_reader import Plan, Report, run_reader
from tpsd.errors import PortError
from tpsd.simulated_lane import SimulatedLine

PLAN = Plan("630Z000001", taps=3, interval=0.0, seed=7, encrypted=False, baud=115_200, first=1000)
BOUND_SECONDS = 60.0


class Counterpart:
    """The daemon's end on the pty's master: every card is asked to wait, and then thanked."""

    def __init__(self, descriptor: int) -> None:
        self.taps: list[CardTap] = []
        self._session = ReaderSession(baud=115_200)
        self._line = SimulatedLine(self._session, descriptor, self._heard)
        self.stop = self._line.stop

    def start(self) -> None:
        self._line.start()
        self._line.act(lambda now: self._session.arm(Transaction(250, "978"), now))

    def _heard(self, event: ReaderEvent) -> None:
        if isinstance(event, CardTapped) and event.tap is not None:
            ticket = event.ticket
            self.taps.append(event.tap)
            self._line.act(lambda now: self._thank(ticket, now))

    def _thank(self, ticket: int, now: float) -> None:
        self._session.note(ticket, UserInterface(Text.PROCESSING), now)
        self._session.verdict(ticket, UserInterface(Text.THANK_YOU, Beep.SHORT_1, Led.LED_2, lit=True), now)


@asynccontextmanager
async def counterpart() -> AsyncIterator[tuple[Counterpart, str]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    end = Counterpart(master)
    end.start()
    try:
        yield end, os.ttyname(slave)
    finally:
        end.stop()
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_every_card_is_another_tap_and_gets_its_row(encrypted: bool) -> None:
    report, said = Report(), list[str]()
    plan = replace(PLAN, encrypted=encrypted)
    async with counterpart() as (end, port), asyncio.timeout(BOUND_SECONDS):
        await run_reader(port, plan, report, said.append)
    assert [tap.mode for tap in end.taps] == [3 if encrypted else 0] * 3
    assert len({tap.identity for tap in end.taps}) == 3
    summary = report.summary(plan)
    assert (summary["taps"], summary["waiting"], summary["shown"]) == (3, 0, {"thank you": 3})
    assert [(row["card"], row["beep"], row["led"]) for row in summary["rows"]] == [(n, 1, 2) for n in (1, 2, 3)]
    assert len(said) == 3


async def test_a_port_that_goes_away_ends_it_with_a_reason() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    running = asyncio.ensure_future(run_reader(os.ttyname(slave), PLAN, Report(), None))
    os.set_blocking(master, False)
    heard, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(master, heard.set)
    async with asyncio.timeout(BOUND_SECONDS):
        while not heard.is_set():  # what came before it had opened the port is lost
            with suppress(BlockingIOError):  # more than a pty holds, of which it has read nothing yet
                os.write(master, PING.encode())
            await asyncio.sleep(0)
    loop.remove_reader(master)
    os.close(slave)
    os.close(master)
    with pytest.raises(PortError, match="went away"):
        await running


async def test_a_port_that_is_not_there() -> None:
    with pytest.raises(PortError, match="cannot be opened"):
        await run_reader("/dev/ttyNOT0", PLAN, Report(), None)


@pytest.mark.parametrize("serial", ["", "630Z00000123456X", "ä"])
def test_a_serial_number_that_no_reader_has(serial: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "reader", "--port", "/dev/ttyNOT0", "--serial", serial])
    assert result.exit_code == 2
    assert "printable ASCII" in result.output
