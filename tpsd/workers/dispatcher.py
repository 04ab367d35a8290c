"""The dispatcher: claims what is due, sends it, settles what came of it. The rules are in ``core``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog

from tpsd.core.canary import judged, settle_canary
from tpsd.core.doubt import DoubtPolicy, judge_at_claim, with_enquiry
from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement, settle
from tpsd.core.uplink import is_not_ours, put_back
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Exchange, Outcome, Unknown
from tpsd.domain.time import Micros
from tpsd.draws import Drawn, Draws
from tpsd.errors import JournalUnavailableError
from tpsd.metering import UNMETERED, Meter
from tpsd.ports import Clock, Journal, SettledLate, Tps
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.journal_watch import JournalWatch
from tpsd.workers.uplink import Uplink

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
        uplink: Uplink,
        doubt: DoubtPolicy,
        on_notice: Callable[[], None],
        on_doubt: Callable[[], None],
        on_judged: Callable[[str], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._tps = tps
        self._clock = clock
        self._pace = pace
        self._uplink = uplink
        self._doubt = doubt
        self._on_notice = on_notice
        self._on_doubt = on_doubt
        self._on_judged = on_judged  # TPS's application judged a canary of this cause
        self._stopping = False
        self._all_claimed = False  # nothing was due any more behind the last claim, and none is under way
        self.wake = asyncio.Event()
        self.in_flight = 0
        self.claiming = False
        self.meter: Meter = UNMETERED
        self.witness: Witness = UNWITNESSED
        self.draws: Draws = Drawn(rng)
        self.on_answered: Callable[[str, UUID, str], None] = lambda _cause, _uuid, _terminal: None
        self.may_claim: Callable[[], bool] = lambda: True  # who makes it true sets ``wake``
        self._watch = JournalWatch(log, clock)

    async def run(self) -> None:
        """Until ``stop``; returns when the sends in flight have been settled."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                self.wake.clear()
                try:
                    until = await self._round(sends)
                except JournalUnavailableError as exc:
                    self._watch.failed("claim_failed", exc)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._clock.wait(self.wake, until)

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self.wake.set()

    def decide(self, claimed: Claimed, outcome: Outcome, ended_at: Micros, jitter_draw: float) -> Settlement:
        """The settlement of one attempt, with this daemon's jitter."""
        rule = partial(settle, asked=claimed.amount)
        if claimed.cause is not None:
            rule = partial(settle_canary, cause=claimed.cause, asked=claimed.amount)
        settlement = rule(
            claimed.progress,
            outcome,
            started_at=claimed.started_at,
            ended_at=ended_at,
            jitter_draw=jitter_draw,
            jitter_share=self._pace.jitter_share,
            terminal=claimed.terminal,
        )
        return with_enquiry(self._doubt, settlement, outcome, number=claimed.number, ended_at=ended_at)

    async def _round(self, sends: asyncio.TaskGroup) -> Micros | None:
        """Claim into the free places; when to look again, None for not before something wakes it."""
        self._all_claimed = False
        free = self._pace.concurrency - self.in_flight
        if free <= 0 or not self.may_claim():
            return None
        now = self._clock.schedule()
        created_by = self._uplink.claimable_before(now)
        aside: list[Settlement] = []

        def judge(since: Micros) -> Settlement | None:
            found = judge_at_claim(self._doubt, since, now)
            if found is not None:
                aside.append(found)
            return found

        self.claiming = True
        try:
            claims = await self._journal.claim(now, free, created_by, judge)
            for claimed in claims:
                self.in_flight += 1
                sends.create_task(self._send(claimed, created_by is None), name=f"send {claimed.uuid}")
        finally:
            self.claiming = False
        self._tell(aside)
        self._all_claimed = len(claims) < free
        if len(claims) == free or created_by is not None:
            return None  # every probe of an uplink that is down wakes this
        return await self._journal.next_due()

    async def _send(self, claimed: Claimed, may_wait: bool) -> None:
        is_over = False
        try:
            began = self._clock.monotonic()
            exchange = await self._tps.post(claimed.credential, claimed.path, claimed.body)
            self.witness.sent(claimed, exchange, self._clock.monotonic() - began)
            is_over = await self._settle(claimed, _read(claimed, exchange), may_wait)
        finally:
            self.in_flight -= 1
            if not (is_over and self._all_claimed):
                self.wake.set()

    async def _settle(self, claimed: Claimed, outcome: Outcome, may_wait: bool) -> bool:
        """Whether that is all: nothing falls due because of it."""
        ended_at = self._clock.schedule()
        jitter = None
        if is_not_ours(outcome) or (may_wait and self._uplink.goes_back(outcome, claimed.reason)):
            settlement = put_back(claimed, outcome)
        else:
            jitter = self.draws.of_attempt(claimed.uuid)
            settlement = self.decide(claimed, outcome, ended_at, jitter)
        while True:
            try:
                noticed = await self._journal.settle(claimed, outcome, settlement, ended_at)
                break
            except SettledLate:
                log.error("settled_late", uuid=str(claimed.uuid), attempt=claimed.number, cause=outcome.cause)
                return False
            except JournalUnavailableError as exc:
                self._watch.failed("settle_failed", exc, uuid=str(claimed.uuid))
                await asyncio.sleep(RETRY_SECONDS)
        self._watch.works()
        self.meter.settled(outcome)
        self.on_answered(outcome.cause, claimed.uuid, claimed.terminal)
        self.witness.settled(claimed, outcome, settlement, jitter)
        log.info(
            "attempt",
            uuid=str(claimed.uuid),
            number=claimed.number,
            cause=outcome.cause,
            state=settlement.state.value,
        )
        self._tell([settlement], noticed=noticed)
        if claimed.cause is not None and judged(outcome):
            await self._on_judged(claimed.cause)
        return claimed.cause is None and settlement.state.is_final

    def _tell(self, settlements: list[Settlement], *, noticed: bool = False) -> None:
        if noticed or any(settlement.notices for settlement in settlements):
            self._on_notice()
        if any(settlement.enquiry_due is not None for settlement in settlements):
            self._on_doubt()


def _read(claimed: Claimed, exchange: Exchange) -> Outcome:
    """A surprise in reading one answer makes that attempt unknown, and nothing else (design 1)."""
    try:
        return classify(exchange)
    except Exception as exc:
        log.error("answer_undecidable", uuid=str(claimed.uuid), error=type(exc).__name__)
        return Unknown("deciding", clean=False, loud=True)
