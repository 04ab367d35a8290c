"""``tpsd report``: taps, outcomes and money by day, lane, kind and code, as a table, CSV or JSON."""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from tpsd.admin.reporting import DEFAULT_BY, PATH, Asked, AskedWronglyError, Question, read, report_page
from tpsd.admin.spans import FORMS
from tpsd.cli.command import AsJson, Command, ConfigFile, Socket, complain, console, emit, folding
from tpsd.cli.inspect import answer
from tpsd.cli.resting import amounts
from tpsd.core.reporting import OUTCOMES, SUMS
from tpsd.core.story.words import spelt
from tpsd.domain.reported import Column
from tpsd.domain.time import Micros

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        help=f"Split by {', '.join(column.value for column in Column)}: several with commas, or the option again; "
        f"default {DEFAULT_BY[0].value}.",
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", help=f"Only what was tapped since {FORMS}; this machine's zone, unless named.")
]
Until = Annotated[
    str | None, typer.Option("--until", help="Only what was tapped before that; a day is in it to its end.")
]


class Format(Enum):
    """How a report is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


How = Annotated[Format | None, typer.Option("--format", help="Default table; amounts in CSV and JSON are minor units.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", cls=Command)(report)


def report(
    by: By = None,
    since: Since = None,
    until: Until = None,
    how: How = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Report taps, outcomes and money by day, lane, kind or code, of all that the journal keeps whole."""
    if as_json and how not in (None, Format.JSON):
        raise typer.BadParameter("is JSON where --json is given; leave one of them out", param_hint="--format")
    asked = Asked(",".join(by or ()), since, until)
    question = _read(asked)

    async def from_journal(journal: Reading) -> dict[str, Any]:
        return await report_page(journal.counts, question)

    params = {"by": asked.by, "since": since, "until": until}
    given = {name: value for name, value in params.items() if value is not None}
    found = asyncio.run(answer(socket, config, PATH, given, from_journal, seconds=None))
    if as_json or how is Format.JSON:
        emit(found)
    elif how is Format.CSV:
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows(found))
    else:
        _show(found)


def rows(found: Mapping[str, Any]) -> Iterator[list[str | int]]:
    """A header, then one row a line of the report, without totals: whatever reads it makes its own."""
    names = _names(found)
    outcomes = [outcome.lower().replace(" ", "_") for outcome in OUTCOMES]
    yield [*names, "currency", "taps", "untapped", *outcomes, *(f"{name}_amount" for name in SUMS)]
    for line in found["lines"]:
        counts = [line["outcomes"].get(outcome, 0) for outcome in OUTCOMES]
        sums = [line["money"][name] for name in SUMS]
        yield [*(line[name] for name in names), line["currency"], line["taps"], line["untapped"], *counts, *sums]


def taps_table(found: Mapping[str, Any]) -> Table:
    """Counts, and their totals by currency; an outcome that nothing came to has no column."""
    outcomes = [name for name in OUTCOMES if any(name in line["outcomes"] for line in found["totals"])]
    untapped = ["untapped"] if any(line["untapped"] for line in found["totals"]) else []
    headers = ["taps", *untapped, *outcomes]

    def cells(line: Mapping[str, Any]) -> list[str]:
        counts = [line["taps"], *(line[name] for name in untapped), *(line["outcomes"].get(one, 0) for one in outcomes)]
        return [f"{count:,}" if count else "" for count in counts]

    return _table("Taps", found, headers, cells)


def money_table(found: Mapping[str, Any]) -> Table:
    """Sums, and their totals by currency; one that is nothing everywhere has no column."""
    sums = [name for name in SUMS if any(line["money"][name] for line in found["totals"])]

    def cells(line: Mapping[str, Any]) -> list[str]:
        moved = ((line["money"][name], line["currency"]) for name in sums)
        return [amounts({currency: amount}) if amount else "" for amount, currency in moved]

    return _table("Money", found, [spelt(name) for name in sums], cells)


def _table(
    title: str, found: Mapping[str, Any], headers: Sequence[str], cells: Callable[[Mapping[str, Any]], list[str]]
) -> Table:
    """The lines that have something in a column, and then the totals that have."""
    names = _names(found)
    shown = Table(*names, title=title)
    for header in headers:
        shown.add_column(header, justify="right")
    for part in (found["lines"], found["totals"]):
        for line in part:
            if any(row := cells(line)):
                shown.add_row(*(line.get(name, "") for name in names), *row)
        shown.add_section()
    return folding(shown)


def _read(asked: Asked) -> Question:
    try:
        return read(asked, Micros(time.time_ns() // 1000))
    except AskedWronglyError as exc:
        raise typer.BadParameter(str(exc), param_hint=f"--{exc.option}") from exc


def _show(found: Mapping[str, Any]) -> None:
    if not found["lines"]:
        complain("nothing was tapped in that time, or nothing of it is kept any more")
        return
    console().print(taps_table(found))
    if any(any(line["money"].values()) for line in found["totals"]):
        console().print(money_table(found))


def _names(found: Mapping[str, Any]) -> Sequence[str]:
    """The columns it is split by; a code's meaning stands beside it."""
    return [one for name in found["by"] for one in ((name, "meaning") if name == Column.CODE.value else (name,))]
