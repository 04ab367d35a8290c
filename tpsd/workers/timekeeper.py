"""The timekeeper: asks what time it is until that is known, and then keeps an eye on the system's clock (design 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from tpsd.core.trust import ask_pause
from tpsd.domain.time import SECOND, Micros, later
from tpsd.ports import Timepiece

LOOK_US: Final = 5 * SECOND
"""How often the system is asked while nothing is known: a time service takes some seconds after the network came."""

WATCH_SECONDS: Final = 10.0
"""How often afterwards, in real time: so long a service that set the clock right again waits to be believed."""

log = structlog.get_logger("tpsd.timekeeper")

Question = Callable[[str], Awaitable[None]]
"""One harmless GET under a credential. The answer's ``Date`` comes to the clock by itself."""


class Timekeeper:
    """One daemon's eye on the time. ``credentials`` take turns: TPS may refuse one of them."""

    def __init__(
        self, clock: Timepiece, credentials: Sequence[str], ask: Question, on_trusted: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self._ask = ask
        self._on_trusted = on_trusted
        self.wake = asyncio.Event()
        self.asked = 0

    async def run(self) -> None:
        """Until cancelled."""
        if not self._clock.trusted:
            log.warning("time_unknown")
            await self._find_out()
            self._on_trusted()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._clock.look()

    async def _find_out(self) -> None:
        ask_at = self._clock.schedule()
        while True:
            self.wake.clear()
            self._clock.look()
            if not self._clock.trusted and self._clock.schedule() >= ask_at:
                await self._ask(self._credentials[self.asked % len(self._credentials)])
                self.asked += 1
                ask_at = later(self._clock.schedule(), ask_pause(self.asked))
            if self._clock.trusted:
                return
            await self._clock.wait(self.wake, Micros(min(ask_at, later(self._clock.schedule(), LOOK_US))))
