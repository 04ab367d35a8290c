"""Pass-back's rule, and its place among the checks of intake."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.intake_taps import told_of
from tests.store.builders import LANE, SALT, card, report
from tpsd.core.intake import Candidate, CardKeys, Facts, KnownTap, LanePolicy, Operator, Setting, decide, prepare
from tpsd.core.passback import AGAIN, OFF, REFUSED, CardPast, PassBack, judge
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.authorisation import State
from tpsd.domain.card import CardToken
from tpsd.domain.tap import Disposition, Oda, Shown, Told, Verdict
from tpsd.domain.time import SECOND
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

RULE = PassBack(10 * SECOND, 60 * SECOND)
GROUP = replace(RULE, group_size=2)
NEAR, LATER = CardPast(1 * SECOND, riders=1), CardPast(30 * SECOND)


@pytest.mark.parametrize(
    ("rule", "past", "told"),
    [
        (RULE, CardPast(), None),
        (RULE, CardPast(0, 1), AGAIN),
        (RULE, CardPast(10 * SECOND, 1), AGAIN),
        (RULE, CardPast(10 * SECOND + 1), REFUSED),
        (RULE, CardPast(60 * SECOND), REFUSED),
        (RULE, CardPast(60 * SECOND + 1), None),
        (GROUP, CardPast(SECOND, 1), None),
        (GROUP, CardPast(SECOND, 2), None),
        (GROUP, CardPast(SECOND, 3), AGAIN),
        (GROUP, CardPast(11 * SECOND), REFUSED),
        (PassBack(0, 60 * SECOND), CardPast(1), REFUSED),
        (PassBack(60 * SECOND, 60 * SECOND), CardPast(60 * SECOND + 1), None),
        (OFF, CardPast(0, 9), None),
        (RULE, CardPast(0, 1, unsettled=True), None),
        (RULE, CardPast(30 * SECOND, unsettled=True), None),
    ],
)
def test_the_rule(rule: PassBack, past: CardPast, told: Told | None) -> None:
    assert judge(rule, past) == told


@pytest.mark.parametrize("bounds", [(2, 1), (-1, 1), (0, -1)])
def test_bounds_that_make_no_sense(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 <= again <= refused"):
        PassBack(*bounds)


SETTING = Setting(
    operator=Operator(1001, 42, "978"),
    keys=CardKeys(SALT),
    ladder=DEFAULT_LADDER,
    production=False,
    config_digest="c0ffee",
    serialise=lambda request: transaction(DEVICE_V1, request),
    digest=lambda fingerprint: hashlib.sha256(fingerprint).digest(),
)
STRICT = replace(LANE, pass_back=RULE, untokenised_denied=True)
BOTH = Facts(card_past=NEAR, denied=True)


def candidate(lane: LanePolicy = STRICT, setting: Setting = SETTING, **fields: Any) -> Candidate:
    return prepare(report(**fields), lane, setting, UUID(int=1))


def told(facts: Facts, lane: LanePolicy = STRICT, setting: Setting = SETTING, **fields: Any) -> tuple[str, str | None]:
    """The reason and the disposition."""
    decision = decide(candidate(lane, setting, **fields), facts)
    return told_of(decision).reason, decision.disposition.value if decision.disposition else None


def test_the_tap_again_is_a_repeat_with_nothing_to_send() -> None:
    decision = decide(candidate(), Facts(card_past=NEAR))
    assert (decision.told, decision.disposition) == (Told(Verdict.ALREADY_TAPPED, "repeat"), Disposition.REPEAT)
    assert (decision.state, decision.note, decision.notices) == (None, None, ())


def test_later_it_is_refused() -> None:
    decision = decide(candidate(), Facts(card_past=LATER))
    assert (decision.told, decision.disposition) == (Told(Verdict.DENIED, "pass_back"), Disposition.DENIED)


def test_then_it_is_a_new_tap() -> None:
    assert decide(candidate(), Facts(card_past=CardPast())).state is State.PENDING
    assert decide(candidate(LANE), Facts()).state is State.PENDING


def test_pass_back_comes_before_the_list_the_expiry_and_the_authentication() -> None:
    assert told(BOTH) == ("repeat", "repeat")
    assert told(BOTH, card=card(expiry="2001")) == ("repeat", "repeat")
    assert told(BOTH, oda=Oda.FAILED) == ("repeat", "repeat")
    assert told(replace(BOTH, card_past=LATER)) == ("pass_back", "denied")
    assert told(replace(BOTH, card_past=CardPast())) == ("deny_list", "denied")
    assert told(replace(BOTH, card_past=CardPast()), card=card(expiry="2001")) == ("expired", "denied")


def test_pass_back_comes_after_what_makes_no_tap_at_all() -> None:
    assert told(BOTH, fault="no tap id") == ("malformed", "rejected")
    assert told(BOTH, kind=4) == ("kind", "denied")
    assert told(BOTH, currency="752") == ("currency", "denied")
    assert told(BOTH, amount=10_001) == ("amount_limit", "denied")
    assert told(BOTH, setting=replace(SETTING, production=True)) == ("mode", "denied")


def test_what_cannot_change_the_verdict_is_not_asked_for() -> None:
    assert candidate().asks_of_card
    assert candidate(card=card(expiry="2001")).asks_of_card
    assert not candidate(kind=4).asks_of_card
    assert not candidate(LANE, replace(SETTING, keys=CardKeys())).asks_of_card


@pytest.mark.parametrize("facts", [BOTH, replace(BOTH, card_past=LATER), replace(BOTH, card_past=None)])
def test_what_the_passenger_was_shown_comes_before_all_of_it(facts: Facts) -> None:
    assert told(facts, shown=Shown.TURNED_AWAY) == ("turned_away", "denied")
    let_in = decide(candidate(shown=Shown.LET_IN), facts)
    assert (let_in.told, let_in.state) == (Told(Verdict.ACCEPTED, "let_in"), State.PENDING)
    assert let_in.note == told_of(decide(candidate(), facts)).reason


def test_who_was_let_in_meanwhile_is_charged_even_where_it_was_the_tap_again() -> None:
    known = KnownTap(7, AGAIN, Disposition.REPEAT, None, 0, False)
    decision = decide(candidate(shown=Shown.LET_IN), Facts(known=known))
    assert (decision.told, decision.known, decision.effect.value, decision.state) == (AGAIN, 7, "revive", State.PENDING)


def test_a_card_without_a_token_is_as_the_lane_says() -> None:
    no_salt = replace(SETTING, keys=CardKeys())
    assert told(Facts(), STRICT, no_salt) == ("untokenised", "denied")
    assert told(Facts(), LANE, no_salt) == ("ok", None)
    assert told(Facts(), STRICT, no_salt, card=card(expiry="2001")) == ("expired", "denied")
    assert told(Facts(), STRICT, no_salt, token=CardToken("ab" * 32)) == ("ok", None)
    let_in = decide(candidate(STRICT, no_salt, shown=Shown.LET_IN), Facts())
    assert (told_of(let_in).reason, let_in.note) == ("let_in", "untokenised")


def test_lanes_of_one_group() -> None:
    assert candidate().pass_group == "gate-1"
    assert candidate(replace(LANE, pass_group="hall")).pass_group == "hall"
