"""What is decided at the spool, and what that does to a row whose COMMIT nobody heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.intake_taps import TERMINAL, prepared
from tests.realtime_taps import CHECK_IN, CHECK_OUT, GATE, KNOWN_FARE, PAYMENT, realtime
from tpsd.core.asking import UNDER_WAY
from tpsd.core.candidate import Asking, Candidate, Decision, Facts, KnownTap, LanePolicy
from tpsd.core.intake import decide
from tpsd.core.passback import AGAIN, CardPast, PassBack, joined, lately
from tpsd.core.spooling import (
    NOTE,
    OUT_OF_SERVICE,
    Found,
    Over,
    Remembered,
    Upsert,
    adopted,
    at_the_spool,
    noted,
    over,
    unnoted,
    upsert,
)
from tpsd.domain.authorisation import State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.tap import Disposition, Shown, Told, Verdict
from tpsd.domain.time import Micros

ACCEPTED = Decision(Told(Verdict.ACCEPTED, "ok"), state=State.PENDING)
DENIED = Decision(Told(Verdict.DENIED, "deny_list"), disposition=Disposition.DENIED)
KNOWN_NOT = Facts()
ENDS = [
    State.APPROVED,
    State.DECLINED,
    State.TAP_REFUSED,
    State.FAILED,
    State.NOT_CHARGED,
    State.IN_DOUBT,
]


@pytest.mark.parametrize(
    ("found", "decision", "cancelled", "step"),
    [
        (Found(1, None, None, 0, True), ACCEPTED, False, Upsert.ENTER),
        (Found(1, None, None, 0, True), ACCEPTED, True, Upsert.ENTER),
        (Found(1, None, None, 0, True), DENIED, False, Upsert.LEAVE),
        (Found(1, "a", State.PENDING, 0, True), ACCEPTED, False, Upsert.LEAVE),
        (Found(1, "a", State.APPROVED, 1, True), ACCEPTED, False, Upsert.LEAVE),
        (Found(1, "a", State.PENDING, 0, True), ACCEPTED, True, Upsert.CANCEL),
        (Found(1, "a", State.HELD, 0, True), DENIED, False, Upsert.CANCEL),
        (Found(1, "a", State.PENDING, 1, True), DENIED, False, Upsert.UNSEEN),
        (Found(1, "a", State.APPROVED, 1, True), DENIED, False, Upsert.UNSEEN),
        (Found(1, "a", State.NOT_CHARGED, 0, True), DENIED, False, Upsert.LEAVE),
        (Found(1, "a", State.NOT_CHARGED, 0, True), ACCEPTED, True, Upsert.LEAVE),
        (Found(1, "a", State.IN_DOUBT, 0, True, unconfirmed=True), ACCEPTED, False, Upsert.RESUME),
        (Found(1, "a", State.IN_DOUBT, 0, True, unconfirmed=True), DENIED, False, Upsert.CANCEL),
        (Found(1, "a", State.IN_DOUBT, 1, True), ACCEPTED, False, Upsert.LEAVE),
    ],
)
def test_the_told_verdict_over_a_row(found: Found, decision: Decision, cancelled: bool, step: Upsert) -> None:
    assert upsert(found, decision, cancelled=cancelled) is step


def candidate(**changes: object) -> Candidate:
    return replace(prepared(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "note"), [(None, NOTE), ("list_stale", f"list_stale; {NOTE}")])
def test_the_row_says_that_the_spool_judged(before: str | None, note: str) -> None:
    judged = at_the_spool(lambda _, __: replace(ACCEPTED, note=before))(candidate(), KNOWN_NOT)
    assert judged == replace(ACCEPTED, note=note)


@pytest.mark.parametrize("lane", [CHECK_IN, CHECK_OUT, GATE])
def test_what_needs_the_database_is_out_of_service(lane: LanePolicy) -> None:
    judged = at_the_spool(decide)(realtime(lane), KNOWN_NOT)
    assert (judged.told, judged.state, judged.disposition) == (OUT_OF_SERVICE, None, Disposition.DENIED)


ASKED = Decision(None, state=State.SENDING, note=NOTE, asking=Asking())


@pytest.mark.parametrize("lane", [PAYMENT, KNOWN_FARE])
def test_a_payment_is_asked_for(lane: LanePolicy) -> None:
    assert at_the_spool(decide)(realtime(lane), KNOWN_NOT) == ASKED


@pytest.mark.parametrize("note", [None, "list_stale", "let_in"])
def test_the_note_is_told_from_the_rest(note: str | None) -> None:
    assert unnoted(noted(note)) == note
    assert unnoted(note) == note


IN_DOUBT = "33333333-3333-4333-8333-333333333333"
TOLD = Told(Verdict.ACCEPTED, "approved", 250)
NOT_SERVED = Decision(OUT_OF_SERVICE, disposition=Disposition.DENIED, note=NOTE)


@pytest.mark.parametrize(
    ("facts", "known", "decision"),
    [
        (Facts(), Remembered(asked=True), NOT_SERVED),
        (Facts(), Remembered(TOLD), Decision(TOLD, disposition=Disposition.DENIED, note=NOTE)),
        (Facts(), Remembered(under_way=True), Decision(UNDER_WAY, disposition=Disposition.REPEAT, note=NOTE)),
        (Facts(under_way=True), Remembered(), Decision(UNDER_WAY, disposition=Disposition.REPEAT, note=NOTE)),
        (Facts(), Remembered(doubtful=IN_DOUBT), NOT_SERVED),
        (Facts(doubtful=IN_DOUBT), Remembered(), NOT_SERVED),
    ],
)
def test_what_may_be_charged_already_is_not_asked_for(facts: Facts, known: Remembered, decision: Decision) -> None:
    assert at_the_spool(decide, known)(realtime(PAYMENT, configured={"enquires": True}), facts) == decision


def test_without_enquiries_a_doubt_keeps_nobody_from_paying() -> None:
    assert at_the_spool(decide, Remembered(doubtful=IN_DOUBT))(realtime(PAYMENT), Facts()) == ASKED


def test_who_was_let_in_and_is_not_asked_about_is_told_of() -> None:
    judged = at_the_spool(decide, Remembered(asked=True))(realtime(PAYMENT, shown=Shown.LET_IN), KNOWN_NOT)
    assert [(notice.kind, notice.cause) for notice in judged.notices] == [
        (NoticeKind.UNSEEN, f"unseen/database@{TERMINAL}")
    ]


def test_a_stale_tap_is_stale_at_the_spool_too() -> None:
    """So a tap that is too old to be remembered is never asked about a second time."""
    judged = at_the_spool(decide)(realtime(PAYMENT, age_ms=PAYMENT.verdict_us // 1000 + 1), KNOWN_NOT)
    assert (judged.told, judged.asking) == (Told(Verdict.DENIED, "stale"), None)


def test_a_row_under_way_is_adopted_once() -> None:
    tap = realtime(PAYMENT)
    assert adopted(tap, KNOWN_NOT) == ASKED
    asked = KnownTap(7, None, None, State.SENDING, 1, unseen=False)
    assert adopted(tap, Facts(known=asked)) == Decision(None, known=7)


@pytest.mark.parametrize("under_way", [False, True])
@pytest.mark.parametrize("spooled", ENDS)
@pytest.mark.parametrize("found", [State.SENDING, *ENDS])
def test_an_end_at_the_spool_over_a_row(found: State, spooled: State, under_way: bool) -> None:
    step = over(found, spooled, under_way=under_way)
    if found is spooled:
        assert step is Over.LEAVE, "drained twice is drained once"
    elif found is State.APPROVED:
        assert step is Over.LEAVE, "nothing takes back what was charged"
    elif spooled is State.APPROVED or found is State.SENDING:
        assert step is Over.SETTLE
    elif found is State.IN_DOUBT:
        assert step is Over.SETTLE, "the answer is known"
    else:
        assert step is Over.LEAVE


@pytest.mark.parametrize("found", ENDS)
def test_an_answer_under_way_is_waited_for_where_others_ended_it(found: State) -> None:
    assert over(State.SENDING, State.SENDING, under_way=True) is Over.LEAVE
    assert over(found, State.SENDING, under_way=True) is Over.WAIT
    assert over(found, State.SENDING, under_way=False) is Over.LEAVE


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.SENDING, Upsert.CANCEL),
        (State.IN_DOUBT, Upsert.CANCEL),
        (State.NOT_CHARGED, Upsert.LEAVE),
        (State.APPROVED, Upsert.UNSEEN),
    ],
)
def test_who_was_turned_away_at_the_spool_was_not_asked_about(state: State, step: Upsert) -> None:
    assert upsert(Found(1, "a", state, 1, True), DENIED, cancelled=False, realtime=True) is step


def test_a_verdict_that_was_told_before_stands() -> None:
    told = Told(Verdict.DENIED, "pass_back")
    judged = at_the_spool(lambda _, __: ACCEPTED, Remembered(told))(candidate(), KNOWN_NOT)
    assert (judged.told, judged.state) == (told, State.PENDING)


def test_a_repeat_is_no_new_verdict() -> None:
    known = Decision(AGAIN, known=7)
    assert at_the_spool(lambda _, __: known)(candidate(), KNOWN_NOT) == known


def test_a_cards_past_of_which_two_know_a_part() -> None:
    rule = PassBack(10, 60, 1)
    here = lately(rule, Micros(100), [Micros(95), Micros(108), Micros(150), Micros(300)])
    assert here == CardPast(5, 2)
    assert joined(here, CardPast(3, 1, unsettled=True)) == CardPast(3, 3, unsettled=True)
    assert joined(here, CardPast()) == here
    assert lately(rule, Micros(100), []) == CardPast()


def test_only_a_lane_with_pass_back_asks_for_it() -> None:
    seen: list[CardPast | None] = []

    def decided(_: Candidate, facts: Facts) -> Decision:
        seen.append(facts.card_past)
        return ACCEPTED

    judged = at_the_spool(decided, Remembered(past=CardPast(5, 1)))
    judged(candidate(), Facts())
    judged(candidate(), Facts(card_past=CardPast()))
    assert seen == [None, CardPast(5, 1)]
