"""A primary is killed under taps, and its standby takes its place: nothing told is lost, nothing is paid twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_postgres import CHARGED_UNHEARD, TWICE_503, all_approved, lost
from tpsd.errors import JournalError

CRASHES = 10


@pytest.fixture(params=[16, 18])
def primary(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server with an empty database."""
    cluster = Cluster(request.param)
    cluster.run("CREATE DATABASE journal")
    yield cluster
    cluster.stop()


@pytest.fixture
def standby(primary: Cluster) -> Iterator[Cluster]:
    """For which the primary waits."""
    cluster = Cluster(primary.major, primary)
    yield cluster
    cluster.stop()


async def test_a_failover_under_taps(open_stage: Opens, primary: Cluster, standby: Cluster) -> None:
    url = f"postgresql://tpsd@/journal?host={primary.folder},{standby.folder}&target_session_attrs=primary"
    rng, taps, told = random.Random(11), list[Tap](), set[Tap]()

    async def killed(stage: Stage) -> None:
        async with stage.daemon_running():
            for _ in range(30):
                tap = stage.gate.tap(rng.choice((250, TWICE_503, CHARGED_UNHEARD)))
                taps.append(tap)
                await stage.gate.verdict(tap)
            assert primary.ask(lambda one: one.fetchval("SELECT sync_state FROM pg_stat_replication")) == "sync"
            taps.extend(stage.gate.tap(250) for _ in range(20))
            await asyncio.to_thread(primary.kill)
            await stage.until(lambda: False, "the end of the daemon")

    async with open_stage(changes={"store": {"url": url}}) as stage:
        await lost(killed(stage))
        told.update(tap for tap in taps if tap.number in stage.gate.verdicts)
        assert len(told) >= 30
        with pytest.raises(JournalError, match=r"cannot be reached .*: start or promote one of them"):
            async with stage.daemon_running():
                pytest.fail("it ran without a primary")
        await asyncio.to_thread(standby.promote)
        stage.seed += 1  # dice of its own for the next life
        async with stage.daemon_running():
            kept = {row.tap_id for row in await stage.rows()}
            assert {tap.id for tap in told} <= kept, "what was told was committed on both"
            await all_approved(stage, taps)


async def test_a_server_that_crashes_again_and_again(open_stage: Opens, primary: Cluster) -> None:
    """The daemon ends with it, and goes on with it."""
    rng, taps = random.Random(13), list[Tap]()

    async def crashed(stage: Stage) -> None:
        stage.seed += 1  # dice of its own for each life
        async with stage.daemon_running():
            some = [stage.gate.tap(rng.choice((250, TWICE_503, CHARGED_UNHEARD))) for _ in range(6)]
            taps.extend(some)
            for tap in some[: rng.randrange(6)]:
                await stage.gate.verdict(tap)
            await asyncio.to_thread(primary.kill)
            await stage.until(lambda: False, "the end of the daemon")

    async with open_stage(changes={"store": {"url": primary.url("journal")}}) as stage:
        for _ in range(CRASHES):
            await lost(crashed(stage))
            await asyncio.to_thread(primary.start)
        stage.seed += 1
        async with stage.daemon_running():
            await all_approved(stage, taps)


async def test_a_failover_that_a_gate_with_a_spool_lives_through(
    open_stage: Opens, primary: Cluster, standby: Cluster, tmp_path: Path
) -> None:
    """The daemon goes on while there is no primary, and finds the new one."""
    (tmp_path / "spool").mkdir(mode=0o700)
    url = f"postgresql://tpsd@/journal?host={primary.folder},{standby.folder}&target_session_attrs=primary"
    store = {"url": url, "spool": "spool/spool.db"}
    rng, taps = random.Random(17), list[Tap]()
    async with open_stage(changes={"store": store}) as stage, stage.daemon_running():
        for _ in range(20):
            tap = stage.gate.tap(rng.choice((250, TWICE_503, CHARGED_UNHEARD)))
            taps.append(tap)
            await stage.gate.verdict(tap)
        taps.extend(stage.gate.tap(250) for _ in range(10))
        await asyncio.to_thread(primary.kill)
        taps.extend(stage.gate.tap(rng.choice((250, TWICE_503))) for _ in range(10))
        for tap in taps:
            assert (await stage.gate.verdict(tap)).verdict == 1
        await asyncio.to_thread(standby.promote)
        await stage.until(lambda: stage.daemon.journal.may_claim, "the new primary")
        await all_approved(stage, taps)
