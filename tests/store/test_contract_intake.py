"""Commit 1: what a tap leaves in the journal, and what its repeats do to it."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.intake_taps import told_of
from tests.store.builders import (
    APPROVED,
    LANE,
    MASTERCARD,
    NOW,
    SILENCE,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    candidate,
    card,
    claim_one,
    closer,
    refusing,
    report,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.core.intake import decide
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import MINUTE
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError
from tpsd.ports import Journal, Taken

ACCEPTED = Told(Verdict.ACCEPTED, "ok")
EXPIRED = card(expiry="2001")


async def causes(journal: Journal, reference: str = "1") -> list[str]:
    return [notice.cause for notice in (await journal.story(reference)).notices]


async def test_a_new_tap_is_kept_pending_and_due_at_once(journal: Journal) -> None:
    uuid = uuid4()
    assert await take(journal, uuid=uuid) == Taken(1, ACCEPTED, new=True)
    (row,) = await journal.taps(TapFilter())
    assert (row.tap_id, row.uuid, row.state, row.cause, row.due) == ("VAL00042:3:1", str(uuid), "pending", None, NOW)
    assert (row.lane, row.terminal, row.kind, row.amount, row.currency) == ("gate-1", TERMINAL, "MTT", 250, "978")
    assert (row.masked, row.verdict, row.reason, row.disposition) == ("476173******0119", 1, "ok", None)
    assert (row.attempts, row.repeats, row.unseen, row.may_have_charged) == (0, 0, False, False)
    story = await journal.story("1")
    assert story.body_kept
    assert (story.config_digest, story.credential, story.notices) == ("c0ffee", "common", ())
    assert await journal.next_due() == NOW


async def test_a_repeat_gets_the_same_verdict_and_no_second_row(journal: Journal) -> None:
    first = await take(journal)
    again = await take(journal, now=after(60))
    assert again == Taken(first.number, ACCEPTED, new=False)
    (row,) = await journal.taps(TapFilter())
    assert (row.repeats, row.due) == (1, NOW)
    assert (await journal.totals()).states == {"pending": 1}


async def test_a_repeat_after_the_end_still_gets_the_verdict_and_sends_nothing(journal: Journal) -> None:
    await take(journal)
    await send(journal, APPROVED)
    assert await take(journal) == Taken(1, ACCEPTED, new=False)
    assert await journal.claim(after(1e6), 10) == []


async def test_a_repeat_carries_the_verdict_it_was_decided_under(journal: Journal) -> None:
    await take(journal)
    tap = candidate(journal, report(), replace(LANE, amount_limit=1))
    assert tap.local.reason == "amount_limit"
    assert (await journal.take(tap, decide, NOW)).told == ACCEPTED


async def test_the_same_identity_with_other_content_is_a_new_tap_and_an_alarm(journal: Journal) -> None:
    await take(journal)
    other = await take(journal, content=b", another card", card=card(MASTERCARD))
    assert other == Taken(2, ACCEPTED, new=True, noticed=True)
    assert await causes(journal, "2") == [f"alarm/tap_identity@{TERMINAL}"]
    assert (await journal.totals()).states == {"pending": 2}
    assert await take(journal, content=b", another card") == Taken(2, ACCEPTED, new=False)


async def test_two_validators_may_use_the_same_numbers(journal: Journal) -> None:
    await take(journal)
    other = await take(journal, serial="VAL00043", content=b" elsewhere")
    assert (other.new, other.noticed) == (True, False)


async def test_an_unnamed_malformed_tap_is_one_row_a_digest_with_a_count(journal: Journal) -> None:
    first = await take(journal, None, fault="no tap id")
    assert first == Taken(1, Told(Verdict.TRY_AGAIN, "malformed"), new=True)
    assert await take(journal, None, fault="no tap id") == replace(first, new=False)
    assert (await take(journal, None, fault="no tap id", content=b" but other bytes")).number == 2
    second, row = await journal.taps(TapFilter())
    assert (row.tap_id, row.disposition, row.state, row.repeats, second.repeats) == (None, "rejected", None, 1, 0)
    assert not (await journal.story("1")).body_kept


async def test_a_denied_tap_has_a_disposition_and_no_authorisation(journal: Journal) -> None:
    assert (await take(journal, card=EXPIRED)).told == Told(Verdict.DENIED, "expired")
    (row,) = await journal.taps(TapFilter())
    assert (row.uuid, row.disposition, row.verdict) == (None, "denied", 2)
    assert not (await journal.story("1")).body_kept
    assert await journal.next_due() is None


async def test_turned_away_at_first_sight_is_denied_and_never_sent(journal: Journal) -> None:
    taken = await take(journal, shown=Shown.TURNED_AWAY)
    assert taken.told == Told(Verdict.DENIED, "turned_away")
    assert await journal.claim(after(1e6), 10) == []
    assert not (await journal.story("1")).body_kept


async def test_turned_away_before_any_send_is_not_charged_and_erased(journal: Journal) -> None:
    await take(journal)
    taken = await take(journal, shown=Shown.TURNED_AWAY)
    assert taken == Taken(1, ACCEPTED, new=False)
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.due) == ("not_charged", "turned_away", None)
    assert (story.body_kept, story.tap.unseen, story.notices) == (False, False, ())
    assert await journal.claim(after(1e6), 10) == []


async def test_turned_away_while_held_unsent_is_not_charged(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 2)
    await take(journal, 2, shown=Shown.TURNED_AWAY)
    story = await journal.story("2")
    assert (story.tap.state, story.body_kept) == ("not_charged", False)


async def test_turned_away_while_being_sent_is_unseen_and_mailed_once(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    taken = await take(journal, shown=Shown.TURNED_AWAY)
    assert (taken.told, taken.noticed) == (ACCEPTED, True)
    assert not (await take(journal, shown=Shown.TURNED_AWAY)).noticed
    story = await journal.story("1")
    assert (story.tap.state, story.tap.unseen) == ("sending", True)
    assert await causes(journal) == [f"unseen/turned_away@{TERMINAL}"]
    await settle(journal, claimed, APPROVED)
    assert (await journal.story("1")).tap.state == "approved"


@pytest.mark.parametrize("exchange", [APPROVED, UNAVAILABLE, SILENCE])
async def test_turned_away_after_a_send_is_unseen(journal: Journal, exchange: object) -> None:
    await take(journal)
    settled = await send(journal, exchange)  # type: ignore[arg-type]
    await take(journal, shown=Shown.TURNED_AWAY)
    story = await journal.story("1")
    assert (story.tap.state, story.tap.unseen) == (settled.state.value, True)


async def test_let_in_at_first_sight_is_sent_although_it_is_expired(journal: Journal) -> None:
    taken = await take(journal, card=EXPIRED, shown=Shown.LET_IN)
    assert taken == Taken(1, Told(Verdict.ACCEPTED, "let_in"), new=True)
    assert (await claim_one(journal)).number == 1


async def test_let_in_revives_a_tap_that_had_been_denied(journal: Journal) -> None:
    denied = await take(journal, card=EXPIRED)
    taken = await take(journal, card=EXPIRED, shown=Shown.LET_IN, now=after(2))
    assert taken == replace(denied, new=False)
    story = await journal.story("1")
    assert (story.tap.state, story.tap.disposition, story.tap.due, story.body_kept) == ("pending", None, after(2), True)
    await take(journal, card=EXPIRED, shown=Shown.LET_IN, now=after(4))
    assert (await journal.totals()).states == {"pending": 1}


async def test_a_revived_tap_can_still_be_turned_away(journal: Journal) -> None:
    await take(journal, card=EXPIRED)
    await take(journal, card=EXPIRED, shown=Shown.LET_IN)
    await take(journal, card=EXPIRED, shown=Shown.TURNED_AWAY)
    assert (await journal.story("1")).tap.state == "not_charged"


async def test_let_in_that_can_never_be_sent_is_mailed(journal: Journal) -> None:
    taken = await take(journal, shown=Shown.LET_IN, kind=0x04)
    assert (taken.told, taken.noticed) == (Told(Verdict.DENIED, "kind"), True)
    assert await causes(journal) == [f"unseen/kind@{TERMINAL}"]


async def test_let_in_after_a_verdict_that_sends_nothing_is_mailed_once(journal: Journal) -> None:
    assert not (await take(journal, kind=0x04)).noticed
    assert (await take(journal, kind=0x04, shown=Shown.LET_IN)).noticed
    assert not (await take(journal, kind=0x04, shown=Shown.LET_IN)).noticed
    assert await causes(journal) == [f"unseen/kind@{TERMINAL}"]


async def test_let_in_after_it_was_cancelled_is_mailed_once(journal: Journal) -> None:
    await take(journal)
    await take(journal, shown=Shown.TURNED_AWAY)
    assert (await take(journal, shown=Shown.LET_IN)).noticed
    assert not (await take(journal, shown=Shown.LET_IN)).noticed
    story = await journal.story("1")
    assert (story.tap.state, story.body_kept) == ("not_charged", False)


async def test_a_decision_that_raises_comes_out_and_leaves_nothing(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        await journal.take(candidate(journal, report()), refusing(ZeroDivisionError()), NOW)
    assert (await journal.totals()).taps == 0
    assert (await take(journal)).number == 1


async def test_a_decision_that_raises_stop_iteration_comes_out_too(journal: Journal) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(journal.take(candidate(journal, report()), refusing(StopIteration()), NOW), 10)


async def test_a_bad_write_among_many_fails_alone(journal: Journal) -> None:
    bad = journal.take(candidate(journal, report(99)), refusing(KeyError("bad")), NOW)
    good = [take(journal, counter) for counter in range(1, 9)]
    results = await asyncio.gather(*good[:4], bad, *good[4:], return_exceptions=True)
    assert [type(result) for result in results] == [Taken] * 4 + [KeyError] + [Taken] * 4
    assert (await journal.totals()).states == {"pending": 8}


async def test_a_second_authorisation_of_one_uuid_is_refused_whole(journal: Journal) -> None:
    uuid = uuid4()
    await take(journal, 1, uuid=uuid)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await take(journal, 2, uuid=uuid)
    assert (await journal.totals()).taps == 1


async def test_an_undecidable_tap_is_kept_rejected_with_its_payload_and_one_alarm(journal: Journal) -> None:
    taken = await journal.reject(report(), "gate-1", TERMINAL, "c0ffee", NOW)
    assert taken == Taken(1, Told(Verdict.TRY_AGAIN, "internal"), new=True, noticed=True)
    again = await journal.reject(report(shown=Shown.LET_IN), "gate-1", TERMINAL, "c0ffee", NOW)
    assert again == Taken(1, taken.told, new=False)
    story = await journal.story("1")
    assert (story.tap.disposition, story.tap.repeats, story.body_kept) == ("rejected", 1, True)
    assert await causes(journal) == [f"alarm/internal@{TERMINAL}"]


async def test_an_undecidable_tap_of_a_used_identity_is_kept_beside_the_first(journal: Journal) -> None:
    await take(journal)
    swapped = report(content=b" of another board")
    taken = await journal.reject(swapped, "gate-1", TERMINAL, "c0ffee", NOW)
    assert (taken.number, taken.new, taken.told) == (2, True, Told(Verdict.TRY_AGAIN, "internal"))
    assert not (await journal.reject(swapped, "gate-1", TERMINAL, "c0ffee", NOW)).new
    assert (await take(journal)).told == ACCEPTED
    assert [row.repeats for row in await journal.taps(TapFilter())] == [1, 1]


async def test_an_undecidable_tap_without_a_name_is_kept_too(journal: Journal) -> None:
    assert (await journal.reject(report(None), "gate-1", TERMINAL, "c0ffee", NOW)).new
    assert not (await journal.reject(report(None), "gate-1", TERMINAL, "c0ffee", NOW)).new


async def test_a_rejected_tap_keeps_its_verdict_when_it_could_be_decided_again(journal: Journal) -> None:
    await journal.reject(report(), "gate-1", TERMINAL, "c0ffee", NOW)
    assert (await take(journal)).told == Told(Verdict.TRY_AGAIN, "internal")


async def test_an_undecidable_repeat_keeps_the_first_verdict(journal: Journal) -> None:
    await take(journal)
    assert (await journal.reject(report(), "gate-1", TERMINAL, "c0ffee", NOW)).told == ACCEPTED
    assert (await journal.story("1")).tap.state == "pending"


async def test_new_taps_of_a_held_terminal_join_with_its_cause_and_are_told_of(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    assert (await take(journal, 2)).told == ACCEPTED
    row = (await journal.story("2")).tap
    assert (row.state, row.cause, row.due) == ("held", f"system.41@{TERMINAL}", None)
    assert await causes(journal, "2") == [f"held/system.41@{TERMINAL}"]
    assert await journal.next_due() is None
    await journal.close_windows(after(60), closer(after(60)))
    (mail,) = await journal.mails_due(after(60), 10)
    assert mail.subject == "2 taps, 500 in all"


async def test_another_terminal_is_not_held_with_it(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 2, serial="VAL00043")
    assert (await journal.story("2")).tap.state == "pending"


async def test_a_denied_tap_of_a_held_terminal_is_only_denied(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    assert told_of(await take(journal, 2, card=EXPIRED)).reason == "expired"
    await take(journal, 2, card=EXPIRED, shown=Shown.LET_IN)
    assert (await journal.story("2")).tap.state == "held"


async def test_hundreds_of_taps_at_once_all_get_their_own_row(journal: Journal) -> None:
    taken = await take_many(journal, range(1, 301))
    assert sorted(one.number for one in taken) == list(range(1, 301))
    assert all(one.new for one in taken)


async def test_twins_at_once_are_one_tap(journal: Journal) -> None:
    taken = await take_many(journal, [7] * 20)
    assert sorted(one.new for one in taken) == [False] * 19 + [True]
    assert {one.number for one in taken} == {1}


async def test_an_impatient_caller_leaves_a_whole_journal(journal: Journal) -> None:
    impatient = asyncio.create_task(take(journal, 1))
    others = [asyncio.create_task(take(journal, counter)) for counter in range(2, 20)]
    await asyncio.sleep(0)
    impatient.cancel()
    assert all(isinstance(taken, Taken) for taken in await asyncio.gather(*others))
    again = await take(journal, 1)  # kept or not: the repeat settles it
    assert again.told == ACCEPTED
    assert (await journal.totals()).states == {"pending": 19}


async def test_a_digest_is_keyed_and_stays_the_same(engine: Engine, journal: Journal) -> None:
    digest = journal.digest(b"payload")
    assert len(digest) == 32
    await journal.close()
    again = await engine.open()
    assert again.digest(b"payload") == digest != again.digest(b"payloae")
    await again.close()


async def test_a_closed_journal_says_so(journal: Journal) -> None:
    tap = candidate(journal, report())
    await journal.close()
    for call in (journal.take(tap, decide, NOW), journal.claim(NOW, 1), journal.totals(), journal.keep_house(MINUTE)):
        with pytest.raises(JournalError, match="closed"):
            await call
    await journal.close()
