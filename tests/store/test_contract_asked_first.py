"""A transaction in doubt whose passenger stands at the lane again: asked first, it pays for the tap (design 4).

And what an enquiry finds charged of one who was turned away, given back in the same commit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    MASTERCARD,
    NOW,
    SILENCE,
    TERMINAL,
    UNAVAILABLE,
    after,
    card,
    claim_one,
    settle,
)
from tests.store.engines import Engine
from tests.store.passengers import (
    GATE,
    HELD,
    KNOWN_FARE,
    ONE,
    OTHER_GATE,
    PARTLY,
    PAYING,
    answer,
    asked_of,
    check_in,
    check_out,
    enquire,
    enquire_in_vain,
    journey_of,
    journeys,
    notices,
    order_refund,
    pay,
    resolve,
    restart,
    sent,
    wait_for,
)
from tests.store.returning import SOON, TWO, again, ask_first, cover, covered, doubtful
from tpsd.core.enquiry import ENQUIRIES, conclude, read
from tpsd.core.intake import LanePolicy
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.outcome import Answer, NoAnswer
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import MINUTE
from tpsd.domain.views import TapFilter
from tpsd.ports import Journal, Taken
from tpsd.store.connection import Connection
from tpsd.store.journal import SqlJournal

pytestmark = pytest.mark.usefixtures("whole")

THREE = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a03")


# --- which one is asked first ---


@pytest.mark.parametrize("lane", [PAYING, KNOWN_FARE, GATE], ids=["payment", "known fare", "check-in"])
async def test_the_same_card_lane_and_amount(journal: Journal, lane: LanePolicy) -> None:
    await doubtful(journal, lane)
    taken = await again(journal, lane)
    assert (taken.told, taken.asks_first) == (None, str(ONE))
    assert asked_of(taken).uuid == TWO


async def test_and_nothing_else(journal: Journal) -> None:
    await doubtful(journal)
    same: dict[str, Any] = {"amount": HELD, "enquires": True, "now": SOON}
    others = [
        await wait_for(journal, 2, amount=HELD + 1, enquires=True, now=SOON),
        await wait_for(journal, 3, **{**same, "card": card(MASTERCARD)}),
        await wait_for(journal, 4, **{**same, "lane": replace(PAYING, name="gate-2")}),
        await wait_for(journal, 5, **{**same, "lane": KNOWN_FARE}),
        await wait_for(journal, 6, amount=HELD, now=SOON),
    ]
    assert [taken.asks_first for taken in others] == [None] * 5
    assert all(taken.asked is not None for taken in others)


async def test_the_latest_of_several(journal: Journal) -> None:
    await pay(journal, SILENCE, 1, uuid=ONE)
    await pay(journal, SILENCE, 2, uuid=THREE, now=after(1))
    assert (await wait_for(journal, 3, enquires=True, now=SOON)).asks_first == str(THREE)


async def test_what_is_settled_is_not_asked_about(journal: SqlJournal) -> None:
    await doubtful(journal)
    await resolve(journal, str(ONE), charged=True)
    assert (await again(journal)).asks_first is None


async def test_a_check_out_asks_about_none(journal: Journal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, SILENCE, enquires=True)
    assert (await wait_for(journal, 3, lane=OTHER_GATE, amount=320, enquires=True)).asks_first is None


# --- asked beside the series ---


async def test_an_enquiry_of_its_own_that_uses_none_of_the_series_up(journal: Journal) -> None:
    await doubtful(journal)
    await again(journal)
    enquired = await ask_first(journal)
    assert (enquired.uuid, enquired.number, enquired.nth, enquired.state) == (ONE, 2, 0, State.IN_DOUBT)
    assert (enquired.body_kept, enquired.tapped, enquired.amount) == (False, True, HELD)
    attempt = (await journal.story("1")).attempts[-1]
    assert (attempt.number, attempt.reason, attempt.started_at, attempt.outcome) == (2, "enquiry", SOON, None)
    assert await journal.doubts.claim_one(str(ONE), SOON) is None, "it is under way"
    await journal.doubts.leave(enquired, read(UNAVAILABLE), after(11))
    attempt = (await journal.story("1")).attempts[-1]
    assert (attempt.outcome, attempt.cause, attempt.ended_at) == ("try_again", "http.503", after(11))
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.attempts) == ("in_doubt", "timeout", 2)
    at = []
    while (due := await journal.doubts.next_due()) is not None:
        at.append((due - NOW) / MINUTE)
        await enquire(journal, UNAVAILABLE)
    assert at == [1, 6, 11, 16, 21], "the series goes on as if nothing had been asked"
    assert await notices(journal) == ["in_doubt/timeout"]


async def test_not_found_is_no_finding_beside_the_series(journal: Journal) -> None:
    await doubtful(journal)
    enquired = await ask_first(journal)
    await journal.doubts.leave(enquired, read(Answer(404)), SOON)
    story = await journal.story("1")
    assert (story.attempts[-1].outcome, story.tap.state) == ("unknown", "in_doubt")


async def test_while_one_of_the_series_is_under_way(journal: Journal) -> None:
    await doubtful(journal)
    (enquired,) = await journal.doubts.claim(after(60), 10)
    assert await journal.doubts.claim_one(str(ONE), after(61)) is None
    heard = read(UNAVAILABLE)
    await journal.doubts.conclude(
        enquired, heard, conclude(enquired, heard, believed=False, ended_at=after(62)), after(62)
    )
    assert await journal.doubts.claim_one(str(ONE), after(63)) is not None


async def test_after_the_series_too(journal: Journal) -> None:
    await doubtful(journal)
    await enquire_in_vain(journal)
    claimed = asked_of(await again(journal))
    assert (await ask_first(journal)).nth == ENQUIRIES
    enquired = await journal.doubts.claim_one(str(ONE), SOON)
    assert enquired is None
    await answer(journal, claimed, SILENCE)


async def test_what_is_no_longer_in_doubt(journal: SqlJournal) -> None:
    await doubtful(journal)
    await resolve(journal, str(ONE), charged=False)
    assert await journal.doubts.claim_one(str(ONE), SOON) is None
    assert await journal.doubts.claim_one(str(THREE), SOON) is None, "nor what never was"


async def test_found_declined_it_is_over_and_the_tap_is_sent(journal: Journal) -> None:
    await doubtful(journal)
    claimed = asked_of(await again(journal))
    enquired, heard = await ask_first(journal), read(DECLINED)
    conclusion = conclude(enquired, heard, believed=False, ended_at=SOON)
    assert await journal.doubts.conclude(enquired, heard, conclusion, SOON)
    assert (await journal.story("1")).tap.state == "declined"
    assert await journal.doubts.next_due() is None
    answered = await answer(journal, claimed, APPROVED)
    assert answered.told == Told(Verdict.ACCEPTED, "approved", HELD)


# --- it pays for the tap ---


async def test_an_earlier_payment_pays_for_the_tap(journal: SqlJournal) -> None:
    answered = await covered(journal)
    told = Told(Verdict.ACCEPTED, "paid_before", HELD)
    assert (answered.told, answered.tap, answered.settlement.state) == (told, 2, State.NOT_CHARGED)
    first, second = await journal.story("1"), await journal.story("2")
    assert (first.tap.uuid, first.tap.state, first.tap.verdict) == (str(ONE), "approved", Verdict.DENIED)
    assert (second.tap.uuid, second.tap.state, second.tap.verdict) == (str(ONE), "approved", Verdict.ACCEPTED)
    assert (second.tap.reason, second.tap.amount) == ("paid_before", HELD)
    needless = await journal.operations.find(str(ONE))
    assert needless.state is State.APPROVED
    assert (await journal.totals()).states == {"approved": 1, "not_charged": 1}
    assert await notices(journal) == [], "nobody paid for nothing"
    assert await wait_for(journal, 2, amount=HELD, now=SOON) == Taken(2, told, new=False)
    assert await journal.doubts.next_due() is None


async def test_the_needless_one_was_never_sent(journal: SqlJournal) -> None:
    await covered(journal)
    attempts = (await journal.story("2")).attempts
    assert [(one.reason, one.outcome) for one in attempts] == [("tap", "unknown"), ("enquiry", "approved")]
    states = [row.state for row in await journal.taps(TapFilter())]
    assert states == ["approved", "approved"], "both taps are of the one that was charged"


async def test_it_is_unseen_until_the_link_has_it(journal: Journal) -> None:
    await covered(journal)
    assert [row.number for row in await journal.taps(TapFilter(state="unseen"))] == [2]
    await journal.asked.delivered(2)
    assert await journal.taps(TapFilter(state="unseen")) == []


async def test_the_amount_is_what_was_charged(journal: Journal) -> None:
    answered = await covered(journal, exchange=PARTLY)
    assert answered.told == Told(Verdict.ACCEPTED, "paid_before", 200)
    assert (await again(journal)).told == answered.told


async def test_an_earlier_check_in_opens_the_journey(journal: Journal) -> None:
    answered = await covered(journal, replace(GATE, zone="A"))
    assert answered.told == Told(Verdict.CHECKED_IN, "paid_before", HELD)
    found = await journey_of(journal)
    assert (found.state, found.check_in, found.held) == ("open", str(ONE), HELD)
    assert (found.opened_at, found.zone, found.lane) == (SOON, "A", "gate-1"), "when the passenger was let in"
    claimed = asked_of(await wait_for(journal, 3, lane=OTHER_GATE, amount=320, now=after(600)))
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in claimed.body
    await answer(journal, claimed, APPROVED)
    assert (await journey_of(journal)).state == "closed"


async def test_both_taps_and_what_follows_are_found_by_uuid(journal: SqlJournal) -> None:
    await covered(journal)
    assert (await journal.story(str(ONE))).tap.number == 1
    assert (await journal.story(str(TWO))).tap.number == 2
    assert (await journal.operations.find(str(TWO))).uuid == str(ONE)
    refund = sent(await order_refund(journal, "2"))
    assert (refund.amount, (await journal.story(str(refund.uuid))).tap.number) == (HELD, 1)


async def test_it_pays_for_one_tap(journal: Journal) -> None:
    await covered(journal)
    third = await wait_for(journal, 3, amount=HELD, enquires=True, now=after(20))
    assert third.asks_first is None
    assert (await answer(journal, asked_of(third), APPROVED)).told == Told(Verdict.ACCEPTED, "approved", HELD)


async def test_the_lanes_time_was_up_first(journal: Journal) -> None:
    await doubtful(journal)
    claimed = asked_of(await again(journal))
    enquired = await ask_first(journal)
    await answer(journal, claimed, SILENCE)
    before = await journal.story("2")
    assert await cover(journal, enquired, claimed) is None
    assert await journal.story("2") == before
    story = await journal.story("1")
    assert (story.tap.state, story.attempts[-1].outcome) == ("in_doubt", "approved")
    assert await journal.doubts.next_due() is not None, "the series tells or gives back"


async def test_something_else_settled_the_earlier_one_first(journal: SqlJournal) -> None:
    await doubtful(journal)
    claimed = asked_of(await again(journal))
    enquired = await ask_first(journal)
    await resolve(journal, str(ONE), charged=True)
    assert await cover(journal, enquired, claimed) is None
    assert (await journal.story("2")).tap.state == "sending"
    assert (await journal.story("1")).attempts[-1].outcome == "approved"
    await answer(journal, claimed, SILENCE)


async def test_the_series_came_between(journal: Journal) -> None:
    await doubtful(journal)
    claimed = asked_of(await again(journal))
    enquired = await ask_first(journal, after(59))
    await enquire(journal, UNAVAILABLE)
    assert await cover(journal, enquired, claimed) is None
    assert (await journal.story("1")).tap.state == "in_doubt"
    assert await journal.doubts.next_due() == after(360)


# --- a crash ---


async def test_killed_while_the_earlier_one_was_asked_about(engine: Engine, journal: Journal) -> None:
    await doubtful(journal)
    await again(journal)
    await ask_first(journal)
    found = await engine.after_sigkill().open()
    assert isinstance(found, SqlJournal)
    await restart(found, after(20))
    heard = read(NoAnswer("crash"))
    done = await found.doubts.begin(
        after(20), True, lambda enquired: (heard, conclude(enquired, heard, believed=False, ended_at=after(20)))
    )
    assert done["enquiries_ended_unknown"] == 1
    first, second = await found.story("1"), await found.story("2")
    assert (first.tap.state, first.attempts[-1].outcome) == ("in_doubt", "unknown")
    assert (second.tap.state, second.tap.verdict, second.tap.reason) == ("in_doubt", Verdict.DENIED, "crash")
    assert await found.doubts.next_due() is not None
    assert await found.upkeep.check() == []
    await found.close()


async def test_killed_after_it_was_paid(engine: Engine, journal: Journal) -> None:
    await covered(journal, GATE)
    found = await engine.after_sigkill().open()
    assert isinstance(found, SqlJournal)
    assert not any((await restart(found, after(20))).values())
    assert [one.state for one in await journeys(found)] == ["open"]
    assert (await again(found, GATE)).told == Told(Verdict.CHECKED_IN, "paid_before", HELD)
    assert await found.upkeep.check() == []
    await found.close()


# --- given back by an enquiry ---


async def test_a_payment_found_charged_is_refunded_in_the_same_commit(journal: SqlJournal) -> None:
    await doubtful(journal)
    assert await journal.asked.found_in_doubt() == 0
    await enquire(journal, APPROVED, gives_back=True)
    story = await journal.story("1")
    assert (story.tap.state, await notices(journal)) == ("approved", [])
    assert await journal.asked.found_in_doubt() == 1
    refund = await claim_one(journal, after(60))
    assert (refund.reason, refund.amount, refund.terminal) == (AttemptReason.LADDER, HELD, TERMINAL)
    assert b'"transactionType":"RETAIL_REFUND"' in refund.body
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in refund.body
    await settle(journal, refund, APPROVED)
    assert (await journal.totals()).states == {"approved": 2}


async def test_as_much_as_was_charged(journal: SqlJournal) -> None:
    await doubtful(journal)
    await enquire(journal, PARTLY, gives_back=True)
    assert (await claim_one(journal, after(60))).amount == 200


async def test_a_check_in_found_approved_is_released(journal: SqlJournal) -> None:
    await doubtful(journal, GATE)
    await enquire(journal, APPROVED, gives_back=True)
    release = await claim_one(journal, after(60))
    assert (release.amount, b'"transactionType":"RETAIL_CHECK_OUT"' in release.body) == (0, True)
    await settle(journal, release, APPROVED)
    assert await journeys(journal) == []
    assert await notices(journal) == []


async def test_what_cannot_be_made_leaves_everything_as_it_was(journal: Journal) -> None:
    await doubtful(journal)
    (enquired,) = await journal.doubts.claim(after(60), 10)
    heard = read(APPROVED)
    conclusion = conclude(enquired, heard, believed=False, ended_at=after(61), gives_back=True)
    before = await journal.story("1")
    with pytest.raises(ValueError, match="nobody makes its request"):
        await journal.doubts.conclude(enquired, heard, conclusion, after(61))
    assert await journal.story("1") == before
    assert await journal.doubts.conclude(enquired, heard, replace(conclusion, gives_back=None), after(61))


async def test_or_a_person_is_told(journal: Journal) -> None:
    await doubtful(journal)
    await enquire(journal, APPROVED)
    assert await notices(journal) == [f"unseen/approved@{TERMINAL}"]
    assert await journal.next_due() is None


async def test_who_was_turned_away_meanwhile_pays_for_nothing(journal: Journal) -> None:
    """The answer comes too late for this passenger, so what was charged is the series' to tell of or to give back."""
    await doubtful(journal)
    claimed = asked_of(await again(journal))
    enquired = await ask_first(journal)
    await wait_for(journal, 2, amount=HELD, shown=Shown.TURNED_AWAY, now=SOON)
    assert await cover(journal, enquired, claimed) is None
    assert ((await journal.story("1")).tap.state, (await journal.story("2")).tap.state) == ("in_doubt", "sending")
    await answer(journal, claimed, SILENCE)
    await enquire(journal, APPROVED, gives_back=True)
    assert (await claim_one(journal, after(3600))).amount == HELD


async def test_and_is_asked_about_anew_where_the_series_was_over(journal: Journal) -> None:
    await doubtful(journal)
    await enquire_in_vain(journal)
    claimed = asked_of(await again(journal))
    enquired = await ask_first(journal)
    await wait_for(journal, 2, amount=HELD, shown=Shown.TURNED_AWAY, now=SOON)
    assert await cover(journal, enquired, claimed) is None
    await enquire(journal, APPROVED)
    assert (await notices(journal))[-1] == f"unseen/approved@{TERMINAL}"


async def test_what_is_settled_is_not_due_for_an_enquiry_any_more(journal: SqlJournal) -> None:
    """Asked beside its series, a row settles with the next enquiry of that still planned."""

    def planned(connection: Connection) -> int:
        sql = "SELECT count(*) FROM authorisation WHERE enquiry_due IS NOT NULL"
        return int(connection.execute(sql).get)

    await covered(journal)
    assert await journal._writer.read(planned) == 0
