"""``check-config``: the values in force, and with ``--connect`` whether everything they name can be reached."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from tpsd.cli.command import FAILED, AsJson, Command, console, emit
from tpsd.cli.reaching import Reached, reach
from tpsd.config import Problem, config_digest, effective, flat, load, warnings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-config", cls=Command)(check_config)


def check_config(
    file: Path = typer.Argument(metavar="FILE", help="The configuration file."),
    connect: bool = typer.Option(
        False, "--connect", help="Open the ports, ask TPS with a GET, greet the SMTP server, read the keys."
    ),
    as_json: AsJson = False,
) -> None:
    """Check the configuration and print every value in force, secrets masked."""
    config = load(file)
    values, digest, doubts = effective(config), config_digest(config), warnings(config)
    reached = asyncio.run(reach(config)) if connect else []
    if as_json:
        emit(
            {
                "ok": all(row.ok for row in reached),
                "digest": digest,
                "configuration": values,
                "warnings": [str(doubt) for doubt in doubts],
                "checks": [asdict(row) for row in reached],
            }
        )
    else:
        table = Table("key", "value", title=f"{file} (digest {digest})")
        for key, value in flat(values):
            table.add_row(key, "" if value is None else str(value))
        console().print(table)
        _print_findings(doubts, reached)
    if not all(row.ok for row in reached):
        raise typer.Exit(FAILED)


def _print_findings(doubts: list[Problem], reached: list[Reached]) -> None:
    for doubt in doubts:
        console().print(Text.assemble(("warning: ", "yellow"), str(doubt)))
    if reached:
        table = Table("what", "result", "why")
        for row in reached:
            table.add_row(row.name, Text("ok", "green") if row.ok else Text("failed", "red"), row.reason)
        console().print(table)
