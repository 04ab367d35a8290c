"""The deny list's feed in simulated worlds: one plan a story, each judged by every checker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device.vl1.codes import TapKind
from tests.sim.doors import PlannedTap
from tests.sim.plan import FeedStyle, Incident
from tests.sim.run import Report, played
from tests.sim.test_found import QUIET

LISTED, FREE = 0, 1  # cards
FED = FeedStyle(poll_minutes=0.2, max_age_hours=0.1, listed=(LISTED, 2, 3), page_records=1)
SILENT = "unavailable"


def tap(amount: int, at: float, card: int = LISTED) -> PlannedTap:
    return PlannedTap(amount, 0, at, card, TapKind.MTT)


def reasons(report: Report) -> list[str]:
    """What validators were told, in order."""
    assert report.failure is None, report.details
    return [line.partition("reason=")[2].split()[0] for line in report.trace if " VerdictTold " in line]


def fed(*taps: PlannedTap, incidents: tuple[Incident, ...] = (), feed: FeedStyle = FED) -> Report:
    """The taps; a first one, whose validator says who it is, so that the list can come."""
    plan = replace(QUIET, taps=(tap(100, 1.0, FREE), *taps), incidents=incidents, calm_at=2600.0)
    return played(replace(plan, style=replace(plan.style, feed=feed)))


def test_a_listed_card_is_denied_and_rides_once_it_is_struck() -> None:
    struck = Incident(0, 60.0, "list", ("delete", LISTED))
    assert reasons(fed(tap(101, 30.0), tap(102, 31.0, FREE), tap(103, 90.0), incidents=(struck,))) == [
        "ok",
        "deny_list",
        "ok",
        "ok",
    ]


def test_a_list_that_comes_anew_and_is_cut_in_the_middle_goes_on_denying() -> None:
    anew = Incident(0, 60.0, "list", ("forget", LISTED))
    cut = tuple(
        Incident(number, at, "feed", (fault, 1.0))
        for number, (at, fault) in enumerate([(70.0, "closed"), (73.0, SILENT), (76.0, "garbage")], start=1)
    )
    dies = Incident(9, 66.0, "die", ("commit", 1, 0, 2.0))
    taps = (tap(101, 30.0), *(tap(number, 60.0 + number - 101.5) for number in range(102, 122)))
    report = fed(*taps, incidents=(anew, *cut, dies))
    assert set(reasons(report)[1:]) == {"deny_list"}
    assert report.lives >= 2


def test_another_list_replaces_the_first_one() -> None:
    other = Incident(0, 60.0, "list", ("replace", FREE))
    told = reasons(fed(tap(101, 30.0), tap(102, 120.0), tap(103, 121.0, FREE), incidents=(other,)))
    assert told == ["ok", "deny_list", "ok", "deny_list"]


@pytest.mark.parametrize(("rule", "told"), [("accept", "ok"), ("deny", "list_stale"), (110, "ok"), (103, "list_stale")])
def test_a_list_that_nobody_renews_grows_too_old_until_it_comes_again(rule: str | int, told: str) -> None:
    silent = Incident(0, 40.0, "feed", (SILENT, 2000.0))
    taps = (tap(101, 30.0, FREE), tap(102, 300.0, FREE), tap(103, 800.0, FREE), tap(104, 2500.0, FREE))
    report = fed(*taps, incidents=(silent,), feed=replace(FED, stale_list=rule))
    before_it_came = "list_stale" if rule == "deny" else "ok"
    assert reasons(report) == [before_it_came, "ok", "ok", told, "ok"]
    assert report.mails == 2, "too old, and no longer"


@pytest.mark.parametrize(
    "fault", ["same token", "no token", "bad token", "bad card", "bad action", "too many", "forbidden"]
)
def test_a_feed_that_lies_changes_nothing(fault: str) -> None:
    lies = Incident(0, 60.0, "feed", (fault, 600.0))
    anew = Incident(1, 59.0, "list", ("replace", FREE))
    report = fed(tap(101, 500.0), tap(102, 501.0, FREE), tap(103, 1900.0, FREE), incidents=(lies, anew))
    assert reasons(report) == ["ok", "deny_list", "ok", "deny_list"]
