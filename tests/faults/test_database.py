"""The way to PostgreSQL fails under four daemons, with and without a spool; TPS's ledger judges what became of taps."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.faults.database import Member, Site, site
from tests.faults.harms import CUTS, SILENT, SLOW
from tests.store.databases import Databases
from tpsd.sfey.certificates import Files, make

ENDED = {"alone": 25, "spool": 75}
"""Connections that the server ends: a daemon without a spool has to start again after each."""
STOPS = 10
ENDS = {"approved", "declined", "failed", "in_doubt"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own: it is killed."""
    one = Cluster(18)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def databases_here(cluster: Cluster) -> Databases:
    return Databases(cluster)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make(tmp_path_factory.mktemp("certificates"), datetime.now(UTC))


@contextlib.asynccontextmanager
async def sites(databases: Databases, folder: Path, files: Files) -> AsyncIterator[dict[str, Site]]:
    """One whose daemons have a spool and one whose daemons have none, judged when all is done."""
    async with contextlib.AsyncExitStack() as stack:
        both = {
            name: await stack.enter_async_context(
                site(databases.cluster, databases.new(), folder / name, files, spools=name == "spool")
            )
            for name in ("alone", "spool")
        }
        yield both
        for one in both.values():
            await one.done()
            states = await one.judge()
            assert states["approved"] > 0
            assert set(states) <= ENDS


async def meets_all(member: Member, number: int) -> None:
    """One harm after another; the last is one that it must find out by itself."""
    for harm in (*CUTS[member.timing], *SLOW, SILENT[member.timing][number // 2]):
        await member.meets(harm)


async def test_the_way_to_the_database_fails(databases_here: Databases, tmp_path: Path, files: Files) -> None:
    async with sites(databases_here, tmp_path, files) as both:
        async with asyncio.TaskGroup() as group:
            for one in both.values():
                for number, member in enumerate(one.members):
                    group.create_task(meets_all(member, number))
        for one in both.values():
            await one.done()
        await asyncio.gather(*(one.gives_up(one.members[1]) for one in both.values()))


async def test_connections_are_ended_by_the_server(databases_here: Databases, tmp_path: Path, files: Files) -> None:
    async with sites(databases_here, tmp_path, files) as both:
        rng = random.Random(20261127)

        async def ended(name: str) -> None:
            for _ in range(ENDED[name]):
                await both[name].loses_a_connection(rng)

        await asyncio.gather(*map(ended, both))


async def test_the_server_is_stopped_at_once(databases_here: Databases, tmp_path: Path, files: Files) -> None:
    """As by ``pg_ctl stop -m immediate``: what it had not flushed to its log is gone."""
    async with sites(databases_here, tmp_path, files) as both:
        members = [member for one in both.values() for member in one.members]
        for _ in range(STOPS):
            for member in members:
                member.tap()
            await asyncio.to_thread(databases_here.cluster.kill)
            for member in members:
                member.tap()
            await asyncio.to_thread(databases_here.cluster.start)
            for member in members:
                await member.well()
