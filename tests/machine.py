"""Clocks that a test sets: a machine's, which may be wrong, step, sleep and be synchronised, and one of 1970."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.clock import SystemClock, SystemTime
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.core.trust import Dates, Judging
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import SECOND, Micros

BOOT = Micros(20 * SECOND)
"""What a machine without a battery shows when its daemon starts: 1970-01-01T00:00:20Z."""


@dataclass(slots=True)
class Machine:
    """Times stand still until ``passes``. ``wall`` is the system's; ``true`` is what it should be."""

    true: Micros
    wall: Micros = BOOT
    running: int = 7 * SECOND
    seconds: float = 3.0
    synchronised: bool = False
    looks: int = 0

    def passes(self, seconds: float, *, asleep: bool = False) -> None:
        """Time passes; ``asleep``: the monotonic clock does not count it."""
        us = round(seconds * SECOND)
        self.true, self.wall, self.running = Micros(self.true + us), Micros(self.wall + us), self.running + us
        if not asleep:
            self.seconds += seconds

    def clock(self, floor: Micros = CLOCK_FLOOR) -> SystemClock:
        """A process that starts on it now."""
        return SystemClock(floor, SystemTime(self._wall, self._running, self._monotonic, self._synchronised))

    def _wall(self) -> Micros:
        return self.wall

    def _running(self) -> int:
        return self.running

    def _monotonic(self) -> float:
        return self.seconds

    def _synchronised(self) -> bool:
        self.looks += 1
        return self.synchronised


class UnsetClock(WarpClock):
    """A clock that stands still in 1970 and goes on by ``jump``; it comes to know the time as a real one does."""

    def __init__(self, shows: Micros = BOOT, life: str = "life-1") -> None:
        super().__init__()
        self._still = self._started = shows
        self._life = life
        self._shift: int | None = None
        self.synchronised_at: Micros | None = None  # what the system will be set to, once somebody looks
        self.looks = 0

    def wall(self) -> Micros:
        return Micros(self.schedule() + (self._shift or 0))

    @property
    def trusted(self) -> bool:
        return self._shift is not None

    @property
    def life(self) -> str:
        return self._life

    @property
    def shift_us(self) -> int:
        return self._shift or 0

    @property
    def offset_us(self) -> int:
        return self._shift or 0

    def look(self) -> None:
        self.looks += 1
        if self.synchronised_at is not None:
            self._shift = self.synchronised_at - self.schedule()

    def adopt(self, date: Micros) -> None:
        if date >= CLOCK_FLOOR and self._shift is None:
            self._shift = date - self.schedule()

    def judging(self) -> Judging:
        """The certificates are of today, and so is the system's clock."""
        return Judging(Dates.SYSTEM if self.trusted else Dates.NOBODY, self.wall())
