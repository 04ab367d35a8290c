"""``tpsd receipt``: a tap's receipt as plain text for a narrow printer, or as JSON."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from tpsd.admin.journeys import receipt_page
from tpsd.cli.command import AsJson, Command, ConfigFile, Socket, emit
from tpsd.cli.inspect import TapName, answer, segment
from tpsd.cli.resting import amounts
from tpsd.config import labels, load
from tpsd.core.receipts import Labels

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

COLUMNS = 40  # characters: a narrow thermal printer's line
LABEL_COLUMNS = 10  # the longest label and a space

_KINDS = {
    "MTT": "transit",
    "KFT": "known fare",
    "RETAIL_PAYMENT": "payment",
    "RETAIL_CHECK_IN": "check-in",
    "RETAIL_CHECK_OUT": "check-out",
    "RETAIL_REFUND": "refund",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("receipt", cls=Command)(receipt)


def receipt(
    tap: TapName,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a tap's receipt, whatever became of it: plain text of 40 columns, or JSON."""

    async def read(journal: Reading) -> dict[str, Any]:
        in_force = Labels() if config is None else labels(load(config))
        return receipt_page(await journal.journeys.receipt(tap), in_force)

    found = asyncio.run(answer(socket, config, f"/receipts/{segment(tap)}", {}, read))
    emit(found) if as_json else typer.echo("\n".join(lines(found)))


def lines(found: Mapping[str, Any]) -> list[str]:
    """The receipt, no line longer than COLUMNS. It takes the JSON that the socket gives."""
    parts = [_head(found), _payment(found), _card(found), _journey(found["journey"], found), _refunds(found)]
    shown = [list(part) for part in parts]
    return [line for number, part in enumerate(filter(None, shown)) for line in ([""] if number else []) + part]


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrapped(found["merchant"])
    yield from _wrapped(found["alias"])
    yield from _times(found)


def _payment(found: Mapping[str, Any]) -> Iterator[str]:
    charged = "Held" if found["kind"] == "RETAIL_CHECK_IN" else "Charged"
    yield from _labelled("Kind", _KINDS.get(found["kind"], found["kind"]))
    yield from _labelled("Amount", _money(found, found["amount"]))
    yield from _labelled(charged, _money(found, found["charged"]) or "not known")
    yield from _labelled("Result", found["result"])
    yield from _labelled("Shown", None if found["verdict"] is None else found["verdict"].replace("_", " "))
    yield from _labelled("Why", f"{found['words']} ({found['why']})" if found["why"] else None)
    code = found["action_code"]
    yield from _labelled("Action", None if code is None else f"{code}: {found['action'] or 'not in the table'}")


def _card(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _labelled("Card", found["card"])
    for name in ("aid", "tvr", "tsi", "arc", "iad"):
        value = found[name]
        yield from _labelled(name.upper(), None if value is None else value.upper())
    yield from _labelled("Tap", found["tap_id"] or str(found["tap"]))
    yield from _labelled("UUID", found["uuid"])


def _journey(ends: Mapping[str, Any] | None, found: Mapping[str, Any]) -> Iterator[str]:
    if ends is None:
        return
    yield from _wrapped(f"Journey {ends['number']}: {ends['state'].replace('_', ' ')}")
    yield from _line("Check-in", ends["check_in"], ends)
    if ends["check_out"] is None:
        yield from _labelled("Check-out", "none yet")
    else:
        yield from _line("Check-out", ends["check_out"], ends)


def _refunds(found: Mapping[str, Any]) -> Iterator[str]:
    for refund in found["refunds"]:
        yield from _line("Refund" if refund["kind"] == "RETAIL_REFUND" else "Release", refund, found)
        yield from _labelled("UUID", refund["uuid"])


def _line(label: str, line: Mapping[str, Any], money: Mapping[str, Any]) -> Iterator[str]:
    yield from _labelled(label, f"{_money(money, line['amount'])}, {line['result']}")
    yield from (f"  {time}" for time in _times(line))
    by = "by hand" if line["by"] == "hand" else "by tpsd" if line["by"] == "itself" else None
    for what in filter(None, (line["lane"], line["zone"], by)):
        yield from _wrapped(what, "  ")


def _times(found: Mapping[str, Any]) -> Iterator[str]:
    """Seconds are enough on paper: UTC, then the local time with its offset."""
    yield f"{found['time'][:19].replace('T', ' ')} UTC"
    local = found["local_time"]
    yield f"{local[:19].replace('T', ' ')} {local[23:]} local"


def _money(found: Mapping[str, Any], amount: int | None) -> str:
    return "" if amount is None else amounts({found["currency"] or "": amount}).strip()


def _labelled(label: str, value: str | None) -> Iterator[str]:
    """The value beside its label; below it where one word of it is too long for that."""
    if not value:
        return
    value = _printable(value)
    room = COLUMNS - LABEL_COLUMNS
    if max(map(len, value.split()), default=0) > room:
        yield label
        yield from _wrapped(value, "  ")
        return
    first, *rest = textwrap.wrap(value, room) or [""]
    yield f"{label:<{LABEL_COLUMNS}}{first}"
    yield from (" " * LABEL_COLUMNS + line for line in rest)


def _wrapped(text: str, indent: str = "") -> Iterable[str]:
    return textwrap.wrap(_printable(text), COLUMNS, initial_indent=indent, subsequent_indent=indent)


def _printable(text: str) -> str:
    """A stop's name comes from a validator: nothing of it may steer a printer or a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
