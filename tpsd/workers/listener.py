"""The listener: wakes those here whom another daemon's hint is for. Without it they look by themselves, only later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final

import structlog

from tpsd.core.polling import pause
from tpsd.core.trouble import Trouble
from tpsd.domain.time import MINUTE, SECOND
from tpsd.errors import JournalUnavailableError
from tpsd.hints import Hint, Hints
from tpsd.ports import Clock

LONGEST_US: Final = MINUTE
"""Between two tries to listen; also how long a connection must have stood for the next try to come soon."""

log = structlog.get_logger("tpsd.listener")


class Listener:
    """One daemon's. ``wake``: whom each hint is for."""

    def __init__(
        self,
        hints: Hints,
        wake: Mapping[Hint, Callable[[], None]],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hints = hints
        self._wake = wake
        self._clock = clock
        self._sleep = sleep
        self._trouble = Trouble()

    async def run(self) -> None:
        """Until cancelled."""
        pause_us = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._listen()
            except JournalUnavailableError as exc:
                now = self._clock.monotonic()
                stood = (now - began) * SECOND >= LONGEST_US
                pause_us = pause(pause_us, LONGEST_US, found=stood or not pause_us)
                if (times := self._trouble.happened(now)) is not None:
                    log.warning("hints_not_heard", error=str(exc), times=times)
            await self._sleep(pause_us / SECOND)

    async def _listen(self) -> None:
        async with aclosing(self._hints.heard()) as heard:
            async for hints in heard:
                if (times := self._trouble.over(self._clock.monotonic())) is not None:
                    log.info("hints_heard", times=times)
                for hint in hints:
                    self._wake[hint]()
