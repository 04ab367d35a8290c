"""The horizon, and how rows come to be asked about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tpsd.core.doubt import FIRST_ENQUIRY_US, DoubtPolicy, is_beyond_horizon, judge_at_claim, with_enquiry
from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Progress, State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

NOW = Micros(1_790_000_000_000_000)
ASKING, SILENT = DoubtPolicy(36 * HOUR, enquires=True), DoubtPolicy(36 * HOUR, enquires=False)


def settled(
    exchange: Exchange, *, sends: int, doubt: bool, policy: DoubtPolicy = ASKING, number: int | None = None
) -> tuple[Settlement, Settlement]:
    """As the ladder settles it, and with what the policy adds."""
    outcome = classify(exchange)
    plain = settle(
        Progress(sends, doubt, DEFAULT_LADDER),
        outcome,
        started_at=NOW,
        ended_at=NOW,
        jitter_draw=0.0,
        jitter_share=0.0,
        terminal="GATE-X1:VAL00042",
    )
    return plain, with_enquiry(policy, plain, outcome, number=number or sends, ended_at=NOW)


@pytest.mark.parametrize(
    ("age", "beyond"), [(None, False), (0, False), (36 * HOUR, False), (36 * HOUR + 1, True), (-HOUR, False)]
)
def test_the_horizon_counts_from_the_first_send_that_may_have_charged(age: int | None, beyond: bool) -> None:
    since = None if age is None else Micros(NOW - age)
    assert is_beyond_horizon(SILENT, since, NOW) is beyond
    assert (judge_at_claim(SILENT, since, NOW) is not None) is beyond


def test_beyond_the_horizon_a_person_is_told_at_once_where_nobody_can_be_asked() -> None:
    aside = judge_at_claim(SILENT, Micros(0), NOW)
    assert aside is not None
    assert (aside.state, aside.cause, aside.due, aside.enquiry_due) == (State.IN_DOUBT, "horizon", None, None)
    assert aside.may_have_charged
    assert not aside.erase
    (notice,) = aside.notices
    assert (notice.kind, notice.cause) == (NoticeKind.IN_DOUBT, "in_doubt/horizon")
    assert "36 h" in notice.detail


def test_beyond_the_horizon_tps_is_asked_first() -> None:
    aside = judge_at_claim(ASKING, Micros(0), NOW)
    assert aside is not None
    assert (aside.state, aside.enquiry_due, aside.notices) == (State.IN_DOUBT, NOW + FIRST_ENQUIRY_US, ())


def test_a_row_in_doubt_is_asked_about_after_60_s_before_a_person_is_told() -> None:
    plain, asked = settled(Answer(400, system_code=60), sends=2, doubt=True)
    assert [notice.kind for notice in plain.notices] == [NoticeKind.IN_DOUBT]
    assert asked == replace(plain, notices=(), enquiry_due=Micros(NOW + 60 * SECOND))


def test_an_alarm_does_not_wait_for_the_enquiry() -> None:
    _, asked = settled(Answer(400, system_code=27), sends=2, doubt=True)
    assert [notice.kind for notice in asked.notices] == [NoticeKind.ALARM]


REPEATED = [Answer(409, system_code=303), Answer(200, action_code="913"), Answer(200, action_code="923")]


@pytest.mark.parametrize("exchange", REPEATED)
def test_a_resend_answered_with_a_repeat_is_asked_about_before_its_next_rung(exchange: Exchange) -> None:
    plain, asked = settled(exchange, sends=2, doubt=True)
    assert (plain.state, plain.due) == (State.PENDING, NOW + MINUTE)
    assert asked == replace(plain, enquiry_due=Micros(NOW + 30 * SECOND))
    _, later = settled(exchange, sends=5, doubt=True)
    assert later.enquiry_due == NOW + FIRST_ENQUIRY_US


@pytest.mark.parametrize("exchange", REPEATED)
def test_a_first_send_so_answered_is_not_asked_about(exchange: Exchange) -> None:
    plain, asked = settled(exchange, sends=1, doubt=False)
    assert asked == plain
    _, of_a_later_release = settled(exchange, sends=1, doubt=True, number=14)
    assert of_a_later_release.enquiry_due is not None


@pytest.mark.parametrize("exchange", [Answer(503), NoAnswer("timeout"), Answer(200, action_code="000"), Answer(429)])
def test_nothing_else_is_asked_about(exchange: Exchange) -> None:
    plain, asked = settled(exchange, sends=2, doubt=True)
    assert asked == plain


def test_a_ladder_that_ended_in_a_repeat_has_no_rung_to_ask_before() -> None:
    plain, asked = settled(Answer(409, system_code=303), sends=13, doubt=True)
    assert asked == plain
    assert asked.state is State.PERMANENTLY_FAILED


@pytest.mark.parametrize("exchange", [*REPEATED, Answer(400, system_code=60)])
def test_where_nobody_can_be_asked_everything_stays(exchange: Exchange) -> None:
    plain, asked = settled(exchange, sends=2, doubt=True, policy=SILENT)
    assert asked == plain
