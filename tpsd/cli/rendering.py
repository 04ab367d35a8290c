"""Rows and single taps as tables for people. It takes the JSON that the socket gives, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from tpsd.domain.tap import Verdict
from tpsd.domain.time import Micros, iso_millis


def moment(at: Any) -> str:
    """Integer microseconds, or a text as it is; blank for None."""
    return iso_millis(Micros(at)) if isinstance(at, int) else at or ""


def duration(seconds: float | None) -> str:
    """``42 s``, ``7 min``, ``3.5 h``; a due time that has passed is ``now``."""
    if seconds is None:
        return ""
    if seconds <= 0:
        return "now"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def verdict(value: int | None) -> str:
    """The verdict's name; the number of one this version does not know."""
    if value is None:
        return ""
    known = {member.value for member in Verdict}
    return Verdict(value).name.lower() if value in known else str(value)


def taps_table(rows: Iterable[Mapping[str, Any]], *, narrow: bool = False) -> Table:
    """Taps, one a line, in the order given; ``narrow`` leaves out what 80 characters have no room for."""
    if narrow:
        return _narrow_taps(rows)
    table = Table(
        "tap", "id", "lane", "tapped at", "amount", "card", "verdict", "state", "cause", "sends", "due", "uuid"
    )
    for row in rows:
        table.add_row(
            str(row["number"]),
            row["tap_id"] or "",
            row["lane"],
            moment(row["tapped_at"]),
            "" if row["amount"] is None else f"{row['amount']} {row['currency'] or ''}",
            row["masked"] or "",
            f"{verdict(row['verdict'])} {row['reason']}",
            row["state"] or row["disposition"] or "",
            row["cause"] or "",
            str(row["attempts"]),
            moment(row["due"]),
            (row["uuid"] or "")[:8],
        )
    return table


def _narrow_taps(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(caption="a wider terminal, or --json, shows all; tpsd show TAP tells of one")
    for name in ("tap", "tapped at", "lane", "amount", "state", "cause", "sends"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["number"]),
            moment(row["tapped_at"])[5:19].replace("T", " "),
            row["lane"],
            "" if row["amount"] is None else f"{row['amount']} {row['currency'] or ''}",
            row["state"] or row["disposition"] or "",
            row["cause"] or row["reason"],
            str(row["attempts"]),
        )
    return table


def story(found: Mapping[str, Any]) -> RenderableType:
    """One tap with its sends and notices."""
    facts = Table(show_header=False, title=f"Tap {found['tap']['number']}")
    for key, value in {**found["tap"], **found}.items():
        if key not in ("tap", "attempts", "notices") and not (key in _REALTIME and value is None):
            facts.add_row(key, _fact(key, value))
    facts.add_row("sends", str(found["tap"]["attempts"]))
    return Group(facts, _attempts(found["attempts"]), _notices(found["notices"]))


_REALTIME = frozenset({"delivered", "zone", "approved_amount", "follows", "journey", "journey_state"})


def _fact(key: str, value: Any) -> str:
    if key in ("tapped_at", "received_at", "due"):
        return moment(value)
    if key == "verdict":
        return verdict(value)
    return "" if value is None else str(value)


def _attempts(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("send", "release", "why", "started", "ended", "outcome", "cause", "may have charged", title="Sends")
    for row in rows:
        table.add_row(
            str(row["number"]),
            str(row["release"]),
            row["reason"],
            moment(row["started_at"]),
            moment(row["ended_at"]),
            row["outcome"] or "",
            row["cause"] or "",
            "yes" if row["may_have_charged"] else "no",
        )
    return table


def _notices(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table("kind", "cause", "written", "mailed", "message id", title="Notices")
    for row in rows:
        table.add_row(
            row["kind"], row["cause"], moment(row["created_at"]), moment(row["mailed_at"]), row["message_id"] or ""
        )
    return table
