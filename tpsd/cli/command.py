"""What all commands share: one JSON object at the end, one line for what went wrong, and where the daemon is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from tpsd.config import load
from tpsd.errors import TpsdError

DEFAULT_SOCKET = Path("/run/tpsd/tpsd.sock")
CONFIG_VARIABLE = "TPSD_CONFIG"
PIPED_COLUMNS = 200  # characters: tables that go to a file or a pipe must not lose columns

FAILED = 1
WRONG_USE = 2

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of standard output.")]
Socket = Annotated[
    Path | None, typer.Option("--socket", help="The daemon's unix socket; default what the configuration says.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar=CONFIG_VARIABLE, help="The daemon's configuration file.")
]


class Command(TyperCommand):
    """A command whose errors are for people: no traceback, exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run it; a TpsdError becomes its text."""
        try:
            return super().invoke(ctx)
        except TpsdError as exc:
            complain(str(exc))
            if ctx.params.get("as_json"):
                emit({"error": str(exc)})
            raise typer.Exit(FAILED) from exc


def emit(value: dict[str, Any]) -> None:
    """The one JSON object of a command, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One thing a person must know, on standard error."""
    typer.echo(f"tpsd: {text}", err=True)


def console() -> Console:
    """Standard output for tables."""
    return Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS, highlight=False)


def socket_path(socket: Path | None, config: Path | None) -> Path:
    """``--socket``, else the configuration's, else the default. Raises ConfigError for a bad configuration."""
    if socket is not None:
        return socket
    return load(config).admin.socket if config is not None else DEFAULT_SOCKET
