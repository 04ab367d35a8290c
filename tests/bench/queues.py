"""Two queues on PostgreSQL as others make them, each drained by as many connections as ours, in one process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import asyncpg
import procrastinate
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from tests.bench.measure import timed

SLICE = 1_000  # rows an insert


async def fill_pgqueuer(url: str, jobs: int, payload: bytes) -> None:
    """So many jobs, waiting."""
    connection = await asyncpg.connect(url)
    try:
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        for _ in range(0, jobs, SLICE):
            await queries.enqueue(["send"] * SLICE, [payload] * SLICE, [0] * SLICE)
    finally:
        await connection.close()


async def drain_pgqueuer(url: str, jobs: int, connections: int, batch: int) -> float:
    """Seconds until all are done. Its own drain: a worker a connection, each ends when it finds nothing."""
    done = 0

    async def send(_job: Job) -> None:
        nonlocal done
        done += 1

    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(connections):
            connection = await asyncpg.connect(url)
            stack.push_async_callback(connection.close)
            worker = QueueManager(Queries(AsyncpgDriver(connection)))
            worker.entrypoint("send")(send)
            workers.append(worker)

        async def drained() -> None:
            drain = QueueExecutionMode.drain
            await asyncio.gather(
                *(worker.run(timedelta(seconds=0.1), batch_size=batch, mode=drain) for worker in workers)
            )

        seconds = await timed(drained)
        left = await workers[0].queries.queue_size()
    assert (done, sum(size.count for size in left)) == (jobs, 0)
    return seconds


async def fill_procrastinate(url: str, jobs: int, payload: bytes) -> None:
    """So many jobs, waiting."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="send")
    async def send(body: str) -> None:
        del body

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        arguments: dict[str, Any] = {"body": payload.decode()}
        for _ in range(0, jobs, SLICE):
            await send.batch_defer_async(*([arguments] * SLICE))


async def drain_procrastinate(url: str, jobs: int, connections: int) -> float:
    """Seconds until all are done. It fetches job by job; a job for each of the pool's connections is under way."""
    done = 0
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=connections, max_size=connections)
    app = procrastinate.App(connector=connector)

    @app.task(name="send")
    async def send(body: str) -> None:
        nonlocal done
        done += bool(body)

    async with app.open_async():
        seconds = await timed(
            lambda: app.run_worker_async(
                concurrency=connections, wait=False, listen_notify=False, install_signal_handlers=False
            )
        )
    assert done == jobs
    return seconds
