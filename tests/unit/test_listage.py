"""How old the deny list is whatever clocks do, and whom a stale one turns away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.intake_taps import LANE, UUID_1, card, report, setting, told_of
from tests.realtime_taps import GATE
from tpsd.core.candidate import CardKeys, Decision
from tpsd.core.intake import Facts, KnownTap, decide, prepare
from tpsd.core.listage import TOO_OLD, age, fresh_notice, is_stale, stale_notice, turns_away
from tpsd.core.passback import CardPast, PassBack
from tpsd.domain.authorisation import State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.tap import Disposition, Shown, Told, Verdict
from tpsd.domain.time import DAY, HOUR, SECOND, Micros

NOW = Micros(1_790_000_000_000_000)
IN_1970 = Micros(30 * SECOND)
NOTHING = Facts()


def before(us: int) -> Micros:
    return Micros(NOW - us)


@pytest.mark.parametrize(
    ("whole_at", "completed", "wall", "schedule", "known"),
    [
        (None, None, NOW, NOW, None),
        (before(HOUR), None, NOW, NOW, HOUR),
        (NOW, None, NOW, NOW, 0),
        (before(HOUR), None, None, NOW, None),  # nobody knows what time it is
        (Micros(NOW + 1), None, NOW, NOW, None),  # a list from the future
        (before(HOUR), before(SECOND), NOW, NOW, SECOND),
        (IN_1970, None, NOW, NOW, NOW - IN_1970),
        (None, IN_1970, None, Micros(IN_1970 + HOUR), HOUR),  # in a life that never knows the time
        (None, before(HOUR), before(DAY), NOW, HOUR),  # the wall clock was set back a day
        (before(HOUR), before(HOUR), Micros(NOW + DAY), NOW, HOUR),  # or on by one
    ],
)
def test_the_age(
    whole_at: Micros | None, completed: Micros | None, wall: Micros | None, schedule: Micros, known: int | None
) -> None:
    assert age(whole_at, completed, wall, schedule) == known


def test_what_is_stale() -> None:
    assert [is_stale(us, HOUR) for us in (0, HOUR, HOUR + 1, None)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("accepts_below", "amount", "away"),
    [
        (None, 999, False),
        (0, 0, True),
        (0, 250, True),
        (500, 0, False),
        (500, 499, False),
        (500, 500, True),
        (500, None, True),
    ],
)
def test_whom_it_turns_away(accepts_below: int | None, amount: int | None, away: bool) -> None:
    assert turns_away(accepts_below, amount) is away


def decided(below: int | None = 0, facts: Facts = NOTHING, *, stale: bool = True, **fields: Any) -> Decision:
    lane = replace(LANE, stale_accepts_below=below)
    return decide(prepare(report(**fields), lane, setting(), UUID_1, list_is_stale=stale), facts)


def test_a_tap_under_a_stale_list() -> None:
    away = decided()
    assert (away.told, away.disposition, away.state) == (TOO_OLD, Disposition.DENIED, None)
    assert (told_of(decided(251)).reason, told_of(decided(250)).reason) == ("ok", "list_stale")
    assert decided(None).state is State.PENDING


def test_the_row_says_that_the_list_was_stale_where_the_tap_came_in_all_the_same() -> None:
    assert (decided(None).note, decided(251).note) == ("list_stale", "list_stale")
    assert decided(None, stale=False).note is None
    assert decided(0, stale=False).told == Told(Verdict.ACCEPTED, "ok")


def test_it_comes_after_the_deny_list_and_changes_no_denial() -> None:
    assert told_of(decided(facts=Facts(denied=True))).reason == "deny_list"
    assert told_of(decided(card=card("2001"))).reason == "expired"
    assert told_of(decided(kind=4)).reason == "kind"
    lane = replace(LANE, stale_accepts_below=0, pass_back=PassBack(10 * SECOND, 60 * SECOND))
    candidate = prepare(report(), lane, setting(), UUID_1, list_is_stale=True)
    assert told_of(decide(candidate, Facts(card_past=CardPast(SECOND, 1)))).reason == "repeat"


def test_who_was_let_in_already_is_charged_whatever_the_list_says() -> None:
    decision = decided(shown=Shown.LET_IN)
    assert (decision.told, decision.state) == (Told(Verdict.ACCEPTED, "let_in"), State.PENDING)
    assert decision.note == "list_stale"
    known = KnownTap(7, TOO_OLD, Disposition.DENIED, None, 0, False)
    late = decided(shown=Shown.LET_IN, facts=Facts(known=known))
    assert (late.effect.value, late.state) == ("revive", State.PENDING)


def test_a_card_that_no_list_could_name_is_no_concern_of_its_age() -> None:
    lane = replace(LANE, stale_accepts_below=0)
    without = prepare(report(), lane, setting(keys=CardKeys()), UUID_1, list_is_stale=True)
    assert decide(without, Facts()).told == Told(Verdict.ACCEPTED, "ok")


def test_where_tps_itself_answers_its_list_may_be_as_old_as_it_likes() -> None:
    shop = replace(GATE, stale_accepts_below=0)
    candidate = prepare(report(kind=4, age_ms=0), shop, setting(), UUID_1, list_is_stale=True)
    assert (candidate.list_is_stale, candidate.stale_denies) == (False, False)


def test_what_an_operator_is_told() -> None:
    told = stale_notice(26 * HOUR, 24 * HOUR, "http.503")
    assert (told.kind, told.cause) == (NoticeKind.OUTAGE, "outage/feed.stale")
    assert told.detail == (
        "TPS completed it 26.0 h ago, more than 24.0 h are too old; the last poll failed: http.503; "
        "lanes go by their stale_list"
    )
    assert "TPS has not been heard to complete it" in stale_notice(None, HOUR, "").detail
    assert fresh_notice().cause == "outage/feed.fresh"
