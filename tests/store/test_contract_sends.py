"""Commits 2 and 3: what is claimed, what an attempt leaves, and what a late one may not change."""

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    candidate,
    claim_one,
    fail_for_good,
    outcome_of,
    report,
    send,
    settle,
    take,
    take_many,
)
from tpsd.core.intake import decide
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Progress, State
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.time import Micros
from tpsd.domain.views import AttemptRow, TapFilter
from tpsd.ports import Journal, SettledLate


async def test_a_claim_says_everything_a_send_needs(journal: Journal) -> None:
    uuid = uuid4()
    tap = candidate(journal, report(), uuid=uuid)
    assert tap.draft is not None
    await journal.take(tap, decide, NOW)
    claimed = await claim_one(journal, after(1))
    assert (claimed.uuid, claimed.number, claimed.reason) == (uuid, 1, AttemptReason.LADDER)
    assert (claimed.terminal, claimed.path, claimed.credential) == (TERMINAL, tap.draft.path, "common")
    assert (claimed.started_at, claimed.progress) == (after(1), Progress(1, False, DEFAULT_LADDER))
    assert claimed.body == tap.draft.body


async def test_every_send_carries_the_bytes_of_the_first(journal: Journal) -> None:
    await take(journal)
    first = await claim_one(journal)
    due = (await settle(journal, first, UNAVAILABLE)).due
    assert due is not None
    second = await claim_one(journal, due)
    assert (second.body, second.path, second.credential) == (first.body, first.path, first.credential)
    assert (second.uuid, second.number) == (first.uuid, 2)
    assert second.fence > first.fence


async def test_a_claim_is_in_the_journal_before_anything_is_sent(journal: Journal) -> None:
    await take(journal)
    await claim_one(journal, after(1))
    story = await journal.story("1")
    assert (story.tap.state, story.tap.attempts, story.tap.due) == ("sending", 1, None)
    assert story.attempts == (AttemptRow(1, 1, "ladder", after(1), None, None, None, True),)


async def test_claims_go_by_due_time_and_then_by_uuid(journal: Journal) -> None:
    for counter, seconds in ((1, 3), (2, 1), (3, 2)):
        await take(journal, counter, now=after(seconds), uuid=UUID(int=counter))
    for counter in (9, 8):
        await take(journal, counter, now=after(4), uuid=UUID(int=counter))
    claims = await journal.claim(after(10), 10)
    assert [claimed.uuid.int for claimed in claims] == [2, 3, 1, 8, 9]


async def test_claims_stop_at_the_limit_and_at_the_clock(journal: Journal) -> None:
    for counter in range(1, 6):
        await take(journal, counter, now=after(counter))
    assert await journal.claim(Micros(NOW), 10) == []
    assert len(await journal.claim(after(4), 3)) == 3
    assert len(await journal.claim(after(4), 3)) == 1
    assert await journal.next_due() == after(5)


async def test_a_row_is_claimed_once(journal: Journal) -> None:
    await take(journal)
    await claim_one(journal)
    assert await journal.claim(after(1e6), 10) == []
    assert await journal.next_due() is None


async def test_concurrent_claims_never_share_a_row(journal: Journal) -> None:
    await take_many(journal, range(1, 61))
    rounds = await asyncio.gather(*(journal.claim(NOW, 7) for _ in range(12)))
    uuids = [claimed.uuid for claims in rounds for claimed in claims]
    assert len(uuids) == len(set(uuids)) == 60


async def test_attempts_are_numbered_without_a_gap(journal: Journal) -> None:
    await take(journal)
    await fail_for_good(journal)
    story = await journal.story("1")
    assert [attempt.number for attempt in story.attempts] == list(range(1, 14))
    minutes = [(attempt.started_at - NOW) // 60_000_000 for attempt in story.attempts]
    assert minutes == [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
    assert {attempt.outcome for attempt in story.attempts} == {"unknown"}


ENDS: list[tuple[Exchange, str, str | None, bool, str | None, str]] = [
    # exchange → state, cause, body kept, notice, the attempt's outcome
    (APPROVED, "approved", "action.000", False, None, "approved"),
    (DECLINED, "declined", "action.116", False, None, "declined"),
    (TAP_REFUSED, "tap_refused", "system.60", False, "tap_refused/system.60", "tap_refused"),
    (TERMINAL_REFUSED, "held", f"system.41@{TERMINAL}", True, f"held/system.41@{TERMINAL}", "terminal_refused"),
    (UNAVAILABLE, "pending", "http.503", True, None, "try_again"),
    (SILENCE, "pending", "timeout", True, None, "unknown"),
    (NO_CONNECTION, "pending", "connect", True, None, "not_sent"),
]


@pytest.mark.parametrize(("exchange", "state", "cause", "kept", "notice", "name"), ENDS)
async def test_settling(
    journal: Journal, exchange: Exchange, state: str, cause: str, kept: bool, notice: str | None, name: str
) -> None:
    await take(journal)
    settled = await settle(journal, await claim_one(journal), exchange, after(2))
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.due) == (state, cause, settled.due)
    assert story.body_kept is kept
    assert [line.cause for line in story.notices] == ([] if notice is None else [notice])
    (attempt,) = story.attempts
    assert (attempt.outcome, attempt.ended_at, attempt.may_have_charged) == (
        name,
        after(2),
        settled.may_have_charged,
    )


async def test_a_refusal_after_silence_is_in_doubt_and_keeps_its_body(journal: Journal) -> None:
    await take(journal)
    due = (await send(journal, SILENCE)).due
    assert due is not None
    await send(journal, TAP_REFUSED, due)
    story = await journal.story("1")
    assert (story.tap.state, story.body_kept, story.tap.may_have_charged) == ("in_doubt", True, True)
    assert [line.kind for line in story.notices] == ["in_doubt"]


async def test_the_end_of_the_ladder_is_permanently_failed_and_keeps_its_body(journal: Journal) -> None:
    await take(journal)
    await fail_for_good(journal)
    story = await journal.story("1")
    assert (story.tap.state, story.body_kept, story.tap.due) == ("permanently_failed", True, None)
    assert [line.cause for line in story.notices] == ["permanently_failed/timeout"]


async def test_doubt_once_written_is_never_forgotten(journal: Journal) -> None:
    await take(journal)
    due = (await send(journal, SILENCE)).due
    assert due is not None
    assert (await claim_one(journal, due)).progress == Progress(2, True, DEFAULT_LADDER)


async def test_a_partial_approval_is_final(journal: Journal) -> None:
    await take(journal)
    settled = await send(journal, Answer(200, action_code="002", amount=180))
    assert (settled.approved_amount, (await journal.story("1")).tap.state) == (180, "approved")


async def test_settling_twice_is_late_and_changes_nothing(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    await settle(journal, claimed, APPROVED)
    before = await journal.story("1")
    with pytest.raises(SettledLate):
        await settle(journal, claimed, TAP_REFUSED, after(9))
    assert await journal.story("1") == before


async def test_an_old_fence_is_late_and_changes_nothing(journal: Journal) -> None:
    await take(journal)
    first = await claim_one(journal)
    due = (await settle(journal, first, UNAVAILABLE)).due
    assert due is not None
    second = await claim_one(journal, due)
    before = await journal.story("1")
    with pytest.raises(SettledLate):
        await settle(journal, first, APPROVED)
    assert await journal.story("1") == before
    await settle(journal, second, DECLINED)
    assert (await journal.story("1")).tap.state == "declined"


async def test_a_settlement_that_breaks_a_constraint_leaves_everything_as_it_was(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    outcome, good = outcome_of(claimed, TERMINAL_REFUSED)
    forgotten = Settlement(State.PENDING, None, None, False, notices=good.notices)  # pending, and never due
    with pytest.raises(Exception, match=r"(?i)check constraint"):
        await journal.settle(claimed, outcome, forgotten, NOW)
    story = await journal.story("1")
    assert (story.tap.state, story.attempts[0].ended_at, story.notices, story.body_kept) == ("sending", None, (), True)
    await settle(journal, claimed, APPROVED)


async def test_settlements_at_once_each_find_their_row(journal: Journal) -> None:
    await take_many(journal, range(1, 41))
    claims = await journal.claim(NOW, 100)
    exchanges = [APPROVED, DECLINED, TAP_REFUSED, UNAVAILABLE]
    await asyncio.gather(*(settle(journal, claimed, exchanges[at % 4]) for at, claimed in enumerate(claims)))
    totals = await journal.totals()
    assert totals.states == {"approved": 10, "declined": 10, "tap_refused": 10, "pending": 10}
    assert (totals.sends, totals.taps) == (40, 40)


async def test_taking_claiming_and_settling_interleave(journal: Journal) -> None:
    async def lane(serial: str) -> None:
        for counter in range(1, 16):
            await take(journal, counter, serial=serial, content=serial.encode())

    async def dispatcher() -> None:
        done = 0
        while done < 45:
            for claimed in await journal.claim(NOW, 4):
                await settle(journal, claimed, APPROVED)
                done += 1
            await journal.totals()

    async with asyncio.timeout(30):
        await asyncio.gather(lane("A"), lane("B"), lane("C"), dispatcher(), dispatcher_reads(journal))
    assert (await journal.totals()).states == {"approved": 45}


async def dispatcher_reads(journal: Journal) -> None:
    for _ in range(20):
        await journal.taps(TapFilter(limit=5))
        await journal.next_due()
