"""A card looked up in a deny list of a million, as commit 1 does it, and how long the list takes to come in."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from tests.bench.measure import Figure, quantile, report
from tests.store.builders import NOW
from tests.store.engines import SqliteEngine
from tpsd.domain.audit import AuditDraft
from tpsd.store.cards import Q

ENTRIES = 1_000_000
LOOKUPS = 20_000


def run(runs: int) -> None:
    """Half of the cards looked up are on the list. The baseline is a Python set of the same tokens."""
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        rng = random.Random(5)
        tokens = sorted(rng.randbytes(32) for _ in range(ENTRIES))
        engine = SqliteEngine(Path(folder) / "engine", inline=False)
        filling = asyncio.run(_filled(engine, tokens))
        asked = [rng.choice(tokens) if n % 2 else rng.randbytes(32) for n in range(LOOKUPS)]
        connection = apsw.Connection(str(_journal(engine)))
        ours = [_times(lambda token: connection.execute(Q["deny_holds"], (token,)).get, asked) for _ in range(runs)]
        connection.close()
        listed = set(tokens)
        bare = [_times(lambda token: token in listed, asked) for _ in range(runs)]
    report(
        f"Deny list of {ENTRIES:,}",
        [
            Figure("look-up, p50", "us", tuple(quantile(times, 0.5) for times in ours)),
            Figure("look-up, p99", "us", tuple(quantile(times, 0.99) for times in ours)),
            Figure("Python set, p50 (100 MB of memory)", "us", tuple(quantile(times, 0.5) for times in bare)),
            Figure("import, until it is live", "s", (filling,)),
        ],
    )


async def _filled(engine: SqliteEngine, tokens: list[bytes]) -> float:
    journal = await engine.open()
    began = time.perf_counter()
    generation = await journal.denylist.begin("bench", NOW)
    for at in range(0, ENTRIES, 10_000):
        await journal.denylist.fill(generation, b"".join(tokens[at : at + 10_000]))
    await journal.denylist.go_live(generation, False, AuditDraft(at=NOW, who="bench", what="import", why="bench"))
    took = time.perf_counter() - began
    await journal.close()
    return took


def _journal(engine: SqliteEngine) -> Path:
    files = (path for trace in engine.traces() for path in ([trace] if trace.is_file() else trace.rglob("*")))
    return next(path for path in files if path.name.endswith(".db"))


def _times(work: object, asked: list[bytes]) -> list[float]:
    times = []
    for token in asked:
        began = time.perf_counter()
        work(token)  # type: ignore[operator]
        times.append((time.perf_counter() - began) * 1e6)
    return times
