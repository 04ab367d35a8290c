"""Start to ready with many rows in the journal, most of them final, some pending: the opening, and a whole process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from tests import configurations
from tests.bench.measure import Figure, report
from tests.store.builders import NOW, crashed, crashed_asked, take
from tests.store.engines import IDENTITY, KEK, SqliteEngine

ROWS = 1_000_000
PROCESS_ROWS = 100_000
READY_SECONDS_MAX = 60.0


def run(runs: int) -> None:
    """The opening alone, then whole processes."""
    _openings(runs)
    _processes(runs)


def _processes(runs: int) -> None:
    """``tpsd run`` from its first instruction to READY=1; the baseline is the same Python saying ``tpsd --version``."""
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        engine = SqliteEngine(Path(folder) / "engine", inline=False)
        asyncio.run(_filled(engine, PROCESS_ROWS))
        file = _configured(Path(folder), engine)
        ours = tuple(_started(Path(folder), file) for _ in range(runs))
        bare = tuple(_timed([sys.executable, "-m", "tpsd", "--version"]) for _ in range(runs))
        report(
            f"Start of a process to ready with {PROCESS_ROWS:,} taps",
            [Figure("tpsd run to READY=1", "ms", ours), Figure("tpsd --version", "ms", bare)],
        )


def _configured(folder: Path, engine: SqliteEngine) -> Path:
    (folder / "kek").write_text(KEK.hex())
    (folder / "kek").chmod(0o600)
    given = configurations.changed(
        configurations.values(folder),
        {
            "sfey": {"base_url": f"https://{IDENTITY.host}"},
            "store": {"url": f"sqlite://{engine.path}"},
            "keys": {"kek_file": str(folder / "kek"), "epoch_dir": str(engine.key_folder)},
            "lanes": None,
        },
    )
    return configurations.write(folder, given)


def _started(folder: Path, file: Path) -> float:
    name = folder / "notify"
    name.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, (folder / "log").open("ab") as log:
        door.bind(str(name))
        door.settimeout(READY_SECONDS_MAX)
        began = time.perf_counter()
        command = [sys.executable, "-m", "tpsd", "run", "--config", str(file)]
        process = subprocess.Popen(command, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(name)})
        try:
            while b"READY=1" not in door.recv(4096):
                pass
            took = (time.perf_counter() - began) * 1000
            process.send_signal(signal.SIGTERM)
            process.wait(READY_SECONDS_MAX)
        finally:
            process.kill()
            process.wait()
    return took


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def _openings(runs: int) -> None:
    """One journal, opened and recovered again and again; the baseline is SQLite opening the same file."""
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        engine = SqliteEngine(Path(folder) / "engine", inline=False)
        file = asyncio.run(_filled(engine, ROWS))
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


async def _filled(engine: SqliteEngine, rows: int) -> Path:
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
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
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
