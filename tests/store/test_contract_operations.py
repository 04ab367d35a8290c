"""What is done by hand to rows that rest: in slices, judged inside the transaction, audited in the same commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    LANE,
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
    fail_for_good,
    send,
    setting,
    settle,
    take,
    take_many,
)
from tests.store.engines import IDENTITY, Engine
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import Change, InForce, Order, Refusal, judge
from tpsd.core.rebuilding import Rebuilt, rebuild
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.time import DAY, Micros
from tpsd.errors import JournalError, NotFoundError, RefusedError
from tpsd.operating import Cursor, Judge, Judged, Selection
from tpsd.ports import SettledLate
from tpsd.store.journal import SqlJournal
from tpsd.store.resting import RestingReader

CAUSE = f"system.41@{TERMINAL}"
ALICE = AuditDraft(NOW, "alice (1000)", "release", "the terminal is registered now")
LATER = after(3 * 24 * 3600)


def judging(order: Order, now: Micros = NOW) -> Judge:
    in_force = InForce(DoubtPolicy(), frozenset({"common"}), now)
    return lambda row: judge(order, row, in_force)


async def act(
    journal: SqlJournal, order: Order, numbers: Sequence[int], now: Micros = NOW, audit: AuditDraft | None = ALICE
) -> list[Judged]:
    rows = [await journal.operations.find(str(number)) for number in numbers]
    uuids = [row.uuid for row in rows]
    return await journal.operations.carry_out(uuids, judging(order, now), [now] * len(uuids), now, audit)


async def states(journal: SqlJournal, numbers: Sequence[int]) -> list[str | None]:
    return [(await journal.story(str(number))).tap.state for number in numbers]


@pytest.fixture
async def held(journal: SqlJournal) -> SqlJournal:
    """Tap 1 refused for its terminal, taps 2 and 3 that joined."""
    await take(journal, 1)
    await settle(journal, await claim_one(journal), TERMINAL_REFUSED)
    await take(journal, 2, now=after(1), amount=320)
    await take(journal, 3, now=after(2), amount=480)
    return journal


@pytest.fixture
async def failed(journal: SqlJournal) -> SqlJournal:
    """Tap 1 at the end of its ladder, after sends that may have charged."""
    await take(journal)
    await fail_for_good(journal)
    return journal


async def doubt(journal: SqlJournal) -> None:
    await take(journal)
    due = (await send(journal, SILENCE)).due
    assert due is not None
    await send(journal, TAP_REFUSED, due)


async def test_pages_follow_their_cursor_and_take_nothing_else(held: SqlJournal) -> None:
    await take(held, 9, serial="VAL00043", content=b" elsewhere", now=after(3))
    operations, selection = held.operations, Selection(CAUSE)
    first = await operations.page(selection, Cursor(), 2)
    assert [(row.state, row.cause, row.amount) for row in first] == [
        (State.HELD, CAUSE, 250),
        (State.HELD, CAUSE, 320),
    ]
    rest = await operations.page(selection, Cursor(first[-1].created_at, first[-1].uuid), 2)
    assert [row.amount for row in rest] == [480]
    assert await operations.page(replace(selection, since=after(2)), Cursor(), 9) == rest
    assert await operations.page(replace(selection, since=after(2.1)), Cursor(), 9) == []
    assert await operations.page(replace(selection, states=frozenset({State.IN_DOUBT})), Cursor(), 9) == []
    assert await operations.page(Selection("system.41"), Cursor(), 9) == [], "a cause is code and terminal"


async def test_a_row_as_an_order_finds_it(failed: SqlJournal) -> None:
    row = await failed.operations.find("VAL00042:3:1")
    assert (row.state, row.cause, row.terminal, row.lane, row.credential) == (
        State.PERMANENTLY_FAILED,
        "timeout",
        TERMINAL,
        "gate-1",
        "common",
    )
    assert (row.may_have_charged, row.doubtful_since, row.body_kept, row.card_kept) == (True, NOW, True, True)


async def test_what_was_never_to_be_sent_cannot_be_ordered_about(journal: SqlJournal) -> None:
    await take(journal, 1, card=card(expiry="2001"))
    with pytest.raises(RefusedError, match="tap 1 was never to be sent"):
        await journal.operations.find("1")
    with pytest.raises(NotFoundError):
        await journal.operations.find("77")


async def test_a_release_starts_the_ladder_anew_with_the_same_bytes(engine: Engine, failed: SqlJournal) -> None:
    before = await failed.operations.find("1")
    (done,) = await act(failed, Order.RESEND, [1], Micros(LATER - DAY * 2))
    assert done == Judged(before, Change(State.PENDING))
    claimed = await claim_one(failed, LATER)
    assert (str(claimed.uuid), claimed.number, claimed.progress.sends) == (before.uuid, 14, 1)
    assert claimed.progress.may_have_charged, "a release forgets no doubt"
    story = await failed.story("1")
    assert [attempt.release for attempt in story.attempts] == [1] * 13 + [2]
    assert (await settle(failed, claimed, UNAVAILABLE)).due == LATER + 60_000_000


async def test_due_times_are_each_rows_own(held: SqlJournal) -> None:
    uuids = [(await held.operations.find(str(number))).uuid for number in (1, 2, 3)]
    dues = [after(10), after(20), after(30)]
    await held.operations.carry_out(uuids, judging(Order.RELEASE), dues, NOW, ALICE)
    assert [(await held.story(str(number))).tap.due for number in (1, 2, 3)] == dues


async def test_every_change_has_its_audit_row_and_a_refusal_none(held: SqlJournal) -> None:
    await act(held, Order.CLOSE, [3])
    done = await act(held, Order.RELEASE, [1, 2, 3])
    assert [type(one.verdict) for one in done] == [Change, Change, Refusal]
    rows = await held.operations.audited(10)
    subjects = [(await held.operations.find(str(number))).uuid for number in (2, 1, 3)]
    assert [row.subject for row in rows] == subjects
    assert {(row.who, row.what, row.why, row.at) for row in rows} == {(ALICE.who, ALICE.what, ALICE.why, NOW)}
    assert len(await held.operations.audited(2)) == 2


async def test_what_fails_in_the_middle_leaves_neither_change_nor_audit(held: SqlJournal) -> None:
    def surprise(row: object) -> Change:
        if getattr(row, "amount", 0) == 320:
            raise ZeroDivisionError
        return Change(State.CLOSED)

    uuids = [(await held.operations.find(str(number))).uuid for number in (1, 2, 3)]
    with pytest.raises(ZeroDivisionError):
        await held.operations.carry_out(uuids, surprise, [NOW] * 3, NOW, ALICE)
    assert await states(held, [1, 2, 3]) == ["held"] * 3
    assert await held.operations.audited(10) == []
    assert (await held.story("1")).body_kept


async def test_change_and_audit_are_durable_together(engine: Engine, held: SqlJournal) -> None:
    await act(held, Order.CLOSE, [1])
    again = await engine.after_sigkill().open()
    assert isinstance(again, SqlJournal)
    assert await states(again, [1, 2]) == ["closed", "held"]
    assert len(await again.operations.audited(10)) == 1
    await again.close()


@pytest.mark.parametrize(
    ("order", "state"),
    [(Order.CHARGED, "approved"), (Order.NOT_CHARGED, "not_charged")],
)
async def test_a_doubt_is_resolved_and_its_card_data_goes(journal: SqlJournal, order: Order, state: str) -> None:
    await doubt(journal)
    (row,) = await journal.operations.doubt_rows(10)
    assert (row.number, row.tap_id, row.cause, row.attempts, row.body_kept) == (1, "VAL00042:3:1", "system.60", 2, True)
    (cause,) = await journal.operations.doubts()
    assert (cause.cause, cause.count, cause.sums) == ("system.60", 1, {"978": 250})
    await act(journal, order, [1])
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.body_kept) == (state, "system.60", False)
    assert await journal.operations.doubts() == []
    (again,) = await act(journal, order, [1])
    assert isinstance(again.verdict, Refusal)
    assert len(await journal.operations.audited(10)) == 1


async def test_closing_erases_and_is_final(failed: SqlJournal) -> None:
    await act(failed, Order.CLOSE, [1])
    story = await failed.story("1")
    assert (story.tap.state, story.tap.cause, story.body_kept) == ("closed", "timeout", False)
    assert await failed.claim(after(1e9), 10) == []


async def test_a_late_result_of_before_changes_nothing(journal: SqlJournal) -> None:
    """A send that was judged lost comes back after a person has decided."""
    await take(journal)
    claimed = await claim_one(journal)
    await settle(journal, claimed, TERMINAL_REFUSED)
    await act(journal, Order.RELEASE, [1])
    with pytest.raises(SettledLate):
        await settle(journal, claimed, APPROVED)
    assert await states(journal, [1]) == ["pending"]


async def test_a_hold_ends_with_its_last_row(held: SqlJournal) -> None:
    await act(held, Order.RESEND, [1])
    await act(held, Order.CLOSE, [2])
    assert [row.holding for row in await held.operations.held()] == [True]
    await act(held, Order.RESEND, [3])
    assert await held.operations.held() == []
    await take(held, 4, now=after(9))
    assert await states(held, [4]) == ["pending"]


async def test_a_hold_that_was_ended_takes_no_new_taps(held: SqlJournal) -> None:
    assert await held.operations.end_hold(CAUSE, ALICE)
    await take(held, 4, now=after(9))
    assert await states(held, [3, 4]) == ["held", "pending"]
    (cause,) = await held.operations.held()
    assert (cause.count, cause.holding, cause.since) == (3, False, NOW)
    assert [row.subject for row in await held.operations.audited(10)] == [CAUSE]
    assert not await held.operations.end_hold(CAUSE, ALICE)
    assert len(await held.operations.audited(10)) == 1


async def test_causes_are_counted_over_many_pages(engine: Engine, journal: SqlJournal) -> None:
    await take(journal, 1)
    await settle(journal, await claim_one(journal), TERMINAL_REFUSED)
    await take_many(journal, range(2, 31), now=after(1))
    await journal.close()
    async with engine.looked_at() as view:
        for page_rows in (1, 7, 30, 31):
            (cause,) = await RestingReader(view, page_rows).held()
            assert (cause.count, cause.sums) == (30, {"978": 7_500})


# --- rebuild


async def made(journal: SqlJournal, number: int, new: UUID, company: int = 2002) -> Rebuilt:
    row = await journal.operations.find(str(number))
    kept = (await journal.operations.kept([row.uuid]))[row.uuid]
    given = setting(journal)
    found = rebuild(kept, LANE, replace(given, operator=replace(given.operator, company_id=company)), new)
    assert isinstance(found, Rebuilt)
    return found


async def test_a_rebuilt_row_takes_the_old_ones_place(held: SqlJournal) -> None:
    old, new = await held.operations.find("1"), uuid4()
    one = await made(held, 1, new)
    (done,) = await held.operations.replace([one], judging(Order.REBUILD), [after(5)], NOW, ALICE)
    assert isinstance(done.verdict, Change)
    story = await held.story("1")
    assert (story.tap.uuid, story.tap.state, story.tap.due, story.tap.attempts) == (str(new), "pending", after(5), 0)
    assert story.body_kept
    claimed = await claim_one(held, after(5))
    assert (claimed.uuid, claimed.body, claimed.number) == (new, one.draft.body, 1)
    assert b'"companyId":2002' in claimed.body
    (audit,) = await held.operations.audited(10)
    assert audit.subject == f"{old.uuid} -> {new}"
    await settle(held, claimed, APPROVED)
    assert not (await held.story("1")).body_kept
    assert (await held.totals()).states == {"approved": 1, "closed": 1, "held": 2}


async def test_the_old_uuid_still_finds_its_tap(held: SqlJournal) -> None:
    """It stands in a mail."""
    old = (await held.operations.find("1")).uuid
    await held.operations.replace([await made(held, 1, uuid4())], judging(Order.REBUILD), [NOW], NOW, ALICE)
    assert (await held.story(old)).tap.number == 1
    assert (await held.story(old[:13])).tap.number == 1
    assert (await held.operations.find(old[:13])).state is State.PENDING, "an order is about what took its place"


async def test_no_rebuild_where_money_may_have_moved(failed: SqlJournal) -> None:
    before = (await failed.story("1")).tap
    one = await made(failed, 1, uuid4())
    (done,) = await failed.operations.replace([one], judging(Order.REBUILD), [NOW], NOW, ALICE)
    assert isinstance(done.verdict, Refusal)
    assert (await failed.story("1")).tap == before
    assert await failed.operations.audited(10) == []


async def test_a_wrong_company_may_be_mended_over_clean_resting_taps(engine: Engine, held: SqlJournal) -> None:
    await held.close()
    mended = await engine.open(identity=replace(IDENTITY, company_id=2002))
    assert (await mended.totals()).states == {"held": 3}
    await mended.close()


async def test_not_over_one_that_may_have_been_charged(engine: Engine, failed: SqlJournal) -> None:
    await failed.close()
    with pytest.raises(JournalError, match="company was 1001, is 2002"):
        await engine.open(identity=replace(IDENTITY, company_id=2002))


async def test_a_repeat_of_a_rebuilt_tap_gets_its_verdict(held: SqlJournal) -> None:
    await held.operations.replace([await made(held, 1, uuid4())], judging(Order.REBUILD), [NOW], NOW, ALICE)
    assert not (await take(held, 1, now=after(100))).new


async def test_the_old_card_data_is_gone_from_the_disk(engine: Engine, held: SqlJournal) -> None:
    """Sealed or not: nothing of the old row may be left to open."""
    old = (await held.operations.find("1")).uuid
    await held.operations.replace([await made(held, 1, uuid4())], judging(Order.REBUILD), [NOW], NOW, ALICE)
    assert await held.operations.kept([old]) == {}
    await held.close()
    assert not any(
        VISA.encode() in path.read_bytes() for place in engine.traces() for path in place.rglob("*") if path.is_file()
    )


async def test_card_data_that_does_not_open_is_missing(engine: Engine, held: SqlJournal) -> None:
    uuids = [(await held.operations.find(str(number))).uuid for number in (1, 2)]
    assert set(await held.operations.kept(uuids)) == set(uuids)
    await act(held, Order.CLOSE, [1])
    assert set(await held.operations.kept(uuids)) == {uuids[1]}
