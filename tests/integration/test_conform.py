"""``tpsd conform validator`` over a pty, against the simulated validator."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import random
import sys
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from device.vl1.cards import CARDS, read
from device.vl1.conformance.examination import Asked, Event, Finding, Verdict
from device.vl1.conformance.table import CHECKS
from device.vl1.simulator import SimulatedValidator
from tests.integration.processes import BOUND_SECONDS, completed, environment
from tpsd.cli.conform import examine
from tpsd.errors import PortError
from tpsd.link.serial import SerialPort
from tpsd.simulated_lane import SimulatedLane

NOON = 1_790_000_000_000_000


@contextmanager
def line() -> Iterator[tuple[int, str]]:
    """A pty: the master for the validator, the slave's name for the command."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)


@asynccontextmanager
async def validator() -> AsyncIterator[tuple[SimulatedLane, str]]:
    with line() as (master, name):
        lane = SimulatedLane(SimulatedValidator(serial="VAL00042"), master, lambda _: None, patient=True)
        lane.start()
        try:
            yield lane, name
        finally:
            lane.stop()


async def test_a_card_is_asked_for_and_the_findings_come_in_the_order_of_the_table() -> None:
    names = ["hello_usable", "ping_answered", "largest_taken", "data_repeated", "verdict_taken_in_time"]
    events: list[Event] = []
    rng = random.Random(3)
    async with validator() as (lane, name):

        def tell(event: Event) -> None:
            events.append(event)
            if event == Asked("tap a card"):
                card = read(CARDS[0], rng, amount=250, currency="978", tapped_at=NOON, counter=1)
                lane.act(lambda now: lane.validator.tap(now, card=card, tapped_at=NOON))

        checks = [check for check in CHECKS if check.name in names]
        async with asyncio.timeout(BOUND_SECONDS):
            device = await examine(SerialPort(name, 115_200), checks, 10.0, tell)
    assert device == "VAL00042 GATE-X1 1.4.2"
    findings = [event for event in events if isinstance(event, Finding)]
    assert [finding.name for finding in findings] == names
    assert {finding.verdict for finding in findings if finding.name != "verdict_taken_in_time"} == {Verdict.PASSED}
    assert Asked("see that it shows: Conformance: accepted, the second line") in events


async def test_the_command_prints_one_json_object_and_ends_well_when_all_passed() -> None:
    async with validator() as (_, name):
        command = [
            "conform",
            "validator",
            "--port",
            name,
            "--only",
            "hello_usable",
            "--only",
            "ping_answered",
            "--json",
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tpsd", *command, stdout=asyncio.subprocess.PIPE, env=environment()
        )
        async with asyncio.timeout(BOUND_SECONDS):
            output, _ = await process.communicate()
    said = json.loads(output.splitlines()[-1])
    assert (process.returncode, said["device"], said["passed"]) == (0, "VAL00042 GATE-X1 1.4.2", 2)
    assert [check["verdict"] for check in said["checks"]] == ["passed", "passed"]
    assert said["checks"][1]["rule"] == "PING: PONG back"


async def test_a_port_that_goes_away_ends_the_examination_with_a_reason() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = SerialPort(os.ttyname(slave), 115_200)
    running = asyncio.ensure_future(examine(port, list(CHECKS[:2]), 1.0, lambda _: None))
    await asyncio.to_thread(os.read, master, 1)  # it has said something
    os.close(slave)
    os.close(master)
    with pytest.raises(PortError, match="went away"):
        await asyncio.wait_for(running, BOUND_SECONDS)


async def test_a_port_that_a_daemon_has_is_left_alone() -> None:
    with line() as (_, name):
        daemons = SerialPort(name, 115_200)
        daemons.lock()
        try:
            with pytest.raises(PortError, match="a port has one daemon"):
                await examine(SerialPort(name, 115_200), list(CHECKS[:1]), 1.0, lambda _: None)
        finally:
            daemons.release()


def test_a_port_that_is_not_there_and_a_check_that_nobody_knows_are_named() -> None:
    gone = completed("conform", "validator", "--port", "/dev/none", "--json")
    assert (gone.returncode, "/dev/none cannot be opened" in gone.stderr) == (1, True)
    unknown = completed("conform", "validator", "--port", "/dev/none", "--only", "everything")
    assert (unknown.returncode, "no check is called everything" in unknown.stderr) == (2, True)
