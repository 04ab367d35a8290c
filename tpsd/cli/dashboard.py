"""The live table of ``watch`` and of the demo: one status object in, something rich can draw out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tpsd.cli.command import folding
from tpsd.cli.rendering import duration, moment

LANE_STYLE = {"ready": "green", "up": "green", "open": "green", "waiting": "yellow", "greeting": "yellow"}
_STATE_STYLE = {
    "approved": "green",
    "declined": "yellow",
    "held": "red",
    "in_doubt": "red",
    "permanently_failed": "red",
}


def dashboard(status: Mapping[str, Any]) -> RenderableType:
    """The journal's numbers, the lanes, and the clock that due times run on; missing parts are left blank."""
    return Group(
        _headline(status), folding(_numbers(status.get("journal", {}))), folding(_lanes(status.get("lanes", ())))
    )


def _headline(status: Mapping[str, Any]) -> Text:
    line = Text.assemble(
        ("tpsd", "bold"), "  mode ", (str(status.get("mode", "?")), "bold"), f"  clock {status.get('clock', '?')}"
    )
    if not status.get("clock_trusted", True):
        line.append(" (not trusted)", style="red")
    line.append(f"  in flight {status.get('in_flight', 0)}")
    uplink = status.get("uplink", {})
    if uplink.get("state") == "down":
        line.append(f"  uplink down for {duration(uplink['seconds'])} ({uplink['cause']})", style="red")
    if words := fleet_words(status.get("fleet")):
        line.append(f"  {words}")
    if words := spool_words(status.get("spool")):
        line.append(f"  {words}", style="red")
    return line


def fleet_words(fleet: Mapping[str, Any] | None) -> str:
    """Which daemon this is among those that share the database; empty where the journal is its own."""
    if fleet is None:
        return ""
    role = " (presides)" if fleet["presides"] else ""
    others = f" beside {', '.join(fleet['others'])}" if fleet["others"] else ""
    gone = f", gone: {', '.join(fleet['gone_seconds'])}" if fleet["gone_seconds"] else ""
    return f"daemon {fleet['daemon']}{role}{others}{gone}; taps and journeys are everybody's"


def spool_words(spool: Mapping[str, Any] | None) -> str:
    """What waits in the spool and since when, empty where it is not in use."""
    if spool is None or spool["in_use_seconds"] is None:
        return ""
    why = "" if spool["away"] is None else f", the database is away ({spool['away']})"
    oldest = "" if spool["oldest_seconds"] is None else f", the oldest for {duration(spool['oldest_seconds'])}"
    return f"spool in use for {duration(spool['in_use_seconds'])}: {spool['waiting']:,} taps{oldest}{why}"


def _numbers(journal: Mapping[str, Any]) -> Table:
    table = Table("taps", "verdicts", "dispositions", "authorisations", "sends", "mails", "oldest pending", "next due")
    waiting, accepted = journal.get("mails_waiting", 0), journal.get("mails_accepted", 0)
    table.add_row(
        str(journal.get("taps", 0)),
        _counts(journal.get("verdicts", {})),
        _counts(journal.get("dispositions", {})),
        _counts(journal.get("states", {})),
        str(journal.get("sends", 0)),
        Text(f"{accepted} sent\n{waiting} waiting", style="yellow" if waiting else ""),
        duration(journal.get("oldest_pending_seconds")),
        duration(journal.get("next_due_seconds")),
    )
    return table


def _counts(counts: Mapping[str, int]) -> Text:
    text = Text()
    for name, number in counts.items():
        if number:
            text.append(f"{name} {number}\n", style=_STATE_STYLE.get(name, ""))
    text.rstrip()
    return text


def _lanes(lanes: Any) -> Table:
    table = Table("lane", "port", "state", "validator", "terminal", "taps", "last tap", "reason")
    for lane in lanes:
        state = str(lane.get("state", "?"))
        table.add_row(
            lane.get("alias") or lane.get("name", "?"),
            lane.get("port", ""),
            Text(state, style=LANE_STYLE.get(state, "red")),
            lane.get("serial") or "",
            lane.get("terminal") or "",
            str(lane.get("taps", 0)),
            moment(lane.get("last_tap_at")),
            _remark(lane),
        )
    return table


def _remark(lane: Mapping[str, Any]) -> str:
    """What a lane says, and the cards that had to be tapped again: a reader keeps none."""
    lost, unread = lane.get("cards_lost", 0), lane.get("cards_unread", 0)
    again = f"cards lost {lost}, unread {unread}" if lost or unread else ""
    return "\n".join(part for part in (lane.get("reason"), again) if part)
