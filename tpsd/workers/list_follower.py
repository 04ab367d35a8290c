"""The list follower: keeps the spool's deny list equal to the database's, for the time when that does not answer."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from tpsd.core import polling
from tpsd.domain.time import SECOND
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock
from tpsd.waking import Pause, woken_within
from tpsd.workers.journal_watch import JournalWatch

LOOK_US = 5 * SECOND  # one number is read each time; a card that is listed at noon is denied at noon, database or not

log = structlog.get_logger("tpsd.list_follower")


class Following(Protocol):
    """A journal whose spool has a deny list of its own."""

    async def follow_list(self) -> int | None:
        """Make it equal; cards that changed, None where none could have. Raises JournalUnavailableError."""


class ListFollower:
    """One daemon's."""

    def __init__(self, journal: Following, clock: Clock) -> None:
        self._journal = journal
        self._watch = JournalWatch(log, clock)
        self.wake = asyncio.Event()
        self.pause: Pause = woken_within

    async def run(self) -> None:
        """Until cancelled."""
        wait_us = LOOK_US
        while True:
            self.wake.clear()
            changed = None
            try:
                changed = await self._journal.follow_list()
            except JournalUnavailableError as exc:
                self._watch.failed("list_not_followed", exc)
            else:
                if changed is not None:
                    self._watch.works()
                    log.info("list_followed", cards=changed)
            wait_us = polling.pause(wait_us, LOOK_US, found=bool(changed))
            await self.pause(self.wake, wait_us)
