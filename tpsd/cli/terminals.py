"""``tpsd terminal``: terminals' identities at Sfey, and registering one by a code that a person types."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from schemas.values import TIMEOUT_SECONDS_MAX
from tpsd.admin.client import ask, tell
from tpsd.admin.terminals import TERMINALS_PATH
from tpsd.cli.command import (
    AsJson,
    Command,
    CommandGroup,
    ConfigFile,
    Socket,
    audit_words,
    console,
    emit,
    folding,
    socket_path,
)
from tpsd.cli.rendering import moment
from tpsd.domain.identity import IdentityState

_SECONDS = 2 * TIMEOUT_SECONDS_MAX + 30.0  # a probe and the request, each as long as may be, and making a key pair


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="terminal", cls=CommandGroup, help="Terminals' identities at Sfey.", no_args_is_help=True)
    group.command("register", cls=Command)(register_terminal)
    group.command("list", cls=Command)(list_terminals)
    app.add_typer(group)


def register_terminal(
    lane: Annotated[str, typer.Argument(metavar="LANE", help="The lane's name or alias, as 'tpsd lanes' shows it.")],
    anew: Annotated[bool, typer.Option("--anew", help="Another key pair and code, whatever there was.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Your own words for the audit; no card data.")] = "",
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Register a lane's terminal at Sfey: show the code to type into Payments Manager; ask again when that is done."""
    path: Path = socket_path(socket, config)
    body = {"anew": anew, "why": audit_words(reason)}
    found = asyncio.run(tell(path, f"{TERMINALS_PATH}/{quote(lane, safe='')}/register", body, seconds=_SECONDS))
    if as_json:
        emit(found)
        return
    say = console().print
    say(f"{found['terminal']} at lane {found['lane']}: {found['state']}")
    if found["state"] == IdentityState.ACTIVE.value:
        say(f"company {found['company_id']}, terminal {found['terminal_id']}, {found['timezone']}")
    else:
        say(f"type the code {found['code']} into Payments Manager, then ask again")


def list_terminals(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the identities of terminals that were registered from here, with code and state."""
    found = asyncio.run(ask(socket_path(socket, config), TERMINALS_PATH))
    emit(found) if as_json else console().print(folding(_table(found["terminals"])))


def _table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("lane", "terminal", "state", "code", "company", "Sfey's id", "described", "active", "ends")
    for row in rows:
        table.add_row(
            row["lane"],
            row["terminal"],
            row["state"],
            row["code"],
            str(row["company_id"] or ""),
            row["terminal_id"] or "",
            *(moment(row[name]) for name in ("described_at", "active_at", "ends")),
        )
    return table
