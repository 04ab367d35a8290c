"""The vehicle's computer as far as time goes: clocks that step, a boot in 1970, a suspend; and the true time."""

from __future__ import annotations

from tpsd.clock import SystemTime
from tpsd.domain.time import SECOND, Micros
from tpsd.replay.loop import VirtualLoop

BEGIN = Micros(1_795_420_800_000_000)  # 2026-11-23T08:00:00Z, when every world begins


class Machine:
    """``offset_us``: how far its wall clock is ahead of the true time. ``synchronised``: what its kernel says."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._origin = loop.time()
        self._suspended_us = 0
        self.offset_us = 0
        self.synchronised = True
        self.steps = 0
        self.slept_at: list[float] = []  # seconds of the loop

    def true(self) -> Micros:
        """What time it is."""
        return Micros(BEGIN + self._running())

    def wall(self) -> Micros:
        """What its clock shows."""
        return Micros(max(0, self.true() + self.offset_us))

    def system_time(self) -> SystemTime:
        """What a process on it may ask."""
        return SystemTime(self.wall, self._running, self._loop.time, lambda: self.synchronised)

    def step(self, offset_us: int, *, synchronised: bool) -> None:
        """Somebody sets the clock: so far ahead of the true time from now on."""
        self.offset_us, self.synchronised = offset_us, synchronised
        self.steps += 1

    def boot_unset(self) -> None:
        """It starts without a battery behind its clock: 1970."""
        self.step(-self.true() + 60 * SECOND, synchronised=False)

    def suspend(self, seconds: float) -> None:
        """It sleeps; its clocks count on, its timers do not."""
        self._suspended_us += int(seconds * SECOND)
        self.slept_at.append(self._loop.time())

    def slept_since(self, seconds: float) -> bool:
        """Whether it has been asleep since that moment of the loop."""
        return any(at >= seconds for at in self.slept_at)

    def _running(self) -> int:
        return int((self._loop.time() - self._origin) * SECOND) + self._suspended_us
