"""The command line. Typer and rich are imported here and nowhere else.

Every command takes ``--json`` and then prints one JSON object as the last line of standard output. What goes
wrong is one clear line on standard error: exit code 1, or 2 for a wrong use or bad input.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

import typer

from tpsd import __version__
from tpsd.cli import (
    check,
    conform,
    denylist,
    doctor,
    engineers,
    explain,
    frame,
    inspect,
    journeys,
    keys,
    lanes,
    orders,
    preflight,
    receipts,
    replaying,
    report,
    resting,
    run,
    simulate,
    terminals,
    upkeep,
    watching,
)
from tpsd.cli.command import FAILED, CommandGroup, complain

app = typer.Typer(
    name="tpsd",
    cls=CommandGroup,
    help="Contactless taps from serial validators to Sfey's TPS: none lost, none charged twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tpsd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    """Contactless taps from serial validators to Sfey's TPS: none lost, none charged twice."""


_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT})

for _part in (
    run, check, doctor, preflight, simulate, inspect, explain, resting, orders, journeys, receipts, report, engineers,
    denylist, upkeep, frame, keys, terminals, watching, lanes, conform, replaying,
):  # fmt: skip
    _part.register(app)


def main() -> None:
    """The entry point of the ``tpsd`` command, whatever its standard output is: a full disk, or closed."""
    if sys.stdout is None:
        sys.stdout = _nowhere()
    try:
        app()
    except OSError as exc:
        if exc.filename is not None or exc.errno not in _OUTPUT_ERRORS:
            raise
        complain(f"standard output cannot be written ({exc.strerror}); the command may have done its work")
        sys.stdout = _nowhere()  # what is left in its buffer would fail again
        sys.exit(FAILED)


def _nowhere() -> TextIO:
    """A standard output that takes everything; it lives as long as the process."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
