"""Payments in a drawn order of everything that can happen to a gate with a spool: each is asked once, and none is lost.

The same card never pays while an earlier payment of it may have been charged, whichever store knows of that one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

import pytest

from tests.store.builders import APPROVED, DECLINED, NO_CONNECTION, NOW, SILENCE, crashed
from tests.store.passengers import GIVING_BACK, PARTLY, answer, crash, offer, rider
from tests.store.remote_gate import Gate, rows
from tests.store.returning import cover
from tpsd.core.enquiry import read
from tpsd.core.intake import decide
from tpsd.domain.authorisation import Claimed, State
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.errors import JournalUnavailableError
from tpsd.store.spooled import SpooledJournal

SEEDS: Final = 12
STEPS: Final = 40
CARDS: Final = 3
EXCHANGES: Final = (APPROVED, APPROVED, DECLINED, PARTLY, SILENCE, NO_CONNECTION)


class Life:
    """One gate's lives, and what its passengers and TPS know."""

    def __init__(self, gate: Gate, seed: int) -> None:
        self.gate = gate
        self.rng = random.Random(seed)
        self.card_of: dict[int, int] = {}  # taps, by their counter
        self.asked: dict[int, str] = {}  # and the one UUID of each
        self.told: dict[int, Told] = {}
        self.pending: dict[int, Claimed] = {}
        self.doubtful: dict[str, int] = {}  # UUIDs that may have been charged, and their cards
        self.is_away = False
        self.steps: list[str] = []
        self._open = AsyncExitStack()

    @property
    def journal(self) -> SpooledJournal:
        return self.gate.journal

    async def begin(self) -> None:
        await self._open.enter_async_context(self.gate.open(drained_at_once=self.rng.choice((1, 2, 50))))
        await self.journal.recover(NOW, ["common"], crashed, crash)

    async def end(self) -> None:
        await self._open.aclose()

    # --- what can happen ---

    async def tap(self) -> None:
        counter = len(self.card_of) + 1
        self.card_of[counter] = self.rng.randrange(CARDS)
        await self._take(counter, Shown.NOTHING)

    async def again(self) -> None:
        if self.card_of:
            counter = self.rng.choice(list(self.card_of))
            seen = self.told.get(counter)
            shown = Shown.NOTHING if seen is None else Shown.LET_IN if seen.verdict.accepts else Shown.TURNED_AWAY
            await self._take(counter, self.rng.choice((Shown.NOTHING, shown)))

    async def _take(self, counter: int, shown: Shown) -> None:
        card = self.card_of[counter]
        candidate = await offer(self.journal, counter, enquires=True, shown=shown, **rider(card))
        taken = await self.journal.take(candidate, decide, NOW)
        self._hear(counter, taken.told)
        if taken.asked is None:
            waits = counter in self.pending or not self.is_away
            assert taken.told is not None or waits, "nobody will ever tell it"
            return
        assert counter not in self.asked, f"tap {counter} is asked about twice"
        self.asked[counter] = str(taken.asked.uuid)
        assert card not in [self.card_of[other] for other in self.pending], "its card is being asked about"
        if taken.asks_first is not None:
            assert self.doubtful.get(taken.asks_first) == card
            await self._ask_first(counter, taken.asked, taken.asks_first)
            return
        assert card not in self.doubtful.values(), f"card {card} may have been charged already"
        self.pending[counter] = taken.asked

    async def _ask_first(self, counter: int, claimed: Claimed, earlier: str) -> None:
        """The earlier one pays for it, or it is not sent."""
        enquired = await self.journal.doubts.claim_one(earlier, NOW)
        assert enquired is not None
        paid = self.rng.random() < 0.5 and await cover(self.journal, enquired, claimed)
        if paid:
            del self.doubtful[earlier]
        else:
            await self.journal.doubts.leave(enquired, read(NO_CONNECTION), NOW)
        answered = paid or await answer(self.journal, claimed, NO_CONNECTION, policy=GIVING_BACK)
        self._hear(counter, answered.told)

    def _hear(self, counter: int, told: Told | None) -> None:
        if told is None:
            return
        before = self.told.setdefault(counter, told)
        assert before.verdict.accepts == told.verdict.accepts, f"tap {counter}: {before}, and then {told}"

    async def answer(self) -> None:
        if not self.pending:
            return
        counter = self.rng.choice(list(self.pending))
        claimed = self.pending.pop(counter)
        answered = await answer(self.journal, claimed, self.rng.choice(EXCHANGES), policy=GIVING_BACK)
        self._hear(counter, answered.told)
        if answered.settlement.state is State.IN_DOUBT:
            self.doubtful[str(claimed.uuid)] = self.card_of[counter]
        if answered.tap is not None and self.rng.random() < 0.5:
            with suppress(JournalUnavailableError):
                await self.journal.asked.delivered(answered.tap)

    async def lose(self) -> None:
        if not self.is_away:
            await self.gate.lose()
            self.is_away = True

    async def find(self) -> None:
        if self.is_away:
            self.gate.server.unshut()
            await self.gate._once(lambda: self.journal.is_connected)
            self.is_away = False

    async def flicker(self) -> None:
        await self.lose()
        await self.find()

    async def drain(self) -> None:
        if not self.is_away:
            await self.journal.drain(NOW)

    async def half_a_drain(self) -> None:
        """The database has them, and the process dies, or something becomes of them, before the spool forgets."""
        if not self.is_away:
            for tap in await self.journal._spool.first(2):
                await self.journal._writer.write(self.journal._draining(tap, NOW))

    async def recover(self) -> None:
        if self.is_away:
            return
        while await self.journal.drain(NOW):
            pass
        if not self.journal.is_recovered:
            losses = self.journal.losses
            await self.journal.recover(NOW, ["common"], crashed, crash)
            self.journal.recovered(losses)

    async def keep_house(self) -> None:
        if not self.is_away:
            await self.journal.keep_house(0)

    async def slow(self) -> None:
        if not self.is_away:
            with self.gate.server.asleep():
                await self.rng.choice((self.tap, self.again, self.answer))()

    async def at_once(self) -> None:
        """While it is drained, before and after whichever commit."""
        if self.is_away:
            return

        async def later() -> None:
            for _ in range(self.rng.randrange(1000)):
                await asyncio.sleep(0)
            await self.rng.choice((self.tap, self.again, self.answer))()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.drain())
            tasks.create_task(later())

    async def die(self) -> None:
        """Whatever was being asked has no answer."""
        await self.end()
        for counter, claimed in self.pending.items():
            self.doubtful[str(claimed.uuid)] = self.card_of[counter]
        self.pending.clear()
        self.gate.server.unshut()
        self.is_away = False
        await self.begin()

    async def live(self) -> None:
        weights: dict[Callable[[], Awaitable[None]], int] = {
            self.tap: 10,
            self.again: 8,
            self.answer: 8,
            self.lose: 3,
            self.find: 4,
            self.flicker: 1,
            self.drain: 4,
            self.half_a_drain: 3,
            self.recover: 4,
            self.keep_house: 2,
            self.slow: 1,
            self.at_once: 6,
            self.die: 1,
        }
        for _ in range(STEPS):
            (step,) = self.rng.choices(list(weights), list(weights.values()))
            self.steps.append(step.__name__)  # type: ignore[attr-defined]
            await step()

    async def check(self) -> None:
        """Everything is in the database, as it was told."""
        await self.find()
        while self.pending:
            await self.answer()
        await self.recover()
        assert self.journal.waiting == 0
        assert await self.journal._spool.first(10) == []
        assert self.journal.may_claim
        found = {row.tap_id: row.verdict for row in await rows(self.journal)}
        assert found.keys() == {f"VAL00042:3:{counter}" for counter in self.card_of}
        for counter, told in self.told.items():
            verdict = found[f"VAL00042:3:{counter}"]
            assert verdict is not None
            assert Verdict(verdict).accepts == told.verdict.accepts, f"tap {counter}"
        named = "SELECT uuid, state FROM authorisation WHERE initial_uuid IS NULL"
        kept = dict(await self.journal._writer.read(lambda one: list(one.execute(named))))
        assert set(self.asked.values()) <= kept.keys()
        unsent = {uuid: state for uuid, state in kept.items() if uuid not in self.asked.values()}
        assert set(unsent.values()) <= {"not_charged"}, unsent
        assert await self.journal.upkeep.check() == []


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_every_order(gate: Gate, seed: int) -> None:
    life = Life(gate, seed)
    await life.begin()
    try:
        await life.live()
        await life.check()
    except AssertionError as exc:
        exc.add_note(" ".join(life.steps))
        raise
    finally:
        await life.end()
