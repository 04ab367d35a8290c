"""``tpsd doctor``: everything that must be so before a machine goes into service, and what to do where it is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from schemas.config import Configuration
from tpsd.admin.client import NoDaemonError, ask, tell
from tpsd.cli import machine as of
from tpsd.cli.command import FAILED, AsJson, Command, console, emit, folding
from tpsd.cli.diagnosis import Diagnosis, State, bad, doubt, from_error, good
from tpsd.cli.machine import Machine
from tpsd.cli.reaching import Reached, journal_folders, reach
from tpsd.config import load, warnings
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import ConfigError, TpsdError
from tpsd.workers.reader import PREFLIGHT

_COLOURS = {State.GOOD: "green", State.DOUBT: "yellow", State.BAD: "red"}
_LANES_AT_WORK = ("ready", "waiting")
_NEXT = {  # by the first word of what could not be reached, where its error says only what is wrong
    "key": "write the key to that file with mode 0600",
    "database": "make the database and its role, or correct [store] url",
    "folder": "make it, for the daemon's user alone",
    "port": "plug the device in, and end what has it open",
    "TPS,": "put the file there, or correct [sfey]; openssl s_client shows what the host says",
    "AFC": "correct [sfey] afc_base_url or its token",
    "SMTP": "correct [email] smtp_url, or have the mail server started; then tpsd mail test",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", cls=Command)(doctor)


def doctor(
    config: Path = typer.Option(..., "--config", envvar="TPSD_CONFIG", help="The daemon's configuration file."),
    as_json: AsJson = False,
) -> None:
    """Check everything the daemon needs of this machine and say what to do next; exit code 1 where it would not run."""
    found = asyncio.run(diagnoses(config, Machine(Micros(int(time.time() * SECOND)))))
    ok = all(one.state is not State.BAD for one in found)
    if as_json:
        emit({"ok": ok, "checks": [asdict(one) | {"state": one.state.value} for one in found]})
    else:
        table = Table("what", "result", "found", "what to do next")
        for one in found:
            table.add_row(one.name, Text(one.state.value, _COLOURS[one.state]), one.found, one.next)
        console().print(folding(table))
    if not ok:
        raise typer.Exit(FAILED)


async def diagnoses(file: Path, machine: Machine) -> list[Diagnosis]:
    """All of them, whatever fails before."""
    found = [of.python()]
    try:
        config = load(file)
    except ConfigError as exc:
        return [*found, bad("configuration", str(exc), "correct it, then ask again"), of.service(machine)]
    found += [of.account(config), of.configuration_file(file, config)]
    found += [doubt(f"setting {'.'.join(map(str, one.key))}", one.what, one.remedy) for one in warnings(config)]
    found += [*of.epoch_folder(config), of.clock(config, machine), *of.disk(config, machine)]
    found += [of.socket_folder(config, machine), *of.modem_manager(config, machine), of.service(machine)]
    found += [one async for one in _at_work(of.keys_at_rest(config, machine), machine)]
    return found


async def _at_work(config: Configuration, machine: Machine) -> AsyncIterator[Diagnosis]:
    """What can be reached, and the journal: asked of the running daemon where there is one."""
    status = None
    try:
        status = await ask(config.admin.socket, "/status")
        yield good("daemon", "it runs")
    except NoDaemonError:
        yield good("daemon", "none runs; its ports and its journal are looked at directly")
    except TpsdError as exc:
        yield from_error("daemon", str(exc), "see its log: journalctl -u tpsd")
    made = {
        name: folder
        for name, folder in journal_folders(config).items()
        if folder in of.service_folders(machine) and not folder.exists()
    }
    for row in await reach(config, ports=status is None):
        yield _reached(row, made.get(row.name))
    if status is not None:
        for lane in status["lanes"]:
            yield _lane(lane)
    async for one in _journal(config, runs=status is not None):
        yield one


def _reached(row: Reached, made: Path | None) -> Diagnosis:
    if made is not None:
        return good(row.name, f"{made} is made by the service when it starts")
    if row.ok:
        return good(row.name, row.reason)
    return from_error(row.name, row.reason, _NEXT[row.name.partition(" ")[0]])


def _lane(lane: dict[str, Any]) -> Diagnosis:
    name, state, reason = f"lane {lane['name']}", str(lane["state"]), str(lane["reason"] or "")
    if reason.startswith(PREFLIGHT):
        return bad(name, f"{state}: {reason}", "tpsd preflight says what to do; the lane opens by itself after that")
    if state not in _LANES_AT_WORK:
        return bad(name, f"{state}: {reason}", "see that the device is plugged in and the journal's disk has room")
    if state == "waiting":
        return doubt(name, f"the port is open and no validator speaks ({reason})", "switch the validator on")
    return good(name, state)


async def _journal(config: Configuration, *, runs: bool) -> AsyncIterator[Diagnosis]:
    """A daemon that runs has opened its keys; without one they are tried here."""
    from tpsd.offline import has_journal

    try:
        if not runs and not await has_journal(config):
            yield good("journal", "not there yet: the first start makes it")
            return
        count = await _findings(config, runs=runs)
    except TpsdError as exc:
        yield from_error("journal", str(exc), "stop what has it open, or put a backup in its place")
        return
    if count:
        yield bad("journal", f"{count} rules are broken", "tpsd store check says which; a backup may be needed")
        return
    yield good("journal", "whole")
    if not runs:
        yield await _epochs(config)


async def _findings(config: Configuration, *, runs: bool) -> int:
    from tpsd.offline import check_journal

    if not runs:
        return len(await check_journal(config))
    return len((await tell(config.admin.socket, "/store/check", {}, seconds=None))["findings"])


async def _epochs(config: Configuration) -> Diagnosis:
    from tpsd.offline import open_epochs

    try:
        return good("epoch keys", f"{await open_epochs(config)} open")
    except TpsdError as exc:
        return from_error("epoch keys", str(exc), "give the kek_file and the epoch_dir that the journal was made with")
