"""The whole path behind the line: prepare, commit 1, claim, POST over TLS, settle, for taps that come all at once."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.bench.ground import daemon_with_stub, until
from tests.bench.measure import Figure, ratio, report
from tests.bench.stub import running
from tests.store.builders import LANE, candidate
from tests.store.builders import report as tap_report
from tpsd.core.intake import decide
from tpsd.daemon import Daemon
from tpsd.sfey.tls import tls_context

TAPS = 3_000
CONCURRENCY = 32
BODY = b"x" * 1_000


def run(runs: int) -> None:
    """Taps settled a second; the baseline posts the same number of bodies with aiohttp alone, nothing kept."""
    ours, bare = [], []
    for _ in range(runs):
        ours.append(asyncio.run(_ours()))
        bare.append(asyncio.run(_bare()))
    subject = Figure("taken, sent and settled, concurrency 32", "taps/s", tuple(ours))
    baseline = Figure("bare aiohttp loop, concurrency 32", "posts/s", tuple(bare))
    report(
        "Whole path against a TLS stub in another process",
        [subject, baseline],
        ratio("ours to bare", subject, baseline),
    )


async def _ours() -> float:
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with daemon_with_stub(Path(folder)) as daemon:
            loop = asyncio.ensure_future(daemon.run())
            await _settled(daemon, 1, first=1_000_000)  # the credential's probe and the first connections
            began = time.perf_counter()
            await _settled(daemon, TAPS, first=1)
            rate = TAPS / (time.perf_counter() - began)
            daemon.stop()
            await loop
            return rate


async def _settled(daemon: Daemon, taps: int, first: int) -> None:
    before = (await daemon.journal.totals()).states.get("approved", 0)
    places = asyncio.Semaphore(64)

    async def take(number: int) -> None:
        async with places:
            tap = candidate(daemon.journal, tap_report(number), LANE)
            await daemon.journal.take(tap, decide, daemon.clock.schedule())
            daemon.dispatcher.wake.set()

    await asyncio.gather(*(take(number) for number in range(first, first + taps)))
    async with asyncio.timeout(120):
        while (await daemon.journal.totals()).states.get("approved", 0) < before + taps:
            await until(lambda: daemon.dispatcher.in_flight == 0, 120)
            await asyncio.sleep(0.005)


async def _bare() -> float:
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with running(Path(folder)) as (url, files):
            context: ssl.SSLContext = tls_context(files.ca, files.client_cert, files.client_key)
            connector = aiohttp.TCPConnector(ssl=context, limit=CONCURRENCY)
            async with aiohttp.ClientSession(connector=connector) as session:
                numbers = iter(range(TAPS))

                async def post() -> None:
                    for _ in numbers:
                        async with session.post(url, data=BODY) as response:
                            await response.read()

                began = time.perf_counter()
                await asyncio.gather(*(post() for _ in range(CONCURRENCY)))
                return TAPS / (time.perf_counter() - began)
