"""The enquirer and the warden as loops over a real journal; the other end of an enquiry is a function here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.integration.stage import until
from tests.store.builders import (
    APPROVED,
    DECLINED,
    SILENCE,
    TAP_REFUSED,
    claim_one,
    fail_for_good,
    outcome_of,
    send,
    take,
)
from tests.store.engines import SqliteEngine
from tests.store.passengers import HELD, asked_of, notices, wait_for
from tests.store.returning import SOON, again, doubtful
from tpsd.asking import Answered
from tpsd.core.doubt import DoubtPolicy, with_enquiry
from tpsd.demo.clock import WarpClock
from tpsd.domain.outcome import Answer, Exchange, NotSent, Outcome
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros
from tpsd.ports import Journal
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.enquirer import AT_ONCE, Enquirer, Heed
from tpsd.workers.warden import Warden

POLICY = DoubtPolicy(36 * HOUR, enquires=True)


class Asked:
    """TPS as it answers enquiries: each waits until it is let go."""

    def __init__(self, answer: Exchange = APPROVED) -> None:
        self.answer = answer
        self.uuids: list[UUID] = []
        self.most = self.under_way = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def __call__(self, uuid: UUID) -> Exchange:
        self.uuids.append(uuid)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.let_go.wait()
        self.under_way -= 1
        return self.answer


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteEngine(tmp_path / "engine", inline=False).open()
    try:
        yield journal
    finally:
        await journal.close()


async def in_doubt(journal: Journal, now: Micros, count: int = 1) -> None:
    for counter in range(1, count + 1):
        await take(journal, counter, now=now)
        await send(journal, SILENCE, now)
        claimed = await claim_one(journal, Micros(now + MINUTE))
        outcome, settlement = outcome_of(claimed, TAP_REFUSED)
        await journal.settle(claimed, outcome, with_enquiry(POLICY, settlement, outcome, number=2, ended_at=now), now)


@asynccontextmanager
async def running(
    journal: SqliteJournal, ask: Callable[[UUID], Awaitable[Exchange]], clock: WarpClock, heed: Heed
) -> AsyncIterator[Enquirer]:
    enquirer = Enquirer(journal.doubts, ask, clock, POLICY, heed)
    loop = asyncio.create_task(enquirer.run())
    try:
        yield enquirer
    finally:
        enquirer.stop()
        async with asyncio.timeout(20):
            await loop


def nobody() -> Heed:
    return Heed(noticed=lambda: None, released=lambda: None)


def stopped_clock() -> WarpClock:
    clock = WarpClock()
    clock.stand_still()
    return clock


async def states(journal: Journal) -> dict[str, int]:
    return (await journal.totals()).states


async def test_no_more_than_some_at_once(journal: SqliteJournal) -> None:
    clock, ask = stopped_clock(), Asked()
    await in_doubt(journal, clock.schedule(), count=11)
    ask.let_go.clear()
    async with running(journal, ask, clock, nobody()):
        clock.jump(Micros(clock.schedule() + MINUTE))
        await until(lambda: ask.under_way == AT_ONCE, "as many as may be")
        ask.let_go.set()
        await until(lambda: len(ask.uuids) == 11, "all of them")
    assert ask.most == AT_ONCE
    assert len(set(ask.uuids)) == 11
    assert await states(journal) == {"approved": 11}


async def test_into_an_outage_nobody_is_asked_and_none_of_the_five_is_used(journal: SqliteJournal) -> None:
    clock, ask, up = stopped_clock(), Asked(), [False]
    await in_doubt(journal, clock.schedule())
    heed = Heed(noticed=lambda: None, released=lambda: None, may_ask=lambda: up[0])
    async with running(journal, ask, clock, heed) as enquirer:
        clock.jump(Micros(clock.schedule() + HOUR))
        enquirer.wake.set()
        await until(lambda: not enquirer.wake.is_set() and clock.quiet(1), "a round")
        assert ask.uuids == []
        up[0] = True
        enquirer.wake.set()
        await until(lambda: ask.uuids, "the enquiry after the outage")
    assert await states(journal) == {"approved": 1}


async def test_stopping_lets_an_enquiry_under_way_end(journal: SqliteJournal) -> None:
    clock, ask = stopped_clock(), Asked()
    await in_doubt(journal, clock.schedule(), count=9)
    clock.jump(Micros(clock.schedule() + MINUTE))
    ask.let_go.clear()
    async with running(journal, ask, clock, nobody()) as enquirer:
        await until(lambda: ask.under_way == AT_ONCE, "enquiries under way")
        enquirer.stop()
        ask.let_go.set()
    assert await states(journal) == {"approved": AT_ONCE, "in_doubt": 9 - AT_ONCE}


async def test_the_mailer_hears_of_it_when_the_enquiries_are_used_up(journal: SqliteJournal) -> None:
    clock, ask, told = stopped_clock(), Asked(Answer(503)), asyncio.Event()
    await in_doubt(journal, clock.schedule())
    async with running(journal, ask, clock, Heed(noticed=told.set, released=lambda: None)):
        for asked in range(1, 6):
            await until(lambda: clock.quiet(1), "the wait for the next")
            assert not told.is_set()
            due = clock.next_due()
            assert due is not None
            clock.jump(due)
            await until(lambda asked=asked: len(ask.uuids) == asked, "the next")  # type: ignore[misc]
        await until(told.is_set, "the notice")


class RunningClock(WarpClock):
    """One on which a process ran for days between two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


async def test_the_mailer_hears_of_bodies_that_go_soon(journal: SqliteJournal) -> None:
    await take(journal)
    await fail_for_good(journal)
    clock, told = RunningClock(), asyncio.Event()
    warden = Warden(journal, clock, told.set)
    loop = asyncio.create_task(warden.run())
    await asyncio.sleep(0)  # it looked at the clock
    clock.seconds = 6 * DAY / SECOND
    warden.stop()
    async with asyncio.timeout(20):
        await loop
    assert told.is_set()
    assert "body_goes/timeout" in [notice.cause for notice in (await journal.story("1")).notices]


# --- a passenger who came back, and whose first transaction is asked about first ---


@dataclass
class Heard:
    """How often who was told."""

    noticed: int = 0
    released: int = 0

    def heed(self) -> Heed:
        def notice() -> None:
            self.noticed += 1

        def release() -> None:
            self.released += 1

        return Heed(noticed=notice, released=release)


async def asked_first(journal: SqliteJournal, ask: Asked, heard: Heard) -> tuple[Enquirer, Answered | Outcome | None]:
    await doubtful(journal)
    taken = await again(journal)
    clock = stopped_clock()
    enquirer = Enquirer(journal.doubts, ask, clock, POLICY, heard.heed())
    assert taken.asks_first is not None
    return enquirer, await enquirer.first(taken.asks_first, asked_of(taken), 5.0)


async def test_found_charged_it_pays_and_another_amount_than_asked_is_said_aloud(journal: SqliteJournal) -> None:
    heard = Heard()
    _, answered = await asked_first(journal, Asked(Answer(200, action_code="000", amount=HELD + 100)), heard)
    assert isinstance(answered, Answered)
    assert answered.told == Told(Verdict.ACCEPTED, "paid_before", HELD + 100)
    assert await notices(journal) == ["alarm/amount_differs"]
    assert heard.noticed == 1


async def test_found_declined_whoever_tells_of_it_hears_and_the_tap_may_go(journal: SqliteJournal) -> None:
    heard = Heard()
    _, answered = await asked_first(journal, Asked(DECLINED), heard)
    assert answered is None
    assert (await journal.story("1")).tap.state == "declined"
    assert heard.noticed == 1


async def test_of_one_turned_away_meanwhile_it_is_asked_again_at_once(journal: SqliteJournal) -> None:
    heard, ask = Heard(), Asked()
    ask.let_go.clear()
    first = asyncio.create_task(asked_first(journal, ask, heard))
    await until(lambda: ask.under_way == 1, "the enquiry")
    await wait_for(journal, 2, amount=HELD, shown=Shown.TURNED_AWAY, now=SOON)
    ask.let_go.set()
    enquirer, answered = await first
    assert isinstance(answered, NotSent)
    assert enquirer.wake.is_set(), "the enquirer does not sleep over the row that is due"
    assert await journal.doubts.next_due() is not None
