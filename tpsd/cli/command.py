"""What all commands share: one JSON object at the end, one line for what went wrong, and where the daemon is."""

from __future__ import annotations

import json
import os
import pwd
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from tpsd.config import load
from tpsd.domain.audit import AuditDraft, may_hold_card_number
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import TpsdError

DEFAULT_SOCKET = Path("/run/tpsd/tpsd.sock")
CONFIG_VARIABLE = "TPSD_CONFIG"
PIPED_COLUMNS = 200  # characters: tables that go to a file or a pipe must not lose columns

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130  # what shells say of SIGINT
_JSON_FLAG = "--json"

AsJson = Annotated[bool, typer.Option(_JSON_FLAG, help="One JSON object as the last line of standard output.")]
Socket = Annotated[
    Path | None, typer.Option("--socket", help="The daemon's unix socket; default what the configuration says.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar=CONFIG_VARIABLE, help="The daemon's configuration file.")
]


class Command(TyperCommand):
    """A command whose errors are for people: no traceback, exit code 1; 2 for a wrong use, 130 for Ctrl-C."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it; a wrong use is told in JSON too where that was asked for."""
        with _told_in_json(_JSON_FLAG in args):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it; a TpsdError becomes its text."""
        as_json = bool(ctx.params.get("as_json"))
        try:
            with _told_in_json(as_json):
                return super().invoke(ctx)
        except TpsdError as exc:
            complain(str(exc))
            if as_json:
                emit({"error": str(exc)})
            raise typer.Exit(FAILED) from exc
        except KeyboardInterrupt as exc:
            complain("interrupted")
            if as_json:
                emit({"error": "interrupted"})
            raise typer.Exit(INTERRUPTED) from exc


class CommandGroup(TyperGroup):
    """A group of commands that tells a wrong use in JSON too where that was asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it."""
        with _told_in_json(_JSON_FLAG in args):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does it."""
        with _told_in_json(_JSON_FLAG in args):
            return super().resolve_command(ctx, args)


@contextmanager
def _told_in_json(asked: bool) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        # Typer names its own classes for a wrong use nowhere in public; what they share is a message for people.
        message = getattr(exc, "format_message", None)
        if asked and message is not None:
            emit({"error": message()})
        raise


def audit_words(reason: str, *, required: bool = False) -> str:
    """A person's reason as the audit may keep it. Raises BadParameter for what could hold a card number, and for none.

    Without ``required`` a reason may be left out.
    """
    if required and not reason.strip():
        raise typer.BadParameter("is empty; say why in a sentence, it goes to the audit", param_hint="--reason")
    if may_hold_card_number(reason):
        raise typer.BadParameter("holds what could be a card number; leave it out", param_hint="--reason")
    return reason


def myself(what: str, why: str) -> AuditDraft:
    """What the audit says of a command that uses the journal itself."""
    uid = os.getuid()
    try:
        who = f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        who = f"uid {uid}"
    return AuditDraft(Micros(int(time.time() * SECOND)), who, what, why)


def emit(value: dict[str, Any]) -> None:
    """The one JSON object of a command, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One thing a person must know, on standard error."""
    typer.echo(f"tpsd: {text}", err=True)


def console() -> Console:
    """Standard output for tables."""
    return Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS, highlight=False, markup=False)


def folding(table: Table) -> Table:
    """The table with every column folding: a cause or UUID that was cut off could not be copied."""
    for column in table.columns:
        column.overflow = "fold"
    return table


def socket_path(socket: Path | None, config: Path | None) -> Path:
    """``--socket``, else the configuration's, else the default. Raises ConfigError for a bad configuration."""
    if socket is not None:
        return socket
    return load(config).admin.socket if config is not None else DEFAULT_SOCKET
