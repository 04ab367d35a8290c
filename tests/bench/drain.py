"""A hundred thousand overdue taps after an outage, drained against the TLS stub. One round: it takes minutes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.ground import daemon_with_stub
from tests.bench.measure import Figure, report
from tests.store.builders import LANE, candidate
from tests.store.builders import report as tap_report
from tpsd.core.intake import decide
from tpsd.daemon import Daemon

TAPS = 100_000


def run(_runs: int) -> None:
    """Seconds from the daemon's start to the last approval."""
    seconds, most = asyncio.run(_drained())
    report(
        f"Drain of {TAPS:,} overdue taps",
        [
            Figure("start to the last approval", "s", (seconds,)),
            Figure("the same as a rate", "taps/s", (TAPS / seconds,)),
        ],
        f"  most sends in flight at once: {most} (concurrency 32)",
    )


async def _drained() -> tuple[float, int]:
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with daemon_with_stub(Path(folder)) as daemon:
            await _fill(daemon)
            began = time.perf_counter()
            loop = asyncio.ensure_future(daemon.run())
            most = 0
            while (await daemon.journal.totals()).states.get("approved", 0) < TAPS:
                for _ in range(100):
                    most = max(most, daemon.dispatcher.in_flight)
                    await asyncio.sleep(0.01)
            seconds = time.perf_counter() - began
            daemon.stop()
            await loop
            return seconds, most


async def _fill(daemon: Daemon) -> None:
    places = asyncio.Semaphore(64)

    async def take(number: int) -> None:
        async with places:
            tap = candidate(daemon.journal, tap_report(number), LANE)
            await daemon.journal.take(tap, decide, daemon.clock.schedule())

    for first in range(1, TAPS + 1, 5_000):
        await asyncio.gather(*(take(number) for number in range(first, first + 5_000)))
