"""What ``tpsd simulate`` needs of any device: its port, its taps while the port lasts, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import serial

from tpsd.errors import PortError
from tpsd.simulated_lane import SimulatedLine
from tpsd.waits import spread

Say = Callable[[str], None]


@dataclass(slots=True)
class Answers:
    """What came of a run: one row an answered tap, its ``ms`` None where nobody saw how long it waited."""

    made: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Taps without a row."""
        return self.made - len(self.rows)

    def verdict_ms(self) -> dict[str, float | None]:
        """For ``--json``; rows have tenths of a millisecond."""
        return spread((row["ms"] for row in self.rows if row["ms"] is not None), 1)


@contextmanager
def opened(port: str, baud: int) -> Iterator[int]:
    """The descriptor of a port, for this process alone. Raises PortError."""
    try:
        line = serial.Serial(port, baud, timeout=0, write_timeout=0, exclusive=True)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise PortError(f"{port} cannot be opened ({reason}); name a serial device or a pty") from exc
    with line:
        yield line.fileno()


async def at_work(line: SimulatedLine[Any], port: str, taps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The device speaks until its ``taps`` have ended. Raises PortError when the port goes before."""
    line.start()
    tapping = asyncio.ensure_future(taps())
    try:
        await asyncio.wait((tapping, line.gone), return_when=asyncio.FIRST_COMPLETED)
        if line.gone.done():
            raise PortError(f"{port} went away ({line.gone.result()}); is the other end still open?")
        await tapping
    finally:
        tapping.cancel()
        line.stop()
