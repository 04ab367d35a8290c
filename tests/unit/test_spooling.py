"""What is decided at the spool, and what that does to a row whose COMMIT nobody heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.intake_taps import prepared
from tpsd.core.candidate import Candidate, Decision, Facts
from tpsd.core.passback import AGAIN, CardPast, PassBack, joined, lately
from tpsd.core.spooling import NOTE, OUT_OF_SERVICE, Found, Upsert, at_the_spool, upsert
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Told, Verdict
from tpsd.domain.time import Micros

ACCEPTED = Decision(Told(Verdict.ACCEPTED, "ok"), state=State.PENDING)
DENIED = Decision(Told(Verdict.DENIED, "deny_list"), disposition=Disposition.DENIED)
KNOWN_NOT = Facts()


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


def test_what_needs_the_database_is_out_of_service() -> None:
    judged = at_the_spool(lambda _, __: ACCEPTED)(candidate(realtime=True), KNOWN_NOT)
    assert (judged.told, judged.state, judged.disposition) == (OUT_OF_SERVICE, None, Disposition.DENIED)


def test_a_verdict_that_was_told_before_stands() -> None:
    told = Told(Verdict.DENIED, "pass_back")
    judged = at_the_spool(lambda _, __: ACCEPTED, told)(candidate(), KNOWN_NOT)
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

    judged = at_the_spool(decided, None, CardPast(5, 1))
    judged(candidate(), Facts())
    judged(candidate(), Facts(card_past=CardPast()))
    assert seen == [None, CardPast(5, 1)]
