"""The journal as a whole: checked, pruned, backed up, restored, moved."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from schemas.config import Configuration
from tpsd.admin.client import NoDaemonError, tell
from tpsd.admin.plain import plain
from tpsd.cli.command import (
    FAILED,
    AsJson,
    Command,
    CommandGroup,
    ConfigFile,
    Socket,
    audit_words,
    complain,
    console,
    emit,
    myself,
    socket_path,
)
from tpsd.cli.moving import copy
from tpsd.cli.rendering import moment
from tpsd.config import load, store_path
from tpsd.domain.time import DAY
from tpsd.domain.upkeep import Tried
from tpsd.errors import ConfigError

_DAYS = re.compile(r"^([1-9]\d{0,4})d?$")

NAME = "store"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name=NAME, cls=CommandGroup, help="Check, prune, back up, restore and move the journal.", no_args_is_help=True
    )
    for command in (check, prune, backup, restore, copy, try_update):
        group.command(command.__name__.replace("_", "-"), cls=Command)(command)
    app.add_typer(group)


def check(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for damage and contradictions in the whole journal; exit code 1 when there are any."""
    found = asyncio.run(_check(socket, config))
    if as_json:
        emit({"whole": not found, "findings": found})
    else:
        console().print(_findings(found) if found else "the journal is whole")
    raise typer.Exit(FAILED if found else 0)


def prune(
    older_than: str = typer.Option(..., metavar="DAYS", help="90d: only what has been final for so long."),
    dry_run: bool = typer.Option(False, help="Only count."),
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove final taps that are old; their identities and verdicts stay for 400 days."""
    found = _DAYS.match(older_than)
    if found is None:
        raise typer.BadParameter("give whole days, as in 90d", param_hint="--older-than")
    days = int(found[1])
    pruned = asyncio.run(_prune(socket, config, days, dry_run))
    if as_json:
        emit(pruned | {"dry_run": dry_run})
        return
    verb = "would go" if dry_run else "are gone"
    console().print(
        f"{pruned['taps']} taps final before {moment(pruned['before'])} {verb}, and {pruned['mails']} mails"
    )


def backup(
    file: Path = typer.Argument(metavar="FILE", help="Where to; nothing may stand there."),
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Copy the journal while it is at work. The epoch keys are not in it: keep a copy of their folder apart."""
    done = asyncio.run(_backup(socket, config, file.absolute()))
    if as_json:
        emit(done)
        return
    unfinished = sum(done["unfinished"].values())
    console().print(f"{done['file']}: {done['bytes']} bytes, {unfinished} taps in it are not final")


def restore(
    file: Path = typer.Argument(metavar="FILE", help="A backup made by 'tpsd store backup'."),
    config: Path = typer.Option(..., "--config", envvar="TPSD_CONFIG", help="Whose journal it becomes."),
    reason: str = typer.Option("", help="Why; it stands in the audit table."),
    force: bool = typer.Option(False, help="Set a journal that stands there aside."),
    as_json: AsJson = False,
) -> None:
    """Put a backup in the journal's place, with no daemon running. What was unfinished in it is then in doubt."""
    from tpsd.offline import restore_journal

    by = myself("store restore", audit_words(reason) or "asked for")
    done = plain(restore_journal(load(config), file.absolute(), by, force=force))
    for owner in done["lost"]:
        complain(f"the card data of {owner} cannot be opened any more: it can never be sent again")
    if as_json:
        emit(done)
        return
    table = Table(show_header=False)
    for key, value in done.items():
        if key != "lost" and value is not None:
            table.add_row(key.replace("_", " "), str(value))
    console().print(table)


def try_update(
    config: Path = typer.Option(..., "--config", envvar="TPSD_CONFIG", help="Whose journal is copied."),
    as_json: AsJson = False,
) -> None:
    """Try this version on a copy of the journal, daemon or not: migrate it, check it, throw it away."""
    done = plain(asyncio.run(tried(load(config))))
    whole = not done["findings"]
    if as_json:
        emit({"ok": whole} | done)
    else:
        console().print(f"migrations: {', '.join(done['migrations']) or 'none'}")
        console().print("the updated copy is whole" if whole else _findings(done["findings"]))
    raise typer.Exit(0 if whole else FAILED)


async def tried(config: Configuration) -> Tried:
    """An update tried on a copy that stands beside the journal meanwhile. Raises TpsdError."""
    from tpsd.offline import copy_journal, try_update

    journal = store_path(config)
    copy = journal.with_name(f".{journal.name}-try-{secrets.token_hex(4)}")
    try:
        try:
            await tell(config.admin.socket, "/store/backup", {"file": str(copy)}, seconds=None)
        except NoDaemonError:
            await copy_journal(config, copy)
        return await asyncio.to_thread(try_update, config, copy)
    finally:
        for left in journal.parent.glob(f"{copy.name}*"):
            left.unlink(missing_ok=True)


async def _check(socket: Path | None, config: Path | None) -> list[dict[str, Any]]:
    try:
        answer = await tell(socket_path(socket, config), "/store/check", {}, seconds=None)
        return list(answer["findings"])
    except NoDaemonError:
        loaded = _without_daemon(config)
    from tpsd.offline import check_journal

    return list(plain(await check_journal(loaded)))


async def _prune(socket: Path | None, config: Path | None, days: int, dry: bool) -> dict[str, Any]:
    try:
        asked = {"older_than_days": days, "dry_run": dry}
        return await tell(socket_path(socket, config), "/store/prune", asked, seconds=None)
    except NoDaemonError:
        loaded = _without_daemon(config)
    from tpsd.app import open_journal

    by = myself("store prune", f"older than {days} days")
    async with open_journal(loaded) as journal:
        return dict(plain(await journal.upkeep.prune(days * DAY, by.at, by, dry=dry)))


async def _backup(socket: Path | None, config: Path | None, target: Path) -> dict[str, Any]:
    try:
        return await tell(socket_path(socket, config), "/store/backup", {"file": str(target)}, seconds=None)
    except NoDaemonError:
        loaded = _without_daemon(config)
    from tpsd.app import open_journal

    async with open_journal(loaded) as journal:
        return dict(plain(await journal.upkeep.backup(target, myself("store backup", "asked for"))))


def _without_daemon(config: Path | None) -> Configuration:
    """The configuration whose journal is used directly. Raises ConfigError when none was named."""
    if config is None:
        raise ConfigError("no daemon runs there; name its configuration with --config to use the journal itself")
    complain("no daemon runs; using its journal")
    return load(config)


def _findings(found: list[dict[str, Any]]) -> Table:
    table = Table("rule", "how many", "what", "for example")
    for finding in found:
        table.add_row(finding["rule"], str(finding["count"]), finding["what"], _examples(finding))
    return table


def _examples(finding: Mapping[str, Any]) -> str:
    return "\n".join(finding["examples"][:5])
