"""``tpsd conform validator``: play the daemon against somebody's VL1 device, and print which rules it keeps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.text import Text

from device.vl1.conformance.examination import Asked, Event, Examination, Finding, Verdict
from device.vl1.conformance.table import CHECKS, Check
from tpsd.cli.command import FAILED, AsJson, Command, CommandGroup, complain, console, emit
from tpsd.errors import PortError
from tpsd.link.naming import port_named
from tpsd.link.serial import SerialPort
from tpsd.ports import LinkLostError, Port, Transport

BAUD_MAX = 4_000_000  # the fastest that Linux has a constant for
WAIT_SECONDS_MAX = 3600.0

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_TRIED: "yellow"}

Tell = Callable[[Event], None]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(
        cls=CommandGroup, help="Does a device keep the rules?", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("validator", cls=Command)(validator)
    app.add_typer(group, name="conform")


def _known(names: list[str]) -> list[str]:
    unknown = sorted(set(names) - {check.name for check in CHECKS})
    if unknown:
        raise typer.BadParameter(f"no check is called {', '.join(unknown)}; the table of a whole run names them all")
    return names


def validator(
    port: str = typer.Option(..., help="A serial device, a pty, or socket://host:port."),
    baud: int = typer.Option(115_200, min=9_600, max=BAUD_MAX, help="Bits per second."),
    taps: bool = typer.Option(False, "--taps", help="The device taps by itself: ask nobody for a card."),
    wait: float = typer.Option(60.0, min=1, max=WAIT_SECONDS_MAX, help="Seconds to wait for a tap."),
    only: list[str] = typer.Option([], callback=_known, help="Only the check of that name; may be repeated."),
    as_json: AsJson = False,
) -> None:
    """Play the daemon against a test validator, whose taps are then lost, and print which rules it keeps."""
    checks = [check for check in CHECKS if not only or check.name in only]
    findings: list[Finding] = []

    def tell(event: Event) -> None:
        match event:
            case Asked(wish):
                if not taps:
                    complain(f"please: {wish}")
            case Finding():
                findings.append(event)
                if not as_json:
                    console().print(_line(event))

    device = asyncio.run(examine(_port(port, baud), checks, wait, tell))
    passed = sum(finding.verdict is Verdict.PASSED for finding in findings)
    if as_json:
        emit({"device": device, "passed": passed, "checks": [_plain(finding) for finding in findings]})
    else:
        console().print(f"{device or 'no device'}: {passed} of {len(checks)} checks passed")
    if passed < len(checks):
        raise typer.Exit(FAILED)


async def examine(port: Port, checks: list[Check], wait: float, tell: Tell) -> str | None:
    """Every check on this port; what the device calls itself. Raises PortError when the port goes."""
    wake = asyncio.Event()
    with _claimed(port):
        transport = await port.open(wake)
        try:
            return await _examine(transport, wake, Examination(random.SystemRandom(), wait, checks), tell)
        except LinkLostError as exc:
            raise PortError(f"{port.name} went away ({exc}); is the device still plugged in?") from exc
        finally:
            await transport.close()


@contextmanager
def _claimed(port: Port) -> Iterator[None]:
    """A daemon that has the port keeps it. Raises PortError."""
    if not isinstance(port, SerialPort):
        yield
        return
    port.lock()
    try:
        yield
    finally:
        port.release()


async def _examine(transport: Transport, wake: asyncio.Event, examination: Examination, tell: Tell) -> str | None:
    now = asyncio.get_running_loop().time
    events = examination.open(now())
    while True:
        for event in events:
            tell(event)
        transport.write(examination.output())
        if examination.done:
            return examination.device
        await _woken(wake, examination.deadline)
        wake.clear()
        data = transport.take()
        events = [*examination.receive(data, now()), *examination.tick(now())]


async def _woken(wake: asyncio.Event, deadline: float | None) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await wake.wait()
    except TimeoutError:
        return


def _port(name: str, baud: int) -> Port:
    try:
        return port_named(name, baud)
    except ValueError as exc:
        raise typer.BadParameter("needs a host and a port, socket://host:port", param_hint="--port") from exc


def _line(finding: Finding) -> Text:
    verdict = Text(f"{finding.verdict.value:<10}", _COLOURS[finding.verdict])
    why = f" — {finding.why}" if finding.why else ""
    return Text.assemble(verdict, f"{finding.name}: {finding.rule}{why}")


def _plain(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "rule": finding.rule, "verdict": finding.verdict.value, "why": finding.why}
