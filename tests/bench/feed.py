"""A deny list of a million as TPS feeds it: over TLS, page by page, each page a commit. One round: it takes a minute.

The first list comes in no order, so that each page touches the whole table; after a flush TPS sends one in the order of
its tokens. The simulated TPS works in the same process, so that its work counts too. The baseline is the first list's
pages brought into a bare table, one commit each.
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
        bare = Figure("bare table, the first list's pages", "s", (_bare(Path(folder) / "bare.db", first),))
        loaded, replaced, taps = asyncio.run(
            _fed(Path(folder), first, [*first[: ENTRIES // 2], *second[: ENTRIES // 2]])
        )
    load = Figure("first list in no order, until TPS has no more", "s", (loaded,))
    figures = [
        load,
        Figure("another after a flush, in order, until it took over", "s", (replaced,)),
        Figure("a tap's commit meanwhile, p50", "ms", (quantile(taps, 0.5),)),
        Figure("a tap's commit meanwhile, p99", "ms", (quantile(taps, 0.99),)),
        Figure("a tap's commit meanwhile, longest", "ms", (max(taps),)),
        bare,
    ]
    report(f"Deny list of {ENTRIES:,} by the feed", figures, ratio("fed : bare", load, bare))


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


async def _fed(folder: Path, first: Sequence[bytes], second: Sequence[bytes]) -> tuple[float, float, list[float]]:
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
        began = time.perf_counter()
        await _whole(feed, journal, ENTRIES)
        loaded = time.perf_counter() - began
        tps.updates.replace(second)
        began = time.perf_counter()
        feed.look()
        await _whole(feed, journal, ENTRIES, at_least=2 * len(first) // PAGE_RECORDS, asked=tps.updates.asked)
        replaced = time.perf_counter() - began
        for task in (loop, passengers):
            task.cancel()
        await asyncio.gather(loop, passengers, return_exceptions=True)
        return loaded, replaced, taps


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
