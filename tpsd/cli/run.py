"""The daemon, and its demonstration."""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from rich.live import Live

from tpsd.cli.command import CONFIG_VARIABLE, FAILED, AsJson, Command, complain, console, emit
from tpsd.cli.dashboard import dashboard
from tpsd.config import load, warnings
from tpsd.log import configure


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", cls=Command)(run)
    app.command("demo", cls=Command)(demo)


def run(
    config: Path = typer.Option(..., "--config", envvar=CONFIG_VARIABLE, help="The configuration file."),
    log_level: str = typer.Option("info", help="debug, info, warning or error."),
    as_json: AsJson = False,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. It logs to standard error, in JSON unless that is a terminal."""
    from tpsd.process import run as run_daemon

    if log_level.lower() not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter("choose debug, info, warning or error", param_hint="--log-level")
    loaded = load(config)
    configure(log_level, json=as_json or not sys.stderr.isatty())
    for warning in warnings(loaded):
        complain(f"warning: {warning}")
    code = run_daemon(loaded, lambda: load(config))
    if as_json:
        emit({"exit_code": code})
    raise typer.Exit(code)


def demo(
    taps: int = typer.Option(60, min=1, max=10_000, help="How many taps of mixed fates."),
    seed: int = typer.Option(1, help="The same seed gives the same taps and fates."),
    keep: bool = typer.Option(False, help="Keep the temporary folder with journal, keys and mails."),
    record: Path | None = typer.Option(None, help="A folder for the daemon's tap log, for 'tpsd replay'."),
    as_json: AsJson = False,
) -> None:
    """Show the whole path on this machine alone: validators, TPS, SMTP server and daemon."""
    from tpsd.cli.demonstration import show_result
    from tpsd.demo import run as run_demo

    configure("error", json=False)
    if as_json:
        result = run_demo(taps, seed, keep, record=record)
    else:
        with Live(console=console(), refresh_per_second=10, transient=True) as live:
            result = run_demo(taps, seed, keep, lambda status: live.update(dashboard(status)), record)
        show_result(result)
    if result.folder is not None:
        complain(f"kept: {result.folder}")
    if as_json:
        emit(result.summary)
    raise typer.Exit(0 if result.good else FAILED)
