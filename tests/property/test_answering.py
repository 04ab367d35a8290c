"""What must hold of every verdict, whatever TPS answered, whatever came before and whatever was shown meanwhile."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.intake_taps import TERMINAL
from tests.realtime_taps import ANSWERS, CHECK_OUT, OPEN, realtime, trying
from tpsd.core import asking
from tpsd.core.answering import Ending, Policy, Waiting, settle
from tpsd.core.candidate import Facts
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.journeys import Input, step
from tpsd.core.outcomes import classify
from tpsd.core.texts import UNKNOWN, fallbacks, languages, load
from tpsd.domain.authorisation import State
from tpsd.domain.journey import TRIES_MAX, JourneyState, LastTry
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import (
    Answer,
    Approved,
    CredentialRefused,
    Declined,
    Exchange,
    NoAnswer,
    NoConnection,
    Outcome,
)
from tpsd.domain.tap import Kind, Shown, Told, Verdict
from tpsd.domain.time import Micros

UUID = "33333333-3333-4333-8333-333333333333"
CODES = st.sampled_from(["000", "001", "002", "100", "112", "116", "160", "899", "900", "911", "913", "923", "x"])
answers: st.SearchStrategy[Exchange] = st.builds(
    Answer,
    http=st.sampled_from([200, 302, 400, 402, 404, 409, 429, 500, 503]) | st.integers(100, 999),
    approved=st.none() | st.booleans(),
    action_code=st.none() | CODES,
    system_code=st.none() | st.sampled_from([27, 41, 60, 86, 303]) | st.integers(0, 99_999),
    amount=st.none() | st.sampled_from([0, 1, 120, 319, 320, 321]) | st.integers(0, 10**12),
    readable=st.booleans(),
)
exchanges = (
    answers
    | st.sampled_from(sorted(ANSWERS)).map(ANSWERS.__getitem__)
    | st.builds(NoConnection, st.sampled_from(["connect", "dns", "tls.server", "busy", "seal"]))
    | st.builds(NoAnswer, st.sampled_from(["timeout", "closed", "crash", "protocol"]))
    | st.just(CredentialRefused("tls.client"))
)
policies = st.builds(
    Policy,
    doubt=st.builds(DoubtPolicy, enquires=st.booleans()),
    partial_accepted=st.booleans(),
    can_take_pin=st.booleans(),
    gives_back=st.booleans(),
)
ONCE = st.sampled_from([Kind.RETAIL_PAYMENT, Kind.KFT, Kind.RETAIL_CHECK_IN])
shown = st.sampled_from(Shown)
amounts = st.sampled_from([0, 320]) | st.integers(0, 10**12)
once = st.builds(Waiting, st.just(UUID), ONCE, amounts, st.just(TERMINAL), shown=shown)


@st.composite
def tries(draw: st.DrawFn) -> Waiting:
    """A passenger's check-out. What one attempt left unclear, an earlier one may have charged."""
    number = draw(st.integers(1, TRIES_MAX))
    charged = number > 1 and draw(st.booleans())
    return Waiting(
        UUID,
        Kind.RETAIL_CHECK_OUT,
        draw(amounts),
        TERMINAL,
        may_have_charged=charged,
        unclear=charged and draw(st.booleans()),
        shown=draw(shown),
        journey=trying(number),
    )


by_hand = st.sampled_from(
    [
        Waiting(UUID, Kind.RETAIL_REFUND, 320, TERMINAL, tapped=False),
        Waiting(UUID, Kind.RETAIL_CHECK_OUT, 0, TERMINAL, tapped=False),
        Waiting(
            UUID, Kind.RETAIL_CHECK_OUT, 320, TERMINAL, tapped=False, journey=replace(OPEN, state=JourneyState.BY_HAND)
        ),
    ]
)
tapped = once | tries()
everyone = tapped | by_hand


def run(waiting: Waiting, exchange: Exchange, policy: Policy) -> tuple[Outcome, Ending]:
    outcome = classify(exchange)
    return outcome, settle(waiting, outcome, policy, number=1, ended_at=Micros(10**15))


def kinds(ending: Ending) -> set[NoticeKind]:
    return {notice.kind for notice in ending.settlement.notices}


@given(tapped, exchanges, policies)
def test_money_that_may_have_moved_leaves_a_trace_when_the_passenger_is_denied(
    waiting: Waiting, exchange: Exchange, policy: Policy
) -> None:
    outcome, ending = run(waiting, exchange, policy)
    settlement = ending.settlement
    assert ending.told is not None
    assert settlement.may_have_charged == (waiting.may_have_charged or not outcome.clean)
    if ending.told.verdict.accepts or not settlement.may_have_charged or isinstance(outcome, Declined):
        return
    match settlement.state:
        case State.IN_DOUBT:
            asked = settlement.enquiry_due is not None
            assert asked is policy.doubt.enquires
            assert asked or NoticeKind.IN_DOUBT in kinds(ending)
        case State.AWAITING_TAP:
            assert waiting.may_try_again
        case State.FAILED:
            assert not policy.doubt.enquires
            assert not waiting.unclear
            assert not isinstance(exchange, NoAnswer)
        case State.APPROVED:
            assert ending.gives_back is not None or (ending.unseen and NoticeKind.UNSEEN in kinds(ending))
        case _:
            raise AssertionError(f"charged and {settlement.state.value}")


@given(everyone, exchanges, policies)
def test_nothing_is_accepted_without_an_approval_and_the_amount_is_what_tps_approved(
    waiting: Waiting, exchange: Exchange, policy: Policy
) -> None:
    outcome, ending = run(waiting, exchange, policy)
    assert (ending.told is None) is not waiting.tapped
    if ending.settlement.state is State.APPROVED:
        assert isinstance(outcome, Approved)
        assert outcome.amount is None or outcome.amount <= waiting.amount
    accepts = ending.told is not None and ending.told.verdict.accepts
    assert ending.opens <= (accepts and waiting.kind is Kind.RETAIL_CHECK_IN)
    assert (ending.journey is Input.APPROVED) <= (ending.settlement.state is State.APPROVED)
    if not accepts:
        assert ending.told is None or ending.told.amount is None
        return
    assert ending.settlement.state is State.APPROVED
    assert isinstance(outcome, Approved)
    assert ending.told is not None
    assert ending.told.amount == (waiting.amount if outcome.amount is None else outcome.amount)
    assert ending.gives_back is None


@given(tapped, exchanges, policies)
def test_what_is_given_back_is_what_was_approved_and_only_of_the_denied(
    waiting: Waiting, exchange: Exchange, policy: Policy
) -> None:
    outcome, ending = run(waiting, exchange, policy)
    if ending.gives_back is None:
        return
    assert isinstance(outcome, Approved)
    assert ending.settlement.state is State.APPROVED
    assert ending.gives_back == (waiting.amount if outcome.amount is None else outcome.amount)
    assert ending.told is not None
    assert not ending.told.verdict.accepts


@given(tries(), exchanges, policies)
def test_the_next_try_is_a_new_one_only_after_a_clean_no(waiting: Waiting, exchange: Exchange, policy: Policy) -> None:
    outcome, ending = run(waiting, exchange, policy)
    before = waiting.journey
    assert before is not None
    assert ending.journey is not None
    state, _ = step(before.state, ending.journey)
    settlement = ending.settlement
    last = LastTry(UUID, settlement.state, waiting.amount, settlement.may_have_charged)
    journey = replace(before, state=state, last=last)
    if not state.travels:
        return
    begun = asking.begin(realtime(CHECK_OUT, journey), Facts(journey=journey), Told(Verdict.ACCEPTED, "ok"), ())
    if begun.asking is None:
        assert settlement.state is State.IN_DOUBT
        assert ending.told == Told(Verdict.CHECK_OUT_FAILED, settlement.cause or "")
    elif begun.asking.same_as is None:
        clean_no = isinstance(outcome, Declined) or (outcome.clean and not waiting.may_have_charged)
        answered = outcome.http is not None and (isinstance(outcome, Declined) or outcome.http // 100 == 4)
        assert (clean_no and answered) or ending.gives_back is not None
    else:
        assert (begun.asking.same_as, settlement.state) == (UUID, State.AWAITING_TAP)


@given(everyone, exchanges, policies)
def test_every_step_is_in_the_journeys_table(waiting: Waiting, exchange: Exchange, policy: Policy) -> None:
    _, ending = run(waiting, exchange, policy)
    if waiting.journey is None:
        assert ending.journey is None
        return
    if ending.journey is None:
        assert (waiting.tapped, ending.settlement.state) == (False, State.IN_DOUBT)
        return
    state, _ = step(waiting.journey.state, ending.journey)
    assert (ending.settlement.state is State.AWAITING_TAP) <= state.travels
    if waiting.tapped and not state.travels:
        assert (state is JourneyState.CLOSED) or waiting.journey.tries == TRIES_MAX


@given(tapped, exchanges, policies)
def test_every_reason_fits_a_verdict_and_has_a_text_in_every_language(
    waiting: Waiting, exchange: Exchange, policy: Policy
) -> None:
    _, ending = run(waiting, exchange, policy)
    assert ending.told is not None
    reason = ending.told.reason
    assert reason.isascii()
    assert 1 <= len(reason) <= 32
    for language in languages():
        texts = load(language).texts
        assert next(key for key in fallbacks(reason) if key in texts) != UNKNOWN, reason


@given(everyone, exchanges, policies)
def test_a_realtime_row_never_goes_back_on_a_ladder(waiting: Waiting, exchange: Exchange, policy: Policy) -> None:
    settlement = run(waiting, exchange, policy)[1].settlement
    assert settlement.due is None
    assert not settlement.uncounted
    assert settlement.state.is_final or settlement.state in (State.IN_DOUBT, State.AWAITING_TAP)
    assert (settlement.enquiry_due is not None) is (settlement.state is State.IN_DOUBT and policy.doubt.enquires)
    if waiting.kind is Kind.RETAIL_REFUND and settlement.state is State.FAILED:
        assert not settlement.may_have_charged
