"""``tpsd report``: taps, outcomes and money by day, lane, kind and code, as a table, CSV or JSON."""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
    from tpsd.store.viewing import JournalView

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

    async def from_journal(journal: JournalView) -> dict[str, Any]:
        return await report_page(journal.counts, question)

    params = {"by": asked.by, "since": since, "until": until}
    given = {name: value for name, value in params.items() if value is not None}
    found = asyncio.run(answer(socket, config, PATH, given, from_journal, seconds=None))
    if as_json or how is Format.JSON:
        emit(found)
    elif how is Format.CSV:
        csv.writer(sys.stdout).writerows(rows(found))
    else:
        _show(found)


def rows(found: Mapping[str, Any]) -> Iterator[list[str | int]]:
    """A header, then one row a line of the report, without totals: whatever reads it makes its own."""
    names = _names(found)
    yield [*names, "currency", "taps", "untapped", *(outcome.replace(" ", "_") for outcome in OUTCOMES), *SUMS]
    for line in found["lines"]:
        counts = [line["outcomes"].get(outcome, 0) for outcome in OUTCOMES]
        sums = [line["money"][name] for name in SUMS]
        yield [*(line[name] for name in names), line["currency"], line["taps"], line["untapped"], *counts, *sums]


def table(found: Mapping[str, Any]) -> Table:
    """The lines and their totals by currency; outcomes and sums that are nowhere have no column."""
    names = _names(found)
    outcomes = [name for name in OUTCOMES if any(name in line["outcomes"] for line in found["totals"])]
    sums = [name for name in SUMS if any(line["money"][name] for line in found["totals"])]
    untapped = ["untapped"] if any(line["untapped"] for line in found["totals"]) else []
    shown = Table(*names, title="Report")
    for name in ("taps", *untapped, *outcomes, *map(spelt, sums)):
        shown.add_column(name, justify="right")
    for part in (found["lines"], found["totals"]):
        for line in part:
            counts = [line["taps"], *(line[name] for name in untapped), *(line["outcomes"].get(n, 0) for n in outcomes)]
            shown.add_row(
                *(line.get(name, "") for name in names),
                *(f"{count:,}" if count else "" for count in counts),
                *(_amount(line, name) for name in sums),
            )
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
    console().print(table(found))


def _names(found: Mapping[str, Any]) -> Sequence[str]:
    """The columns it is split by; a code's meaning stands beside it."""
    return [one for name in found["by"] for one in ((name, "meaning") if name == Column.CODE.value else (name,))]


def _amount(line: Mapping[str, Any], name: str) -> str:
    amount = line["money"][name]
    return amounts({line["currency"]: amount}) if amount else ""
