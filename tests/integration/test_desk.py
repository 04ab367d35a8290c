"""The desk over a real journal: orders over thousands of taps, a part at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.store.builders import (
    LANE,
    SILENCE,
    TERMINAL,
    TERMINAL_REFUSED,
    claim_one,
    send,
    setting,
    settle,
    take,
    take_many,
)
from tests.store.engines import SqliteEngine
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import Order
from tpsd.demo.clock import WarpClock
from tpsd.domain.authorisation import RESTING, State
from tpsd.domain.time import DAY, HOUR, MINUTE, Micros, later
from tpsd.errors import NotFoundError, RefusedError
from tpsd.operating import SLICE_ROWS, Cursor, Ordered, Selection, Tally
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.desk import SLICES_A_CALL, Desk

CAUSE = f"system.41@{TERMINAL}"
HELD = Selection(CAUSE, states=frozenset({State.HELD}))
MANY = SLICE_ROWS * SLICES_A_CALL + 300
SPREAD_US = 5 * MINUTE


@dataclass(slots=True)
class Office:
    """A desk, its journal, and how often it woke the sends."""

    desk: Desk
    journal: SqliteJournal
    clock: WarpClock
    woken: int = 0
    noticed: int = 0

    async def whole(self, ordered: Ordered, selection: Selection, *, dry: bool) -> list[Tally]:
        """As the command line does it: asked until nothing is left."""
        tallies: list[Tally] = []
        where: Cursor | None = None
        while True:
            tallies.append(await self.desk.many(ordered, selection, where, dry=dry))
            where = tallies[-1].after
            if where is None:
                return tallies


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    journal = await SqliteEngine(tmp_path / "engine", inline=False).open()
    clock = WarpClock()
    clock.stand_still()
    office: Office

    def wake() -> None:
        office.woken += 1

    def notice() -> None:
        office.noticed += 1

    desk = Desk(
        journal.operations,
        clock,
        random.Random(7),
        DoubtPolicy(),
        frozenset({"common"}),
        SPREAD_US,
        on_release=wake,
        on_notice=notice,
    )
    desk.setting, desk.lanes = setting(journal), {LANE.name: LANE}
    office = Office(desk, journal, clock)
    yield office
    await journal.close()


def ordered(order: Order, why: str = "mended") -> Ordered:
    return Ordered(order, "alice (1000)", why)


async def hold(office: Office, count: int) -> None:
    await take(office.journal, 1)
    await settle(office.journal, await claim_one(office.journal), TERMINAL_REFUSED)
    await take_many(office.journal, range(2, count + 1))


async def pending_dues(office: Office) -> list[int]:
    rows = await office.journal.operations._writer.read(
        lambda connection: [due for (due,) in connection.execute("SELECT due FROM authorisation WHERE due NOT NULL")]
    )
    return sorted(rows)


async def test_thousands_are_counted_and_then_released_a_part_at_a_call(office: Office) -> None:
    await hold(office, MANY)
    dry = await office.whole(ordered(Order.RELEASE), HELD, dry=True)
    assert [tally.count for tally in dry] == [MANY - 300, 300]
    assert sum(tally.sums["978"] for tally in dry) == 250 * MANY
    assert (await office.journal.totals()).states == {"held": MANY}
    assert office.woken == 0
    first = await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)
    assert (await office.journal.totals()).states == {"held": 300, "pending": MANY - 300}
    await take(office.journal, MANY + 1)
    rest = await office.desk.many(ordered(Order.RELEASE), HELD, first.after, dry=False)
    assert (rest.count, rest.after) == (300, None)
    assert (await office.journal.totals()).states == {"pending": MANY + 1}, "the hold had ended at the first call"
    assert office.woken == 2
    audited = await office.journal.operations.audited(10 * MANY)
    assert len(audited) == MANY + 1
    assert audited[-1].subject == CAUSE


async def test_many_are_spread_and_few_are_not(office: Office) -> None:
    await hold(office, 400)
    await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)
    now = office.clock.schedule()
    waits = [due - now for due in await pending_dues(office)]
    assert all(0 <= wait < SPREAD_US for wait in waits)
    for fifth in range(5):
        inside = sum(fifth * MINUTE <= wait < (fifth + 1) * MINUTE for wait in waits)
        assert 40 <= inside <= 120, "about a fifth of them each minute"


async def test_the_last_few_of_many_are_spread_too(office: Office) -> None:
    await hold(office, SLICE_ROWS + 3)
    await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)
    assert office.clock.schedule() not in await pending_dues(office)


async def test_few_go_at_once(office: Office) -> None:
    await hold(office, 32)
    await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)
    assert set(await pending_dues(office)) == {office.clock.schedule()}


async def test_a_canarys_judgement_frees_all_spread_and_unaudited(office: Office) -> None:
    await hold(office, 250)
    await office.desk.free(CAUSE)
    assert (await office.journal.totals()).states == {"pending": 250}
    assert len(set(await pending_dues(office))) > 200
    assert await office.journal.operations.audited(10) == []
    assert await office.journal.operations.held() == []
    await office.desk.free(CAUSE)  # heard twice: nothing is left to free


async def test_taps_that_come_while_the_others_are_freed_are_not_left_behind(office: Office) -> None:
    await hold(office, 200)
    await asyncio.gather(office.desk.free(CAUSE), take_many(office.journal, range(201, 321)))
    assert (await office.journal.totals()).states == {"pending": 320}
    assert await office.journal.operations.held() == []


async def test_what_cannot_be_sent_stays_but_holds_nobody_up(office: Office) -> None:
    await hold(office, 3)
    one = await office.journal.operations.find("2")
    await office.journal.operations._writer.write(
        lambda connection: connection.execute("DELETE FROM sealed WHERE owner = ?", (one.uuid,)) and None
    )
    await office.desk.free(CAUSE)
    (left,) = await office.journal.operations.held()
    assert (left.count, left.holding) == (1, False)
    await take(office.journal, 9)
    assert (await office.journal.totals()).states == {"held": 1, "pending": 3}
    await office.desk.one(ordered(Order.CLOSE), "2")


async def test_some_of_a_cause_may_be_refused_and_are_told_by_reason(office: Office) -> None:
    await hold(office, 120)
    one = await office.journal.operations.find("5")
    await office.journal.operations._writer.write(
        lambda connection: connection.execute("DELETE FROM sealed WHERE owner = ?", (one.uuid,)) and None
    )
    dry = await office.desk.many(ordered(Order.REBUILD), HELD, None, dry=True)
    assert (dry.count, list(dry.refused.values())) == (119, [1])
    done = await office.desk.many(ordered(Order.REBUILD), HELD, None, dry=False)
    assert (done.count, done.sums, done.refused) == (dry.count, dry.sums, dry.refused)
    assert (await office.journal.totals()).states == {"closed": 119, "held": 1, "pending": 119}
    assert (await office.journal.story("5")).tap.uuid == one.uuid


async def test_a_rebuild_without_its_lane_is_refused_even_when_only_counted(office: Office) -> None:
    await hold(office, 3)
    office.desk.lanes = {}
    for dry in (True, False):
        found = await office.desk.many(ordered(Order.REBUILD), HELD, None, dry=dry)
        assert found.count == 0
        assert [("lane" in words, count) for words, count in found.refused.items()] == [(True, 3)]
    assert (await office.journal.totals()).states == {"held": 3}


async def test_every_new_uuid_is_its_own(office: Office) -> None:
    await hold(office, 50)
    await office.desk.many(ordered(Order.REBUILD), HELD, None, dry=False)
    rows = [await office.journal.operations.find(str(number)) for number in range(1, 51)]
    assert len({row.uuid for row in rows}) == 50
    assert {row.state for row in rows} == {State.PENDING}


async def test_an_empty_hold_may_be_released(office: Office) -> None:
    """Its last tap was cancelled; what comes must not join it for ever."""
    await hold(office, 1)
    await office.journal.operations._writer.write(
        lambda connection: connection.execute("UPDATE authorisation SET state = 'not_charged'") and None
    )
    assert (await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=True)).count == 0
    assert (await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)).count == 0
    with pytest.raises(NotFoundError, match="nothing rests"):
        await office.desk.many(ordered(Order.RELEASE), HELD, None, dry=False)


async def test_what_came_to_rest_meanwhile_is_judged_again(office: Office) -> None:
    """Between the counting and the doing a row may have moved on: it is told, not forced."""
    await hold(office, 2)
    await office.desk.one(ordered(Order.CLOSE), "2")
    with pytest.raises(RefusedError, match="final: closed"):
        await office.desk.one(ordered(Order.RESEND), "2")
    assert (await office.desk.many(ordered(Order.RESEND), replace(HELD, states=RESTING), None, dry=False)).count == 1


async def test_resending_a_whole_cause_takes_the_failed_ones_within_the_horizon(office: Office) -> None:
    began = office.clock.schedule()
    await take(office.journal, 1, now=began)
    due: Micros | None = began
    while due is not None:
        due = (await send(office.journal, SILENCE, due)).due
    office.clock.jump(later(began, 37 * HOUR))
    failed = Selection("timeout")
    found = await office.desk.many(ordered(Order.RESEND), failed, None, dry=False)
    assert (found.count, [("forgotten" in words) for words in found.refused]) == (0, [True])
    assert (await office.desk.many(ordered(Order.NOT_CHARGED), failed, None, dry=False)).count == 1
    assert office.noticed == 1, "a journey may have ended with it"
    assert not (await office.journal.story("1")).body_kept


async def test_a_time_in_which_nothing_rests_is_refused_and_ends_no_hold(office: Office) -> None:
    await hold(office, 3)
    tomorrow = replace(HELD, since=Micros(office.clock.schedule() + DAY))
    for dry in (True, False):
        with pytest.raises(NotFoundError, match="nothing rests"):
            await office.desk.many(ordered(Order.RELEASE), tomorrow, None, dry=dry)
    await take(office.journal, 4)
    assert (await office.journal.totals()).states == {"held": 4}, "the hold went on"
