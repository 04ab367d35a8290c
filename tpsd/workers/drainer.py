"""The drainer: puts what the spool told into the database as soon as that answers, and ends what a loss left open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import structlog

from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock
from tpsd.workers.journal_watch import JournalWatch

AGAIN_SECONDS = 0.5  # after a round that could not do everything: a passenger's tap need not be at TPS sooner

log = structlog.get_logger("tpsd.drainer")


class Spooling(Protocol):
    """A journal with a spool before it."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""

    @property
    def is_recovered(self) -> bool:
        """Whether there is one, and what the last loss left open was ended."""

    @property
    def losses(self) -> int:
        """How often something may have been left open."""

    @property
    def waiting(self) -> int:
        """Taps in the spool."""

    @property
    def stuck(self) -> str | None:
        """The surprise that keeps a tap from being drained."""

    async def drain(self, now: Micros) -> int:
        """Put some into the database; how many. Raises JournalUnavailableError."""

    def recovered(self, losses: int) -> None:
        """What so many losses had left open was ended."""


class Drainer:
    """One daemon's. ``quiet``: nothing is in flight, so that what is open in the database is nobody's.

    ``recover`` ends that, and raises JournalUnavailableError. ``on_done``: rows may be claimed again.
    """

    def __init__(
        self,
        journal: Spooling,
        clock: Clock,
        quiet: Callable[[], bool],
        recover: Callable[[], Awaitable[None]],
        on_done: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._quiet = quiet
        self._recover = recover
        self._on_done = on_done
        self._watch = JournalWatch(log, clock)
        self._stuck: str | None = None
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.wake.clear()
            done = False
            try:
                done = await self._round()
            except JournalUnavailableError as exc:
                self._watch.failed("spool_not_drained", exc)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if done else AGAIN_SECONDS):
                    await self.wake.wait()

    async def finish(self, seconds: float) -> bool:
        """Before an end in order, once ``run`` was cancelled: whether the database has all that was told."""
        with suppress(JournalUnavailableError, TimeoutError):
            async with asyncio.timeout(seconds):
                while self._journal.is_connected and await self._journal.drain(self._clock.schedule()):
                    pass
        return self._journal.waiting == 0

    async def _round(self) -> bool:
        """Whether all was done that can be done now."""
        journal, moved = self._journal, 0
        if not journal.is_connected:
            return True  # who connects sets ``wake``
        while some := await journal.drain(self._clock.schedule()):
            moved += some
            self._watch.works()
        self._say_stuck()
        if moved:
            log.info("spool_drained", taps=moved)
        if not journal.is_recovered:
            if not self._quiet():
                return False
            losses = journal.losses
            await self._recover()
            journal.recovered(losses)
            log.info("connection_recovered", losses=losses)
        elif not moved:
            return journal.waiting == 0
        self._on_done()
        return journal.waiting == 0

    def _say_stuck(self) -> None:
        stuck = self._journal.stuck
        if stuck is not None and stuck != self._stuck:
            log.error("tap_undrainable", error=stuck)
        self._stuck = stuck
