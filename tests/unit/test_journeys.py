"""The journey's table: every input at every state, and what the operator hears of an end without a payment."""

from itertools import groupby, product

import pytest

from tpsd.cli.generate import BLOCKS
from tpsd.core.journeys import TABLE, Effect, IllegalStepError, Input, failed, step, told
from tpsd.domain.journey import TRIES_MAX, JourneyState
from tpsd.domain.notice import NoticeKind

OPEN, CHECKING_OUT, ENDED = JourneyState.OPEN, JourneyState.CHECKING_OUT, JourneyState.ENDED_UNPAID
BY_HAND, CLOSED, EXPIRED = JourneyState.BY_HAND, JourneyState.CLOSED, JourneyState.EXPIRED
SEND, END, GIVE_UP, TELL = Effect.SEND, Effect.END, Effect.GIVE_UP, Effect.TELL

ROWS: list[tuple[JourneyState, Input, JourneyState, tuple[Effect, ...]]] = [
    # state, input → next state, what is done
    (OPEN, Input.CHECK_OUT, CHECKING_OUT, (SEND,)),
    (OPEN, Input.OVERDUE, EXPIRED, (END, TELL)),
    (OPEN, Input.HAND, BY_HAND, (SEND,)),
    (CHECKING_OUT, Input.CHECK_OUT, CHECKING_OUT, (SEND,)),
    (CHECKING_OUT, Input.APPROVED, CLOSED, (END,)),
    (CHECKING_OUT, Input.FAILED, CHECKING_OUT, ()),
    (CHECKING_OUT, Input.LAST_FAILED, ENDED, (END, TELL)),
    (CHECKING_OUT, Input.OVERDUE, EXPIRED, (GIVE_UP, END, TELL)),
    (CHECKING_OUT, Input.HAND, BY_HAND, (SEND,)),
    (ENDED, Input.APPROVED, CLOSED, (END,)),
    (ENDED, Input.HAND, BY_HAND, (SEND,)),
    (BY_HAND, Input.APPROVED, CLOSED, (END,)),
    (BY_HAND, Input.HAND_FAILED, ENDED, (END, TELL)),
    (EXPIRED, Input.APPROVED, CLOSED, (END,)),
    (EXPIRED, Input.HAND, BY_HAND, (SEND,)),
]
LEGAL = {(state, given) for state, given, _, _ in ROWS}


@pytest.mark.parametrize(("state", "given", "then", "effects"), ROWS)
def test_a_row(state: JourneyState, given: Input, then: JourneyState, effects: tuple[Effect, ...]) -> None:
    assert step(state, given) == (then, effects)


@pytest.mark.parametrize(
    ("state", "given"), [pair for pair in product(JourneyState, Input) if pair not in LEGAL], ids=str
)
def test_everything_else_is_a_fault_of_ours(state: JourneyState, given: Input) -> None:
    with pytest.raises(IllegalStepError) as caught:
        step(state, given)
    assert str(caught.value) == f"a journey that is {state.value} has no rule for: {given.value}"


def test_the_table_has_no_row_more() -> None:
    assert set(TABLE) == LEGAL


def test_nothing_leads_out_of_closed_and_every_other_state_can_still_be_paid() -> None:
    assert not any(state is CLOSED for state, _ in TABLE)
    reaches = {CLOSED}
    for _ in JourneyState:
        reaches |= {state for (state, _), (then, _) in TABLE.items() if then in reaches}
    assert reaches == set(JourneyState)


def test_only_travelling_journeys_take_a_tap_or_expire() -> None:
    for given in (Input.CHECK_OUT, Input.OVERDUE):
        assert {state for state, what in TABLE if what is given} == {state for state in JourneyState if state.travels}


def test_an_end_without_a_payment_is_told_and_every_end_is_dated() -> None:
    for (state, _), (then, effects) in TABLE.items():
        ends = not then.travels and then is not BY_HAND
        assert (END in effects) is ends, (state, then)
        assert (TELL in effects) is (then in (ENDED, EXPIRED)), (state, then)


def test_three_tries_and_not_one_more() -> None:
    assert TRIES_MAX == 3
    assert [failed(tries) for tries in (1, 2, 3, 4)] == [
        Input.FAILED,
        Input.FAILED,
        Input.LAST_FAILED,
        Input.LAST_FAILED,
    ]
    state = OPEN
    for tries in (1, 2, 3):
        state, _ = step(state, Input.CHECK_OUT)
        state, _ = step(state, failed(tries))
    assert state is ENDED
    with pytest.raises(IllegalStepError):
        step(state, Input.CHECK_OUT)


@pytest.mark.parametrize(("state", "what"), [(ENDED, "ended unpaid"), (EXPIRED, "nobody checked out")])
def test_what_the_operator_hears(state: JourneyState, what: str) -> None:
    notice = told(12, state)
    assert (notice.kind, notice.cause) == (NoticeKind.JOURNEY, f"journey/{state.value}")
    assert notice.detail.startswith(f"journey 12: {what}" if state is EXPIRED else f"journey 12: it {what}")
    assert "tpsd checkout" in notice.detail


def test_the_table_can_be_printed() -> None:
    header, rule, *rows = BLOCKS["journeys"]().splitlines()
    assert header == "| journey is | what happens | then it is | what is done |"
    assert rule == "| --- | --- | --- | --- |"
    assert len(rows) == len(ROWS)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [(was, given, then) for was, given, then, _ in cells] == [
        (state.value, given.value, then.value) for (state, given), (then, _) in TABLE.items()
    ]
    assert cells[5][3] == "nothing"
    grouped = [state for state, _ in groupby(was for was, *_ in cells)]
    assert grouped == [state.value for state in JourneyState if state is not CLOSED]
