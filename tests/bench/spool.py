"""A gate whose database is away: how long a tap takes, how fast the spool drains, how long its deny list takes."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.measure import Figure, quantile, report
from tests.cluster import Cluster
from tests.store.builders import NOW, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.remote_gate import Gate
from tpsd.domain.audit import AuditDraft

TAPS = 500
ENTRIES = 1_000_000
LATER = 100  # entries: what a busy hour changes
BY = AuditDraft(at=NOW, who="bench", what="import", why="bench")


def run(runs: int) -> None:
    """The server does not flush; what is measured of it is what the drain asks of it."""
    cluster = Cluster(16)
    try:
        databases = Databases(cluster)
        with TemporaryDirectory(prefix="tpsd-bench-") as folder:
            rounds = [asyncio.run(_round(databases, Path(folder) / str(number))) for number in range(runs)]
            copied, followed = asyncio.run(_lists(databases, Path(folder) / "lists"))
    finally:
        cluster.stop()
    report(
        "Spool",
        [
            Figure("tap without its database, p50", "ms", tuple(quantile(times, 0.5) for times, _ in rounds)),
            Figure("tap without its database, p99", "ms", tuple(quantile(times, 0.99) for times, _ in rounds)),
            Figure("drained, taps a second", "", tuple(rate for _, rate in rounds)),
            Figure(f"deny list of {ENTRIES:,} copied", "s", (copied,)),
            Figure(f"{LATER} of them changed, and followed", "s", (followed,)),
        ],
    )


async def _round(databases: Databases, folder: Path) -> tuple[list[float], float]:
    folder.mkdir()
    gate, times = Gate(PostgresEngine(databases, folder / "engine"), folder), list[float]()
    async with gate.open() as journal:
        await gate.lose()
        for counter in range(1, TAPS + 1):
            began = time.perf_counter()
            await take(journal, counter)
            times.append((time.perf_counter() - began) * 1e3)
        gate.server.unshut()
        await gate.connected()
        began = time.perf_counter()
        await gate.drained()
        return times, TAPS / (time.perf_counter() - began)


async def _lists(databases: Databases, folder: Path) -> tuple[float, float]:
    folder.mkdir()
    rng, gate = random.Random(5), Gate(PostgresEngine(databases, folder / "engine"), folder)
    tokens = sorted(rng.randbytes(32) for _ in range(ENTRIES))
    async with gate.open() as journal:
        generation = await journal.denylist.begin("bench", NOW)
        for at in range(0, ENTRIES, 10_000):
            await journal.denylist.fill(generation, b"".join(tokens[at : at + 10_000]))
        await journal.denylist.go_live(generation, False, BY)
        began = time.perf_counter()
        await journal.follow_list()
        copied = time.perf_counter() - began
        await journal.denylist.remove(tokens[::10_000][:LATER], None, BY)
        began = time.perf_counter()
        await journal.follow_list()
        return copied, time.perf_counter() - began
