"""The other ends, for trying tpsd without hardware and without Sfey: a validator, a reader, and TPS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from device.vivopay.commands import SERIAL_SIZE
from device.vl1.limits import SERIAL_MAX
from tpsd.cli import simulate_reader
from tpsd.cli.command import FAILED, AsJson, Command, CommandGroup, complain, console, emit
from tpsd.cli.simulate_tps import DenyFile, parse_listen, serve
from tpsd.cli.simulate_validator import Plan, Report, run_validator
from tpsd.cli.simulated import Answers
from tpsd.cli.token_file import read_tokens, report_bad
from tpsd.sfey.fates import OTHERWISE, RULES

AMOUNT_MAX = 999_999_999_999  # 9F02 has twelve digits
BOOT_MAX = 0xFFFF_FFFF  # four bytes in HELLO and in each tap's name
BAUD_MAX = 4_000_000  # the fastest that Linux has a constant for
SECONDS_MAX = 86_400.0

_SERIAL_HELP = "What it calls itself in HELLO."


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(
        cls=CommandGroup,
        help="Simulated other ends: a validator, a reader, TPS.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("validator", cls=Command)(validator)
    group.command("reader", cls=Command)(reader)
    group.command("tps", cls=Command)(tps)
    app.add_typer(group, name="simulate")


def _name(text: str) -> str:
    if not text or not text.isprintable() or len(text.encode(errors="replace")) > SERIAL_MAX:
        raise typer.BadParameter(f"is not 1 to {SERIAL_MAX} bytes of printable text; give another name")
    return text


def _currency(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isdigit()):
        raise typer.BadParameter("is not three digits; give ISO 4217's number, as 978")
    return text


def validator(
    port: str = typer.Option(..., help="A serial device or a pty."),
    serial: str = typer.Option("VAL00042", callback=_name, help=_SERIAL_HELP),
    type_name: str = typer.Option("GATE-X1", "--type", callback=_name, help="Its type name."),
    taps: int = typer.Option(1, min=0, help="How many taps to make."),
    interval: float = typer.Option(1.0, min=0, max=SECONDS_MAX, help="Seconds between two taps."),
    seed: int = typer.Option(1, help="Chooses cards and cryptograms."),
    amount: list[int] = typer.Option(
        [], min=0, max=AMOUNT_MAX, help="Minor units, in turn; none: the lane's fare. May be repeated."
    ),
    currency: str = typer.Option("978", callback=_currency, help="ISO 4217 numeric."),
    baud: int = typer.Option(115_200, min=9_600, max=BAUD_MAX, help="Bits per second."),
    patience: float = typer.Option(
        0.5, min=0, max=SECONDS_MAX, help="Seconds without a verdict after which it lets people in; 0: never."
    ),
    boot: int | None = typer.Option(
        None, min=1, max=BOOT_MAX, help="Boot counter; default from the clock, so that no run repeats."
    ),
    as_json: AsJson = False,
) -> None:
    """Be a validator: make taps with scheme test cards, print each verdict, end when all have one."""
    plan = Plan(
        serial=serial,
        type_name=type_name,
        taps=taps,
        interval=interval,
        seed=seed,
        amounts=tuple(amount),
        currency=currency,
        baud=baud,
        patience=patience or None,
        boot=boot or int(time.time()),
    )
    report = Report()
    _play(run_validator(port, plan, report, None if as_json else typer.echo))
    if as_json:
        emit(report.summary(plan))
    _miss(report, taps, "taps have no verdict")


def _reader_name(text: str) -> str:
    if not (text.isascii() and text.isprintable() and 0 < len(text) <= SERIAL_SIZE):
        raise typer.BadParameter(f"is not 1 to {SERIAL_SIZE} printable ASCII characters; give another number")
    return text


def reader(
    port: str = typer.Option(..., help="A serial device or a pty."),
    serial: str = typer.Option("630Z000001", callback=_reader_name, help="Its serial number."),
    taps: int = typer.Option(1, min=0, help="How many cards to read."),
    interval: float = typer.Option(1.0, min=0, max=SECONDS_MAX, help="Seconds between a verdict and the next card."),
    seed: int = typer.Option(1, help="Chooses cards."),
    encrypted: bool = typer.Option(False, "--encrypted", help="Cards as a reader with a key gives them."),
    baud: int = typer.Option(115_200, min=9_600, max=BAUD_MAX, help="Bits per second."),
    as_json: AsJson = False,
) -> None:
    """Be a ViVOpay reader: read scheme test cards, print what it is told to show, end when all were answered."""
    plan = simulate_reader.Plan(serial, taps, interval, seed, encrypted, baud, first=time.time_ns() // 1_000_000)
    report = simulate_reader.Report()
    _play(simulate_reader.run_reader(port, plan, report, None if as_json else typer.echo))
    if as_json:
        emit(report.summary(plan))
    _miss(report, taps, "cards were not answered")


def _play(run: Coroutine[Any, Any, None]) -> None:
    """To its end or to Ctrl-C, which leaves a report as well."""
    try:
        asyncio.run(run)
    except KeyboardInterrupt:
        complain("interrupted")


def _miss(answers: Answers, taps: int, what: str) -> None:
    """Fail where some have no row."""
    if len(answers.rows) < taps:
        complain(f"{taps - len(answers.rows)} of {taps} {what}")
        raise typer.Exit(FAILED)


def tps(
    listen: str = typer.Option("127.0.0.1:8443", help="HOST:PORT on loopback; port 0 takes a free one."),
    tls_dir: Path | None = typer.Option(
        None, help="Folder for the certificates: made there unless present; client certificates are then required."
    ),
    ledger: Path | None = typer.Option(None, help="File to which every request and charge is appended."),
    deny_list: Path | None = typer.Option(
        None, help="File of card tokens, one a line, that its update feed lists; SIGHUP reads it anew."
    ),
    fates: bool = typer.Option(False, "--fates", help="Print what each amount does, and leave."),
    as_json: AsJson = False,
) -> None:
    """Be TPS on this machine until Ctrl-C: keep a ledger of charges, take each fate from the amount."""
    if fates:
        _show_fates(as_json)
        return
    try:
        host, port = parse_listen(listen)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--listen") from exc
    totals = asyncio.run(serve(host, port, tls_dir, ledger, complain, _deny_file(deny_list, as_json)))
    if as_json:
        emit(totals)
    else:
        console().print(", ".join(f"{name} {number}" for name, number in totals.items()))


def _deny_file(path: Path | None, as_json: bool) -> DenyFile | None:
    if path is None:
        return None
    listed = read_tokens(path)
    if listed.bad:
        report_bad(path, listed, "TPS was not started", as_json)
        raise typer.Exit(FAILED)
    return DenyFile(path, listed)


def _show_fates(as_json: bool) -> None:
    if as_json:
        emit({"fates": [{"first": rule.first, "last": rule.last, "fate": rule.text} for rule in RULES]})
        return
    table = Table("amount", "what happens", caption=OTHERWISE)
    for rule in RULES:
        table.add_row(str(rule.first) if rule.first == rule.last else f"{rule.first} to {rule.last}", rule.text)
    console().print(table)
