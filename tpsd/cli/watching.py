"""How the daemon is: ``status``, ``queue`` and ``mail test``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tpsd.admin.client import NoDaemonError, ask, tell
from tpsd.admin.mailing import TEST_PATH
from tpsd.admin.plain import plain
from tpsd.admin.watching import QUEUE_PATH, queue_page
from tpsd.cli.command import (
    FAILED,
    AsJson,
    Command,
    CommandGroup,
    ConfigFile,
    Socket,
    complain,
    console,
    emit,
    socket_path,
)
from tpsd.cli.dashboard import dashboard
from tpsd.cli.inspect import answer
from tpsd.cli.rendering import duration, moment
from tpsd.config import load, mail_settings
from tpsd.domain.time import Micros
from tpsd.mail.settings import TIMEOUT_SECONDS
from tpsd.mail.trial import try_mail

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

MAIL_SECONDS = TIMEOUT_SECONDS + 10.0  # SMTP's own time-out first: its words say more


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("status", cls=Command)(status)
    app.command("queue", cls=Command)(queue)
    mail = typer.Typer(name="mail", cls=CommandGroup, help="Mails.", no_args_is_help=True)
    mail.callback()(_mail)
    mail.command("test", cls=Command)(mail_test)
    app.add_typer(mail)


def status(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show on one screen how the daemon is, and what is wrong."""
    found = asyncio.run(ask(socket_path(socket, config), "/status"))
    if as_json:
        emit(found)
        return
    console().print(screen(found))


def queue(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show what waits on the ladder, by tier and by sends made, and when the next is due."""

    async def read(journal: Reading) -> dict[str, Any]:
        return queue_page(await journal.numbers.now(), Micros(time.time_ns() // 1000))

    found = asyncio.run(answer(socket, config, QUEUE_PATH, {}, read))
    if as_json:
        emit(found)
        return
    console().print(queue_table(found["queue"]))
    console().print(f"{found['pending']} pending, {found['sending']} being sent")


def mail_test(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Send a test mail to the configured recipients and say what SMTP said; the daemon sends it where one runs."""
    found = asyncio.run(_try_mail(socket, config))
    if as_json:
        emit(found)
    elif found["accepted"]:
        console().print(f"accepted for {', '.join(found['recipients'])} ({found['message_id']})")
    else:
        complain(found["words"])
    for refusal in found["refused"]:
        complain(refusal)
    if not found["accepted"] or found["refused"]:
        raise typer.Exit(FAILED)


def screen(found: Mapping[str, Any]) -> RenderableType:
    """The status object as one screen."""
    return Group(
        _health(found.get("health") or {}),
        dashboard(found),
        queue_table(found.get("queue") or ()),
        _resting_table(found.get("resting") or ()),
        *_reload(found.get("reload")),
    )


def queue_table(lines: Iterable[Mapping[str, Any]]) -> Table:
    """One line a tier and number of sends."""
    table = Table("tier", "every", "sends made", "pending", "next due", "oldest", title="Queue")
    for line in lines:
        every = line["every_minutes"]
        table.add_row(
            "first send" if line["tier"] == 0 else str(line["tier"]),
            "" if every is None else f"{every:g} min",
            str(line["sends"]),
            str(line["pending"]),
            duration(line["next_due_seconds"]),
            duration(line["oldest_seconds"]),
        )
    return table


def _mail() -> None:
    """Mails."""


async def _try_mail(socket: Path | None, config: Path | None) -> dict[str, Any]:
    try:
        return await tell(socket_path(socket, config), TEST_PATH, {}, seconds=MAIL_SECONDS)
    except NoDaemonError:
        if config is None:
            raise
    complain("no daemon runs; sending from here")
    trial = await try_mail(mail_settings(load(config)), Micros(time.time_ns() // 1000))
    return dict(plain(trial))


def _health(health: Mapping[str, Any]) -> Text:
    if health.get("healthy"):
        return Text("healthy", style="green")
    reasons = [f"\n  {reason}" for reason in health.get("reasons", ())]
    return Text.assemble(("not healthy", "bold red"), *reasons)


def _resting_table(lines: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("state", "cause", "taps", "oldest", title="At rest")
    for line in lines:
        table.add_row(line["state"], line["cause"], str(line["count"]), duration(line["oldest_seconds"]))
    return table


def _reload(last: Mapping[str, Any] | None) -> list[Text]:
    if last is None:
        return []
    if last["accepted"]:
        return [Text(f"reloaded {moment(last['at'])}: {', '.join(last['changed']) or 'nothing differed'}")]
    return [Text(f"reload refused {moment(last['at'])}: {last['why']}", style="red")]
