"""The real clocks (design 7). Tests and the demo hand in others of the same shape."""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tpsd.core import trust
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.core.trust import Anchor, Judging, Reading
from tpsd.domain.time import SECOND, Micros

LONGEST_WAIT_SECONDS = 60.0  # re-reads the clock that often: what fell due while the machine slept waits no longer

_TIMEX_BYTES = 512  # struct timex is 208 bytes on 64-bit Linux; more is room for later kernels
_TIME_ERROR = 5  # adjtimex(2): not synchronised

TIMESYNCD_STAMP = Path("/run/systemd/timesync/synchronized")  # made at its first synchronisation after boot


def kernel_state() -> int | None:
    """What adjtimex(2) returns; None where it is forbidden, as ProtectClock= does even for looking."""
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state


def system_is_synchronised(ask_kernel: Callable[[], int | None] = kernel_state, stamp: Path = TIMESYNCD_STAMP) -> bool:
    """Whether the kernel calls its clock synchronised; where it may not be asked, whether systemd-timesyncd does."""
    state = ask_kernel()
    return stamp.exists() if state is None else state < _TIME_ERROR


def _system_wall() -> Micros:
    return Micros(time.time_ns() // 1000)


def _system_running() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@dataclass(frozen=True, slots=True)
class SystemTime:
    """What a machine says of time. ``running`` and ``wall`` in microseconds, ``monotonic`` in seconds.

    ``running`` counts through suspend, ``monotonic`` need not; neither ever steps.
    """

    wall: Callable[[], Micros] = _system_wall
    running: Callable[[], int] = _system_running
    monotonic: Callable[[], float] = time.monotonic
    synchronised: Callable[[], bool] = system_is_synchronised


class SystemClock:
    """Wall, schedule and monotonic time of this process, and whether the wall time is known.

    Until it is, ``wall`` counts on from what the system showed at the start, so that what it stamped meanwhile is
    off by one number, ``shift_us``. Trust comes only in ``look`` and ``adopt``, and never goes within a life.
    """

    def __init__(self, floor: Micros = CLOCK_FLOOR, system: SystemTime | None = None) -> None:
        self._system = system or SystemTime()
        self._floor = floor
        self._start_wall = self._system.wall()
        self._start_running = self._system.running()
        self._synchronised = False
        self._anchor: Anchor | None = None
        self.life = secrets.token_hex(8)
        self.look()

    def wall(self) -> Micros:
        """Wall time now, which may step."""
        if self._anchor is None:
            return self._counted_on()
        return trust.true_wall(self._anchor, self._reading(), self._floor)

    def schedule(self) -> Micros:
        """Wall time at start plus the time since, a machine's sleep included; never steps within this process.

        A send before an hour's sleep is an hour older after it: for its next rung, and for what TPS still knows.
        """
        return self._counted_on()

    def follow(self, now: Micros) -> None:
        """Count on from ``now`` instead of what this machine showed; before anybody has looked at this clock."""
        self._start_wall = Micros(self._start_wall + now - self._counted_on())

    def monotonic(self) -> float:
        """Seconds, never stepping."""
        return self._system.monotonic()

    @property
    def trusted(self) -> bool:
        """Whether the time is known."""
        return self._anchor is not None

    @property
    def shift_us(self) -> int:
        """What to add to a wall time that this life showed before it was trusted; 0 until then."""
        return 0 if self._anchor is None else self.wall() - self._counted_on()

    @property
    def offset_us(self) -> int:
        """How far ``wall`` is ahead of the system's; 0 until it is trusted."""
        return 0 if self._anchor is None else self.wall() - self._system.wall()

    def judging(self) -> Judging:
        """By which clock certificates are judged now."""
        return trust.judging(self._anchor, self._reading(), self._floor)

    def look(self) -> None:
        """Ask the system whether it is synchronised; to be called now and then."""
        self._synchronised = self._system.synchronised()
        self._anchor = trust.looked(self._anchor, self._reading(), self._floor)

    def adopt(self, date: Micros) -> None:
        """TPS said what time it is; a system that is synchronised knows better."""
        self._anchor = trust.heard(self._anchor, self._reading(), date, self._floor)

    async def wait(self, wake: asyncio.Event, until: Micros | None) -> None:
        """Return when ``wake`` is set or ``until`` is reached."""
        if until is None:
            await wake.wait()
            return
        while not wake.is_set():
            remaining = (until - self.schedule()) / SECOND
            if remaining <= 0:
                return
            try:
                async with asyncio.timeout(min(remaining, LONGEST_WAIT_SECONDS)):
                    await wake.wait()
            except TimeoutError:
                continue

    def _counted_on(self) -> Micros:
        return Micros(self._start_wall + self._system.running() - self._start_running)

    def _reading(self) -> Reading:
        reading = Reading(self._system.wall(), self._system.running(), self._synchronised)
        if self._synchronised and self._anchor is not None and not trust.agrees(self._anchor, reading):
            # It was set since the last look; if a person did that, the kernel took its flag away.
            self._synchronised = self._system.synchronised()
            reading = replace(reading, synchronised=self._synchronised)
        return reading
