"""Frame in to VERDICT out over a pty at 50 taps a second, a million cards on the deny list."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import threading
import time
import tty
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw

from device.vl1.cards import CARDS, read
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tests.bench.ground import daemon_with_stub, until
from tests.bench.measure import Figure, quantile, ratio, report
from tpsd.daemon import Daemon
from tpsd.domain.audit import AuditDraft
from tpsd.simulated_lane import SimulatedLane

TAPS = 300
EVERY_SECONDS = 0.02
DENIED = 1_000_000
FRAME = b"t" * 400


def run(runs: int) -> None:
    """The baseline echoes a frame of a tap's size over a pty after one SQLite FULL commit."""
    against_echoes(runs, _ours, "VERDICT", f"Verdict at 50 taps/s, {DENIED:,} on the deny list")


def against_echoes(
    runs: int, measured: Callable[[int], Coroutine[Any, Any, list[float]]], name: str, title: str
) -> None:
    """Waits (ms) that a round of a seed gives, in turn with the echo's; printed under ``title``."""
    ours, bare = [], []
    for number in range(runs):
        ours.append(asyncio.run(measured(number)))
        bare.append(asyncio.run(echoes()))
    figures = []
    for label, rounds in ((name, ours), ("pty echo + one FULL commit", bare)):
        for part, share in (("p50", 0.5), ("p99", 0.99)):
            figures.append(Figure(f"{label}, {part}", "ms", tuple(quantile(waits, share) for waits in rounds)))
    report(
        title,
        figures,
        ratio("p50 to the echo's", figures[0], figures[2]),
        ratio("p99 to the echo's", figures[1], figures[3]),
    )


def pair() -> tuple[int, int]:
    """A raw pty, its master not blocking."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


async def _ours(seed: int) -> list[float]:
    master, slave = pair()
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        async with daemon_with_stub(Path(folder), [os.ttyname(slave)]) as daemon:
            await _deny_a_million(daemon)
            running = asyncio.ensure_future(daemon.run())
            waits = await _taps(master, random.Random(seed))
            daemon.stop()
            await running
    os.close(master)
    os.close(slave)
    return waits


async def _deny_a_million(daemon: Daemon) -> None:
    rng = random.Random(7)
    tokens = b"".join(sorted(rng.randbytes(32) for _ in range(DENIED)))
    denylist = daemon.journal.denylist
    generation = await denylist.begin("bench", daemon.clock.wall())
    for at in range(0, len(tokens), 32 * 10_000):
        await denylist.fill(generation, tokens[at : at + 32 * 10_000])
    audit = AuditDraft(at=daemon.clock.wall(), who="bench", what="denylist import", why="bench")
    await denylist.go_live(generation, False, audit)


async def _taps(master: int, rng: random.Random) -> list[float]:
    waits: list[float] = []

    def heard(event: SimulatorEvent) -> None:
        if isinstance(event, TapVerdict) and event.waited is not None:
            waits.append(event.waited * 1000)

    validator = SimulatedValidator(serial="VAL00042", limit_seconds=None)
    lane = SimulatedLane(validator, master, heard, patient=True)
    lane.start()
    await until(lambda: validator.is_up, 10)
    for number in range(TAPS):
        tapped_at = time.time_ns() // 1000
        card = read(rng.choice(CARDS), rng, amount=250, currency="978", tapped_at=tapped_at, counter=number)
        lane.act(lambda now, card=card, at=tapped_at: validator.tap(now, card=card, tapped_at=at, amount=250))  # type: ignore[misc]
        await asyncio.sleep(EVERY_SECONDS)
    await until(lambda: len(waits) == TAPS, 10)
    lane.stop()
    return waits


async def echoes() -> list[float]:
    """Milliseconds of the baseline: a frame over a pty, one FULL commit, and back."""
    master, slave = pair()
    waits = []
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        echo = threading.Thread(target=_echo_after_commit, args=(slave, folder), daemon=True)
        echo.start()
        received = 0

        def readable() -> None:
            nonlocal received
            received += len(os.read(master, 4096))
            if received >= len(FRAME):
                answered.set()

        loop.add_reader(master, readable)
        for _ in range(TAPS):
            received = 0
            answered.clear()
            began = time.perf_counter()
            os.write(master, FRAME)
            await answered.wait()
            waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(EVERY_SECONDS)
        loop.remove_reader(master)
        os.write(master, b"q")
        await loop.run_in_executor(None, echo.join)
    os.close(master)
    os.close(slave)
    return waits


def _echo_after_commit(slave: int, folder: str) -> None:
    connection = apsw.Connection(f"{folder}/echo.db")
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, a BLOB)")
    received = b""
    while not received.endswith(b"q"):
        received += os.read(slave, 4096)
        if len(received) >= len(FRAME):
            connection.execute("INSERT INTO row (a) VALUES (?)", (received,))
            os.write(slave, received)
            received = b""
    connection.close()
