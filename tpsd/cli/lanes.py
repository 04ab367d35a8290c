"""Lanes: ``lanes`` shows them, ``lane close`` and ``lane open`` are orders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from tpsd.admin.client import ask, tell
from tpsd.admin.lanes import LANES_PATH
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
from tpsd.cli.dashboard import LANE_STYLE, spool_words
from tpsd.cli.rendering import duration, moment

Name = Annotated[str, typer.Argument(metavar="NAME", help="The lane's name or alias, as 'tpsd lanes' shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("lanes", cls=Command)(lanes)
    lane = typer.Typer(name="lane", cls=CommandGroup, help="Close a lane and open it again.", no_args_is_help=True)
    lane.command("close", cls=Command)(close_lane)
    lane.command("open", cls=Command)(open_lane)
    app.add_typer(lane)


def lanes(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show every lane: its device, its state and why, its last tap, and what waits of it."""
    found = asyncio.run(ask(socket_path(socket, config), LANES_PATH))
    if as_json:
        emit(found)
        return
    console().print(folding(_table(found["lanes"])))
    if words := spool_words(found.get("spool")):
        console().print(Text(words, style="red"))


def close_lane(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; for the audit, and beside the lane. No card data.")],
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show "out of service" at a lane until it is opened; taps that come all the same are taken."""
    why = audit_words(reason, required=True)
    _order(name, {"open": False, "why": why}, socket_path(socket, config), as_json)


def open_lane(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Your own words for the audit; no card data.")] = "",
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Open a lane that was closed by hand."""
    _order(name, {"open": True, "why": audit_words(reason)}, socket_path(socket, config), as_json)


def _order(name: str, asked: Mapping[str, Any], socket: Path, as_json: bool) -> None:
    done = asyncio.run(tell(socket, f"{LANES_PATH}/{quote(name, safe='')}", asked))
    if as_json:
        emit(done)
    else:
        console().print(f"lane {done['lane']} is {'open' if done['open'] else 'closed'}", markup=False)


def _table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(
        "lane", "protocol", "device", "firmware", "state", "why", "last tap", "list age", "pending", "oldest", "held"
    )
    for row in rows:
        state = row["state"]
        table.add_row(
            _called(row),
            row.get("protocol") or "",
            row.get("serial") or "",
            row.get("firmware") or "",
            Text(state, style=LANE_STYLE.get(state, "red")),
            row.get("reason") or "",
            moment(row.get("last_tap_at")),
            _list_age(row),
            f"{row['pending']:,}",
            duration(row["oldest_pending_seconds"]),
            f"{row['held']:,}",
        )
    return table


def _list_age(row: Mapping[str, Any]) -> Text:
    """How old TPS's deny list is, and what the lane does where that is too old."""
    if "list_is_stale" not in row:
        return Text("")
    known, below = row["list_age_seconds"], row["stale_accepts_below"]
    age = "unknown" if known is None else duration(known)
    if not row["list_is_stale"]:
        return Text(age)
    if below is None:
        return Text(f"{age}, accepts", style="yellow")
    return Text(f"{age}, {f'accepts below {below}' if below else 'denies'}", style="red")


def _called(row: Mapping[str, Any]) -> str:
    name, alias = row["name"], row.get("alias")
    return name if alias in (None, name) else f"{name} ({alias})"
