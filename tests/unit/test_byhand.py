"""A check-out and a refund by hand: what may be sent, what was ordered before, and why not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from uuid import UUID

import pytest

from tests.intake_taps import NOW, Requests, setting
from tests.realtime_taps import CHECK_IN_UUID, OPEN, PAID, TRY_UUID, trying
from tpsd.core.byhand import Already, CheckOutOrder, Given, RefundOrder, Send, judge_check_out, judge_refund
from tpsd.core.following import Original, follow, giving_back
from tpsd.core.operations import SELECTED, Order, Refusal
from tpsd.domain.authorisation import FINAL, State
from tpsd.domain.journey import Journey, JourneyState, LastTry
from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.tap import Kind

CHECK_OUT, REFUND = Kind.RETAIL_CHECK_OUT, Kind.RETAIL_REFUND
ENDED, BY_HAND, EXPIRED = JourneyState.ENDED_UNPAID, JourneyState.BY_HAND, JourneyState.EXPIRED
PLAIN = CheckOutOrder(320)
RELEASE = CheckOutOrder(0, release=True)
REFUND_UUID = "55555555-5555-4555-8555-555555555555"


def tried(state: State, charged: bool = False, unclear: bool = False, enquired: bool = False) -> LastTry:
    return LastTry(TRY_UUID, state, 320, charged, unclear, enquired)


def ended(last: LastTry | None, state: JourneyState = ENDED) -> Journey:
    return replace(OPEN, state=state, tries=0 if last is None else 3, last=last)


def sent(amount: int = 320, ends: str | None = None) -> Send:
    return Send(CHECK_OUT, amount, ends)


ALLOWED: dict[str, tuple[Journey, CheckOutOrder, Send]] = {
    "open": (OPEN, PLAIN, sent()),
    "open, in its own currency": (OPEN, CheckOutOrder(320, "978"), sent()),
    "open, released": (OPEN, RELEASE, sent(0)),
    "the largest amount there is": (OPEN, CheckOutOrder(AMOUNT_MAX), sent(AMOUNT_MAX)),
    "expired without a try": (ended(None, EXPIRED), PLAIN, sent()),
    "declined": (ended(tried(State.DECLINED)), PLAIN, sent()),
    "declined after doubt": (ended(tried(State.DECLINED, True, True)), PLAIN, sent()),
    "refused": (ended(tried(State.TAP_REFUSED)), PLAIN, sent()),
    "never sent": (ended(tried(State.FAILED)), PLAIN, sent()),
    "found not charged": (ended(tried(State.NOT_CHARGED, True, True)), PLAIN, sent()),
    "answered, no enquiry": (ended(tried(State.FAILED, True)), PLAIN, sent()),
    "answered, enquiries over": (ended(tried(State.IN_DOUBT, True)), PLAIN, sent()),
    "a part, given back": (ended(tried(State.APPROVED, True, True)), PLAIN, sent()),
    "expired, declined before": (ended(tried(State.DECLINED), EXPIRED), PLAIN, sent()),
    "declined once, may still tap": (trying(1, tried(State.DECLINED)), PLAIN, sent()),
    "waits for a tap, clean": (trying(1, tried(State.AWAITING_TAP)), PLAIN, sent(ends=TRY_UUID)),
    "waits for a tap, answered": (trying(1, tried(State.AWAITING_TAP, True)), PLAIN, sent(ends=TRY_UUID)),
    "closed by a person, clean": (ended(tried(State.CLOSED)), PLAIN, sent()),
    "by hand again after a no": (ended(tried(State.DECLINED)), CheckOutOrder(500), sent(500)),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_check_out_that_may_be_sent(case: str) -> None:
    journey, order, expected = ALLOWED[case]
    assert judge_check_out(journey, order) == expected


REFUSED: dict[str, tuple[Journey, CheckOutOrder, str]] = {
    "closed": (replace(OPEN, state=JourneyState.CLOSED), PLAIN, "journey 7 is closed: its check-out was approved"),
    "closed, before anything else": (replace(OPEN, state=JourneyState.CLOSED), CheckOutOrder(0, "840"), "is closed"),
    "another currency": (OPEN, CheckOutOrder(320, "840"), "journey 7 is in currency 978, not 840"),
    "0 where not meant": (OPEN, CheckOutOrder(0), "add --release if that is meant"),
    "released and charged": (OPEN, CheckOutOrder(320, release=True), "--release means an amount of 0"),
    "below 0": (OPEN, CheckOutOrder(-1), "-1 is not an amount: give 0 to 999999999999 minor units"),
    "more than the request holds": (OPEN, CheckOutOrder(AMOUNT_MAX + 1), "is not an amount"),
    "being tapped": (trying(1, tried(State.SENDING)), PLAIN, "checking out at this moment: look again in a minute"),
    "being asked": (
        ended(tried(State.IN_DOUBT, True, enquired=True)),
        PLAIN,
        f"TPS is being asked whether {TRY_UUID} was charged",
    ),
    "being asked, unknown": (ended(tried(State.IN_DOUBT, True, True, True)), PLAIN, "TPS is being asked"),
    "unknown": (
        ended(tried(State.IN_DOUBT, True, True)),
        PLAIN,
        f"'tpsd resolve {TRY_UUID} --as charged' or '--as not-charged'",
    ),
    "unknown, expired": (ended(tried(State.IN_DOUBT, True, True), EXPIRED), PLAIN, "may have been charged: find out"),
    "unknown, may still tap": (
        trying(1, tried(State.AWAITING_TAP, True, True)),
        PLAIN,
        "the passenger may still tap again: look again when the journey is over",
    ),
    "unknown, closed by a person": (
        ended(tried(State.CLOSED, True, True)),
        PLAIN,
        "given up without finding out: nothing more is sent, since that could charge twice",
    ),
    "refused, but not cleanly": (
        ended(tried(State.TAP_REFUSED, True, True)),
        PLAIN,
        "given up without finding out: nothing more is sent",
    ),
    "released while unknown": (ended(tried(State.IN_DOUBT, True, True)), RELEASE, "find out, then 'tpsd resolve"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_check_out_that_may_not(case: str) -> None:
    journey, order, words = REFUSED[case]
    judged = judge_check_out(journey, order)
    assert isinstance(judged, Refusal)
    assert words in judged.words


UNSETTLED = [state for state in State if state not in FINAL]


@pytest.mark.parametrize("state", UNSETTLED)
def test_an_order_that_is_not_settled_is_the_order(state: State) -> None:
    for charged, unclear, enquired in product((False, True), repeat=3):
        journey = ended(tried(state, charged, unclear, enquired), BY_HAND)
        assert judge_check_out(journey, PLAIN) == Already(TRY_UUID)
        other = judge_check_out(journey, CheckOutOrder(321))
        assert isinstance(other, Refusal)
        assert f"a check-out by hand of 320 is not settled ({state.value})" in other.words
    zero = replace(journey, last=LastTry(TRY_UUID, state, 0, may_have_charged=False))
    assert judge_check_out(zero, RELEASE) == Already(TRY_UUID)
    assert isinstance(judge_check_out(zero, CheckOutOrder(0)), Refusal), "0 must be meant the second time too"


def test_a_check_out_is_never_sent_beside_one_that_may_still_be_charged() -> None:
    """Whatever the journal says: a new UUID needs a definite end, or answers alone after the enquiries (design 3)."""
    for state, last_state, *flags in product(JourneyState, State, (False, True), (False, True), (False, True)):
        last = tried(last_state, *flags)
        judged = judge_check_out(replace(OPEN, state=state, tries=1, last=last), PLAIN)
        if not isinstance(judged, Send):
            continue
        assert state is not JourneyState.CLOSED
        assert last_state is not State.SENDING
        assert state is not BY_HAND or last_state in FINAL
        definite = last_state in (State.DECLINED, State.NOT_CHARGED, State.APPROVED)
        assert definite or not last.may_have_charged or not (last.unclear or last.enquired)
        assert judged.ends == (last.uuid if last_state is State.AWAITING_TAP else None)


def test_what_a_refusal_tells_to_do_can_be_done() -> None:
    """``resolve`` is named exactly where it takes the row."""
    for state, last_state in product((JourneyState.CHECKING_OUT, ENDED, EXPIRED), State):
        judged = judge_check_out(replace(OPEN, state=state, tries=1, last=tried(last_state, True, True)), PLAIN)
        if isinstance(judged, Refusal) and "tpsd resolve" in judged.words:
            assert last_state not in FINAL
            if last_state is not State.PENDING:  # no try of a passenger is ever on a ladder
                assert last_state in SELECTED[Order.CHARGED] & SELECTED[Order.NOT_CHARGED]


CHECKED_IN = replace(PAID, kind=Kind.RETAIL_CHECK_IN)


def given(state: State, amount: int = 100, may: bool = False) -> Given:
    return Given(REFUND_UUID, state, amount, may)


REFUNDS: dict[str, tuple[Original, list[Given], RefundOrder, Send | Already]] = {
    "all of it": (PAID, [], RefundOrder(), Send(REFUND, 250)),
    "all of it, said aloud": (PAID, [], RefundOrder(250), Send(REFUND, 250)),
    "a part": (PAID, [], RefundOrder(1), Send(REFUND, 1)),
    "the rest": (PAID, [given(State.APPROVED)], RefundOrder(), Send(REFUND, 150)),
    "another part": (PAID, [given(State.APPROVED)], RefundOrder(150), Send(REFUND, 150)),
    "the same part again, meant": (PAID, [given(State.APPROVED)], RefundOrder(100, again=True), Send(REFUND, 100)),
    "what was charged, not what was asked": (replace(PAID, charged=120), [], RefundOrder(), Send(REFUND, 120)),
    "known fare": (replace(PAID, kind=Kind.KFT), [], RefundOrder(), Send(REFUND, 250)),
    "a check-out": (replace(PAID, kind=CHECK_OUT), [], RefundOrder(), Send(REFUND, 250)),
    "after a decline": (PAID, [given(State.DECLINED, 250, True)], RefundOrder(), Send(REFUND, 250)),
    "after a refusal": (PAID, [given(State.TAP_REFUSED, 250)], RefundOrder(), Send(REFUND, 250)),
    "after one that never left": (PAID, [given(State.FAILED, 250)], RefundOrder(250), Send(REFUND, 250)),
    "after one that was not given": (PAID, [given(State.NOT_CHARGED, 250, True)], RefundOrder(), Send(REFUND, 250)),
    "after one that was closed, clean": (PAID, [given(State.CLOSED, 250)], RefundOrder(), Send(REFUND, 250)),
    "ordered before": (PAID, [given(State.SENDING)], RefundOrder(100), Already(REFUND_UUID)),
    "ordered before, whatever is left": (PAID, [given(State.IN_DOUBT)], RefundOrder(), Already(REFUND_UUID)),
    "given back by itself, on its way": (PAID, [given(State.PENDING, 250)], RefundOrder(), Already(REFUND_UUID)),
    "its ladder ran out": (PAID, [given(State.PERMANENTLY_FAILED, 250)], RefundOrder(250), Already(REFUND_UUID)),
    "a stray check-in": (CHECKED_IN, [], RefundOrder(), Send(CHECK_OUT, 0)),
    "a stray check-in, refused before": (CHECKED_IN, [given(State.DECLINED, 0)], RefundOrder(), Send(CHECK_OUT, 0)),
    "a release on its way": (CHECKED_IN, [given(State.PENDING, 0)], RefundOrder(), Already(REFUND_UUID)),
}


@pytest.mark.parametrize("case", REFUNDS)
def test_a_refund(case: str) -> None:
    original, before, order, expected = REFUNDS[case]
    assert judge_refund(original, before, order) == expected


@pytest.mark.parametrize("state", UNSETTLED)
def test_no_refund_goes_beside_one_that_is_not_settled(state: State) -> None:
    before = [given(State.DECLINED, 50), given(state)]
    assert judge_refund(PAID, before, RefundOrder(100)) == Already(REFUND_UUID)
    other = judge_refund(PAID, before, RefundOrder(50, again=True))
    assert isinstance(other, Refusal)
    assert f"a refund of 100 is not settled ({REFUND_UUID})" in other.words


NOT_REFUNDED: dict[str, tuple[Original, list[Given], RefundOrder, str]] = {
    "above the charge": (PAID, [], RefundOrder(251), "251 is not between 1 and 250, what is left of the 250"),
    "above what is left": (PAID, [given(State.APPROVED)], RefundOrder(151), "151 is not between 1 and 150"),
    "above a part": (replace(PAID, charged=120), [], RefundOrder(121), "121 is not between 1 and 120"),
    "of nothing": (PAID, [], RefundOrder(0), "0 is not between 1 and 250"),
    "below 0": (PAID, [], RefundOrder(-5), "-5 is not between 1 and 250"),
    "twice": (PAID, [given(State.APPROVED, 250)], RefundOrder(), "it was given back already, 250 in all"),
    "twice, said aloud": (PAID, [given(State.APPROVED, 250)], RefundOrder(250), "it was given back already"),
    "twice, meant": (PAID, [given(State.APPROVED, 250)], RefundOrder(250, again=True), "it was given back already"),
    "the same part again": (PAID, [given(State.APPROVED)], RefundOrder(100), f"before ({REFUND_UUID}): add --again"),
    "nobody knows of the first": (PAID, [given(State.FAILED, 250, True)], RefundOrder(), "given back already"),
    "closed without finding out": (PAID, [given(State.CLOSED, 250, True)], RefundOrder(), "given back already"),
    "of a decline": (replace(PAID, state=State.DECLINED), [], RefundOrder(), "can be given back, and it is declined"),
    "of a failure": (replace(PAID, state=State.FAILED), [], RefundOrder(), "can be given back, and it is failed"),
    "in doubt": (replace(PAID, state=State.IN_DOUBT), [], RefundOrder(), "it is in doubt whether it was charged"),
    "of a charge of 0": (replace(PAID, charged=0), [], RefundOrder(), "it charged 0, so there is nothing"),
    "of a transit tap": (replace(PAID, kind=Kind.MTT), [], RefundOrder(), "MTT is not refunded here"),
    "of a refund": (replace(PAID, kind=REFUND), [], RefundOrder(), "RETAIL_REFUND is not refunded here"),
    "of a journey's check-in": (
        replace(CHECKED_IN, journey=7),
        [],
        RefundOrder(),
        "while none is approved, 'tpsd checkout 7 --amount 0 --release' gives back what it holds",
    ),
    "a part of a hold": (CHECKED_IN, [], RefundOrder(100), "a check-in only holds money, and is released whole"),
    "a release twice": (CHECKED_IN, [given(State.APPROVED, 0)], RefundOrder(), "it was released already"),
}


@pytest.mark.parametrize("case", NOT_REFUNDED)
def test_a_refund_that_is_refused(case: str) -> None:
    original, before, order, words = NOT_REFUNDED[case]
    judged = judge_refund(original, before, order)
    assert isinstance(judged, Refusal)
    assert words in judged.words


@pytest.mark.parametrize("state", [state for state in State if state is not State.APPROVED])
def test_only_what_was_approved_is_given_back(state: State) -> None:
    for kind in (Kind.RETAIL_PAYMENT, Kind.KFT, Kind.RETAIL_CHECK_IN, CHECK_OUT):
        judged = judge_refund(replace(PAID, kind=kind, state=state), [], RefundOrder())
        assert isinstance(judged, Refusal)
        assert "nothing was charged" not in judged.words, "of a failed one that may be untrue"


@pytest.mark.parametrize(
    ("kind", "back"),
    [
        (Kind.RETAIL_PAYMENT, (REFUND, 120)),
        (Kind.KFT, (REFUND, 120)),
        (CHECK_OUT, (REFUND, 120)),
        (Kind.RETAIL_CHECK_IN, (CHECK_OUT, 0)),
    ],
)
def test_how_it_is_given_back(kind: Kind, back: tuple[Kind, int]) -> None:
    assert giving_back(replace(PAID, kind=kind), 120) == back


@pytest.mark.parametrize("type_name", ["GATE-X1", ""])
def test_what_follows_names_the_first_one_and_holds_no_card_data(type_name: str) -> None:
    requests = Requests()
    first = replace(PAID, terminal="BUS:TERM-1", type_name=type_name, credential="own", currency="840")
    draft = follow(first, REFUND, 120, NOW, UUID(REFUND_UUID), setting(requests))
    (request,) = requests.seen
    assert (request.type, request.initial_uuid, request.amount) == ("RETAIL_REFUND", UUID(CHECK_IN_UUID), 120)
    assert (request.terminal_type, request.terminal_sn, request.validator_serial) == ("BUS", "TERM-1", "VAL00042")
    assert request.validator_type == (type_name or "BUS")
    assert (request.tag, request.pan_token, request.currency, request.tapped_at) == (b"", None, "840", NOW)
    assert (draft.uuid, draft.type, draft.amount, draft.currency) == (UUID(REFUND_UUID), "RETAIL_REFUND", 120, "840")
    assert (draft.credential, draft.initial, draft.path) == ("own", CHECK_IN_UUID, "/path")
