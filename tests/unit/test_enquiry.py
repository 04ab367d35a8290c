"""What an enquiry's answer means, and where the row goes that was asked about, case by case."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from typer.testing import CliRunner

from tpsd.cli import app
from tpsd.core.enquiry import (
    ENQUIRIES,
    NEXT,
    NEXT_ENQUIRY_US,
    RULES,
    Conclusion,
    Finding,
    conclude,
    explain,
    needs_control,
    read,
)
from tpsd.domain.authorisation import State
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.tap import Kind, Timing
from tpsd.domain.time import SECOND, Micros

START = Micros(1_790_000_000_000_000)
ENDED = Micros(START + SECOND)
TERMINAL = "GATE-X1:VAL00042"
IN_DOUBT = Enquired(
    uuid=UUID(int=1),
    number=3,
    fence=3,
    state=State.IN_DOUBT,
    timing=Timing.DEFERRED,
    cause="http.400",
    terminal=TERMINAL,
    nth=1,
    body_kept=True,
    doubtful_since=START,
    started_at=START,
)
LAST = replace(IN_DOUBT, nth=ENQUIRIES)
ON_THE_LADDER = replace(IN_DOUBT, state=State.PENDING, cause="system.303")
APPROVED, DECLINED, NOT_FOUND = Answer(200, True, "000"), Answer(200, False, "116"), Answer(404, readable=False)
UNAVAILABLE = Answer(503)

ANSWERS: list[tuple[Exchange, Finding, int]] = [
    (APPROVED, Finding.APPROVED, 2),
    (Answer(200, True), Finding.APPROVED, 2),
    (Answer(200, True, "002", amount=120), Finding.APPROVED, 2),
    (DECLINED, Finding.DECLINED, 3),
    (Answer(402, action_code="116"), Finding.DECLINED, 3),
    (Answer(404, False, "116"), Finding.DECLINED, 3),
    (Answer(404), Finding.NOT_FOUND, 1),
    (NOT_FOUND, Finding.NOT_FOUND, 1),
    (Answer(404, system_code=21), Finding.NOT_FOUND, 1),
    (Answer(404, system_code=11), Finding.UNCLEAR, 4),
    (Answer(404, True), Finding.UNCLEAR, 4),
    (Answer(400, system_code=21), Finding.UNCLEAR, 4),
    (Answer(400, system_code=60), Finding.UNCLEAR, 4),
    (Answer(409, system_code=303), Finding.UNCLEAR, 4),
    (Answer(200, False, "911"), Finding.UNCLEAR, 4),
    (Answer(200, True, "116"), Finding.UNCLEAR, 4),
    (Answer(200, readable=False), Finding.UNCLEAR, 4),
    (Answer(410), Finding.UNCLEAR, 4),
    (Answer(401), Finding.UNCLEAR, 4),
    (Answer(302), Finding.UNCLEAR, 4),
    (UNAVAILABLE, Finding.UNCLEAR, 4),
    (NoConnection("connect"), Finding.UNCLEAR, 4),
    (NoAnswer("timeout"), Finding.UNCLEAR, 4),
    (CredentialRefused("tls.client"), Finding.UNCLEAR, 4),
]


@pytest.mark.parametrize(("exchange", "finding", "rule"), ANSWERS)
def test_what_an_answer_means(exchange: Exchange, finding: Finding, rule: int) -> None:
    by, heard = explain(exchange)
    assert (by.number, heard.finding) == (rule, finding)


def test_the_rules_are_numbered_and_the_last_takes_everything() -> None:
    assert [rule.number for rule in RULES] == [1, 2, 3, 4]
    assert RULES[-1].fits(NoAnswer("x"), read(NoAnswer("x")).outcome)


def after(enquired: Enquired, exchange: Exchange, believed: bool = False) -> Conclusion:
    return conclude(enquired, read(exchange), believed=believed, ended_at=ENDED)


def keys(conclusion: Conclusion) -> list[str]:
    return [notice.cause for notice in conclusion.notices]


@pytest.mark.parametrize("enquired", [IN_DOUBT, LAST, ON_THE_LADDER])
def test_a_definite_answer_is_final_whenever_it_comes(enquired: Enquired) -> None:
    found = after(enquired, APPROVED)
    assert (found.state, found.cause, found.erase, keys(found)) == (State.APPROVED, "action.000", True, [])
    found = after(enquired, DECLINED)
    assert (found.state, found.cause, found.erase, keys(found)) == (State.DECLINED, "action.116", True, [])


def test_a_partial_approval_keeps_its_amount() -> None:
    assert after(IN_DOUBT, Answer(200, True, "002", amount=120)).approved_amount == 120
    assert after(IN_DOUBT, DECLINED).approved_amount is None


@pytest.mark.parametrize("exchange", [NOT_FOUND, UNAVAILABLE, NoConnection("dns")])
@pytest.mark.parametrize("nth", range(1, ENQUIRIES))
def test_nothing_definite_is_asked_again_300_s_after_the_last_began(exchange: Exchange, nth: int) -> None:
    found = after(replace(IN_DOUBT, nth=nth), exchange, believed=True)
    assert found == Conclusion(State.IN_DOUBT, "http.400", enquiry_due=Micros(START + NEXT_ENQUIRY_US))


def test_an_enquiry_that_took_longer_than_the_pause_is_not_repeated_before_its_end() -> None:
    late = Micros(START + 2 * NEXT_ENQUIRY_US)
    assert conclude(IN_DOUBT, read(UNAVAILABLE), believed=False, ended_at=late).enquiry_due == late


def test_the_last_enquiry_leaves_it_to_a_person() -> None:
    found = after(LAST, UNAVAILABLE)
    assert (found.state, found.cause, found.enquiry_due, found.counts) == (State.IN_DOUBT, "http.400", None, False)
    assert keys(found) == ["in_doubt/http.400"]
    assert found.notices[0].detail == "asked 5 times, without a definite answer; the last was http.503"


def test_not_found_counts_only_at_the_last_and_only_if_a_control_was_found() -> None:
    assert not needs_control(IN_DOUBT, read(NOT_FOUND))
    assert not needs_control(ON_THE_LADDER, read(NOT_FOUND))
    assert not needs_control(LAST, read(UNAVAILABLE))
    assert needs_control(LAST, read(NOT_FOUND))
    doubted = after(LAST, NOT_FOUND, believed=False)
    assert (doubted.state, doubted.released, keys(doubted)) == (State.IN_DOUBT, False, ["in_doubt/http.400"])
    assert "can be believed" in doubted.notices[0].detail
    believed = after(LAST, NOT_FOUND, believed=True)
    assert believed == Conclusion(State.PENDING, None, released=True, counts=True)


def test_what_cannot_be_sent_again_is_left_to_a_person() -> None:
    found = after(replace(LAST, body_kept=False), NOT_FOUND, believed=True)
    assert (found.state, found.released, keys(found)) == (State.IN_DOUBT, False, ["in_doubt/http.400"])
    assert "body is gone" in found.notices[0].detail


@pytest.mark.parametrize("exchange", [NOT_FOUND, UNAVAILABLE])
def test_a_row_on_the_ladder_stays_there_and_is_not_asked_about_again(exchange: Exchange) -> None:
    assert after(replace(ON_THE_LADDER, nth=9), exchange, believed=True) == Conclusion(State.PENDING, "system.303")


def test_a_contradiction_is_an_alarm() -> None:
    found = after(IN_DOUBT, Answer(200, True, "116"))
    assert (found.state, keys(found)) == (State.IN_DOUBT, ["alarm/contradiction"])


def test_a_realtime_row_is_never_sent_again_and_a_charge_is_told() -> None:
    realtime = replace(LAST, timing=Timing.REALTIME, body_kept=False)
    charged = after(realtime, APPROVED)
    assert (charged.state, keys(charged)) == (State.APPROVED, [f"unseen/approved@{TERMINAL}"])
    assert after(realtime, DECLINED).state is State.DECLINED
    never = after(realtime, NOT_FOUND, believed=True)
    assert (never.state, never.released, never.erase) == (State.NOT_CHARGED, False, True)
    assert after(realtime, NOT_FOUND).state is State.IN_DOUBT


REALTIME = replace(IN_DOUBT, timing=Timing.REALTIME, body_kept=False, kind=Kind.RETAIL_PAYMENT, amount=250)
TOLD = [f"unseen/approved@{TERMINAL}"]

FOUND_CHARGED: list[tuple[Enquired, list[str], int | None]] = [
    # whose charge is found → told of where a person decides, given back where the configuration does
    (REALTIME, TOLD, 250),
    (replace(REALTIME, kind=Kind.KFT), TOLD, 250),
    (replace(REALTIME, kind=Kind.RETAIL_CHECK_IN), TOLD, 250),
    (replace(REALTIME, kind=Kind.RETAIL_CHECK_OUT), [], None),  # who checks out has travelled
    (replace(REALTIME, let_in=True), [], None),  # and so has whom the validator let in
    (replace(REALTIME, kind=Kind.RETAIL_CHECK_OUT, tapped=False), [], None),
    (replace(REALTIME, kind=Kind.RETAIL_REFUND, tapped=False), [], None),
    (replace(REALTIME, timing=Timing.DEFERRED, kind=Kind.KFT), [], None),
]


@pytest.mark.parametrize(("enquired", "told", "back"), FOUND_CHARGED)
def test_what_is_found_charged_of_whom(enquired: Enquired, told: list[str], back: int | None) -> None:
    for nth in (1, ENQUIRIES):
        found = after(replace(enquired, nth=nth), APPROVED)
        assert (found.state, found.gives_back, keys(found)) == (State.APPROVED, None, told)
        unasked = conclude(enquired, read(APPROVED), believed=False, ended_at=ENDED, gives_back=True)
        assert (unasked.state, unasked.gives_back, keys(unasked)) == (State.APPROVED, back, [])


@pytest.mark.parametrize(("exchange", "state"), [(DECLINED, State.DECLINED), (NOT_FOUND, State.NOT_CHARGED)])
def test_who_was_let_in_and_never_charged_is_told_of(exchange: Exchange, state: State) -> None:
    realtime = replace(REALTIME, nth=ENQUIRIES)
    for let_in, told in ((True, [f"unseen/unpaid@{TERMINAL}"]), (False, [])):
        found = after(replace(realtime, let_in=let_in), exchange, believed=True)
        assert (found.state, keys(found)) == (state, told)
    ridden = after(replace(realtime, let_in=True, timing=Timing.DEFERRED), DECLINED)
    assert keys(ridden) == [], "a deferred tap is refused after the ride as a rule"


def test_what_is_given_back_is_what_tps_says_it_charged() -> None:
    part = conclude(
        REALTIME, read(Answer(200, True, "002", amount=120)), believed=False, ended_at=ENDED, gives_back=True
    )
    assert (part.gives_back, part.approved_amount) == (120, 120)
    for exchange in (DECLINED, NOT_FOUND, UNAVAILABLE):
        none = conclude(REALTIME, read(exchange), believed=True, ended_at=ENDED, gives_back=True)
        assert none.gives_back is None


def test_the_table_has_every_finding_that_counts_for_every_timing() -> None:
    counting = set(Finding) - {Finding.UNCLEAR}
    assert set(NEXT) == {(timing, finding) for timing in Timing for finding in counting}


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (("--http", "404"), "not_found"),
        (("--http", "200", "--approved", "true", "--action-code", "000"), "approved"),
        (("--http", "200", "--action-code", "116"), "declined"),
        (("--http", "409", "--system-code", "303"), "unclear"),
    ],
)
def test_an_engineer_can_ask_what_an_answer_would_mean(arguments: tuple[str, ...], finding: str) -> None:
    result = CliRunner().invoke(app, ["classify", *arguments, "--enquiry", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout.splitlines()[-1])["finding"] == finding
    assert finding in CliRunner().invoke(app, ["classify", *arguments, "--enquiry"]).stdout
