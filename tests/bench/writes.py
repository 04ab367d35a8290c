"""Bytes written to the disk for one tap that comes alone: its three commits, checkpoints included."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from tests.bench.measure import Figure, ratio, report
from tests.store.builders import APPROVED, claim_one, settle, take
from tests.store.engines import SqliteEngine

TAPS = 400  # enough for several checkpoints


def run(runs: int) -> None:
    """A tap a second makes groups of one, so taps here come one after another, each to its approval."""
    ours, raw = [], []
    for _ in range(runs):
        ours.append(asyncio.run(_ours()) / 1024)
        raw.append(_raw() / 1024)
    subject = Figure("take, claim, settle: three commits", "KiB/tap", tuple(ours))
    baseline = Figure("apsw: one row of 1 KiB in one commit", "KiB/row", tuple(raw))
    report("Bytes written", [subject, baseline], ratio("ours to one bare commit", subject, baseline))


async def _ours() -> float:
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        journal = await SqliteEngine(Path(folder) / "engine", inline=False).open()
        before = _written()
        for number in range(1, TAPS + 1):
            await take(journal, number)
            await settle(journal, await claim_one(journal), APPROVED)
        await journal.close()
        return (_written() - before) / TAPS


def _raw() -> float:
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        connection = apsw.Connection(f"{folder}/raw.db")
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, a BLOB)")
        before = _written()
        for _ in range(TAPS):
            connection.execute("INSERT INTO row (a) VALUES (randomblob(1024))")
        connection.close()
        return (_written() - before) / TAPS


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
