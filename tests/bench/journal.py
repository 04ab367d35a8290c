"""Commit 1 of whole taps (tap, authorisation, sealed body and card) by 64 waiting writers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import aiosqlite
import apsw

from tests.bench.measure import Figure, ratio, report
from tests.store.builders import NOW, candidate
from tests.store.builders import report as tap_report
from tests.store.engines import SqliteEngine
from tpsd.core.intake import decide

WRITERS = 64
TAPS = 8_000
BASE_ROWS = 400  # one commit each: a flush a row is slow


def run(runs: int) -> None:
    """Ours, raw apsw with the same statements' weight in one commit each, aiosqlite with one commit each."""
    ours, raw, aio = [], [], []
    for _ in range(runs):
        ours.append(asyncio.run(_ours()))
        raw.append(_raw())
        aio.append(asyncio.run(_aiosqlite()))
    subject = Figure(f"journal.take, {WRITERS} waiting writers, whole taps", "taps/s", tuple(ours))
    first = Figure("raw apsw, FULL, one commit a tap", "taps/s", tuple(raw))
    second = Figure("aiosqlite, FULL, one commit a tap", "taps/s", tuple(aio))
    report(
        "Journal",
        [subject, first, second],
        ratio("ours to raw apsw", subject, first),
        ratio("ours to aiosqlite", subject, second),
    )


async def _ours() -> float:
    folder = Path(tempfile.mkdtemp(prefix="tpsd-bench-"))
    try:
        journal = await SqliteEngine(folder / "engine", inline=False).open()
        prepared = [candidate(journal, tap_report(number), uuid=uuid4()) for number in range(1, TAPS + 1)]
        places = asyncio.Semaphore(WRITERS)

        async def take(number: int) -> None:
            async with places:
                await journal.take(prepared[number], decide, NOW)

        began = time.perf_counter()
        await asyncio.gather(*(take(number) for number in range(TAPS)))
        rate = TAPS / (time.perf_counter() - began)
        await journal.close()
        return rate
    finally:
        shutil.rmtree(folder)


_TABLES = (
    "CREATE TABLE tap (id INTEGER PRIMARY KEY, a TEXT, b BLOB, c TEXT, d INTEGER)",
    "CREATE TABLE authorisation (uuid TEXT PRIMARY KEY, a TEXT, b TEXT, c INTEGER) WITHOUT ROWID",
    "CREATE TABLE sealed (owner TEXT, purpose TEXT, a BLOB, b BLOB, PRIMARY KEY (owner, purpose))",
)
_ROWS = (
    ("INSERT INTO authorisation VALUES (?, 'MTT', '/device-api/v1/transaction', 250)", 1),
    ("INSERT INTO tap (a, b, c, d) VALUES ('VAL00042', randomblob(32), ?, 250)", 1),
    ("INSERT INTO sealed VALUES (?, 'body', randomblob(60), randomblob(900))", 1),
    ("INSERT INTO sealed VALUES (?, 'tap', randomblob(60), randomblob(250))", 1),
)


def _raw() -> float:
    with tempfile.TemporaryDirectory(prefix="tpsd-bench-") as folder:
        connection = apsw.Connection(f"{folder}/raw.db")
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        for table in _TABLES:
            connection.execute(table)
        began = time.perf_counter()
        for _ in range(BASE_ROWS):
            name = str(uuid4())
            with connection:
                for sql, _values in _ROWS:
                    connection.execute(sql, (name,))
        rate = BASE_ROWS / (time.perf_counter() - began)
        connection.close()
        return rate


async def _aiosqlite() -> float:
    with tempfile.TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with aiosqlite.connect(f"{folder}/aio.db") as connection:
            for pragma in ("PRAGMA journal_mode = wal", "PRAGMA synchronous = FULL"):
                await connection.execute(pragma)
            for table in _TABLES:
                await connection.execute(table)
            began = time.perf_counter()
            for _ in range(BASE_ROWS):
                name = str(uuid4())
                for sql, _values in _ROWS:
                    await connection.execute(sql, (name,))
                await connection.commit()
            return BASE_ROWS / (time.perf_counter() - began)
