"""The heartbeat: a sign of life only when the journal's thread and the event loop have both just moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tpsd.errors import JournalError, JournalUnavailableError

BEATS_PER_WATCHDOG = 3  # in one span of the watchdog: two may be late, on a machine that swaps, before it acts

log = structlog.get_logger("tpsd.heartbeat")


class Heartbeat:
    """``look`` is a read through the journal's writer, ``beat`` tells the service manager."""

    def __init__(
        self, look: Callable[[], Awaitable[object]], beat: Callable[[], None], watchdog_seconds: float
    ) -> None:
        self._look = look
        self._beat = beat
        self._pause = watchdog_seconds / BEATS_PER_WATCHDOG

    async def run(self) -> None:
        """For ever; without beats once the journal can answer no more, so that the watchdog ends the process."""
        while True:
            try:
                await self._look()
            except JournalUnavailableError:
                pass  # a full disk closes the lanes; the thread answered, and a restart would free nothing
            except JournalError as exc:
                log.error("heart_stopped", error=str(exc))
                return
            self._beat()
            await asyncio.sleep(self._pause)
