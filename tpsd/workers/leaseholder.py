"""The leaseholder: says that this daemon is there, and takes over the work of those that say it no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from tpsd.core import polling
from tpsd.domain.picture import FleetFacts
from tpsd.domain.time import MILLISECOND, SECOND
from tpsd.errors import JournalUnavailableError
from tpsd.leases import LEASE_US, RENEW_US, Endings, Hold, Leases, Neighbour, Renewed
from tpsd.ports import Clock
from tpsd.waking import Pause, woken_within
from tpsd.workers.journal_watch import JournalWatch

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again
SOON_US = 100 * MILLISECOND  # behind the end of another's lease, so that it is over when it is looked at

log = structlog.get_logger("tpsd.leaseholder")


class Leaseholder:
    """One daemon's. ``on_round``: others may have left work to do, in a journal that nobody wakes anybody for."""

    def __init__(
        self, leases: Leases, hold: Hold, clock: Clock, endings: Endings, on_round: Callable[[], None]
    ) -> None:  # fmt: skip
        self._leases = leases
        self._hold = hold
        self._clock = clock
        self._endings = endings
        self._on_round = on_round
        self._watch = JournalWatch(log, clock)
        self._presided = False
        self._renewed: Renewed | None = None
        self._shown: dict[str, str] | None = None
        self._described: dict[str, str] | None = None
        self._apart_us = 0
        self._pause_us = RENEW_US
        self.wake = asyncio.Event()
        self.pause: Pause = woken_within  # in real time, as the database's clock runs
        hold.on_over = self.wake.set

    async def begin(self) -> None:
        """The lease of this life, before anything is claimed. Raises JournalError."""
        await self._describe()
        await self._renew()

    def show(self, credentials: Mapping[str, str]) -> None:
        """Whom TPS sees behind these credentials from now on; one that is named no more may have left rows."""
        self._shown = {**(self._shown or {}), **credentials}
        self.wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.wake.clear()
            try:
                wait_us = await self.round()
            except JournalUnavailableError as exc:
                self._watch.failed("lease_not_renewed", exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._watch.works()
            await self.pause(self.wake, wait_us)

    async def leave(self) -> None:
        """Others go on at once with what is left here; nothing is written after this. Otherwise the lease runs out."""
        try:
            await self._leases.leave()
        except JournalUnavailableError as exc:
            log.error("lease_not_given_up", error=str(exc))

    @property
    def holds(self) -> bool:
        """Whether this daemon may send."""
        return self._hold.lasts()

    def facts(self) -> FleetFacts:
        """How it stood at the last renewal."""
        renewed = self._renewed
        return FleetFacts(
            daemon=self._leases.daemon,
            presides=self._leases.presides,
            others=() if renewed is None else tuple(one.name for one in renewed.others),
            gone={} if renewed is None else _told(renewed),
            apart_us=self._apart_us,
        )

    async def round(self) -> int:
        """Renew, and take over what can be; microseconds until the next. Raises JournalUnavailableError."""
        await self._describe()
        renewed = await self._renew()
        for neighbour in renewed.others:
            if neighbour.left_us <= 0:
                await self._declare_gone(neighbour)
        found = False
        if renewed.gone or any(neighbour.left_us <= 0 for neighbour in renewed.others):
            done = await self._leases.take_over(self._clock.schedule(), self._endings)
            if done := {name: count for name, count in done.items() if count}:
                log.error("work_taken_over", **done)
                found = True
        self._on_round()
        self._pause_us = polling.pause(self._pause_us, RENEW_US, found=found)
        ends = [neighbour.left_us + SOON_US for neighbour in renewed.others if neighbour.left_us > 0]
        return min(self._pause_us, *ends) if ends else self._pause_us

    async def _describe(self) -> None:
        """Before anything is taken over by it: under another's certificate the same bytes are another's request."""
        shown = self._shown
        if shown is not None and shown != self._described:
            await self._leases.describe(shown)
            self._described = shown

    async def _renew(self) -> Renewed:
        asked_at, wall = self._clock.schedule(), self._clock.wall()
        self._renewed = renewed = await self._leases.renew()
        self._hold.extend(asked_at)
        if self._clock.trusted:
            # The database's clock was read somewhen between: what lies between counts for neither.
            self._apart_us = max(wall - renewed.now, 0) or min(self._clock.wall() - renewed.now, 0)
        if self._leases.presides and not self._presided:
            log.info("presides", daemon=self._leases.daemon)
            self._presided = True
        return renewed

    async def _declare_gone(self, neighbour: Neighbour) -> None:
        if await self._leases.declare_gone(neighbour):
            log.error("daemon_gone", daemon=neighbour.name, overdue_seconds=-neighbour.left_us / SECOND)


def _told(renewed: Renewed) -> dict[str, int]:
    """Who is gone for how long; a restart in order is told of no more than a lease that is still running."""
    gone = {name: renewed.now - at for name, at in renewed.gone.items()}
    return {name: since for name, since in gone.items() if name not in renewed.left or since > LEASE_US}
