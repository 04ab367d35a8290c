"""A deny list of a million as TPS feeds it: over TLS, page by page, each page a commit. One round: it takes a minute.

The first list comes in no order, so that each page would touch the whole table; after a flush TPS sends one in the
order of its tokens. The simulated TPS works in the same process, so that its work counts too. The baseline is the
first list's pages brought into a bare table, one commit each; what it writes is what ``tpsd.store.runs`` spares a disk.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from tests.bench.measure import Figure, quantile, ratio, report
from tests.store.builders import LANE, NOW, candidate
from tests.store.builders import report as tap_report
from tests.store.engines import SqliteEngine
from tpsd.clock import SystemClock
from tpsd.core.feed import PAGE_RECORDS
from tpsd.core.intake import decide
from tpsd.domain.feed import Heard
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.sfey.certificates import make, server_context
from tpsd.sfey.simulator import Simulator
from tpsd.sfey.tls import tls_context
from tpsd.sfey.updates import Terminal, UpdateClient
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.feed import Feed, Pace

ENTRIES = 1_000_000
TERMINAL = Terminal("VAL00042", "GATE-X1", "common")
TAP_EVERY_SECONDS = 0.1  # a passenger at each of many gates


def run(_runs: int) -> None:
    """Seconds for the first list, then for another one that replaces it; and what taps wait for meanwhile."""
    rng = random.Random(5)
    first, second = ([rng.randbytes(32) for _ in range(ENTRIES)] for _ in range(2))
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        before = _written()
        bare = Figure("bare table, the first list's pages", "s", (_bare(Path(folder) / "bare.db", first),))
        by_bare = Figure("written by it", "MB", (_written() - before,))
        loaded, written, replaced, taps = asyncio.run(
            _fed(Path(folder), first, [*first[: ENTRIES // 2], *second[: ENTRIES // 2]])
        )
    load = Figure("first list in no order, until TPS has no more", "s", (loaded,))
    by_load = Figure("written by it", "MB", (written,))
    figures = [
        load,
        by_load,
        Figure("another after a flush, in order, until it took over", "s", (replaced,)),
        Figure("a tap's commit meanwhile, p50", "ms", (quantile(taps, 0.5),)),
        Figure("a tap's commit meanwhile, p99", "ms", (quantile(taps, 0.99),)),
        Figure("a tap's commit meanwhile, longest", "ms", (max(taps),)),
        bare,
        by_bare,
    ]
    ratios = ratio("fed : bare", load, bare), ratio("fed : bare, written", by_load, by_bare)
    report(f"Deny list of {ENTRIES:,} by the feed", figures, *ratios)


def _written() -> float:
    """What this process has had written to disks so far, in MB."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"]) / 1e6


def _bare(path: Path, tokens: Sequence[bytes]) -> float:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    connection.execute("CREATE TABLE bare (token BLOB PRIMARY KEY) WITHOUT ROWID")
    began = time.perf_counter()
    for at in range(0, len(tokens), PAGE_RECORDS):
        with connection:
            page = sorted(tokens[at : at + PAGE_RECORDS])
            connection.executemany("INSERT INTO bare VALUES (?)", ((token,) for token in page))
    took = time.perf_counter() - began
    connection.close()
    return took


async def _fed(
    folder: Path, first: Sequence[bytes], second: Sequence[bytes]
) -> tuple[float, float, float, list[float]]:
    """Seconds for the first list and megabytes written for it, seconds for the second, and what taps waited in ms."""
    files = make(folder, datetime.now(UTC))
    tps, journal = Simulator(), await SqliteEngine(folder / "engine", inline=False).open()
    tps.updates.add(first)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(journal.close)
        tls = server_context(files.server_cert, files.server_key, files.ca)
        serving = await stack.enter_async_context(tps.serving(ssl_context=tls))
        contexts = {TERMINAL.credential: tls_context(files.ca, files.client_cert, files.client_key)}
        client = UpdateClient(serving.url, dict(contexts), monotonic=time.monotonic)
        stack.push_async_callback(client.close)

        async def ask(token: str | None, turn: int) -> Heard:
            del turn
            return await client.ask(TERMINAL, token)

        async def tell(notice: NoticeDraft, now: Micros) -> None:
            raise AssertionError(notice)

        clock = SystemClock(NOW)
        feed = Feed(journal.feed, ask, clock, random.Random(1), Pace(60 * MINUTE, HOUR), tell, lambda: None)
        loop = asyncio.create_task(feed.run())
        taps: list[float] = []
        passengers = asyncio.create_task(_tap(journal, taps))
        began, before = time.perf_counter(), _written()
        await _whole(feed, journal, ENTRIES)
        loaded, written = time.perf_counter() - began, _written() - before
        tps.updates.replace(second)
        began = time.perf_counter()
        feed.look()
        await _whole(feed, journal, ENTRIES, at_least=2 * len(first) // PAGE_RECORDS, asked=tps.updates.asked)
        replaced = time.perf_counter() - began
        for task in (loop, passengers):
            task.cancel()
        await asyncio.gather(loop, passengers, return_exceptions=True)
        return loaded, written, replaced, taps


async def _whole(
    feed: Feed, journal: SqliteJournal, entries: int, *, at_least: int = 1, asked: Sequence[object] = ("one",)
) -> None:
    while feed.busy or feed.wake.is_set() or len(asked) < at_least or (await journal.feed.state()).tokens != entries:
        await asyncio.sleep(0.01)


async def _tap(journal: SqliteJournal, taps: list[float]) -> None:
    number = 0
    while True:
        number += 1
        tap = candidate(journal, tap_report(number), LANE)
        began = time.perf_counter()
        await journal.take(tap, decide, NOW)
        taps.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(TAP_EVERY_SECONDS)
