"""The attendant: ends journeys that nobody ends, and finds charged fares that no validator ever showed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from tpsd.asking import Asked
from tpsd.domain.time import MINUTE, SECOND, Micros, later
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.journal_watch import JournalWatch

UNSEEN_US: Final = 10 * MINUTE
"""How long a verdict may wait for its link: a validator that lost its session asks again within seconds."""

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again

log = structlog.get_logger("tpsd.attendant")


class Attendant:
    """One daemon's. ``expires_us``: how long a journey may stay open."""

    def __init__(
        self, asked: Asked, clock: Clock, expires_us: int, *, enquires: bool, on_notice: Callable[[], None],
        on_doubt: Callable[[], None],
    ) -> None:  # fmt: skip
        self._asked = asked
        self._clock = clock
        self._expires_us = expires_us
        self._enquires = enquires
        self._on_notice = on_notice
        self._on_doubt = on_doubt
        self._watch = JournalWatch(log, clock)
        self._until: Micros | None = None
        self.wake = asyncio.Event()
        self.may_attend: Callable[[], bool] = lambda: True  # of daemons that share a journal one does it for all
        self.witness: Witness = UNWITNESSED

    def answered(self) -> None:
        """A realtime tap was: what that left wants nothing before UNSEEN_US have passed."""
        if self._until is None or self._until > later(self._clock.schedule(), UNSEEN_US):
            self.wake.set()

    async def run(self) -> None:
        """Until cancelled. Journeys open on the wall clock, so nothing is done before that is known."""
        while True:
            self.wake.clear()
            self._until = None
            if self._clock.trusted and self.may_attend():
                try:
                    self._until = await self._round()
                except JournalUnavailableError as exc:
                    self._watch.failed("journeys_not_attended", exc)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
            await self._clock.wait(self.wake, self._until)

    async def _round(self) -> Micros | None:
        wall, now = self._clock.wall(), self._clock.schedule()
        next_at = await self._asked.next_attention(self._expires_us, UNSEEN_US)
        if next_at is not None and next_at < wall:
            expired, unseen = later(wall, -self._expires_us), later(wall, -UNSEEN_US)
            done = await self._asked.attend(expired, unseen, self._enquires, now)
            if any(done.values()):
                self._watch.works()
                self.witness.attended(done)
                log.info("attended", **done)
                self._on_notice()
                self._on_doubt()
            next_at = await self._asked.next_attention(self._expires_us, UNSEEN_US)
        # A journey whose passenger is checking out at this moment is looked at again, but not at once.
        return None if next_at is None else later(now, max(next_at - wall, SECOND) + 1)
