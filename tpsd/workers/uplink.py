"""The uplink's loop: while TPS's host cannot be reached, probes go instead of taps (design 2). Rules are in ``core``.

The host goes down the moment an exchange says so, between two claims; it comes back only in this loop, after the
end of the outage is in the journal, so that nothing is claimed before the first sends are spread.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from tpsd.core.trouble import Trouble
from tpsd.core.uplink import (
    Effect,
    Input,
    Outage,
    Spread,
    Standing,
    claimable_before,
    evidence,
    goes_back,
    has_lasted,
    is_spread,
    next_look,
    remembered,
    step,
)
from tpsd.core.uplink import Link as HostLink
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.outcome import Exchange, NoConnection, Outcome
from tpsd.domain.time import SECOND, Micros, iso_millis
from tpsd.errors import JournalUnavailableError
from tpsd.outages import Outages
from tpsd.ports import Clock, Tps
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.journal_watch import JournalWatch

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again
SEED_BYTES = 8  # one draw an outage: vehicles of a fleet must not draw alike

log = structlog.get_logger("tpsd.uplink")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How taps wait for the host. ``hold_us``: how long without using a rung, None for not at all."""

    hold_us: int | None
    spread_us: int


class Uplink:
    """One host of TPS. ``credentials`` are those it may be probed under; ``host`` is its name for people."""

    def __init__(
        self,
        host: str,
        credentials: Sequence[str],
        tps: Tps,
        outages: Outages,
        clock: Clock,
        rng: random.Random,
        waiting: Waiting,
        *,
        on_change: Callable[[], None],
        on_notice: Callable[[], None],
    ) -> None:
        self._host = host
        self._credential = credentials[0]
        self._tps = tps
        self._outages = outages
        self._clock = clock
        self._rng = rng
        self._waiting = waiting
        self._on_change = on_change
        self._on_notice = on_notice
        self._standing = Standing(HostLink.UP, clock.schedule())
        self._cause = ""
        self._reached = False  # by an exchange of somebody else, since the outage began
        self._kept = True  # whether the journal knows of the outage
        self._era = 0  # counts the changes between up and down: what began in another one shows nothing of this
        self._wake = asyncio.Event()
        self._watch = JournalWatch(log, clock)
        self.witness: Witness = UNWITNESSED
        self._outage = Trouble()  # one that comes and goes is one for the log

    async def load(self) -> None:
        """Take up an outage that a former life left; before anything is claimed."""
        outage = await self._outages.unfinished(self._host)
        if outage is not None:
            self._standing = remembered(outage, self._clock.schedule())
            self._outage.happened(self._clock.monotonic())  # so that its end is told
            log.warning("uplink_still_down", host=self._host, since=iso_millis(outage.since))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._round()
            except JournalUnavailableError as exc:
                self._watch.failed("uplink_journal", exc, host=self._host)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._clock.wait(self._wake, next_look(self._standing))

    # --- what others ask and say ---

    @property
    def era(self) -> int:
        """To be read before an exchange and given back with it."""
        return self._era

    def heard(self, exchange: Exchange, credential: str, era: int) -> None:
        """What an exchange with this host came to; at once, so that nothing more is claimed into an outage."""
        if era != self._era:
            return
        match evidence(exchange):
            case Input.TROUBLE if self._standing.is_up:
                self._go_down(exchange, credential)
            case Input.REACHED if not self._standing.is_up:
                self._reached = True
                self._wake.set()
            case _:
                return

    def claimable_before(self, now: Micros) -> Micros | None:
        """Only rows made before this may be claimed now; None for all."""
        return claimable_before(self._standing, self._waiting.hold_us, now)

    def is_up(self) -> bool:
        """Whether anything else than a probe may be sent now."""
        return self.claimable_before(self._clock.schedule()) is None

    def goes_back(self, outcome: Outcome, reason: AttemptReason) -> bool:
        """Whether an attempt that ended so leaves its row on its rung."""
        return self._waiting.hold_us is not None and goes_back(outcome, reason)

    def status(self) -> dict[str, object]:
        """For people. ``cause`` and ``probes`` are the outage's."""
        standing, now = self._standing, self._clock.schedule()
        return {
            "host": self._host,
            "state": "up" if standing.is_up else "down",
            "since": iso_millis(standing.since),
            "seconds": (now - standing.since) / SECOND,
            "cause": self._cause if not standing.is_up else "",
            "probes": standing.probes,
        }

    # --- the machine ---

    def _go_down(self, exchange: Exchange, credential: str) -> None:
        self._standing, _ = step(self._standing, Input.TROUBLE, self._clock.schedule())
        self._era += 1
        self._credential, self._cause = credential, _cause(exchange)
        self._reached = self._kept = False
        if (times := self._outage.happened(self._clock.monotonic(), self._cause)) is not None:
            log.warning("uplink_down", host=self._host, cause=self._cause, credential=credential, times=times)
        self._wake.set()

    async def _round(self) -> None:
        if self._standing.is_up:
            return
        if not self._kept:
            await self._outages.begin(self._host, self._standing.since)
            self._kept = True
        if self._reached or self._clock.schedule() >= (self._standing.probe_due or 0):
            await self._take(await self._probe())
        if has_lasted(self._standing, self._clock.schedule()):
            await self._take(Input.LASTED)

    async def _probe(self) -> Input:
        if not self._reached:
            exchange = await self._tps.knock(self._credential)
            self.witness.probed(self._host, exchange)
            if evidence(exchange, fresh=True) is not Input.REACHED:
                self._cause = _cause(exchange)
                return Input.TROUBLE
            self._reached = True  # a journal that cannot keep this is tried again without another probe
        return Input.REACHED

    async def _take(self, given: Input) -> None:
        before, now = self._standing, self._clock.schedule()
        after, effect = step(before, given, now)
        told = False
        match effect:
            case Effect.TELL:
                told = await self._outages.tell(self._host, now)
            case Effect.END:
                told = await self._outages.end(self._host, now, self._spread(before, now))
                self._era += 1
                seconds = (now - before.since) // SECOND
                if (times := self._outage.over(self._clock.monotonic())) is not None:
                    log.warning("uplink_up", host=self._host, down_seconds=seconds, probes=before.probes, times=times)
            case _:
                pass
        self._standing = after
        if told:
            self._on_notice()
        self._on_change()

    def _spread(self, standing: Standing, now: Micros) -> Spread | None:
        outage = Outage(standing.since, standing.link is HostLink.TOLD)
        if not self._waiting.spread_us or not is_spread(outage, now):
            return None
        return Spread(self._waiting.spread_us, self._rng.randbytes(SEED_BYTES))


class WatchedTps:
    """``ports.Tps`` whose exchanges the host's uplink hears, whoever makes them."""

    def __init__(self, tps: Tps, uplink: Uplink) -> None:
        self._tps = tps
        self._uplink = uplink

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """As the line itself; the uplink knows before the caller does."""
        era = self._uplink.era
        exchange = await self._tps.post(credential, path, body, within=within)
        self._uplink.heard(exchange, credential, era)
        return exchange

    async def knock(self, credential: str) -> Exchange:
        """As the line itself."""
        return await self._tps.knock(credential)


def _cause(exchange: Exchange) -> str:
    return exchange.cause if isinstance(exchange, NoConnection) else "probe"
