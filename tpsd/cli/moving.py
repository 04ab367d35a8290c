"""``tpsd store copy``: the journal into another database."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.values import POSTGRES, StoreUrl
from tpsd.admin.plain import plain
from tpsd.cli.command import CONFIG_VARIABLE, AsJson, audit_words, console, emit, myself
from tpsd.config import load
from tpsd.domain.upkeep import Moved

_SHOWN = 12  # digits of a digest: enough to see by eye that two are the same
_MOVE_BYTES = 8  # of a move's id: two moves of one journal never share one


def copy(
    source: str = typer.Option(..., "--from", metavar="URL", help="sqlite:///… of the journal, with no daemon on it."),
    target: str = typer.Option(..., "--to", metavar="URL", help="postgresql://… of an empty database."),
    config: Path = typer.Option(..., "--config", envvar=CONFIG_VARIABLE, help="Whose keys open the journal."),
    reason: str = typer.Option("", help="Why; it stands in the audit table."),
    as_json: AsJson = False,
) -> None:
    """Move the journal from its file into a PostgreSQL database, with no daemon running.

    One that was interrupted goes on when it is called again. No daemon runs on the file afterwards.
    """
    from tpsd.database import database_at
    from tpsd.moving import move_journal

    file, url = _file(source), _database(target)
    loaded = load(config)
    database = database_at(url, loaded)
    by = myself("store copy", audit_words(reason) or "asked for")
    with _bar() as told:
        moved = move_journal(loaded, file, database, secrets.token_hex(_MOVE_BYTES), by, told)
    if as_json:
        emit(dict(plain(moved)))
        return
    if moved.tables:
        console().print(_compared(moved))
    console().print(
        f"the journal is in {moved.database} now: name it as [store] url and start tpsd. No daemon runs on {file} any "
        "more; when all is well, destroy it and the epoch keys in epoch_dir"
    )


def _file(url: str) -> Path:
    if _journal(url, "--from").startswith(POSTGRES):
        raise typer.BadParameter(
            "is a PostgreSQL database: a journal moves there, and not back; give sqlite:///…", param_hint="--from"
        )
    return Path("/" + url.removeprefix("sqlite:///").lstrip("/"))


def _database(url: str) -> str:
    if not _journal(url, "--to").startswith(POSTGRES):
        raise typer.BadParameter(
            "is a file: 'tpsd store backup' copies a journal into one; give postgresql://…", param_hint="--to"
        )
    return url


def _journal(url: str, option: str) -> str:
    try:
        return str(TypeAdapter(StoreUrl).validate_python(url))
    except ValidationError as exc:
        raise typer.BadParameter(str(exc.errors()[0]["ctx"]["error"]), param_hint=option) from None


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("copying", total=None)
        yield lambda table, done, total: bar.update(task, description=table, completed=done, total=total)


def _compared(moved: Moved) -> Table:
    shown = Table("table", "rows", "rows there", "digest", "digest there")
    for table in moved.tables:
        shown.add_row(
            table.table,
            str(table.rows),
            str(table.rows_there),
            table.digest[:_SHOWN],
            table.digest_there[:_SHOWN],
        )
    return shown
