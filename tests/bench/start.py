"""Start to ready with a million rows in the journal, most of them final, some pending."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from tests.bench.measure import Figure, report
from tests.store.builders import NOW, crashed, crashed_asked, take
from tests.store.engines import SqliteEngine

ROWS = 1_000_000


def run(runs: int) -> None:
    """One journal, opened and recovered again and again; the baseline is SQLite opening the same file."""
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        engine = SqliteEngine(Path(folder) / "engine", inline=False)
        file = asyncio.run(_filled(engine))
        ours, bare = [], []
        for _ in range(runs):
            ours.append(asyncio.run(_opened(engine)))
            bare.append(_bare(file))
        size = file.stat().st_size / 2**20
        report(
            f"Start with {ROWS:,} taps ({size:,.0f} MiB)",
            [
                Figure("open, unlock, recover, next due", "ms", tuple(ours)),
                Figure("apsw: open, read a row", "ms", tuple(bare)),
            ],
        )


async def _filled(engine: SqliteEngine) -> Path:
    journal = await engine.open()
    await take(journal, 1)
    await journal.close()
    file = next(path for trace in engine.traces() for path in _files(trace) if path.name.endswith(".db"))
    connection = apsw.Connection(str(file))
    connection.pragma("synchronous", "OFF")
    columns = [name for (_, name, *_rest) in connection.execute("PRAGMA table_info(authorisation)")]
    others = ", ".join(column for column in columns if column not in ("uuid", "state", "due"))
    tap = [name for (_, name, *_rest) in connection.execute("PRAGMA table_info(tap)")]
    rest = ", ".join(column for column in tap if column not in ("id", "counter", "digest", "uuid"))
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    with connection:
        connection.execute(
            f"INSERT INTO authorisation (uuid, state, due, {others}) {numbers} "
            "SELECT printf('%08x-0000-4000-8000-000000000000', i), iif(i % 20 = 0, 'pending', 'approved'), "
            f"iif(i % 20 = 0, {NOW} + i, NULL), {others} FROM n, (SELECT * FROM authorisation LIMIT 1)"
        )
        connection.execute(
            f"INSERT INTO tap (counter, digest, uuid, {rest}) {numbers} "
            f"SELECT i, randomblob(32), printf('%08x-0000-4000-8000-000000000000', i), {rest} "
            "FROM n, (SELECT * FROM tap LIMIT 1)"
        )
    connection.close()
    return file


def _files(trace: Path) -> list[Path]:
    return [trace] if trace.is_file() else [path for path in trace.rglob("*") if path.is_file()]


async def _opened(engine: SqliteEngine) -> float:
    began = time.perf_counter()
    journal = await engine.open()
    await journal.recover(NOW, {"common"}, crashed, crashed_asked)
    await journal.next_due()
    took = (time.perf_counter() - began) * 1000
    await journal.close()
    return took


def _bare(file: Path) -> float:
    os.sync()
    began = time.perf_counter()
    connection = apsw.Connection(str(file))
    connection.execute("SELECT min(due) FROM authorisation WHERE state = 'pending'").fetchall()
    took = (time.perf_counter() - began) * 1000
    connection.close()
    return took
