"""Realtime taps: asked in commit 1, answered in commit 3, shown or not, and what a crash leaves of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.card_search import findings, findings_in_files
from tests.store.builders import (
    APPROVED,
    DECLINED,
    MASTERCARD,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    VISA,
    after,
    card,
    claim_one,
    settle,
)
from tests.store.engines import Engine
from tests.store.passengers import (
    AT_THE_OTHER_GATE,
    ENQUIRING,
    GATE,
    HELD,
    KNOWN_FARE,
    MORE,
    ONE,
    PARTLY,
    PAYING,
    answer,
    asked_of,
    check_in,
    check_out,
    notices,
    pay,
    restart,
    wait_for,
)
from tpsd.core.answering import Policy
from tpsd.core.intake import LanePolicy
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.domain.views import TapFilter
from tpsd.ports import Journal, SettledLate, Taken
from tpsd.store.journal import SqlJournal

pytestmark = pytest.mark.usefixtures("whole")

TRACK2_REST = "2011758928889"  # what follows the expiry in the builder's track 2
DENIED, ACCEPTED = Verdict.DENIED, Verdict.ACCEPTED
LONG_AGO, LATER = Micros(0), after(3600)


async def unseen(journal: Journal) -> list[int]:
    return [row.number for row in await journal.taps(TapFilter(state="unseen"))]


# --- commits 1 and 2 ---


async def test_what_is_asked_is_written_before_a_byte_leaves(journal: Journal) -> None:
    taken = await wait_for(journal, uuid=ONE)
    claimed = asked_of(taken)
    assert (taken.number, taken.told, taken.new, taken.asks_first) == (1, None, True, None)
    assert (claimed.uuid, claimed.number, claimed.fence, claimed.reason) == (ONE, 1, 1, AttemptReason.TAP)
    assert (claimed.terminal, claimed.credential, claimed.amount, claimed.realtime) == (TERMINAL, "common", 320, True)
    assert str(ONE).encode() in claimed.body
    story = await journal.story("1")
    assert (story.tap.state, story.tap.due, story.tap.verdict, story.tap.reason) == ("sending", None, None, "asking")
    assert (story.tap.uuid, story.tap.attempts, story.path) == (str(ONE), 1, claimed.path)
    (attempt,) = story.attempts
    assert (attempt.number, attempt.reason, attempt.started_at, attempt.outcome) == (1, "tap", NOW, None)


async def test_no_ladder_ever_sends_it(journal: Journal) -> None:
    await wait_for(journal)
    assert await journal.next_due() is None
    assert await journal.claim(LATER, 10) == []
    await wait_for(journal, 2, amount=100)
    assert len(await journal.taps(TapFilter(state="sending"))) == 2


@pytest.mark.parametrize("lane", [PAYING, KNOWN_FARE, GATE], ids=["payment", "known fare", "check-in"])
async def test_what_can_never_go_again_is_not_kept(engine: Engine, journal: Journal, lane: LanePolicy) -> None:
    claimed = asked_of(await wait_for(journal, lane=lane, amount=HELD))
    assert findings("body", claimed.body, [VISA]) != [], "what is sent holds the card"
    assert not (await journal.story("1")).body_kept
    assert findings_in_files(engine.traces(), [VISA, TRACK2_REST]) == []
    await answer(journal, claimed, SILENCE)
    assert not (await journal.story("1")).body_kept
    assert findings_in_files(engine.traces(), [VISA, TRACK2_REST]) == []


async def test_a_check_outs_body_is_kept_sealed_and_no_card_beside_it(engine: Engine, journal: SqlJournal) -> None:
    await check_in(journal)
    taken = await wait_for(journal, 2, **AT_THE_OTHER_GATE)
    uuid = str(asked_of(taken).uuid)
    assert (await journal.story("2")).body_kept
    assert await journal.operations.kept([uuid]) == {}, "nothing of it can be made anew"
    assert findings_in_files(engine.traces(), [VISA, TRACK2_REST]) == []


async def test_a_repeat_while_it_is_asked_is_told_to_wait(journal: Journal) -> None:
    taken = await wait_for(journal)
    again = await wait_for(journal)
    assert again == Taken(taken.number, None, new=False)
    story = await journal.story("1")
    assert (story.tap.repeats, story.tap.attempts, story.tap.state) == (1, 1, "sending")


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What the validator showed while TPS was asked, and what the answer makes of it."""

    shown: Shown
    exchange: Exchange
    told: Told
    unseen: bool
    causes: list[str]
    policy: Policy = Policy()  # noqa: RUF009 - frozen


AWAY, IN = Shown.TURNED_AWAY, Shown.LET_IN
MEANWHILE = {
    "away and approved": Meanwhile(
        AWAY, APPROVED, Told(DENIED, "turned_away"), True, [f"unseen/turned_away@{TERMINAL}"]
    ),
    "away, approved, and given back": Meanwhile(
        AWAY, APPROVED, Told(DENIED, "turned_away"), True, [], Policy(gives_back=True)
    ),
    "away and declined": Meanwhile(AWAY, DECLINED, Told(DENIED, "action.116"), False, []),
    "let in and declined": Meanwhile(
        IN, DECLINED, Told(DENIED, "action.116"), False, [f"unseen/action.116@{TERMINAL}"]
    ),
    "let in and approved": Meanwhile(IN, APPROVED, Told(ACCEPTED, "approved", 320), False, []),
}


@pytest.mark.parametrize("case", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_what_was_shown_meanwhile_is_found_by_the_answer(journal: Journal, case: Meanwhile) -> None:
    claimed = asked_of(await wait_for(journal))
    assert (await wait_for(journal, shown=case.shown)).told is None
    answered = await answer(journal, claimed, case.exchange, policy=case.policy)
    assert (answered.told, answered.tap) == (case.told, 1)
    assert (await journal.story("1")).tap.unseen is (case.unseen or case.told.verdict.accepts)
    assert await notices(journal) == case.causes
    await journal.asked.delivered(1)
    assert (await unseen(journal) == [1]) is case.unseen


async def test_given_back_in_the_same_commit(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal, uuid=ONE))
    await wait_for(journal, shown=Shown.TURNED_AWAY)
    answered = await answer(journal, claimed, APPROVED, policy=Policy(gives_back=True))
    assert answered.follows
    refund = await claim_one(journal)
    assert (refund.reason, refund.amount, refund.terminal) == (AttemptReason.LADDER, 320, TERMINAL)
    assert b'"transactionType":"RETAIL_REFUND"' in refund.body
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in refund.body
    await settle(journal, refund, APPROVED)
    assert (await journal.totals()).states == {"approved": 2}


async def test_one_that_comes_too_late_is_never_sent(journal: Journal) -> None:
    taken = await wait_for(journal, age_ms=10_001)
    assert (taken.told, taken.asked) == (Told(DENIED, "stale"), None)
    assert (await journal.story("1")).tap.disposition == "stale"
    again = await wait_for(journal, 2, age_ms=None)
    assert again.told == Told(DENIED, "stale"), "nor one of unknown age"
    assert (await journal.totals()).states == {}


async def test_the_same_card_for_the_same_is_asked_once_at_a_time(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal, 1))
    taken = await wait_for(journal, 2)
    assert (taken.told, taken.asked) == (Told(Verdict.TRY_AGAIN, "under_way"), None)
    assert (await journal.story("2")).tap.disposition == "repeat"
    assert (await wait_for(journal, 3, amount=321)).asked is not None
    assert (await wait_for(journal, 4, card=card(MASTERCARD))).asked is not None
    assert (await wait_for(journal, 5, lane=replace(PAYING, name="gate-2"))).asked is not None
    await answer(journal, claimed, APPROVED)
    assert (await wait_for(journal, 6)).asked is not None, "it is over"


# --- commit 3 ---


@dataclass(frozen=True, slots=True)
class Came:
    """An answer and everything it leaves on the rows."""

    exchange: Exchange
    state: str
    told: Told
    outcome: str
    charged: bool
    causes: tuple[str, ...] = ()
    policy: Policy = Policy()  # noqa: RUF009 - frozen


OUTCOMES = {
    "approved": Came(APPROVED, "approved", Told(ACCEPTED, "approved", 320), "approved", True),
    "declined": Came(DECLINED, "declined", Told(DENIED, "action.116"), "declined", False),
    "tap refused": Came(
        TAP_REFUSED, "tap_refused", Told(DENIED, "system.60"), "tap_refused", False, ("tap_refused/system.60",)
    ),
    "terminal refused": Came(
        TERMINAL_REFUSED,
        "failed",
        Told(DENIED, "system.41"),
        "terminal_refused",
        False,
        (f"alarm/system.41@{TERMINAL}",),
    ),
    "try again": Came(UNAVAILABLE, "failed", Told(DENIED, "http.503"), "try_again", True),
    "try again, and TPS can be asked": Came(
        UNAVAILABLE, "in_doubt", Told(DENIED, "http.503"), "try_again", True, (), ENQUIRING
    ),
    "not sent": Came(NO_CONNECTION, "failed", Told(DENIED, "connect"), "not_sent", False),
    "unknown": Came(SILENCE, "in_doubt", Told(DENIED, "timeout"), "unknown", True, ("in_doubt/timeout",)),
    "unknown, and TPS can be asked": Came(SILENCE, "in_doubt", Told(DENIED, "timeout"), "unknown", True, (), ENQUIRING),
    "another amount": Came(
        MORE,
        "in_doubt",
        Told(DENIED, "amount_differs"),
        "approved",
        True,
        ("in_doubt/amount_differs", "alarm/amount_differs"),
    ),
    "a part, refused": Came(PARTLY, "approved", Told(DENIED, "partial_refused"), "approved", True),
    "a part, accepted": Came(
        PARTLY,
        "approved",
        Told(ACCEPTED, "partial", 200),
        "approved",
        True,
        (),
        Policy(partial_accepted=True),
    ),
    "a PIN is wanted": Came(
        Answer(200, action_code="117"),
        "declined",
        Told(Verdict.INSERT_CARD, "action.117"),
        "declined",
        False,
        (),
        Policy(can_take_pin=True),
    ),
}


@pytest.mark.parametrize("case", OUTCOMES.values(), ids=OUTCOMES.keys())
async def test_every_answer_is_the_verdict_and_stays_it(journal: Journal, case: Came) -> None:
    taken = await wait_for(journal)
    answered = await answer(journal, asked_of(taken), case.exchange, policy=case.policy, now=after(2))
    assert (answered.told, answered.tap, answered.noticed) == (case.told, 1, bool(case.causes))
    assert answered.settlement.state.value == case.state
    story = await journal.story("1")
    tap = story.tap
    assert (tap.state, tap.verdict, tap.reason) == (case.state, int(case.told.verdict), case.told.reason)
    assert (tap.may_have_charged, tap.due, story.body_kept) == (case.charged, None, False)
    (attempt,) = story.attempts
    assert (attempt.outcome, attempt.ended_at, attempt.may_have_charged) == (case.outcome, after(2), case.charged)
    assert await notices(journal) == list(case.causes)
    assert await wait_for(journal) == Taken(1, case.told, new=False), "the same to its repeat, with the amount"
    assert (await journal.doubts.next_due() == after(62)) is (case.state == "in_doubt" and case.policy is ENQUIRING)


async def test_the_first_commit_wins(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal))
    await answer(journal, claimed, SILENCE, now=after(9))
    before = await journal.story("1")
    with pytest.raises(SettledLate):
        await answer(journal, claimed, APPROVED, now=after(11))
    assert await journal.story("1") == before
    assert (await wait_for(journal)).told == Told(DENIED, "timeout")


async def test_an_answer_from_before_a_restart_is_late(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal))
    await restart(journal, after(1))
    before = await journal.story("1")
    with pytest.raises(SettledLate):
        await answer(journal, claimed, APPROVED, now=after(2))
    assert await journal.story("1") == before


async def test_a_part_that_is_not_accepted_is_given_back(journal: Journal) -> None:
    answered = await pay(journal, PARTLY, uuid=ONE)
    assert answered.follows
    refund = await claim_one(journal)
    assert refund.amount == 200
    assert b'"amount":200' in refund.body
    await settle(journal, refund, UNAVAILABLE)
    assert (await journal.totals()).states == {"approved": 1, "pending": 1}, "it must arrive, however long that takes"
    assert (await journal.story(str(refund.uuid))).tap.number == 1


async def test_what_is_not_given_back_is_told(journal: Journal) -> None:
    await pay(journal, PARTLY, uuid=ONE)
    refund = await claim_one(journal)
    await settle(journal, refund, DECLINED)
    assert await notices(journal) == [f"unseen/not_given_back@{TERMINAL}"]


# --- shown or not ---


async def test_an_accepting_verdict_is_unseen_until_the_link_has_it(journal: Journal) -> None:
    await pay(journal, APPROVED, 1)
    await pay(journal, DECLINED, 2)
    assert await unseen(journal) == [1]
    assert (await journal.story("1")).tap.unseen
    await journal.asked.delivered(1)
    assert await unseen(journal) == []
    assert not (await journal.story("1")).tap.unseen


async def test_what_was_never_taken_is_told_once(journal: Journal) -> None:
    await pay(journal, APPROVED, 1)
    await pay(journal, APPROVED, 2, now=after(60))
    nothing = await journal.asked.attend(LONG_AGO, NOW, False, after(600))
    assert nothing == {"journeys_expired": 0, "verdicts_untaken": 0}, "it may still come"
    done = await journal.asked.attend(LONG_AGO, after(1), False, after(601))
    assert done == {"journeys_expired": 0, "verdicts_untaken": 1}
    assert await notices(journal, "1") == ["unseen/link"]
    assert await notices(journal, "2") == []
    again = await journal.asked.attend(LONG_AGO, after(1), False, after(602))
    assert again["verdicts_untaken"] == 0
    assert await unseen(journal) == [2, 1], "a person finds it all the same"


async def test_what_the_link_has_or_nobody_waits_for_is_not_told(journal: Journal) -> None:
    await pay(journal, APPROVED, 1)
    await journal.asked.delivered(1)
    await pay(journal, DECLINED, 2)
    await wait_for(journal, 3)
    assert (await journal.asked.attend(LONG_AGO, LATER, False, LATER))["verdicts_untaken"] == 0


async def test_many_are_told_in_slices(journal: Journal) -> None:
    for counter in range(1, 121):
        await pay(journal, APPROVED, counter)
    assert (await journal.asked.attend(LONG_AGO, LATER, False, LATER))["verdicts_untaken"] == 120


async def test_when_there_is_something_to_attend_to(journal: Journal) -> None:
    assert await journal.asked.next_attention(18 * HOUR, 10 * MINUTE) is None
    await check_in(journal, 1)
    assert await journal.asked.next_attention(18 * HOUR, 10 * MINUTE) == NOW + 10 * MINUTE
    await journal.asked.delivered(1)
    assert await journal.asked.next_attention(18 * HOUR, 10 * MINUTE) == NOW + 18 * HOUR
    await check_out(journal, 2, DECLINED, now=after(60))
    assert await journal.asked.next_attention(18 * HOUR, 10 * MINUTE) == NOW + 18 * HOUR


# --- a crash at every step ---


async def killed(engine: Engine, now: Micros = NOW) -> SqlJournal:
    """The journal as the next life finds it, recovered, whole, and told of nothing twice."""
    found = await engine.after_sigkill().open()
    assert isinstance(found, SqlJournal)
    await restart(found, now)
    assert await found.upkeep.check() == []
    assert not any((await restart(found, now)).values()), "recovery is done once"
    return found


@pytest.mark.parametrize("lane", [PAYING, KNOWN_FARE, GATE], ids=["payment", "known fare", "check-in"])
async def test_killed_while_tps_was_asked(engine: Engine, journal: Journal, lane: LanePolicy) -> None:
    await wait_for(journal, lane=lane, amount=HELD)
    found = await killed(engine, after(3))
    story = await found.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.may_have_charged) == ("in_doubt", "crash", True)
    assert (story.tap.verdict, story.tap.reason, story.tap.unseen) == (int(DENIED), "crash", False)
    assert (story.attempts[0].outcome, story.attempts[0].ended_at) == ("unknown", after(3))
    assert await notices(found) == ["in_doubt/crash"]
    assert await found.asked.rows((), 10) == [], "a check-in in doubt opens no journey"
    again = await wait_for(found, lane=lane, amount=HELD, now=after(4))
    assert again == Taken(1, Told(DENIED, "crash"), new=False)
    assert await found.claim(LATER, 10) == [], "it is never sent again"
    await found.close()


async def test_killed_with_the_passenger_turned_away_meanwhile(engine: Engine, journal: Journal) -> None:
    await wait_for(journal)
    await wait_for(journal, shown=Shown.LET_IN)
    found = await killed(engine)
    assert await notices(found) == ["in_doubt/crash", f"unseen/crash@{TERMINAL}"]
    await found.close()


async def test_killed_in_the_first_try_of_a_check_out(engine: Engine, journal: Journal) -> None:
    await check_in(journal)
    first = asked_of(await wait_for(journal, 2, **AT_THE_OTHER_GATE))
    found = await killed(engine)
    story = await found.story("2")
    assert (story.tap.state, story.tap.verdict, story.body_kept) == ("awaiting_tap", Verdict.CHECK_OUT_AGAIN, True)
    again = asked_of(await wait_for(found, 3, **AT_THE_OTHER_GATE))
    assert (again.uuid, again.number, again.path, again.body) == (first.uuid, 2, first.path, first.body)
    await answer(found, again, APPROVED)
    (journey,) = await found.asked.rows((), 10)
    assert (journey.state, journey.tries) == ("closed", 2)
    await found.close()


async def test_killed_in_the_third_try_of_a_check_out(engine: Engine, journal: Journal) -> None:
    await check_in(journal)
    await check_out(journal, 2, DECLINED)
    await check_out(journal, 3, NO_CONNECTION)
    await wait_for(journal, 4, **AT_THE_OTHER_GATE)
    found = await killed(engine)
    story = await found.story("4")
    assert (story.tap.state, story.tap.verdict, story.body_kept) == ("in_doubt", Verdict.CHECK_OUT_FAILED, False)
    (journey,) = await found.asked.rows((), 10)
    assert (journey.state, journey.tries) == ("ended_unpaid", 3)
    assert sorted(await notices(found, "1")) == ["journey/ended_unpaid"]
    await found.close()


async def test_killed_after_the_answer(engine: Engine, journal: Journal) -> None:
    await check_in(journal)
    found = await killed(engine)
    (journey,) = await found.asked.rows((), 10)
    assert (journey.state, await unseen(found)) == ("open", [1])
    again = await wait_for(found, lane=GATE, amount=HELD)
    assert again.told == Told(Verdict.CHECKED_IN, "checked_in", HELD)
    await found.close()


async def test_killed_with_a_refund_on_its_way(engine: Engine, journal: Journal) -> None:
    await pay(journal, PARTLY)
    refund = await claim_one(journal)
    found = await killed(engine, after(1))
    again = await claim_one(found, after(3600))
    assert (again.uuid, again.number, again.body) == (refund.uuid, 2, refund.body)
    await found.close()


async def test_an_answer_that_comes_while_another_life_has_it_changes_nothing(journal: Journal) -> None:
    """The tap's own row is judged by what it is then, not by what it was when it was sent."""
    await check_in(journal)
    claimed = asked_of(await wait_for(journal, 2, **AT_THE_OTHER_GATE))
    await restart(journal, after(1))
    again = asked_of(await wait_for(journal, 3, now=after(2), **AT_THE_OTHER_GATE))
    with pytest.raises(SettledLate):
        await answer(journal, claimed, DECLINED, now=after(3))
    await answer(journal, again, APPROVED, now=after(4))
    (journey,) = await journal.asked.rows((), 10)
    assert (journey.state, journey.check_out_state) == ("closed", State.APPROVED.value)
