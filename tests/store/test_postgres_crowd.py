"""Three daemons at work on one database at once, in chance's order: what must hold however they meet (design 8).

One seed draws what each does; how their commits fall between each other is the server's. TPS keeps its promise: the
same transaction twice is charged once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    closer,
    crashed,
    outcome_of,
    take,
)
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tests.store.passengers import (
    AT_THE_GATE,
    AT_THE_OTHER_GATE,
    ENQUIRING,
    answer,
    following,
    order_check_out,
    order_refund,
    rider,
    wait_for,
)
from tpsd.asking import Ordered
from tpsd.core.answering import Ending, Waiting
from tpsd.core.answering import settle as settle_asked
from tpsd.core.asking import JourneyMovedError
from tpsd.core.enquiry import Conclusion, Heard, conclude, read
from tpsd.core.outcomes import classify
from tpsd.domain.authorisation import Claimed
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Exchange, NoAnswer
from tpsd.domain.time import HOUR, Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalUnavailableError, NotFoundError, RefusedError
from tpsd.leases import Endings
from tpsd.ports import SettledLate, Taken
from tpsd.store.postgres import PostgresJournal
from tpsd.store.session import Database
from tpsd.workers.enquirer import conclude_crashed

DAEMONS = ("east", "south", "west")
TURNS = 60  # of each daemon: some seconds in all
RIDERS = 4  # so few that they meet
AT_ONCE = 4  # things that a daemon does at once
TRIES = 5  # at writing what came of something: two may wait for each other, and the server undoes one


class Tps:
    """Answers by chance, charges a transaction once, and remembers every request."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.charged: set[str] = set()
        self.heard: dict[str, set[tuple[str, bytes, str]]] = {}
        self.flying: dict[str, str] = {}

    async def post(self, claimed: Claimed, daemon: str) -> Exchange:
        uuid = str(claimed.uuid)
        assert uuid not in self.flying, f"{uuid} flies from {self.flying[uuid]} and from {daemon}"
        self.flying[uuid] = daemon
        self.heard.setdefault(uuid, set()).add((claimed.path, claimed.body, claimed.credential))
        for _ in range(self._rng.randrange(5)):
            await asyncio.sleep(0)
        if self.flying.get(uuid) == daemon:
            del self.flying[uuid]
        if uuid in self.charged:
            again: list[Exchange] = [APPROVED, APPROVED, SILENCE, UNAVAILABLE]
            return self._rng.choice(again)
        fates: list[Exchange] = [DECLINED, SILENCE, UNAVAILABLE, TAP_REFUSED, TERMINAL_REFUSED, *[APPROVED] * 5]
        outcome = self._rng.choice(fates)
        if outcome is APPROVED or (outcome is SILENCE and self._rng.random() < 0.5):
            self.charged.add(uuid)
        return outcome

    def asked(self, uuid: UUID) -> Exchange:
        return APPROVED if str(uuid) in self.charged else DECLINED


class Worker:
    """One daemon: what its loops do, one thing after another, some of them at once."""

    def __init__(self, place: PostgresEngine, name: str, tps: Tps, rng: random.Random) -> None:
        self.place, self.name, self.tps, self.rng = place, name, tps, rng
        self.journal: PostgresJournal
        self.now = NOW
        self.counts: Counter[str] = Counter()

    async def starts(self) -> None:
        self.journal = await PostgresJournal.open(Database(self.place.url, daemon=self.name), IDENTITY, KEK)
        assert self.journal.leases is not None
        await self.journal.leases.describe({"common": "the company", "gate-2": "the gate"})
        await self.journal.recover(self.now, ["common", "gate-2"], crashed, self._asked)
        await self.journal.leases.renew()
        await self.journal.doubts.begin(self.now, True, partial(conclude_crashed, now=self.now))

    async def works(self, turns: int) -> None:
        for _ in range(turns):
            self.now = Micros(self.now + self.rng.randrange(120) * 1_000_000)
            await self._house()
            doing = [self._guarded(self.rng.choice(self._all())) for _ in range(AT_ONCE)]
            await asyncio.gather(*doing)

    async def falls_silent(self, other: Worker) -> None:
        """It claims, and gives no sign of life; another takes over its work, and it starts again."""
        await self.journal.claim(self.now, 2)
        await self._taps(**AT_THE_GATE)
        self.place.tamper([f"UPDATE daemon SET lease_until = 0 WHERE name = '{self.name}'"])
        for uuid in [uuid for uuid, daemon in self.tps.flying.items() if daemon == self.name]:
            del self.tps.flying[uuid]
        assert other.journal.leases is not None
        for neighbour in (await other.journal.leases.renew()).others:
            if neighbour.name == self.name:
                assert await other.journal.leases.declare_gone(neighbour)
        endings = Endings(crashed, self._asked, self._asked, partial(conclude_crashed, now=other.now))
        taking = asyncio.ensure_future(other.journal.leases.take_over(other.now, endings))
        await self.journal.close()
        await self.starts()
        await taking

    async def ends(self) -> None:
        """Nothing new comes: what is due goes, and what is in doubt is asked about."""
        for _ in range(40):
            self.now = Micros(self.now + HOUR)
            await self._sends(limit=50)
            await self._enquires()

    def _all(self) -> list[Callable[[], Any]]:
        kinds = [self._kept, self._sends, self._enquires, self._mails, self._attends, self._orders]
        return [*kinds, self._kept, self._sends, self._goes_in, self._goes_in, self._goes_out, self._goes_out]

    async def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            await work()
            self.counts[work.__name__] += 1
        except (JourneyMovedError, SettledLate, RefusedError, NotFoundError, JournalUnavailableError) as exc:
            self.counts[type(exc).__name__] += 1

    async def _kept(self) -> None:
        """A deferred tap; its number may be at another daemon already."""
        await take(self.journal, self.rng.randrange(200), now=self.now)

    async def _goes_in(self) -> None:
        await self._taps(**(AT_THE_GATE | {"answered": True}))

    async def _goes_out(self) -> None:
        await self._taps(**(AT_THE_OTHER_GATE | {"answered": True}))

    async def _taps(self, *, answered: bool = False, **fields: Any) -> Taken:
        one = rider(self.rng.randrange(RIDERS))
        counter = self.rng.randrange(10_000, 10_000_000)
        taken = await wait_for(self.journal, counter, now=self.now, enquires=True, **(fields | one))
        if answered and taken.asked is not None:
            exchange = await self.tps.post(taken.asked, self.name)
            await self._written(answer, taken.asked, exchange, policy=ENQUIRING, now=self.now)
        return taken

    async def _sends(self, limit: int = 3) -> None:
        for claimed in await self.journal.claim(self.now, limit):
            outcome, settlement = outcome_of(claimed, await self.tps.post(claimed, self.name), self.now)
            await self._written(_settled, claimed, outcome, settlement, self.now)

    async def _enquires(self) -> None:
        for enquired in await self.journal.doubts.claim(self.now, 3):
            heard = read(self.tps.asked(enquired.uuid))
            conclusion = conclude(enquired, heard, believed=True, ended_at=self.now, gives_back=True)
            await self._written(_concluded, enquired, heard, conclusion, self.now)

    async def _house(self) -> None:
        assert self.journal.leases is not None
        await self.journal.leases.renew()
        await self.journal.keep_house(self.rng.randrange(4) * HOUR)

    async def _mails(self) -> None:
        await self.journal.close_windows(self.now, closer(self.now))

    async def _attends(self) -> None:
        if self.journal.presides:
            since = Micros(self.now - self.rng.randrange(3600) * 1_000_000)
            await self.journal.asked.attend(since, since, True, self.now)

    async def _orders(self) -> None:
        """By hand, about anybody's."""
        number = str(self.rng.randrange(1, 100))
        order: Any = self.rng.choice([order_refund, order_check_out])
        ordered = await order(self.journal, number, amount=100, now=self.now)
        if isinstance(ordered, Ordered) and ordered.claimed is not None:
            exchange = await self.tps.post(ordered.claimed, self.name)
            await self._written(answer, ordered.claimed, exchange, policy=ENQUIRING, now=self.now)

    async def _written(self, write: Callable[..., Any], *given: Any, **more: Any) -> None:
        """What came of something is written as its loop does it: until the journal takes it, or another was first."""
        for _ in range(TRIES):
            try:
                await write(self.journal, *given, **more)
            except SettledLate:
                self.counts["SettledLate"] += 1
            except JournalUnavailableError:
                self.counts["tried again"] += 1
                continue
            return
        raise AssertionError("it was never written")

    def _asked(self, waiting: Waiting) -> Ending:
        return settle_asked(waiting, classify(NoAnswer("crash")), ENQUIRING, number=1, ended_at=self.now)


async def _settled(journal: PostgresJournal, *given: Any) -> None:
    await journal.settle(*given)


async def _concluded(
    journal: PostgresJournal, enquired: Enquired, heard: Heard, conclusion: Conclusion, now: Micros
) -> None:
    await journal.doubts.conclude(enquired, heard, conclusion, now, following(journal))


@pytest.fixture
def place(databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(18), tmp_path / "engine")
    yield engine
    engine.drop()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_crowd_of_daemons_keeps_every_promise(place: PostgresEngine, seed: int) -> None:
    rng = random.Random(seed)
    tps = Tps(random.Random(rng.random()))
    workers = [Worker(place, name, tps, random.Random(rng.random())) for name in DAEMONS]
    for worker in workers:
        await worker.starts()
    for number in range(len(workers)):
        await asyncio.gather(*(worker.works(TURNS // len(workers)) for worker in workers))
        await workers[number].falls_silent(workers[number - 1])
    for worker in workers:
        await worker.ends()
    await promises_kept(place, workers, tps)
    for worker in workers:
        await worker.journal.close()


async def promises_kept(place: PostgresEngine, workers: list[Worker], tps: Tps) -> None:
    journal = workers[0].journal
    assert await journal.upkeep.check() == []
    rows = await journal.taps(TapFilter(limit=100_000))
    names = Counter(row.tap_id for row in rows)
    assert max(names.values()) == 1, "a tap is kept once, wherever it comes"
    assert {uuid: len(requests) for uuid, requests in tps.heard.items() if len(requests) > 1} == {}, "I2"
    states = {
        row["uuid"]: (row["state"], row["cause"], row["may_have_charged"])
        for row in place._ask(lambda c: c.fetch("SELECT uuid, state, cause, may_have_charged FROM authorisation"))
    }
    left = {uuid: state for uuid, (state, *_) in states.items() if state in ("pending", "sending")}
    assert left == {}, "I9"
    approved = {uuid for uuid, (state, *_) in states.items() if state == "approved"}
    assert approved <= tps.charged, "I10"
    doubtful = {uuid for uuid, (*_, charged) in states.items() if charged}
    assert {uuid: states[uuid] for uuid in tps.charged - approved - doubtful} == {}, "I10"
