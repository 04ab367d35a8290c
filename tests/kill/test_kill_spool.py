"""The daemon is killed while its database comes and goes: what was told stands, and TPS's own ledger judges."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.vl1.codes import TapKind
from tests.integration.processes import BOUND_SECONDS, Running
from tests.integration.stage import until
from tests.kill.test_kill import (
    REALTIME_TAP_SECONDS,
    STOP_SECONDS,
    TAP_SECONDS,
    at_a_verdict,
    judge,
    judge_realtime,
)
from tests.kill.world import World, world
from tests.store.databases import Databases
from tests.store.remote_gate import Server

KILLS = 8
PAYMENT_KILLS = 6


@pytest.fixture
def server(databases: Callable[[int], Databases]) -> Iterator[Server]:
    here = databases(18)
    one = Server(here.cluster, here.new())
    yield one
    one.unshut()
    here.drop(one.name)


async def some_verdicts(here: World, running: Running) -> None:
    """Waits for a few more of them."""
    goal = here.verdicts + here.rng.randint(2, 6)

    def come() -> bool:
        assert running.process.poll() is None, running.said()
        return here.verdicts >= goal

    await until(come, f"{goal} verdicts", BOUND_SECONDS)


async def lived_through(here: World, server: Server, kills: int, tap_seconds: float) -> None:
    """Lives that begin with the database, go on without it, and are killed; then one that ends in order."""
    async with here.tapping(tap_seconds):
        for _ in range(kills):
            async with here.daemon() as running:
                await some_verdicts(here, running)
                await asyncio.to_thread(server.shut)
                await some_verdicts(here, running)
                if here.rng.random() < 0.6:  # else it dies without its database
                    await asyncio.to_thread(server.unshut)
                await at_a_verdict(here, running, signal.SIGKILL)
                assert await running.ended() == -signal.SIGKILL
                await asyncio.to_thread(server.unshut)
    async with here.daemon() as running:
        await here.all_done(running)
        running.signal(signal.SIGTERM)
        assert await running.ended(STOP_SECONDS) == 0


async def test_killed_with_and_without_its_database(tmp_path: Path, server: Server) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    store = {"url": server.url, "spool": "spool/spool.db"}
    async with world(tmp_path, 20261127, store=store) as here:
        await lived_through(here, server, KILLS, TAP_SECONDS)
        states = judge(here)
        assert states["approved"] > KILLS
        assert set(states) <= {"approved", "declined", "tap_refused", "permanently_failed", "in_doubt"}
        assert sum(event["taps"] for event in here.logged("spool_drained")) > KILLS


@pytest.mark.parametrize("seed", [20261128])
async def test_payments_killed_with_and_without_its_database(tmp_path: Path, server: Server, seed: int) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    store = {"url": server.url, "spool": "spool/spool.db"}
    async with world(tmp_path, seed, TapKind.RETAIL_PAYMENT, store=store) as here:
        await lived_through(here, server, PAYMENT_KILLS, REALTIME_TAP_SECONDS)
        states = judge_realtime(here)
        assert states["approved"] > PAYMENT_KILLS
        assert states["in_doubt"] > 0
        assert sum(event["taps"] for event in here.logged("spool_drained")) > PAYMENT_KILLS
