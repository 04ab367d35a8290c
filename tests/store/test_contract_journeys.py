"""Journeys: opened by a check-in, ended by a check-out, by time, by an enquiry or by a person (design 3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

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
    after,
    card,
    claim_one,
    outcome_of,
    settle,
)
from tests.store.passengers import (
    AT_THE_OTHER_GATE,
    ENQUIRING,
    FARE,
    GATE,
    HELD,
    MORE,
    ONE,
    OTHER_GATE,
    PARTLY,
    answer,
    asked_of,
    check_in,
    check_out,
    end_unpaid,
    enquire,
    enquire_in_vain,
    journey_of,
    journeys,
    notices,
    offer,
    order_check_out,
    resolve,
    rider,
    sent,
    wait_for,
)
from tpsd.core.answering import Policy
from tpsd.core.asking import JourneyMovedError
from tpsd.core.intake import decide
from tpsd.domain.authorisation import AttemptReason, Claimed
from tpsd.domain.card import CardToken
from tpsd.domain.journey import JourneyState
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.ports import Journal
from tpsd.store.connection import Connection
from tpsd.store.journal import SqlJournal

pytestmark = pytest.mark.usefixtures("whole")

CLOSING = replace(GATE, closes_old_journey=True)
EXPIRED, LATER = after(18 * 3600), after(20 * 3600)
AGAIN, FAILED = Verdict.CHECK_OUT_AGAIN, Verdict.CHECK_OUT_FAILED


async def expire(journal: Journal, now: Micros = LATER, *, enquires: bool = False) -> int:
    """Eighteen hours are over."""
    done = await journal.asked.attend(Micros(now - 18 * HOUR), Micros(0), enquires, now)
    return done["journeys_expired"]


# --- opened ---


async def test_an_approved_check_in_opens_a_journey(journal: Journal) -> None:
    lane = replace(GATE, zone="A")
    answered = await check_in(journal, lane=lane, uuid=ONE, age_ms=1500, now=after(60))
    assert answered.told == Told(Verdict.CHECKED_IN, "checked_in", HELD)
    found = await journey_of(journal)
    assert (found.id, found.state, found.tries, found.ended_at) == (1, "open", 0, None)
    assert (found.lane, found.zone, found.held, found.currency) == ("gate-1", "A", HELD, "978")
    assert (found.check_in, found.tap, found.masked) == (str(ONE), 1, "476173******0119")
    assert found.opened_at == after(58.5), "when it was tapped, by our own clock"
    assert (found.check_out, found.check_out_state, found.check_out_amount) == (None, None, None)


async def test_it_holds_what_was_approved(journal: Journal) -> None:
    await check_in(journal, 1, PARTLY, policy=Policy(partial_accepted=True))
    assert (await journey_of(journal)).held == 200


@pytest.mark.parametrize(
    "exchange",
    [DECLINED, TAP_REFUSED, TERMINAL_REFUSED, UNAVAILABLE, SILENCE, NO_CONNECTION, PARTLY, MORE],
    ids=repr,
)
async def test_anything_else_opens_none(journal: Journal, exchange: Exchange) -> None:
    assert (await check_in(journal, 1, exchange)).told != Told(Verdict.CHECKED_IN, "checked_in", HELD)
    assert await journeys(journal) == []


async def test_one_who_was_turned_away_meanwhile_has_none(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal, lane=GATE, amount=HELD))
    await wait_for(journal, lane=GATE, amount=HELD, shown=Shown.TURNED_AWAY)
    await answer(journal, claimed, APPROVED)
    assert await journeys(journal) == []
    assert await notices(journal) == [f"unseen/turned_away@{TERMINAL}"]


async def test_what_a_check_in_turned_away_holds_is_released(journal: Journal) -> None:
    claimed = asked_of(await wait_for(journal, lane=GATE, amount=HELD, uuid=ONE))
    await wait_for(journal, lane=GATE, amount=HELD, shown=Shown.TURNED_AWAY)
    await answer(journal, claimed, APPROVED, policy=Policy(gives_back=True))
    release = await claim_one(journal)
    assert (release.amount, b'"transactionType":"RETAIL_CHECK_OUT"' in release.body) == (0, True)
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in release.body
    await settle(journal, release, APPROVED)
    assert await journeys(journal) == []


# --- ended by a check-out ---


async def test_an_approved_check_out_closes_it(journal: Journal) -> None:
    await check_in(journal, uuid=ONE)
    claimed = asked_of(await wait_for(journal, 2, now=after(600), **AT_THE_OTHER_GATE))
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in claimed.body
    assert (claimed.credential, claimed.terminal) == ("gate-2", "GATE-X1:VAL00043")
    assert (await journey_of(journal)).state == "checking_out"
    answered = await answer(journal, claimed, APPROVED, now=after(601))
    assert answered.told == Told(Verdict.CHECKED_OUT, "checked_out", FARE)
    found = await journey_of(journal)
    assert (found.state, found.tries, found.ended_at) == ("closed", 1, after(601))
    assert (found.check_out, found.check_out_state, found.check_out_amount) == (str(claimed.uuid), "approved", FARE)
    assert not (await journal.story("2")).body_kept
    assert await notices(journal) == []


async def test_the_next_journey_of_a_card_is_another(journal: Journal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2)
    await check_in(journal, 3)
    assert [(found.id, found.state) for found in await journeys(journal)] == [(1, "closed"), (2, "open")]
    await check_in(journal, 4, card=card(MASTERCARD))
    assert [found.state for found in await journeys(journal)] == ["closed", "open", "open"]


@dataclass(frozen=True, slots=True)
class Tries:
    """What came of the tries, by which transaction each went (numbered from 1), and where each tap's row ends."""

    exchanges: tuple[Exchange, ...]
    transactions: tuple[int, ...]
    states: tuple[str, ...]
    ends: str = "ended_unpaid"
    charged: bool = False


THREE_TRIES = {
    "three clean noes": Tries((DECLINED,) * 3, (1, 2, 3), ("declined",) * 3),
    "a decline, a refusal, a decline": Tries(
        (DECLINED, TAP_REFUSED, DECLINED), (1, 2, 3), ("declined", "tap_refused", "declined")
    ),
    "terminal refused": Tries((TERMINAL_REFUSED,) * 3, (1, 2, 3), ("failed",) * 3),
    "three silences": Tries((SILENCE,) * 3, (1, 1, 1), ("in_doubt",) * 3, charged=True),
    "three answered failures": Tries((UNAVAILABLE,) * 3, (1, 1, 1), ("failed",) * 3, charged=True),
    "never sent": Tries((NO_CONNECTION,) * 3, (1, 1, 1), ("failed",) * 3),
    "silence, then a no": Tries((SILENCE, DECLINED, DECLINED), (1, 1, 2), ("declined", "declined", "declined")),
    "silence, then a refusal": Tries((SILENCE, TAP_REFUSED, SILENCE), (1, 1, 1), ("in_doubt",) * 3, charged=True),
    "a failure, then silence": Tries((UNAVAILABLE, SILENCE, NO_CONNECTION), (1, 1, 1), ("in_doubt",) * 3, charged=True),
    "a no, then silence": Tries(
        (DECLINED, SILENCE, SILENCE), (1, 2, 2), ("declined", "in_doubt", "in_doubt"), charged=True
    ),
    "silence, then approved": Tries((SILENCE, APPROVED), (1, 1), ("approved",) * 2, "closed", charged=True),
    "twice not sent, then approved": Tries(
        (NO_CONNECTION, NO_CONNECTION, APPROVED), (1, 1, 1), ("approved",) * 3, "closed", charged=True
    ),
    "twice a no, then approved": Tries(
        (DECLINED, DECLINED, APPROVED), (1, 2, 3), ("declined", "declined", "approved"), "closed", charged=True
    ),
}


@pytest.mark.parametrize("case", THREE_TRIES.values(), ids=THREE_TRIES.keys())
async def test_three_tries(journal: SqlJournal, case: Tries) -> None:
    await check_in(journal, 1)
    claims: list[Claimed] = []
    for counter, exchange in enumerate(case.exchanges, start=2):
        claims.append(asked_of(await wait_for(journal, counter, now=after(counter), **AT_THE_OTHER_GATE)))
        last = counter == len(case.exchanges) + 1
        await answer(journal, claims[-1], exchange, now=after(counter))
        assert (await journal.story(str(counter))).body_kept is (not last and exchange_keeps(case, counter))
    seen = list(dict.fromkeys(claimed.uuid for claimed in claims))
    assert tuple(seen.index(claimed.uuid) + 1 for claimed in claims) == case.transactions
    for uuid in seen:
        same = [claimed for claimed in claims if claimed.uuid == uuid]
        assert {(claimed.path, claimed.credential, claimed.body) for claimed in same} == {
            (same[0].path, same[0].credential, same[0].body)
        }
        assert [claimed.number for claimed in same] == list(range(1, len(same) + 1))
    rows = [(await journal.story(str(counter))).tap for counter in range(2, len(claims) + 2)]
    assert tuple(row.state for row in rows) == case.states
    assert rows[-1].may_have_charged is case.charged
    wanted = (
        [AGAIN, AGAIN, FAILED] if case.ends == "ended_unpaid" else [*[AGAIN] * (len(claims) - 1), Verdict.CHECKED_OUT]
    )
    assert [row.verdict for row in rows] == wanted, "each tap keeps its own verdict"
    found = await journey_of(journal)
    assert (found.state, found.tries) == (case.ends, len(claims))
    assert await notices(journal, "1") == (["journey/ended_unpaid"] if case.ends == "ended_unpaid" else [])


def exchange_keeps(case: Tries, counter: int) -> bool:
    """Whether the next try goes by the same transaction, so that its body must stay."""
    at = counter - 2
    return case.transactions[at] == case.transactions[at + 1]


async def test_the_digest_of_the_first_try_stays(journal: SqlJournal) -> None:
    def digest(connection: Connection) -> bytes:
        return bytes(connection.execute("SELECT body_digest FROM authorisation WHERE initial_uuid IS NOT NULL").get)

    await check_in(journal, 1)
    claimed = asked_of(await wait_for(journal, 2, **AT_THE_OTHER_GATE))
    before = await journal._writer.read(digest)
    assert before == journal.digest(claimed.body)
    await answer(journal, claimed, SILENCE)
    await check_out(journal, 3, SILENCE, amount=450)
    assert await journal._writer.read(digest) == before
    assert (await journey_of(journal)).check_out_amount == FARE, "the amount of the bytes that went"


async def test_a_fourth_tap_finds_no_journey(journal: Journal) -> None:
    await end_unpaid(journal)
    taken = await wait_for(journal, 5, kind=0x06, **AT_THE_OTHER_GATE)
    assert (taken.told, taken.asked) == (Told(Verdict.DENIED, "no_check_in"), None)
    assert (await journey_of(journal)).tries == 3


async def test_repeats_of_earlier_tries_get_what_they_were_told(journal: Journal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, SILENCE)
    await check_out(journal, 3, APPROVED)
    first = await wait_for(journal, 2, **AT_THE_OTHER_GATE)
    second = await wait_for(journal, 3, **AT_THE_OTHER_GATE)
    assert (first.new, first.told) == (False, Told(AGAIN, "timeout"))
    assert (second.new, second.told) == (False, Told(Verdict.CHECKED_OUT, "checked_out", FARE))


async def test_one_whose_charge_is_in_doubt_is_not_tried_again(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, MORE)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == ("checking_out", "in_doubt")
    taken = await wait_for(journal, 3, **AT_THE_OTHER_GATE)
    assert (taken.told, taken.asked) == (Told(FAILED, "in_doubt"), None)
    assert (await journey_of(journal)).tries == 1
    assert found.check_out is not None
    await resolve(journal, found.check_out, charged=False)
    await check_out(journal, 4)
    assert ((await journey_of(journal)).state, (await journey_of(journal)).tries) == ("closed", 2)


# --- ended by time ---


async def test_a_journey_that_nobody_ends_expires_and_is_told(journal: Journal) -> None:
    await check_in(journal, 1)
    assert await expire(journal, EXPIRED) == 0, "not at the instant itself"
    assert await expire(journal) == 1
    found = await journey_of(journal)
    assert (found.state, found.ended_at) == ("expired", LATER)
    assert await notices(journal) == ["journey/expired"]
    assert await expire(journal, after(1e6)) == 0
    await check_in(journal, 2, now=LATER)
    assert [one.state for one in await journeys(journal)] == ["expired", "open"]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What the tries came to, and what the check-out is once nobody comes back."""

    exchanges: tuple[Exchange, ...]
    state: str
    causes: list[str]
    enquires: bool = False
    asked: bool = False


GIVEN_UP = {
    "declined": GivenUp((DECLINED,), "declined", []),
    "never sent": GivenUp((NO_CONNECTION,), "failed", []),
    "unknown": GivenUp((SILENCE,), "in_doubt", ["in_doubt/expired_journey"]),
    "unknown, and TPS can be asked": GivenUp((SILENCE,), "in_doubt", [], enquires=True, asked=True),
    "answered": GivenUp((UNAVAILABLE,), "failed", []),
    "answered, and TPS can be asked": GivenUp((UNAVAILABLE,), "in_doubt", [], enquires=True, asked=True),
    "in progress": GivenUp((UNAVAILABLE, Answer(500, action_code="923")), "in_doubt", ["in_doubt/expired_journey"]),
}


@pytest.mark.parametrize("case", GIVEN_UP.values(), ids=GIVEN_UP.keys())
async def test_an_awaited_check_out_is_given_up(journal: SqlJournal, case: GivenUp) -> None:
    await check_in(journal, 1)
    for counter, exchange in enumerate(case.exchanges, start=2):
        await check_out(journal, counter, exchange)
    assert await expire(journal, enquires=case.enquires) == 1
    found = await journey_of(journal)
    assert (found.state, found.check_out_state, found.tries) == ("expired", case.state, len(case.exchanges))
    story = await journal.story("2")
    assert (story.body_kept, story.tap.state) == (False, case.state)
    assert await notices(journal, "2") == case.causes
    assert await notices(journal, "1") == ["journey/expired"]
    assert await journal.doubts.next_due() == (Micros(LATER + MINUTE) if case.asked else None)
    assert await journal.claim(after(1e6), 10) == []


async def test_a_late_answer_to_a_given_up_check_out_closes_it(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, SILENCE)
    await expire(journal, enquires=True)
    await enquire(journal, APPROVED)
    assert (await journey_of(journal)).state == "closed"


async def test_one_whose_passenger_is_at_the_gate_is_left(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await journal.asked.delivered(1)
    claimed = asked_of(await wait_for(journal, 2, now=EXPIRED, **AT_THE_OTHER_GATE))
    assert await expire(journal) == 0
    assert await journal.asked.next_attention(18 * HOUR, MINUTE) is None, "or the attendant would look without a pause"
    await answer(journal, claimed, SILENCE, now=LATER)
    assert await journal.asked.next_attention(18 * HOUR, MINUTE) == EXPIRED
    assert await expire(journal) == 1


async def test_many_expire_in_slices(journal: Journal) -> None:
    for counter in range(1, 121):
        await check_in(journal, counter, **rider(counter))
    assert await expire(journal) == 120
    assert {found.state for found in await journal.asked.rows((), 200)} == {"expired"}


# --- two lanes at once ---


async def test_one_card_at_two_gates_opens_one_journey(journal: Journal) -> None:
    """Both were prepared before either was taken."""
    offers = [
        await offer(journal, 1, lane=GATE, amount=HELD),
        await offer(journal, 1, lane=OTHER_GATE, serial="VAL00043", amount=HELD),
    ]
    taken = await asyncio.gather(*(journal.take(one, decide, NOW) for one in offers))
    assert sorted(one.asked is not None for one in taken) == [False, True]
    (asked,) = [one for one in taken if one.asked is not None]
    (other,) = [one for one in taken if one.asked is None]
    assert other.told == Told(Verdict.TRY_AGAIN, "under_way")
    await answer(journal, asked_of(asked), APPROVED)
    assert [found.state for found in await journeys(journal)] == ["open"]


async def test_a_journey_that_moved_since_it_was_looked_at(journal: Journal) -> None:
    late_in = await offer(journal, 9, lane=OTHER_GATE, serial="VAL00043", amount=HELD)
    await check_in(journal, 1)
    with pytest.raises(JourneyMovedError):
        await journal.take(late_in, decide, NOW)
    late_out = await offer(journal, 10, **AT_THE_OTHER_GATE)
    await check_out(journal, 2, DECLINED)
    with pytest.raises(JourneyMovedError):
        await journal.take(late_out, decide, NOW)
    assert (await journal.totals()).taps == 2, "nothing of either was written"
    assert (await journey_of(journal)).tries == 1


async def test_a_check_out_at_two_gates_is_one_try(journal: Journal) -> None:
    await check_in(journal, 1)
    offers = [await offer(journal, 2, lane=GATE, amount=FARE), await offer(journal, 2, **AT_THE_OTHER_GATE)]
    taken = await asyncio.gather(*(journal.take(one, decide, NOW) for one in offers), return_exceptions=True)
    asked = [one for one in taken if not isinstance(one, BaseException) and one.asked is not None]
    assert len(asked) == 1
    assert sum(isinstance(one, JourneyMovedError) for one in taken) == 1
    again = await wait_for(journal, 3, **AT_THE_OTHER_GATE)
    assert again.told == Told(Verdict.TRY_AGAIN, "under_way")
    assert (await journey_of(journal)).tries == 1


# --- a check-in while one is open ---


async def test_a_second_check_in_is_refused(journal: Journal) -> None:
    await check_in(journal, 1)
    taken = await wait_for(journal, 2, lane=GATE, kind=0x05, amount=HELD)
    assert (taken.told, taken.asked, taken.follows) == (Told(Verdict.DENIED, "journey_open"), None, False)
    assert (await journey_of(journal)).state == "open"


async def test_or_it_ends_the_old_one_by_the_ladder(journal: SqlJournal) -> None:
    await check_in(journal, 1, uuid=ONE)
    taken = await wait_for(journal, 2, lane=CLOSING, kind=0x05, amount=HELD, now=after(600))
    assert b'"transactionType":"RETAIL_CHECK_IN"' in asked_of(taken).body
    assert taken.follows, "somebody must send the old one's check-out"
    assert (await journey_of(journal)).state == "by_hand"
    closing = await claim_one(journal, after(600))
    assert (closing.reason, closing.amount) == (AttemptReason.LADDER, HELD)
    assert b'"transactionType":"RETAIL_CHECK_OUT"' in closing.body
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in closing.body
    assert b'"tag"' not in closing.body, "it needs no card"
    await answer(journal, asked_of(taken), APPROVED, now=after(601))
    assert [found.state for found in await journeys(journal)] == ["by_hand", "open"]
    await settle(journal, closing, SILENCE)
    again = await claim_one(journal, after(660))
    assert (again.body, again.number) == (closing.body, 2)
    await settle(journal, again, APPROVED)
    old, new = await journeys(journal)
    assert (old.state, old.check_out_state, new.state) == ("closed", "approved", "open")
    assert await notices(journal, "1") == []


async def test_the_old_one_is_ended_whatever_the_new_one_comes_to(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await check_in(journal, 2, DECLINED, lane=CLOSING, kind=0x05)
    closing = await claim_one(journal)
    outcome, settlement = outcome_of(closing, DECLINED)
    assert settlement.notices == ()
    assert await journal.settle(closing, outcome, settlement, NOW), "the journey's notice is told of too"
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == ("ended_unpaid", "declined")
    assert await notices(journal, "1") == ["journey/ended_unpaid"]


async def test_the_old_one_is_ended_from_where_the_passenger_is_now(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    lane = replace(OTHER_GATE, closes_old_journey=True)
    await wait_for(journal, 2, lane=lane, serial="VAL00043", kind=0x05, amount=HELD)
    closing = await claim_one(journal)
    assert (closing.terminal, closing.credential) == ("GATE-X1:VAL00043", "gate-2")
    assert "/VAL00043/" in closing.path
    await settle(journal, closing, TERMINAL_REFUSED)
    standing = await journal.operations.find(str(closing.uuid))
    assert (standing.lane, standing.cause) == ("gate-2", "system.41@GATE-X1:VAL00043"), "the terminal that was refused"


async def test_one_that_is_checking_out_is_not_ended_by_a_check_in(journal: Journal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, SILENCE)
    taken = await wait_for(journal, 3, lane=CLOSING, kind=0x05, amount=HELD)
    assert (taken.told, taken.asked) == (Told(Verdict.DENIED, "journey_open"), None)


# --- ended by an enquiry or by a person ---


async def test_a_late_enquiry_closes_what_ended_unpaid(journal: SqlJournal) -> None:
    await end_unpaid(journal, policy=ENQUIRING)
    assert (await journey_of(journal)).state == "ended_unpaid"
    await enquire(journal, UNAVAILABLE)
    assert (await journey_of(journal)).state == "ended_unpaid"
    await enquire(journal, APPROVED)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == ("closed", "approved")
    assert await notices(journal, "4") == [], "who travelled pays: nobody need be told"


@pytest.mark.parametrize(("exchange", "state"), [(DECLINED, "declined"), (Answer(404), "not_charged")])
async def test_a_late_no_leaves_it_unpaid(journal: SqlJournal, exchange: Exchange, state: str) -> None:
    await end_unpaid(journal, policy=ENQUIRING)
    for _ in range(4):
        await enquire(journal, UNAVAILABLE)
    await enquire(journal, exchange, believed=True)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == ("ended_unpaid", state)
    assert await notices(journal, "1") == ["journey/ended_unpaid"], "told of once"


@pytest.mark.parametrize(
    ("charged", "ends", "state"), [(True, "closed", "approved"), (False, "ended_unpaid", "not_charged")]
)
async def test_a_person_resolves_its_check_out(journal: SqlJournal, charged: bool, ends: str, state: str) -> None:
    await end_unpaid(journal)
    before = await journey_of(journal)
    assert before.check_out is not None
    await resolve(journal, before.check_out, charged=charged)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == (ends, state)
    assert [row.what for row in await journal.operations.audited(9)] == [
        "resolve as charged" if charged else "resolve as not charged"
    ]


async def test_a_former_check_out_that_was_approved_after_all_is_an_alarm(journal: SqlJournal) -> None:
    await end_unpaid(journal, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, policy=ENQUIRING)
    await enquire_in_vain(journal)
    former = (await journey_of(journal)).check_out
    assert former is not None
    claimed = sent(await order_check_out(journal))
    await answer(journal, claimed, APPROVED)
    assert (await journey_of(journal)).state == "closed"
    await resolve(journal, former, charged=True)
    assert await notices(journal, former) == ["in_doubt/http.503", "alarm/checked_out_twice"]
    found = await journey_of(journal)
    assert (found.state, found.check_out) == ("closed", str(claimed.uuid))


async def test_one_that_is_not_charged_after_all_is_none(journal: SqlJournal) -> None:
    await end_unpaid(journal, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, policy=ENQUIRING)
    await enquire_in_vain(journal)
    former = (await journey_of(journal)).check_out
    assert former is not None
    await answer(journal, sent(await order_check_out(journal)), APPROVED)
    await resolve(journal, former, charged=False)
    assert await notices(journal, former) == ["in_doubt/http.503"]


# --- for people ---


async def test_journeys_are_listed_by_state_and_newest_first(journal: Journal) -> None:
    for counter, exchange in ((1, APPROVED), (3, DECLINED), (5, SILENCE)):
        await check_in(journal, counter, **rider(counter))
        await check_out(journal, counter + 1, exchange, **rider(counter))
    await check_in(journal, 7)
    state = JourneyState
    assert [row.id for row in await journal.asked.rows((), 10)] == [4, 3, 2, 1]
    assert [row.id for row in await journal.asked.rows((), 2)] == [4, 3]
    assert [row.id for row in await journal.asked.rows((state.OPEN,), 10)] == [4]
    assert [row.id for row in await journal.asked.rows((state.CHECKING_OUT, state.CLOSED), 2)] == [3, 2]
    assert await journal.asked.rows((state.EXPIRED,), 10) == []


async def test_the_cards_open_one_is_found_and_no_other(journal: Journal) -> None:
    await check_in(journal, 1)
    (row,) = await journeys(journal)
    taken = await wait_for(journal, 2, **AT_THE_OTHER_GATE)
    token = CardToken((await journal.story("1")).token or "")
    found = await journal.asked.journey(1001, token)
    assert found is not None
    assert (found.id, found.check_in, found.tries, found.held) == (row.id, row.check_in, 1, HELD)
    assert found.last is not None
    assert found.last.uuid == str(asked_of(taken).uuid)
    assert await journal.asked.journey(1002, token) is None  # type: ignore[arg-type]
