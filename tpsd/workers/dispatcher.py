"""The dispatcher: claims what is due, sends it, settles what came of it. The rules are in ``core``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Exchange, Outcome, Unknown
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock, Journal, SettledLate, Tps

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again; the outcome waits in memory meanwhile

log = structlog.get_logger("tpsd.dispatcher")


@dataclass(frozen=True, slots=True)
class Pace:
    """``concurrency`` sends at once; jitter as a share of a tier."""

    concurrency: int
    jitter_share: float


class Dispatcher:
    """One daemon's sends."""

    def __init__(
        self,
        journal: Journal,
        tps: Tps,
        clock: Clock,
        rng: random.Random,
        pace: Pace,
        on_notice: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._tps = tps
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._on_notice = on_notice
        self._stopping = False
        self.wake = asyncio.Event()
        self.in_flight = 0

    async def run(self) -> None:
        """Until ``stop``; returns when the sends in flight have been settled."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                self.wake.clear()
                try:
                    until = await self._round(sends)
                except JournalUnavailableError as exc:
                    log.error("claim_failed", error=str(exc))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._clock.wait(self.wake, until)

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self.wake.set()

    def decide(self, claimed: Claimed, outcome: Outcome, ended_at: Micros) -> Settlement:
        """The settlement of one attempt, with this daemon's jitter."""
        return settle(
            claimed.progress,
            outcome,
            started_at=claimed.started_at,
            ended_at=ended_at,
            jitter_draw=self._rng.random(),
            jitter_share=self._pace.jitter_share,
            terminal=claimed.terminal,
        )

    async def _round(self, sends: asyncio.TaskGroup) -> Micros | None:
        """Claim into the free places; when to look again, None for not before something wakes it."""
        free = self._pace.concurrency - self.in_flight
        if free <= 0:
            return None
        claims = await self._journal.claim(self._clock.schedule(), free)
        for claimed in claims:
            self.in_flight += 1
            sends.create_task(self._send(claimed), name=f"send {claimed.uuid}")
        if len(claims) == free:
            return None
        return await self._journal.next_due()

    async def _send(self, claimed: Claimed) -> None:
        try:
            exchange = await self._tps.post(claimed.credential, claimed.path, claimed.body)
            await self._settle(claimed, _read(claimed, exchange))
        finally:
            self.in_flight -= 1
            self.wake.set()

    async def _settle(self, claimed: Claimed, outcome: Outcome) -> None:
        ended_at = self._clock.schedule()
        settlement = self.decide(claimed, outcome, ended_at)
        while True:
            try:
                await self._journal.settle(claimed, outcome, settlement, ended_at)
                break
            except SettledLate:
                log.error("settled_late", uuid=str(claimed.uuid), attempt=claimed.number, cause=outcome.cause)
                return
            except JournalUnavailableError as exc:
                log.error("settle_failed", uuid=str(claimed.uuid), error=str(exc))
                await asyncio.sleep(RETRY_SECONDS)
        log.info(
            "attempt",
            uuid=str(claimed.uuid),
            number=claimed.number,
            cause=outcome.cause,
            state=settlement.state.value,
        )
        if settlement.notices:
            self._on_notice()


def _read(claimed: Claimed, exchange: Exchange) -> Outcome:
    """A surprise in reading one answer makes that attempt unknown, and nothing else (design 1)."""
    try:
        return classify(exchange)
    except Exception as exc:
        log.error("answer_undecidable", uuid=str(claimed.uuid), error=type(exc).__name__)
        return Unknown("deciding", clean=False, loud=True)
