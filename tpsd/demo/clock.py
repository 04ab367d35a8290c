"""The demo's clock: real while taps are tapped, then standing still and jumping from due time to due time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from tpsd.core.trust import Dates, Judging
from tpsd.domain.time import SECOND, Micros


@dataclass(slots=True)
class _Waiter:
    wake: asyncio.Event
    until: Micros | None
    jumped: asyncio.Event = field(default_factory=asyncio.Event)


class WarpClock:
    """Wall and schedule time are one here, so that mails and TPS's ``Date`` show the ladder's hours."""

    def __init__(self) -> None:
        self._origin = time.time_ns() // 1000 - int(time.monotonic() * SECOND)
        self._still: Micros | None = None  # where it stands, once it no longer runs
        self._waiters: list[_Waiter] = []

    def wall(self) -> Micros:
        """The same as ``schedule``."""
        return self.schedule()

    def schedule(self) -> Micros:
        """Real time at first; where it was last put since ``stand_still``."""
        return self._still if self._still is not None else Micros(self._origin + int(time.monotonic() * SECOND))

    def monotonic(self) -> float:
        """Real seconds always: the serial timers run on them."""
        return time.monotonic()

    @property
    def trusted(self) -> bool:
        """Always."""
        return True

    @property
    def life(self) -> str:
        """Stamps nothing."""
        return ""

    @property
    def shift_us(self) -> int:
        """None."""
        return 0

    @property
    def offset_us(self) -> int:
        """None that anybody should correct."""
        return 0

    def judging(self) -> Judging:
        """Certificates are real here, and so is the time that judges them."""
        return Judging(Dates.SYSTEM, self.wall())

    def look(self) -> None:
        """Nothing to see."""

    def adopt(self, date: Micros) -> None:
        """It does not listen."""

    def stand_still(self) -> None:
        """Stop running; from now on only ``jump`` moves it."""
        self._still = self.schedule()
        for waiter in self._waiters:
            waiter.jumped.set()  # their timers counted real time; let them look again

    async def wait(self, wake: asyncio.Event, until: Micros | None) -> None:
        """Return when ``wake`` is set or the clock has reached ``until``."""
        while not wake.is_set() and (until is None or self.schedule() < until):
            waiter = _Waiter(wake, until)
            self._waiters.append(waiter)
            real = None if until is None or self._still is not None else (until - self.schedule()) / SECOND
            events = [asyncio.ensure_future(event.wait()) for event in (wake, waiter.jumped)]
            try:
                await asyncio.wait(events, timeout=real, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._waiters.remove(waiter)
                for event in events:
                    event.cancel()

    def quiet(self, expected: int) -> bool:
        """Whether that many loops wait and none of them has a reason to go on."""
        waiting = [w for w in self._waiters if not w.wake.is_set() and not w.jumped.is_set()]
        return len(waiting) == len(self._waiters) == expected

    def next_due(self, apart_from: asyncio.Event | None = None) -> Micros | None:
        """The earliest instant anybody waits for, but for who is woken by ``apart_from``."""
        return min(
            (one.until for one in self._waiters if one.until is not None and one.wake is not apart_from), default=None
        )

    def jump(self, to: Micros) -> None:
        """Put the clock forward and let those go on whose time has come."""
        self._still = max(to, self.schedule())
        for waiter in self._waiters:
            if waiter.until is not None and waiter.until <= self._still:
                waiter.jumped.set()
