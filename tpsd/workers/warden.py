"""The warden: counts running time and keeps the house once a minute (epochs, keys, rested bodies)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tpsd.domain.time import SECOND
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock, Journal
from tpsd.workers.journal_watch import JournalWatch

ROUND_SECONDS = 60.0  # running time lost at a power cut is at most this

log = structlog.get_logger("tpsd.warden")


class Warden:
    """One daemon's housekeeping."""

    def __init__(self, journal: Journal, clock: Clock, on_notice: Callable[[], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._on_notice = on_notice
        self._stop = asyncio.Event()
        self._watch = JournalWatch(log, clock)

    async def run(self) -> None:
        """Until ``stop``, with a last round then."""
        before = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                stopping = False
            else:
                stopping = True
            now = self._clock.monotonic()
            try:
                done = await self._journal.keep_house(int((now - before) * SECOND))
                before = now
                self._watch.works()
                if any(done.values()):
                    log.info("house_kept", **done)
                    self._on_notice()  # bodies that go, and rows that did not open, are told of
            except JournalUnavailableError as exc:
                self._watch.failed("house_not_kept", exc)
            if stopping:
                return

    def stop(self) -> None:
        """End after a last round."""
        self._stop.set()
