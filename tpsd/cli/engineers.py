"""Commands for engineers: read a TLV string, classify an answer, print the ladder."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any, NoReturn

import typer
from rich.table import Table

from device.tlv import Tlv, TlvError, decode_counted
from tpsd.cli.command import WRONG_USE, AsJson, Command, ConfigFile, complain, console, emit
from tpsd.config import ladder as ladder_of
from tpsd.config import load
from tpsd.core import enquiry, texts
from tpsd.core.outcomes import advise, explain
from tpsd.core.retry import DEFAULT_LADDER, minutes
from tpsd.domain.outcome import Answer
from tpsd.emv.showing import show
from tpsd.emv.tags import name as tag_name

HEX_CHARACTERS_MAX = 65_536  # characters: eight times what the largest frame holds


class YesNo(Enum):
    """What ``approved`` said."""

    TRUE = "true"
    FALSE = "false"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tlv", cls=Command)(tlv)
    app.command("classify", cls=Command)(classify)
    app.command("ladder", cls=Command)(ladder)


def tlv(
    text: str = typer.Argument(metavar="HEX", help="BER-TLV as hex, white space allowed; - reads standard input."),
    vendor_lengths: bool = typer.Option(False, help="Read ID TECH's marked lengths (masked A0+n, encrypted C0+n)."),
    as_json: AsJson = False,
) -> None:
    """Decode BER-TLV; card data is masked."""
    try:
        found = decode_counted(read_hex(text, as_json), vendor_lengths=vendor_lengths)
    except TlvError as exc:
        _refuse(str(exc), exc.offset, None if exc.tag is None else f"{exc.tag:02X}", as_json)
    if as_json:
        emit({"tlvs": [plain_tlv(item) for item in found.items], "padding": found.padding})
        return
    table = Table("tag", "name", "length", "form", "value")
    _add_rows(table, found.items, 0)
    console().print(table)


def classify(
    http: int = typer.Option(..., min=100, max=599, help="HTTP status."),
    approved: YesNo | None = typer.Option(None, case_sensitive=False, help="transactionResultData.approved"),
    action_code: str | None = typer.Option(None, help="transactionResultData.actionCode"),
    system_code: int | None = typer.Option(None, min=0, help="systemCode"),
    to_enquiry: bool = typer.Option(False, "--enquiry", help="The answer is to an enquiry, not to a send."),
    as_json: AsJson = False,
) -> None:
    """Say what an answer of TPS means and what becomes of the tap."""
    said = None if approved is None else approved is YesNo.TRUE
    if to_enquiry:
        _classify_enquiry(Answer(http, said, action_code, system_code), as_json)
        return
    rule, outcome = explain(Answer(http, said, action_code, system_code))
    advice = advise(outcome, texts.load("en"))
    result: dict[str, Any] = {
        "outcome": advice.outcome,
        "deferred": advice.deferred,
        "realtime": advice.realtime,
        "text": advice.text,
        "cause": outcome.cause,
        "may_have_charged": not outcome.clean,
        "alarm": outcome.loud,
        "rule": rule.number,
    }
    if as_json:
        emit(result)
        return
    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, str(value))
    table.add_row("rule says", f"{rule.when}: {rule.then}")
    console().print(table)


def _classify_enquiry(answer: Answer, as_json: bool) -> None:
    by, heard = enquiry.explain(answer)
    result = {"finding": heard.finding.value, "cause": heard.outcome.cause, "rule": by.number, "rule says": by.when}
    if as_json:
        emit(result)
        return
    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, str(value))
    console().print(table)


def ladder(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print at which minutes after its first send a tap is sent again."""
    tiers = DEFAULT_LADDER if config is None else ladder_of(load(config))
    due = minutes(tiers)
    if as_json:
        emit({"minutes": due})
        return
    table = Table("send", "minute", "hours", title="The ladder, without jitter")
    for number, minute in enumerate(due, start=1):
        table.add_row(str(number), f"{minute:g}", f"{minute / 60:.2f}")
    console().print(table)


def read_hex(text: str, as_json: bool) -> bytes:
    """The bytes of an argument in hex, or of standard input for ``-``; bad input leaves the command with its offset."""
    return _bytes(_input(text), as_json)


def _input(text: str) -> str:
    return sys.stdin.read(HEX_CHARACTERS_MAX + 1) if text == "-" else text


def _bytes(text: str, as_json: bool) -> bytes:
    digits = "".join(text.split())
    if len(digits) > HEX_CHARACTERS_MAX:
        _refuse("more hex than any frame holds", HEX_CHARACTERS_MAX // 2, None, as_json)
    for place, character in enumerate(digits):
        if character not in "0123456789abcdefABCDEF":
            _refuse(
                f"not hex at offset {place // 2}: give hex digits, or - for standard input", place // 2, None, as_json
            )
    if len(digits) % 2:
        _refuse(
            f"half a byte at offset {len(digits) // 2}: the number of digits is odd", len(digits) // 2, None, as_json
        )
    return bytes.fromhex(digits)


def _refuse(error: str, offset: int, tag: str | None, as_json: bool) -> NoReturn:
    complain(error)
    if as_json:
        emit({"error": error, "offset": offset, "tag": tag})
    raise typer.Exit(WRONG_USE)


def plain_tlv(item: Tlv) -> dict[str, Any]:
    """One object as JSON types, its value masked."""
    return {
        "tag": f"{item.tag:02X}",
        "length": len(item.value),
        "value": show(item) if item.children is None else None,
        "name": tag_name(item.tag),
        "form": item.form.value,
        "children": None if item.children is None else [plain_tlv(child) for child in item.children],
    }


def _add_rows(table: Table, items: tuple[Tlv, ...], depth: int) -> None:
    for item in items:
        value = show(item) if item.children is None else ""
        table.add_row(
            f"{'  ' * depth}{item.tag:02X}", tag_name(item.tag) or "", str(len(item.value)), item.form.value, value
        )
        _add_rows(table, item.children or (), depth + 1)
