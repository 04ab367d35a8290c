"""``tpsd preflight``: whether each lane may open, and what to do where it may not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from schemas.config import Configuration, Lane
from tpsd import config as settings
from tpsd.admin.client import NoDaemonError, tell
from tpsd.admin.preflight import PREFLIGHT_PATH, preflight_page
from tpsd.cli.command import FAILED, AsJson, Command, console, emit, folding
from tpsd.cli.machine import Machine, keys_at_rest
from tpsd.clock import SystemClock
from tpsd.config import load
from tpsd.core.preflight import closing, of_silence, unasked
from tpsd.credentials import usable_contexts
from tpsd.domain.outcome import Answer
from tpsd.lanes import credential_of, wire_profile
from tpsd.preflight import Preflight, key_findings
from tpsd.sfey.client import TpsClient
from tpsd.sfey.terminals import ask_about
from tpsd.workers.inspector import Report

_COLOURS = {"failed": "red", "warning": "yellow", "note": "cyan", "ok": "green"}
_SECONDS_MORE = 10.0  # beside TPS's own time: reading files, and a send that holds the last turn


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("preflight", cls=Command)(preflight)


def preflight(
    config: Path = typer.Option(..., "--config", envvar="TPSD_CONFIG", help="The daemon's configuration file."),
    as_json: AsJson = False,
) -> None:
    """Look at each lane as before it opens: files, certificate, TPS, mode; exit code 1 where one stays closed."""
    found = asyncio.run(_found(load(config)))
    emit(found) if as_json else console().print(folding(_table(found)))
    if not found["ok"]:
        raise typer.Exit(FAILED)


async def _found(config: Configuration) -> dict[str, Any]:
    try:
        return await tell(
            config.admin.socket, PREFLIGHT_PATH, {}, seconds=2 * config.sfey.timeout_seconds + _SECONDS_MORE
        )
    except NoDaemonError:
        clock = SystemClock(settings.clock_floor(config))
        at_rest = keys_at_rest(config, Machine(clock.wall()))
        return preflight_page(await _looked(at_rest, clock), key_findings(at_rest))


async def _looked(config: Configuration, clock: SystemClock) -> list[Report]:
    """Every lane; of its terminal only what the configuration says is known."""
    contexts, unusable = usable_contexts(config, clock.judging)
    profile = wire_profile(config)
    line = TpsClient(
        config.sfey.base_url,
        contexts,
        monotonic=clock.monotonic,
        timeout_seconds=config.sfey.timeout_seconds,
        profile=profile,
        dated=lambda: clock.trusted,
        on_date=clock.adopt,
        unusable=unusable,
    )
    looks = Preflight(lambda: config, partial(ask_about, line, profile=profile), clock)
    try:
        if not clock.trusted:
            await asyncio.gather(*(line.knock(name) for name in contexts))  # TPS may know what time it is
        return list(await asyncio.gather(*(_report(lane, config, looks, line) for lane in config.lanes)))
    finally:
        await line.close()


async def _report(lane: Lane, config: Configuration, looks: Preflight, line: TpsClient) -> Report:
    terminal = None
    if lane.terminal_type is not None and lane.terminal_sn is not None:
        terminal = f"{lane.terminal_type}:{lane.terminal_sn}"
        found = await looks.asked(lane.name, terminal)
    else:
        knocked = await line.knock(credential_of(lane))
        found = [unasked()] if isinstance(knocked, Answer) else list(of_silence(knocked))
    found = looks.at_rest(lane.name, terminal) + found
    realtime = settings.is_realtime(lane)
    return Report(lane.name, terminal, realtime, not closing(found, realtime=realtime), tuple(found))


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("lane", "terminal", "check", "result", "found", "what to do")
    for row in _rows(found):
        *cells, result, what, remedy = row
        table.add_row(*cells, Text(result, _COLOURS[result]), what, remedy)
    return table


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str, str]]:
    for one in found["shared"]:
        yield "all", "", one["check"], one["result"], one["what"], one["remedy"]
    for lane in found["lanes"]:
        name, terminal = lane["lane"], lane["terminal"] or ""
        for one in lane["findings"]:
            yield name, terminal, one["check"], one["result"], one["what"], one["remedy"]
        if lane["opens"]:
            yield name, terminal, "", "ok", "it may open", ""
