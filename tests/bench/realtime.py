"""What tpsd adds to a realtime verdict over a bare POST, and what 50 slow lanes cost a deferred one.

From the tap's last byte on the line to the verdict's bytes on it; the validators are other processes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from device.vl1.codes import TapKind
from tests.bench import riders
from tests.bench.ground import daemon_with_stub
from tests.bench.measure import Figure, quantile, ratio, report
from tests.bench.riders import Riders
from tests.bench.verdict import pair
from tpsd.daemon import Daemon

TAPS = 200
TAPS_BESIDE = 600  # 12 s: every slow lane's passenger is answered once, and the next one taps
SLOW_LANES = 50
SLOW_SECONDS = 10.0
COMMON = "common"


def run(runs: int) -> None:
    """The baseline is a POST of a request's size by the daemon's own client, in the same process."""
    ours, bare = [], []
    for number in range(runs):
        verdicts, posts = asyncio.run(_realtime(number))
        ours.append(verdicts)
        bare.append(posts)
    figures = [
        Figure(f"{name}, {label}", "ms", tuple(quantile(waits, share) for waits in rounds))
        for name, rounds in (("realtime VERDICT", ours), ("a bare POST", bare))
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]
    added = [
        Figure(f"added, {label}", "ms", tuple(one - two for one, two in zip(above.rounds, below.rounds, strict=True)))
        for label, above, below in (("p50", figures[0], figures[2]), ("p99", figures[1], figures[3]))
    ]
    report(
        "A realtime verdict over a pty, TLS stub in another process",
        [*figures, *added],
        ratio("p50 to the bare POST's", figures[0], figures[2]),
        ratio("p99 to the bare POST's", figures[1], figures[3]),
    )
    _beside_slow_lanes(runs)


def _beside_slow_lanes(runs: int) -> None:
    alone, beside = [], []
    for number in range(runs):
        alone.append(asyncio.run(_deferred(number, slow=0)))
        beside.append(asyncio.run(_deferred(number, slow=SLOW_LANES)))
    figures = [
        Figure(f"{name}, p99", "ms", tuple(quantile(waits, 0.99) for waits in rounds))
        for name, rounds in (("MTT VERDICT alone", alone), (f"MTT VERDICT beside {SLOW_LANES} slow lanes", beside))
    ]
    delays = tuple(two - one for one, two in zip(figures[0].rounds, figures[1].rounds, strict=True))
    report(
        f"A TPS that takes {SLOW_SECONDS:g} s on {SLOW_LANES} realtime lanes, beside one deferred lane",
        [*figures, Figure("delayed by", "ms", delays)],
        ratio("to alone", figures[1], figures[0]),
    )


async def _realtime(seed: int) -> tuple[list[float], list[float]]:
    async with _stage(["RETAIL_PAYMENT"]) as (daemon, masters):
        measured = await riders.begun([Riders(masters[0], TapKind.RETAIL_PAYMENT, TAPS, seed)])
        (waits,) = await riders.waits_of(measured)
        return waits, await _posts(daemon)


async def _posts(daemon: Daemon) -> list[float]:
    body, waits = b"x" * 900, []
    for _ in range(TAPS):
        began = time.perf_counter()
        await daemon.authoriser._tps.post(COMMON, "/device-api/v1/transaction/A/type/B", body, within=5.0)
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(riders.EVERY_SECONDS)
    return waits


async def _deferred(seed: int, *, slow: int) -> list[float]:
    async with _stage(["MTT", *["RETAIL_PAYMENT"] * slow], SLOW_SECONDS if slow else 0.0) as (_, masters):
        others = []
        for number, master in enumerate(masters[1:]):
            after = SLOW_SECONDS * number / slow  # apart, as passengers come
            others.append(Riders(master, TapKind.RETAIL_PAYMENT, TAPS, number, patient=True, after_seconds=after))
        beside = await riders.begun(others)
        if slow:
            await asyncio.sleep(SLOW_SECONDS)
        (waits,) = await riders.waits_of(await riders.begun([Riders(masters[0], TapKind.MTT, TAPS_BESIDE, seed)]))
        if beside.returncode is None:
            beside.terminate()
        await beside.wait()
        return waits


@asynccontextmanager
async def _stage(kinds: list[str], slow_seconds: float = 0.0) -> AsyncIterator[tuple[Daemon, list[int]]]:
    pairs = [pair() for _ in kinds]
    ports = [os.ttyname(slave) for _, slave in pairs]
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with daemon_with_stub(Path(folder), ports, kinds=kinds, slow_seconds=slow_seconds) as daemon:
            running = asyncio.ensure_future(daemon.run())
            try:
                yield daemon, [master for master, _ in pairs]
            finally:
                daemon.stop()
                await running
    for descriptor in (end for both in pairs for end in both):
        os.close(descriptor)
