"""What tpsd adds to a realtime verdict over a bare POST, and what 50 slow lanes cost a deferred one."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from device.vl1.cards import CARDS, read
from device.vl1.codes import TapKind
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tests.bench.ground import daemon_with_stub, until
from tests.bench.measure import Figure, quantile, ratio, report
from tests.bench.verdict import pair
from tpsd.app import Daemon
from tpsd.simulated_lane import SimulatedLane

TAPS = 200
EVERY_SECONDS = 0.02
LOOK_SECONDS = 0.1  # of passengers who wait ten: looking costs the measured lane nothing
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
        waits = await _tapped(masters[0], random.Random(seed), TapKind.RETAIL_PAYMENT)
        return waits, await _posts(daemon)


async def _posts(daemon: Daemon) -> list[float]:
    body, waits = b"x" * 900, []
    for _ in range(TAPS):
        began = time.perf_counter()
        await daemon.authoriser._tps.post(COMMON, "/device-api/v1/transaction/A/type/B", body, within=5.0)
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(EVERY_SECONDS)
    return waits


async def _deferred(seed: int, *, slow: int) -> list[float]:
    kinds = ["MTT", *["RETAIL_PAYMENT"] * slow]
    async with _stage(kinds, SLOW_SECONDS if slow else 0.0) as (_, masters):
        riders = []
        for number, master in enumerate(masters[1:]):
            riders.append(asyncio.ensure_future(_wait_for_tps(master, number)))
            await asyncio.sleep(SLOW_SECONDS / slow)  # apart, as passengers come
        waits = await _tapped(masters[0], random.Random(seed), TapKind.MTT, TAPS_BESIDE)
        for rider in riders:
            rider.cancel()
        await asyncio.gather(*riders, return_exceptions=True)
        return waits


async def _wait_for_tps(master: int, number: int) -> None:
    """A lane whose passenger always waits; the next one taps when the verdict is out."""
    await _tapped(master, random.Random(number), TapKind.RETAIL_PAYMENT, serial=f"VAL9{number:04}", patient=True)


async def _tapped(
    master: int,
    rng: random.Random,
    kind: int,
    taps: int = TAPS,
    *,
    serial: str = "VAL00042",
    patient: bool = False,
) -> list[float]:
    waits: list[float] = []

    def heard(event: SimulatorEvent) -> None:
        if isinstance(event, TapVerdict) and event.waited is not None:
            waits.append(event.waited * 1000)

    validator = SimulatedValidator(serial=serial, limit_seconds=None)
    lane = SimulatedLane(validator, master, heard, patient=True)
    lane.start()
    try:
        await until(lambda: validator.is_up, 20)
        for number in range(taps):
            at = time.time_ns() // 1000
            card = read(rng.choice(CARDS), rng, amount=250 + number, currency="978", tapped_at=at, counter=number)
            lane.act(
                lambda now, card=card, at=at, number=number: validator.tap(  # type: ignore[misc]
                    now, card=card, tapped_at=at, amount=250 + number, kind=kind
                )
            )
            if patient:
                while len(waits) <= number:
                    await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(EVERY_SECONDS)
        await until(lambda: len(waits) == taps, 20)
    finally:
        lane.stop()
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
