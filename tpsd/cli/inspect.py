"""Looking at taps: over the daemon's socket, or in its journal when none runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.live import Live

from tpsd.admin.client import ASK_SECONDS, NoDaemonError, ask
from tpsd.admin.plain import plain
from tpsd.cli.command import AsJson, Command, ConfigFile, Socket, complain, console, emit, socket_path
from tpsd.cli.dashboard import dashboard
from tpsd.cli.rendering import story, taps_table
from tpsd.config import load
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition
from tpsd.domain.views import TapFilter
from tpsd.ports import TapReader

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

UNSEEN = "unseen"  # no state of its own: what the passenger was shown is not what was charged
STATES = (*(item.value for item in (*State, *Disposition)), UNSEEN)
WIDE_COLUMNS = 150  # characters that all columns of a tap need
POLL_SECONDS = 0.5  # a person sees no difference below; the daemon's reads cost it a few ms each

TapName = Annotated[str, typer.Argument(metavar="TAP", help="Its number, the beginning of its UUID, or VAL00042:3:17.")]

ReadJournal = Callable[["Reading"], Awaitable[dict[str, Any]]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("taps", cls=Command)(taps)
    app.command("show", cls=Command)(show)
    app.command("watch", cls=Command)(watch)


def taps(
    lane: str | None = typer.Option(None, help="Only this lane."),
    state: str | None = typer.Option(
        None, help="Only this state or disposition (pending, held, denied, …), or unseen."
    ),
    cause: str | None = typer.Option(None, help="Only this cause."),
    limit: int = typer.Option(TapFilter().limit, min=1, max=1000, help="At most so many, the newest."),
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List taps, newest first."""
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"is none of {', '.join(STATES)}", param_hint="--state")
    which = TapFilter(lane, state, cause, limit)
    params = {key: str(value) for key, value in plain(which).items() if value is not None}

    async def read(journal: TapReader) -> dict[str, Any]:
        return {"taps": plain(await journal.taps(which))}

    found = asyncio.run(answer(socket, config, "/taps", params, read))
    if as_json:
        emit(found)
        return
    out = console()
    out.print(taps_table(found["taps"], narrow=out.width < WIDE_COLUMNS))


def show(
    tap: TapName,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything that may be shown of one tap."""

    async def read(journal: TapReader) -> dict[str, Any]:
        return dict(plain(await journal.story(tap)))

    found = asyncio.run(answer(socket, config, f"/taps/{segment(tap)}", {}, read))
    emit(found) if as_json else console().print(story(found))


def segment(tap: str) -> str:
    """A tap's name in a path of the socket. Raises BadParameter."""
    if not tap.strip(". "):  # in a path these are no name
        raise typer.BadParameter(
            "give its number, four characters of its UUID or more, or serial:boot:counter", param_hint="TAP"
        )
    return quote(tap, safe="")


def watch(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the running daemon's numbers and lanes until Ctrl-C; with --json once."""
    path = socket_path(socket, config)
    if as_json:
        emit(asyncio.run(ask(path, "/status")))
        return
    try:
        asyncio.run(_watch(path))
    except KeyboardInterrupt:
        return


async def _watch(path: Path) -> None:
    status = await ask(path, "/status")
    with Live(dashboard(status), console=console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            live.update(dashboard(await ask(path, "/status")), refresh=True)


async def answer(
    socket: Path | None,
    config: Path | None,
    path: str,
    params: dict[str, str],
    read: ReadJournal,
    *,
    seconds: float | None = ASK_SECONDS,
) -> dict[str, Any]:
    """From the daemon; from the journal itself, read only, when none runs and a configuration names it."""
    try:
        return await ask(socket_path(socket, config), path, params, seconds=seconds)
    except NoDaemonError:
        if config is None:
            raise
    from tpsd.app import open_journal_readonly

    complain("no daemon runs; reading its journal")
    async with open_journal_readonly(load(config)) as journal:
        return await read(journal)
