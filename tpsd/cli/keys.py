"""``tpsd keys``: device keys by check value, never the keys themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tpsd.admin.client import ask, tell
from tpsd.admin.keys import DOCUMENT_BYTES_MAX, KEYS_PATH
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
from tpsd.errors import RefusedError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name="keys", cls=CommandGroup, help="Device keys, shown by check value alone.", no_args_is_help=True
    )
    group.command("list", cls=Command)(list_keys)
    group.command("import", cls=Command)(import_keys)
    group.command("retire", cls=Command)(retire)
    app.add_typer(group)


def list_keys(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the device keys that came from TPS or by hand: check value, index, whether it is the one in force."""
    found = asyncio.run(ask(socket_path(socket, config), KEYS_PATH))
    if as_json:
        emit(found)
        return
    for kind, check in found["in_force"].items():
        console().print(f"{kind} in force: check value {check}", markup=False)
    for use in found["uses"]:
        stands = f"{use['listed']} denied cards, {use['journeys']} journeys under way"
        console().print(f"SALT {use['version']}: {stands}", markup=False)
    console().print(folding(_table(found["keys"])))


def import_keys(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Key objects as Sfey gives them, in JSON: one or a list.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Your own words for the audit; no card data.")] = "",
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take device keys from a file: all of them, or none. They are sealed at once; then remove the file."""
    body = {"document": _document(file), "why": audit_words(reason)}
    found = asyncio.run(tell(socket_path(socket, config), KEYS_PATH, body))
    if as_json:
        emit(found)
        return
    retired = f", {found['retired']} of them retired" if found["retired"] else ""
    console().print(f"{found['new']} sealed, {found['known']} there already{retired}")


def retire(
    number: Annotated[int, typer.Argument(metavar="KEY", help="Its number, as 'tpsd keys list' shows it.", min=1)],
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes to the audit. No card data.")],
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Destroy a device key that is no longer needed; its line stays, and it is not taken again."""
    body = {"why": audit_words(reason, required=True)}
    found = asyncio.run(tell(socket_path(socket, config), f"{KEYS_PATH}/{number}/retire", body))
    emit(found) if as_json else console().print(f"key {number} ({found['type']}) is retired", markup=False)


def _document(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as exc:
        raise RefusedError(f"{file} cannot be read ({exc.strerror}); nothing was changed") from exc
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RefusedError(f"{file} is larger than {DOCUMENT_BYTES_MAX:,} bytes; give the keys in several files")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise RefusedError(f"{file} is not UTF-8; write the key objects as Sfey gives them, in JSON") from exc


def _table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("key", "type", "check value", "index", "format", "terminal", "received", "state", "why")
    for row in rows:
        state = next((word for word in ("in_force", "honoured") if row[word]), "")
        state = state or ("kept" if row["retired_at"] is None else "retired")
        state += ", refused by TPS" if row["refused_at"] is not None and row["retired_at"] is None else ""
        table.add_row(
            str(row["id"]),
            row["type"],
            row["check_value"] or "as received",
            row["index"],
            row["format"],
            row["terminal"] or "all",
            moment(row["received_at"]),
            state.replace("_", " "),
            row["why"],
        )
    return table
