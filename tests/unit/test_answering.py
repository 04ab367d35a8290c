"""What a waiting passenger is told, and where the authorisation goes: every outcome, kind, try and configuration."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.intake_taps import TERMINAL
from tests.realtime_taps import ANSWERS, OPEN, trying
from tpsd.core.answering import Ending, Policy, Waiting, accepted, settle
from tpsd.core.doubt import FIRST_ENQUIRY_US, DoubtPolicy
from tpsd.core.journeys import Input
from tpsd.core.outcomes import classify
from tpsd.domain.authorisation import State
from tpsd.domain.journey import JourneyState
from tpsd.domain.outcome import Approved
from tpsd.domain.tap import Kind, Shown, Told, Verdict
from tpsd.domain.time import Micros

ENDED = Micros(1_790_000_000_000_000)
ALONE, ASKS = Policy(), Policy(DoubtPolicy(enquires=True))
UUID = "33333333-3333-4333-8333-333333333333"

PAY = Waiting(UUID, Kind.RETAIL_PAYMENT, 320, TERMINAL)
KNOWN_FARE = replace(PAY, kind=Kind.KFT)
CHECKING_IN = replace(PAY, kind=Kind.RETAIL_CHECK_IN)
FIRST, SECOND, THIRD = (replace(PAY, kind=Kind.RETAIL_CHECK_OUT, journey=trying(tries)) for tries in (1, 2, 3))
BY_HAND = replace(FIRST, tapped=False, journey=replace(OPEN, state=JourneyState.BY_HAND))
REFUND = replace(PAY, kind=Kind.RETAIL_REFUND, tapped=False)
RELEASE = replace(PAY, kind=Kind.RETAIL_CHECK_OUT, tapped=False, amount=0)

OK, NO, REFUSED, FAILED = State.APPROVED, State.DECLINED, State.TAP_REFUSED, State.FAILED
AWAITED, DOUBT = State.AWAITING_TAP, State.IN_DOUBT


def after(waiting: Waiting, name: str, policy: Policy = ALONE) -> Ending:
    return settle(waiting, classify(ANSWERS[name]), policy, number=1, ended_at=ENDED)


def keys(ending: Ending) -> list[str]:
    return [notice.cause for notice in ending.settlement.notices]


STATES: dict[str, tuple[str, State, State, State, State, State, State, State]] = {
    # cause; one send (payment, KFT, check-in); try 1 or 2; the third try, or a check-out by hand; a refund by hand.
    # Two columns: no enquiry is configured, one is. A try 1 or 2 is the same either way.
    #                                                  one send          try       third, by hand    refund
    "approved":                        ("action.000",  OK,      OK,      OK,       OK,      OK,      OK,      OK),
    "approved, the amount said":       ("action.000",  OK,      OK,      OK,       OK,      OK,      OK,      OK),
    "approved in part, all of it":     ("action.002",  OK,      OK,      OK,       OK,      OK,      OK,      OK),
    "approved in part, no amount":     ("amount_differs", DOUBT, DOUBT,  DOUBT,    DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "approved in part, nothing":       ("amount_differs", DOUBT, DOUBT,  DOUBT,    DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "approved in part, more than asked": ("amount_differs", DOUBT, DOUBT, DOUBT,   DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "approved for less":               ("amount_differs", DOUBT, DOUBT,  DOUBT,    DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "approved for more":               ("amount_differs", DOUBT, DOUBT,  DOUBT,    DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "declined":                        ("action.116",  NO,      NO,      NO,       NO,      NO,      NO,      NO),
    "declined without a code":         ("declined",    NO,      NO,      NO,       NO,      NO,      NO,      NO),
    "declined as 4XX":                 ("action.116",  NO,      NO,      NO,       NO,      NO,      NO,      NO),
    "a PIN is wanted":                 ("action.112",  NO,      NO,      NO,       NO,      NO,      NO,      NO),
    "tap refused":                     ("system.60",   REFUSED, REFUSED, REFUSED,  REFUSED, REFUSED, REFUSED, REFUSED),
    "tap refused, an alarm":           ("system.27",   REFUSED, REFUSED, REFUSED,  REFUSED, REFUSED, REFUSED, REFUSED),
    "tap refused, a passing trouble":  ("system.86",   REFUSED, REFUSED, REFUSED,  REFUSED, REFUSED, REFUSED, REFUSED),
    "tap refused, may have charged":   ("action.911",  DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "terminal refused":                ("system.41",   FAILED,  FAILED,  FAILED,   FAILED,  FAILED,  FAILED,  FAILED),
    "bare 4XX":                        ("http.404",    FAILED,  FAILED,  FAILED,   FAILED,  FAILED,  FAILED,  FAILED),
    "bare 3XX":                        ("http.302",    FAILED,  FAILED,  AWAITED,  FAILED,  FAILED,  FAILED,  FAILED),
    "certificate refused":             ("tls.client",  FAILED,  FAILED,  AWAITED,  FAILED,  FAILED,  FAILED,  FAILED),
    "5XX":                             ("http.503",    FAILED,  DOUBT,   AWAITED,  FAILED,  DOUBT,   DOUBT,   DOUBT),
    "9xx":                             ("action.911",  FAILED,  DOUBT,   AWAITED,  FAILED,  DOUBT,   DOUBT,   DOUBT),
    "be patient":                      ("http.429",    FAILED,  FAILED,  AWAITED,  FAILED,  FAILED,  FAILED,  FAILED),
    "in progress":                     ("system.303",  DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "a duplicate":                     ("action.913",  DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "request in progress":             ("action.923",  DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "never connected":                 ("connect",     FAILED,  FAILED,  AWAITED,  FAILED,  FAILED,  FAILED,  FAILED),
    "busy":                            ("busy",        FAILED,  FAILED,  AWAITED,  FAILED,  FAILED,  FAILED,  FAILED),
    "no answer":                       ("timeout",     DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "a crash":                         ("crash",       DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "unreadable":                      ("unreadable",  DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "contradiction":                   ("contradiction", DOUBT, DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
    "no final status":                 ("http.199",    DOUBT,   DOUBT,   AWAITED,  DOUBT,   DOUBT,   DOUBT,   DOUBT),
}  # fmt: skip

ALARMS = {
    "tap refused, an alarm": ["alarm/system.27"],
    "terminal refused": [f"alarm/system.41@{TERMINAL}"],
    "bare 4XX": [f"alarm/http.404@{TERMINAL}"],
    "bare 3XX": [f"alarm/http.302@{TERMINAL}"],
    "certificate refused": [f"alarm/tls.client@{TERMINAL}"],
    "unreadable": ["alarm/unreadable"],
    "contradiction": ["alarm/contradiction"],
    "no final status": ["alarm/http.199"],
}
PART = "approved in part"  # its own tables are below
UNAPPROVED = [name for name, row in STATES.items() if row[1] is not OK]


def told_of_states(cause: str, state: State, asks: bool) -> list[str]:
    """What an operator hears of a row's state."""
    if state is DOUBT and not asks:
        return [f"in_doubt/{cause}"]
    return [f"tap_refused/{cause}"] if state is REFUSED else []


def check(name: str, ending: Ending, cause: str, state: State, asks: bool) -> None:
    settlement = ending.settlement
    differs = cause == "amount_differs"
    assert (settlement.state, settlement.cause, settlement.due) == (state, cause, None)
    alarms = ["alarm/amount_differs"] if differs else ALARMS.get(name, [])
    assert sorted(keys(ending)) == sorted(told_of_states(cause, state, asks) + alarms)
    assert settlement.enquiry_due == (ENDED + FIRST_ENQUIRY_US if state is DOUBT and asks else None)
    assert settlement.may_have_charged is (not classify(ANSWERS[name]).clean)
    assert (ending.gives_back, ending.unseen) == (None, False)


def test_every_answer_is_in_the_table() -> None:
    assert {*STATES, PART} == set(ANSWERS)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_one_send_that_is_not_approved(name: str) -> None:
    cause, alone, asked, *_ = STATES[name]
    for waiting, (policy, state) in product((PAY, KNOWN_FARE, CHECKING_IN), ((ALONE, alone), (ASKS, asked))):
        ending = after(waiting, name, policy)
        check(name, ending, cause, state, policy is ASKS)
        assert (ending.told, ending.journey, ending.opens) == (Told(Verdict.DENIED, cause), None, False)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_a_try_that_is_not_approved(name: str) -> None:
    cause, state = STATES[name][0], STATES[name][3]
    for waiting, policy in product((FIRST, SECOND), (ALONE, ASKS)):
        ending = after(waiting, name, policy)
        check(name, ending, cause, state, policy is ASKS)
        verdict = Verdict.CHECK_OUT_FAILED if state is DOUBT else Verdict.CHECK_OUT_AGAIN
        assert (ending.told, ending.journey) == (Told(verdict, cause), Input.FAILED)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_the_third_try_that_is_not_approved(name: str) -> None:
    cause, alone, asked = STATES[name][0], *STATES[name][4:6]
    for policy, state in ((ALONE, alone), (ASKS, asked)):
        ending = after(THIRD, name, policy)
        check(name, ending, cause, state, policy is ASKS)
        assert (ending.told, ending.journey) == (Told(Verdict.CHECK_OUT_FAILED, cause), Input.LAST_FAILED)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_a_check_out_by_hand_that_is_not_approved(name: str) -> None:
    cause, alone, asked = STATES[name][0], *STATES[name][4:6]
    for policy, state in ((ALONE, alone), (ASKS, asked)):
        ending = after(BY_HAND, name, policy)
        check(name, ending, cause, state, policy is ASKS)
        assert (ending.told, ending.journey) == (None, None if state is DOUBT else Input.HAND_FAILED)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_a_refund_by_hand_that_is_not_approved(name: str) -> None:
    cause, alone, asked = STATES[name][0], *STATES[name][6:]
    for policy, state in ((ALONE, alone), (ASKS, asked)):
        ending = after(REFUND, name, policy)
        check(name, ending, cause, state, policy is ASKS)
        assert (ending.told, ending.journey) == (None, None)


@pytest.mark.parametrize(
    ("waiting", "told", "given", "opens"),
    [
        (PAY, Told(Verdict.ACCEPTED, "approved", 320), None, False),
        (KNOWN_FARE, Told(Verdict.ACCEPTED, "approved", 320), None, False),
        (CHECKING_IN, Told(Verdict.CHECKED_IN, "checked_in", 320), None, True),
        (FIRST, Told(Verdict.CHECKED_OUT, "checked_out", 320), Input.APPROVED, False),
        (SECOND, Told(Verdict.CHECKED_OUT, "checked_out", 320), Input.APPROVED, False),
        (THIRD, Told(Verdict.CHECKED_OUT, "checked_out", 320), Input.APPROVED, False),
        (BY_HAND, None, Input.APPROVED, False),
        (REFUND, None, None, False),
    ],
)
def test_an_approval(waiting: Waiting, told: Told | None, given: Input | None, opens: bool) -> None:
    policies = (ALONE, ASKS, Policy(gives_back=True), Policy(partial_accepted=True))
    names = [name for name, row in STATES.items() if row[1] is OK]
    for name, policy, shown in product(names, policies, (Shown.NOTHING, Shown.LET_IN)):
        ending = after(replace(waiting, shown=shown), name, policy)
        assert (ending.told, ending.journey, ending.opens) == (told, given, opens)
        check(name, ending, STATES[name][0], OK, asks=False)


def test_the_amount_that_tps_said_is_kept() -> None:
    for name, amount in {
        "approved": None,
        "approved, the amount said": 320,
        PART: 120,
        "approved for more": 3200,
    }.items():
        assert after(PAY, name).settlement.approved_amount == amount


def test_a_release_holds_nothing_and_approves_nothing() -> None:
    assert after(RELEASE, "approved").settlement.state is OK
    assert after(RELEASE, "approved in part, nothing").settlement.cause == "amount_differs"
    assert after(RELEASE, "approved").journey is None


AWAY = [f"unseen/turned_away@{TERMINAL}"]

SHOWN_AWAY: list[tuple[Waiting, bool, Told, Input | None, list[str], int | None]] = [
    # approved though turned away, what is found charged is given back → told, journey, notices, given back
    (PAY, False, Told(Verdict.DENIED, "turned_away"), None, AWAY, None),
    (PAY, True, Told(Verdict.DENIED, "turned_away"), None, [], 320),
    (KNOWN_FARE, False, Told(Verdict.DENIED, "turned_away"), None, AWAY, None),
    (KNOWN_FARE, True, Told(Verdict.DENIED, "turned_away"), None, [], 320),
    (CHECKING_IN, False, Told(Verdict.DENIED, "turned_away"), None, AWAY, None),
    (CHECKING_IN, True, Told(Verdict.DENIED, "turned_away"), None, [], 320),
    (SECOND, False, Told(Verdict.CHECKED_OUT, "checked_out", 320), Input.APPROVED, AWAY, None),
    (SECOND, True, Told(Verdict.CHECKED_OUT, "checked_out", 320), Input.APPROVED, AWAY, None),
]


@pytest.mark.parametrize(("waiting", "gives_back", "told", "given", "notices", "back"), SHOWN_AWAY)
def test_an_approval_of_whom_the_validator_turned_away(
    waiting: Waiting, gives_back: bool, told: Told, given: Input | None, notices: list[str], back: int | None
) -> None:
    ending = after(replace(waiting, shown=Shown.TURNED_AWAY), "approved", Policy(gives_back=gives_back))
    assert (ending.told, ending.journey, ending.opens, ending.unseen) == (told, given, False, True)
    assert (keys(ending), ending.gives_back, ending.settlement.state) == (notices, back, OK)


@pytest.mark.parametrize("name", UNAPPROVED)
def test_what_was_shown_changes_nothing_of_a_denial_but_whom_it_is_told(name: str) -> None:
    told = f"unseen/{STATES[name][0]}@{TERMINAL}"
    for waiting in (PAY, KNOWN_FARE, CHECKING_IN, FIRST, SECOND, THIRD):
        plain = after(waiting, name)
        assert after(replace(waiting, shown=Shown.TURNED_AWAY), name) == plain
        let_in = after(replace(waiting, shown=Shown.LET_IN), name)
        assert replace(let_in, settlement=plain.settlement) == plain
        assert sorted(keys(let_in)) == sorted([*keys(plain), told])


PARTS: list[tuple[Waiting, bool, Shown, Told | None, Input | None, bool, list[str], int | None]] = [
    # the lane accepts a part, shown → told, journey, opens, notices, given back
    (PAY, True, Shown.NOTHING, Told(Verdict.ACCEPTED, "partial", 120), None, False, [], None),
    (PAY, False, Shown.NOTHING, Told(Verdict.DENIED, "partial_refused"), None, False, [], 120),
    (PAY, True, Shown.LET_IN, Told(Verdict.ACCEPTED, "partial", 120), None, False, [], None),
    (PAY, False, Shown.LET_IN, Told(Verdict.DENIED, "partial_refused"), None, False,
     [f"unseen/partial_refused@{TERMINAL}"], 120),
    (PAY, True, Shown.TURNED_AWAY, Told(Verdict.DENIED, "turned_away"), None, False, AWAY, None),
    (PAY, False, Shown.TURNED_AWAY, Told(Verdict.DENIED, "partial_refused"), None, False, [], 120),
    (KNOWN_FARE, False, Shown.NOTHING, Told(Verdict.DENIED, "partial_refused"), None, False, [], 120),
    (CHECKING_IN, True, Shown.NOTHING, Told(Verdict.CHECKED_IN, "partial", 120), None, True, [], None),
    (CHECKING_IN, False, Shown.NOTHING, Told(Verdict.DENIED, "partial_refused"), None, False, [], 120),
    (FIRST, True, Shown.NOTHING, Told(Verdict.CHECKED_OUT, "partial", 120), Input.APPROVED, False, [], None),
    (FIRST, False, Shown.NOTHING, Told(Verdict.CHECK_OUT_AGAIN, "partial_refused"), Input.FAILED, False, [], 120),
    (SECOND, False, Shown.NOTHING, Told(Verdict.CHECK_OUT_AGAIN, "partial_refused"), Input.FAILED, False, [], 120),
    (THIRD, False, Shown.NOTHING, Told(Verdict.CHECK_OUT_FAILED, "partial_refused"), Input.LAST_FAILED, False, [], 120),
    (BY_HAND, False, Shown.NOTHING, None, Input.APPROVED, False, [], None),
    (REFUND, False, Shown.NOTHING, None, None, False, [], None),
]  # fmt: skip


@pytest.mark.parametrize(("waiting", "accepts", "shown", "told", "given", "opens", "notices", "back"), PARTS)
def test_a_part(
    waiting: Waiting,
    accepts: bool,
    shown: Shown,
    told: Told | None,
    given: Input | None,
    opens: bool,
    notices: list[str],
    back: int | None,
) -> None:
    ending = after(replace(waiting, shown=shown), PART, Policy(partial_accepted=accepts))
    assert (ending.told, ending.journey, ending.opens) == (told, given, opens)
    assert (keys(ending), ending.gives_back) == (notices, back)
    assert (ending.settlement.state, ending.settlement.approved_amount) == (OK, 120)


def test_a_soft_decline_asks_for_the_pin_where_the_validator_can() -> None:
    can = Policy(can_take_pin=True)
    for waiting, able in product((PAY, KNOWN_FARE, CHECKING_IN), (True, False)):
        verdict = Verdict.INSERT_CARD if able else Verdict.DENIED
        ending = after(waiting, "a PIN is wanted", replace(can, can_take_pin=able))
        assert (ending.told, ending.settlement.state) == (Told(verdict, "action.112"), NO)
    assert after(PAY, "declined", can).told == Told(Verdict.DENIED, "action.116")
    assert after(FIRST, "a PIN is wanted", can).told == Told(Verdict.CHECK_OUT_AGAIN, "action.112")
    assert after(THIRD, "a PIN is wanted", can).told == Told(Verdict.CHECK_OUT_FAILED, "action.112")


EARLIER: list[tuple[str, State, State, State, State]] = [
    # After an attempt that may have charged: the second try; the third with an enquiry, and without one where the
    # earlier ones were all answered, and where one was not.
    ("approved", OK, OK, OK, OK),
    ("declined", NO, NO, NO, NO),
    ("declined as 4XX", NO, NO, NO, NO),
    ("tap refused", AWAITED, DOUBT, DOUBT, DOUBT),
    ("terminal refused", AWAITED, DOUBT, DOUBT, DOUBT),
    ("bare 4XX", AWAITED, DOUBT, DOUBT, DOUBT),
    ("bare 3XX", AWAITED, DOUBT, DOUBT, DOUBT),
    ("certificate refused", AWAITED, DOUBT, DOUBT, DOUBT),
    ("5XX", AWAITED, DOUBT, FAILED, DOUBT),
    ("9xx", AWAITED, DOUBT, FAILED, DOUBT),
    ("be patient", AWAITED, DOUBT, FAILED, DOUBT),
    ("in progress", AWAITED, DOUBT, DOUBT, DOUBT),
    ("never connected", AWAITED, DOUBT, FAILED, DOUBT),
    ("no answer", AWAITED, DOUBT, DOUBT, DOUBT),
]


@pytest.mark.parametrize(("name", "second", "asked", "answered", "unclear"), EARLIER)
def test_an_earlier_attempt_that_may_have_charged_is_not_forgotten(
    name: str, second: State, asked: State, answered: State, unclear: State
) -> None:
    before: dict[str, Any] = {"may_have_charged": True}
    assert after(replace(SECOND, **before), name).settlement.state is second
    assert after(replace(THIRD, **before), name, ASKS).settlement.state is asked
    assert after(replace(THIRD, **before), name).settlement.state is answered
    last = after(replace(THIRD, **before, unclear=True), name)
    assert last.settlement.state is unclear
    assert last.settlement.may_have_charged
    assert "tap_refused/system.60" not in keys(last)


def test_a_refused_try_that_goes_again_is_not_mailed_as_over() -> None:
    doubtful = replace(SECOND, may_have_charged=True)
    assert keys(after(doubtful, "tap refused")) == []
    assert keys(after(doubtful, "terminal refused")) == [f"alarm/system.41@{TERMINAL}"]
    assert keys(after(SECOND, "tap refused")) == ["tap_refused/system.60"]


@pytest.mark.parametrize("state", [JourneyState.EXPIRED, JourneyState.ENDED_UNPAID, JourneyState.BY_HAND])
def test_no_try_waits_for_a_tap_that_cannot_come(state: JourneyState) -> None:
    over = replace(SECOND, journey=replace(trying(2), state=state))
    for name, policy in product(ANSWERS, (ALONE, ASKS)):
        assert after(over, name, policy).settlement.state is not AWAITED


def test_what_a_passenger_is_told_who_paid() -> None:
    assert accepted(Kind.RETAIL_PAYMENT, 5) == Told(Verdict.ACCEPTED, "approved", 5)
    assert accepted(Kind.RETAIL_CHECK_IN, 5, "paid_before") == Told(Verdict.CHECKED_IN, "paid_before", 5)
    assert accepted(Kind.RETAIL_CHECK_OUT, 0) == Told(Verdict.CHECKED_OUT, "checked_out", 0)


def test_an_approval_without_a_code_is_one() -> None:
    found = settle(PAY, Approved("approved", False, http=200), Policy(), number=1, ended_at=ENDED)
    assert found.told == Told(Verdict.ACCEPTED, "approved", 320)
    assert found.settlement.cause == "approved"
