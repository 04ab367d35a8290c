"""Check-outs and refunds by hand: intent, request and attempt in one commit; then pruned and restored with the rest."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.card_search import findings, findings_in_files
from tests.store.builders import (
    APPROVED,
    DECLINED,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    UNAVAILABLE,
    VISA,
    after,
    take,
)
from tests.store.engines import Engine
from tests.store.passengers import (
    AT_THE_OTHER_GATE,
    ENQUIRING,
    FARE,
    KNOWN_FARE,
    ONE,
    PARTLY,
    answer,
    asked_of,
    check_in,
    check_out,
    end_unpaid,
    enquire,
    enquire_in_vain,
    journey_of,
    notices,
    order_check_out,
    order_refund,
    pay,
    refused,
    resolve,
    restart,
    sent,
    wait_for,
)
from tpsd.asking import Ordered
from tpsd.core.answering import Policy
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.outcome import Exchange
from tpsd.domain.time import DAY
from tpsd.errors import NotFoundError, RefusedError
from tpsd.ports import Journal
from tpsd.store.journal import SqlJournal

pytestmark = pytest.mark.usefixtures("whole")

DAYS_LATER = after(3 * DAY / 1e6)


async def audited(journal: SqlJournal) -> list[tuple[str, str, str]]:
    return [(row.who, row.what, row.subject) for row in await journal.operations.audited(20)]


async def ended(journal: Journal) -> None:
    """A journey whose three tries came to clean noes."""
    await end_unpaid(journal, DECLINED, DECLINED, DECLINED)


# --- a check-out ---


async def test_it_is_written_before_a_byte_leaves(engine: Engine, journal: SqlJournal) -> None:
    await check_in(journal, uuid=ONE)
    claimed = sent(await order_check_out(journal, now=DAYS_LATER))
    assert (claimed.number, claimed.reason, claimed.realtime) == (1, AttemptReason.HAND, True)
    assert (claimed.terminal, claimed.credential, claimed.amount) == (TERMINAL, "common", FARE)
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in claimed.body
    assert b'"tag"' not in claimed.body
    assert b'"panToken"' not in claimed.body
    found = await journey_of(journal)
    assert (found.state, found.check_out, found.check_out_state) == ("by_hand", str(claimed.uuid), "sending")
    assert (found.check_out_amount, found.tries) == (FARE, 0)
    assert await audited(journal) == [("alice (1000)", "checkout", f"{ONE} -> {claimed.uuid}")]
    assert await journal.claim(after(1e6), 10) == [], "it goes once"
    await answer(journal, claimed, APPROVED, now=DAYS_LATER)
    found = await journey_of(journal)
    assert (found.state, found.ended_at, found.check_out_state) == ("closed", DAYS_LATER, "approved")
    assert findings_in_files(engine.traces(), [VISA]) == []


async def test_nobody_is_told_of_it_at_a_lane(journal: Journal) -> None:
    await ended(journal)
    answered = await answer(journal, sent(await order_check_out(journal)), APPROVED)
    assert (answered.told, answered.tap) == (None, None)
    assert (await journey_of(journal)).state == "closed"


@pytest.mark.parametrize("reference", ["1", " 1 ", "VAL00042:3:1", str(ONE), str(ONE)[:8], "the check-out", "its tap"])
async def test_a_journey_is_found_by(journal: Journal, reference: str) -> None:
    await check_in(journal, uuid=ONE)
    await check_out(journal, 2, DECLINED)
    last = (await journey_of(journal)).check_out
    given = {"the check-out": last or "", "its tap": "VAL00043:3:2"}.get(reference, reference)
    sent(await order_check_out(journal, given))
    assert (await journey_of(journal)).state == "by_hand"


async def test_a_former_try_finds_its_journey_too(journal: Journal) -> None:
    await check_in(journal)
    await check_out(journal, 2, DECLINED)
    former = (await journey_of(journal)).check_out or ""
    await check_out(journal, 3, DECLINED)
    sent(await order_check_out(journal, former))


@pytest.mark.parametrize("reference", ["2", "0", "9" * 30, "VAL00042:3:9", "ffffffff", "", "nonsense"])
async def test_no_such_journey(journal: SqlJournal, reference: str) -> None:
    await check_in(journal, uuid=ONE)
    with pytest.raises(NotFoundError):
        await order_check_out(journal, reference)
    assert await audited(journal) == []


async def test_a_payment_is_no_journey(journal: SqlJournal) -> None:
    await pay(journal)
    with pytest.raises(NotFoundError, match="no journey"):
        await order_check_out(journal, "VAL00042:3:1")
    await wait_for(journal, 2, age_ms=None)
    with pytest.raises(RefusedError, match="never to be sent"):
        await order_check_out(journal, "VAL00042:3:2")


async def test_asked_again_it_is_the_first(journal: SqlJournal) -> None:
    await ended(journal)
    claimed = sent(await order_check_out(journal))
    again = await order_check_out(journal)
    assert isinstance(again, Ordered)
    assert (again.claimed, again.already, again.amount) == (None, str(claimed.uuid), FARE)
    assert "is not settled" in refused(await order_check_out(journal, amount=FARE + 1))
    await answer(journal, claimed, SILENCE)
    again = await order_check_out(journal)
    assert isinstance(again, Ordered)
    assert again.already == str(claimed.uuid), "nor while nobody knows"
    assert len(await audited(journal)) == 1
    await answer_by_person(journal, charged=False)
    assert sent(await order_check_out(journal)).uuid != claimed.uuid
    assert len(await audited(journal)) == 3


async def answer_by_person(journal: SqlJournal, *, charged: bool) -> None:
    await resolve(journal, (await journey_of(journal)).check_out or "", charged=charged)


async def test_two_at_once_are_one(journal: Journal) -> None:
    await ended(journal)
    orders = await asyncio.gather(*(order_check_out(journal) for _ in range(4)))
    found = [one for one in orders if isinstance(one, Ordered)]
    assert len(found) == 4
    (claimed,) = [one.claimed for one in found if one.claimed is not None]
    assert {one.already for one in found} == {None, str(claimed.uuid)}


HAND_ANSWERS: dict[str, tuple[Exchange, str, str, list[str]]] = {
    "approved": (APPROVED, "closed", "approved", []),
    "declined": (DECLINED, "ended_unpaid", "declined", []),
    "refused": (TAP_REFUSED, "ended_unpaid", "tap_refused", ["tap_refused/system.60"]),
    "never sent": (NO_CONNECTION, "ended_unpaid", "failed", []),
    "answered": (UNAVAILABLE, "ended_unpaid", "failed", []),
    "unknown": (SILENCE, "by_hand", "in_doubt", ["in_doubt/timeout"]),
}


@pytest.mark.parametrize("case", HAND_ANSWERS.values(), ids=HAND_ANSWERS.keys())
async def test_what_comes_of_it(journal: SqlJournal, case: tuple[Exchange, str, str, list[str]]) -> None:
    exchange, state, check_out_state, causes = case
    await check_in(journal)
    claimed = sent(await order_check_out(journal))
    await answer(journal, claimed, exchange)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == (state, check_out_state)
    assert await notices(journal, str(claimed.uuid)) == [
        *(["journey/ended_unpaid"] if state == "ended_unpaid" else []),
        *causes,
    ]
    if state == "ended_unpaid":
        assert sent(await order_check_out(journal, amount=450)).amount == 450


async def test_an_enquiry_settles_one_in_doubt(journal: SqlJournal) -> None:
    await ended(journal)
    await answer(journal, sent(await order_check_out(journal)), SILENCE, policy=ENQUIRING)
    assert (await journey_of(journal)).state == "by_hand"
    await enquire(journal, APPROVED)
    assert (await journey_of(journal)).state == "closed"


async def test_a_check_out_of_nothing_releases_what_is_held(journal: Journal) -> None:
    await check_in(journal)
    assert "add --release" in refused(await order_check_out(journal, amount=0))
    claimed = sent(await order_check_out(journal, amount=0, release=True))
    assert claimed.amount == 0
    await answer(journal, claimed, APPROVED)
    assert (await journey_of(journal)).state == "closed"


async def test_refused_with_the_reason_and_nothing_is_written(journal: SqlJournal) -> None:
    await check_in(journal)
    before = await journal.totals()
    assert "is in currency 978, not 840" in refused(await order_check_out(journal, currency="840"))
    assert "--release means an amount of 0" in refused(await order_check_out(journal, release=True))
    taken = await wait_for(journal, 2, **AT_THE_OTHER_GATE)
    assert "checking out at this moment" in refused(await order_check_out(journal))
    await answer(journal, asked_of(taken), APPROVED)
    assert "is closed" in refused(await order_check_out(journal))
    assert (await audited(journal), (await journal.totals()).states) == ([], {"approved": 2})
    assert before.states == {"approved": 1}


@pytest.mark.parametrize("tries", [(SILENCE,), (SILENCE, SILENCE, SILENCE), (UNAVAILABLE, SILENCE)], ids=len)
async def test_refused_while_a_try_may_have_charged(journal: SqlJournal, tries: tuple[Exchange, ...]) -> None:
    await end_unpaid(journal, *tries)
    assert "may have been charged" in refused(await order_check_out(journal))
    assert await audited(journal) == []


async def test_tries_of_which_a_part_was_approved_and_given_back(journal: SqlJournal) -> None:
    await end_unpaid(journal, PARTLY, PARTLY, PARTLY)
    found = await journey_of(journal)
    assert (found.state, found.check_out_state) == ("ended_unpaid", "approved")
    assert [refund.amount for refund in await journal.claim(NOW, 10)] == [200] * 3
    await answer(journal, sent(await order_check_out(journal)), APPROVED)
    assert (await journey_of(journal)).state == "closed"


async def test_refused_until_tps_was_asked(journal: SqlJournal) -> None:
    await end_unpaid(journal, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, policy=ENQUIRING)
    assert "TPS is being asked" in refused(await order_check_out(journal))
    await enquire_in_vain(journal)
    sent(await order_check_out(journal))


async def test_refused_while_tps_is_being_asked(journal: SqlJournal) -> None:
    await end_unpaid(journal, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, policy=ENQUIRING)
    assert len(await journal.doubts.claim(after(60), 10)) == 1
    assert await journal.doubts.next_due() is None
    assert "TPS is being asked" in refused(await order_check_out(journal))


@pytest.mark.parametrize("exchange", [NO_CONNECTION, UNAVAILABLE], ids=repr)
async def test_one_that_waits_for_a_tap_waits_no_more(journal: SqlJournal, exchange: Exchange) -> None:
    await check_in(journal)
    await check_out(journal, 2, exchange)
    assert (await journal.story("2")).body_kept
    doubts = [row.tap_id for row in await journal.operations.awaited_rows(10)]
    assert doubts == (["VAL00043:3:2"] if exchange == UNAVAILABLE else []), "people see what may have charged"
    claimed = sent(await order_check_out(journal))
    story = await journal.story("2")
    assert (story.tap.state, story.body_kept) == ("failed", False)
    assert await journal.operations.awaited_rows(10) == []
    assert (await journey_of(journal)).check_out == str(claimed.uuid)
    taken = await wait_for(journal, 3, kind=0x06, **AT_THE_OTHER_GATE)
    assert taken.told is not None
    assert taken.told.reason == "no_check_in"


@pytest.mark.parametrize("charged", [True, False])
async def test_tps_is_asked_about_the_try_that_waits_before_a_person_charges(
    journal: SqlJournal, charged: bool
) -> None:
    await check_in(journal)
    await check_out(journal, 2, UNAVAILABLE, policy=ENQUIRING)
    assert "TPS is asked first whether" in refused(await order_check_out(journal, enquires=True))
    story = await journal.story("2")
    assert (story.tap.state, story.body_kept, await audited(journal)) == ("in_doubt", False, [])
    taken = await wait_for(journal, 3, kind=0x06, **AT_THE_OTHER_GATE)
    assert taken.told is not None
    assert (taken.asked, taken.told.reason) == (None, "in_doubt"), "no tap sends it again"
    assert "TPS is being asked" in refused(await order_check_out(journal, enquires=True))
    if charged:
        await enquire(journal, APPROVED)
        assert (await journey_of(journal)).state == "closed"
        assert "is closed" in refused(await order_check_out(journal, enquires=True))
    else:
        await enquire_in_vain(journal)
        sent(await order_check_out(journal, enquires=True))


async def test_an_expired_one_days_later(journal: SqlJournal) -> None:
    await check_in(journal)
    await journal.asked.attend(after(1), NOW, False, after(1))
    assert (await journey_of(journal)).state == "expired"
    await answer(journal, sent(await order_check_out(journal, now=DAYS_LATER)), APPROVED, now=DAYS_LATER)
    assert (await journey_of(journal)).state == "closed"


async def test_killed_before_its_answer(engine: Engine, journal: SqlJournal) -> None:
    await ended(journal)
    claimed = sent(await order_check_out(journal))
    found = await engine.after_sigkill().open()
    assert isinstance(found, SqlJournal)
    await restart(found, after(1))
    row = await journey_of(found)
    assert (row.state, row.check_out_state) == ("by_hand", "in_doubt")
    assert (await notices(found, str(claimed.uuid)))[-1] == "in_doubt/crash"
    again = await order_check_out(found)
    assert isinstance(again, Ordered)
    assert again.already == str(claimed.uuid)
    assert await found.upkeep.check() == []
    await found.close()


# --- a refund ---


async def test_a_refund_is_written_before_a_byte_leaves(engine: Engine, journal: SqlJournal) -> None:
    await pay(journal, uuid=ONE)
    ordered = await order_refund(journal, now=DAYS_LATER)
    claimed = sent(ordered)
    assert isinstance(ordered, Ordered)
    assert (ordered.amount, ordered.original.charged, ordered.original.settled_at) == (FARE, FARE, NOW)
    assert (claimed.number, claimed.reason, claimed.realtime) == (1, AttemptReason.HAND, True)
    assert b'"transactionType":"RETAIL_REFUND"' in claimed.body
    assert f'"initialTransactionUuid":"{ONE}"'.encode() in claimed.body
    assert findings("body", claimed.body, [VISA]) == []
    assert await audited(journal) == [("alice (1000)", "refund", f"{ONE} -> {claimed.uuid}")]
    await answer(journal, claimed, APPROVED, now=DAYS_LATER)
    assert (await journal.totals()).states == {"approved": 2}
    assert findings_in_files(engine.traces(), [VISA]) == []


@pytest.mark.parametrize("reference", ["1", "VAL00042:3:1", str(ONE), str(ONE)[:8]])
async def test_a_payment_is_found_by(journal: Journal, reference: str) -> None:
    await pay(journal, uuid=ONE)
    sent(await order_refund(journal, reference))


async def test_half_a_name_that_two_payments_share_gives_nothing_back(journal: SqlJournal) -> None:
    await pay(journal, uuid=ONE)
    await pay(journal, counter=2, uuid=UUID(int=ONE.int + 1))
    with pytest.raises(NotFoundError, match="more than one UUID begins with 0c7f3f6e: give more of it"):
        await order_refund(journal, str(ONE)[:8])
    assert (await audited(journal), (await journal.totals()).states) == ([], {"approved": 2})
    sent(await order_refund(journal, str(ONE)))


async def test_what_can_be_refunded(journal: Journal) -> None:
    await pay(journal, APPROVED, 1)
    await pay(journal, APPROVED, 2, lane=KNOWN_FARE)
    await check_in(journal, 3)
    await check_out(journal, 4)
    assert [sent(await order_refund(journal, reference)).amount for reference in ("1", "2", "4")] == [320, 320, FARE]
    assert "it began journey 1" in refused(await order_refund(journal, "3"))
    await take(journal, 5)
    assert "MTT is not refunded here" in refused(await order_refund(journal, "5"))


async def test_a_refund_names_the_validator_of_what_it_gives_back(journal: Journal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2)
    refund = sent(await order_refund(journal, "2"))
    assert (refund.terminal, refund.credential) == ("GATE-X1:VAL00043", "gate-2")
    assert "/VAL00043/" in refund.path
    assert b'"validatorData":{"serialNumber":"VAL00043","typeName":"GATE-X1"}' in refund.body


async def test_a_refund_of_a_check_out_by_hand_goes_where_that_went(journal: Journal) -> None:
    await check_in(journal, 1)
    by_hand = sent(await order_check_out(journal))
    await answer(journal, by_hand, APPROVED)
    refund = sent(await order_refund(journal, str(by_hand.uuid)))
    assert (refund.terminal, refund.credential) == (by_hand.terminal, by_hand.credential) == (TERMINAL, "common")
    assert b'"validatorData":{"serialNumber":"VAL00042","typeName":"GATE-X1"}' in refund.body
    assert f'"initialTransactionUuid":"{by_hand.uuid}"'.encode() in refund.body


async def test_parts_never_come_to_more_than_the_charge(journal: SqlJournal) -> None:
    await pay(journal)
    assert "321 is not between 1 and 320" in refused(await order_refund(journal, "1", 321))
    assert "0 is not between" in refused(await order_refund(journal, "1", 0))
    first = sent(await order_refund(journal, "1", 100))
    await answer(journal, first, APPROVED)
    assert "was given back before" in refused(await order_refund(journal, "1", 100))
    await answer(journal, sent(await order_refund(journal, "1", 100, again=True)), APPROVED)
    assert "121 is not between 1 and 120" in refused(await order_refund(journal, "1", 121))
    rest = sent(await order_refund(journal, "1"))
    assert rest.amount == 120
    await answer(journal, rest, APPROVED)
    assert "given back already, 320 in all" in refused(await order_refund(journal, "1"))
    assert len(await audited(journal)) == 3


async def test_a_part_that_was_charged_is_all_that_is_given_back(journal: Journal) -> None:
    await pay(journal, PARTLY, policy=Policy(partial_accepted=True))
    assert "201 is not between 1 and 200" in refused(await order_refund(journal, "1", 201))
    assert sent(await order_refund(journal, "1")).amount == 200


async def test_asked_again_a_refund_is_the_first(journal: SqlJournal) -> None:
    await pay(journal)
    claimed = sent(await order_refund(journal, "1", 100))
    again = await order_refund(journal, "1", 100)
    assert isinstance(again, Ordered)
    assert (again.claimed, again.already, again.amount) == (None, str(claimed.uuid), 100)
    assert "is not settled" in refused(await order_refund(journal, "1", 50))
    await answer(journal, claimed, SILENCE)
    again = await order_refund(journal, "1")
    assert isinstance(again, Ordered)
    assert (again.already, again.amount) == (str(claimed.uuid), 100), "while nobody knows it counts as given back"
    assert len(await audited(journal)) == 1


async def test_one_that_was_declined_counts_as_never_given(journal: Journal) -> None:
    await pay(journal)
    await answer(journal, sent(await order_refund(journal)), DECLINED)
    assert sent(await order_refund(journal)).amount == 320


async def test_one_that_was_found_not_charged_counts_as_never_given(journal: SqlJournal) -> None:
    await pay(journal)
    refund = sent(await order_refund(journal))
    await answer(journal, refund, SILENCE)
    await resolve(journal, str(refund.uuid), charged=False)
    assert sent(await order_refund(journal)).amount == 320


@pytest.mark.parametrize(
    ("exchange", "why"),
    [
        (DECLINED, "only what TPS approved can be given back, and it is declined"),
        (NO_CONNECTION, "it is failed"),
        (SILENCE, "it is in doubt whether it was charged"),
    ],
)
async def test_nothing_to_give_back(journal: SqlJournal, exchange: Exchange, why: str) -> None:
    await pay(journal, exchange)
    assert why in refused(await order_refund(journal))
    assert await audited(journal) == []


async def test_what_was_never_sent_is_not_refunded(journal: Journal) -> None:
    await wait_for(journal, age_ms=None)
    with pytest.raises(RefusedError, match="never to be sent"):
        await order_refund(journal, "1")
    with pytest.raises(NotFoundError):
        await order_refund(journal, "2")


async def test_a_stray_check_in_is_released(journal: SqlJournal) -> None:
    """Found approved after its passenger was turned away: no journey, but the money is held."""
    await check_in(journal, 1, SILENCE, policy=ENQUIRING)
    await enquire(journal, APPROVED)
    assert await notices(journal) == [f"unseen/approved@{TERMINAL}"]
    assert "released whole" in refused(await order_refund(journal, "1", 100))
    claimed = sent(await order_refund(journal, "1"))
    assert (claimed.amount, b'"transactionType":"RETAIL_CHECK_OUT"' in claimed.body) == (0, True)
    again = await order_refund(journal, "1")
    assert isinstance(again, Ordered)
    assert again.already == str(claimed.uuid)
    await answer(journal, claimed, APPROVED)
    assert "released already" in refused(await order_refund(journal, "1"))


async def test_killed_before_a_refunds_answer(engine: Engine, journal: SqlJournal) -> None:
    await pay(journal)
    refund = sent(await order_refund(journal))
    found = await engine.after_sigkill().open()
    assert isinstance(found, SqlJournal)
    await restart(found, after(1))
    again = await order_refund(found)
    assert isinstance(again, Ordered)
    assert again.already == str(refund.uuid)
    assert await notices(found, str(refund.uuid)) == ["in_doubt/crash"]
    assert await found.upkeep.check() == []
    await found.close()


# --- what follows another is found ---


async def test_a_refund_is_shown_by_the_tap_it_follows(journal: SqlJournal) -> None:
    await pay(journal, APPROVED, 1)
    await pay(journal, APPROVED, 2)
    refund = str(sent(await order_refund(journal, "2")).uuid)
    assert (await journal.story(refund)).tap.number == 2
    assert (await journal.story(refund[:8])).tap.number == 2
    standing = await journal.operations.find(refund)
    assert (standing.uuid, standing.amount, standing.card_kept) == (refund, 320, False)


async def test_a_refund_in_doubt_is_resolved_by_its_uuid(journal: SqlJournal) -> None:
    await pay(journal)
    refund = sent(await order_refund(journal))
    await answer(journal, refund, SILENCE)
    (doubt,) = await journal.operations.doubt_rows(10)
    assert (doubt.uuid, doubt.cause) == (str(refund.uuid), "timeout")
    await resolve(journal, (await journal.operations.find(str(refund.uuid)[:13])).uuid, charged=True)
    assert (await journal.operations.find(str(refund.uuid))).state.value == "approved"
    assert "given back already" in refused(await order_refund(journal))


async def test_a_refund_of_a_check_out_by_hand_is_shown_by_the_check_in(journal: SqlJournal) -> None:
    await check_in(journal)
    by_hand = sent(await order_check_out(journal))
    await answer(journal, by_hand, APPROVED)
    refund = sent(await order_refund(journal, str(by_hand.uuid)))
    assert (await journal.story(str(by_hand.uuid))).tap.number == 1
    assert (await journal.story(str(refund.uuid))).tap.number == 1
    await answer(journal, refund, SILENCE)
    assert await notices(journal) == ["in_doubt/timeout"], "and its notice names that tap"
