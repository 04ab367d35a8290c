"""Looking at what rests and at what was done by hand: ``held``, ``in-doubt``, ``audit``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

import typer
from rich.table import Table

from tpsd.admin.operations import doubts_page
from tpsd.admin.plain import plain
from tpsd.cli.command import AsJson, Command, ConfigFile, Socket, console, emit, folding
from tpsd.cli.inspect import answer
from tpsd.cli.rendering import duration, moment
from tpsd.domain.time import SECOND
from tpsd.operating import Reading

Limit = typer.Option(50, min=1, max=1000, help="At most so many rows.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("held", cls=Command)(held)
    app.command("in-doubt", cls=Command)(in_doubt)
    app.command("audit", cls=Command)(audit)


def held(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List why taps are held: how many, since when, when the next canary goes, and what to do."""

    async def read(journal: Reading) -> dict[str, Any]:
        return {"held": plain(await journal.operations.held())}

    found = asyncio.run(answer(socket, config, "/held", {}, read))
    emit(found) if as_json else console().print(folding(_held_table(found["held"])))


def in_doubt(limit: int = Limit, socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the taps of which nobody knows whether they were charged."""

    async def read(journal: Reading) -> dict[str, Any]:
        return await doubts_page(journal.operations, limit)

    found = asyncio.run(answer(socket, config, "/in-doubt", {"limit": str(limit)}, read))
    if as_json:
        emit(found)
        return
    tables = [_causes_table(found["causes"]), _doubt_table("Taps in doubt", found["in_doubt"])]
    if awaited := found.get("awaiting_tap"):
        tables.append(_doubt_table("Check-outs that may have been charged and wait for a tap", awaited))
    console().print(*(folding(table) for table in tables))


def audit(limit: int = Limit, socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List what was done by hand, newest first: who, when, what, to what, and why."""

    async def read(journal: Reading) -> dict[str, Any]:
        return {"audit": plain(await journal.operations.audited(limit))}

    found = asyncio.run(answer(socket, config, "/audit", {"limit": str(limit)}, read))
    emit(found) if as_json else console().print(folding(_audit_table(found["audit"])))


def amounts(sums: Mapping[str, int]) -> str:
    """``1,234.50 978``: sums of minor units by currency, in hundredths."""
    return ", ".join(f"{amount // 100:,}.{amount % 100:02d} {currency}" for currency, amount in sums.items())


def _held_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    now = time.time_ns() // 1000
    table = Table("cause", "taps", "sum", "since", "new taps", "next canary", "what to do", title="Held")
    for row in rows:
        due = row["canary_due"]
        table.add_row(
            row["cause"],
            f"{row['count']:,}",
            amounts(row["sums"]),
            moment(row["since"]),
            "join" if row["holding"] else "are sent",
            "none" if due is None else duration((due - now) / SECOND),
            row["what_to_do"],
        )
    return table


def _causes_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("cause", "taps", "sum", "since", title="In doubt, by cause")
    for row in rows:
        table.add_row(row["cause"], f"{row['count']:,}", amounts(row["sums"]), moment(row["since"]))
    return table


def _doubt_table(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(
        "tap", "id", "uuid", "lane", "tapped at", "amount", "card", "cause", "sends", "enquiries", "next", "body",
        title=title,
    )  # fmt: skip
    for row in rows:
        table.add_row(
            str(row["number"] or ""),
            row["tap_id"] or "",
            row["uuid"],
            row["lane"],
            moment(row["tapped_at"]),
            amounts({row["currency"]: row["amount"]}),
            row["masked"] or "",
            row["cause"] or "",
            str(row["attempts"]),
            str(row["enquiries"]),
            moment(row["enquiry_due"]),
            "kept" if row["body_kept"] else "gone",
        )
    return table


def _audit_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("when", "who", "what", "subject", "why", title="Done by hand")
    for row in rows:
        table.add_row(moment(row["at"]), row["who"], row["what"], row["subject"], row["why"])
    return table
