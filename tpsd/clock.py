"""The real clocks (design 7). Tests and the demo hand in others of the same shape."""

import asyncio
import time

from tpsd.domain.time import SECOND, Micros

LONGEST_WAIT_SECONDS = 3600.0  # re-reads the clock at least hourly, so that a suspended machine is noticed


class SystemClock:
    """Wall, schedule and monotonic time of this process."""

    def __init__(self) -> None:
        self._start_wall = time.time_ns() // 1000
        self._start_monotonic = time.monotonic()

    def wall(self) -> Micros:
        """Wall time now, which may step."""
        return Micros(time.time_ns() // 1000)

    def schedule(self) -> Micros:
        """Wall time at start plus monotonic time since; never steps within this process."""
        return Micros(self._start_wall + int((time.monotonic() - self._start_monotonic) * SECOND))

    def monotonic(self) -> float:
        """Seconds, never stepping."""
        return time.monotonic()

    async def wait(self, wake: asyncio.Event, until: Micros | None) -> None:
        """Return when ``wake`` is set or ``until`` is reached."""
        while not wake.is_set():
            remaining = None if until is None else (until - self.schedule()) / SECOND
            if remaining is not None and remaining <= 0:
                return
            try:
                async with asyncio.timeout(None if remaining is None else min(remaining, LONGEST_WAIT_SECONDS)):
                    await wake.wait()
            except TimeoutError:
                continue
