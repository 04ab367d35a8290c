"""Claim and settle on PostgreSQL with several daemons, beside two queues of others on the same server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tests.bench import queues
from tests.bench.measure import Figure, quantile, ratio, report, timed
from tests.cluster import Cluster
from tests.store.builders import APPROVED, NOW, after, settle, take_many
from tests.store.engines import IDENTITY, KEK
from tpsd.store.postgres import PostgresJournal
from tpsd.store.session import Database

MAJOR = 18
DAEMONS = 10  # of ours, a connection each
CONNECTIONS = 10
BATCH = 10
TAPS = 3_000  # a round: seconds for the fastest, half a minute for the slowest
IN_FLIGHT = 2  # batches a daemon has under way: the next is claimed while the last is settled

PENDING = 1_000_000
CLAIMS = 300  # and three of them slower than the p99
DUE = after(1)

_DEEP = (
    """INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency,
                                  body_digest, ladder, due, created_at, token, daemon)
       SELECT md5('a' || n)::uuid::text, type, timing, lane, terminal, state, path, credential, amount, currency,
              body_digest, ladder, due + n, created_at, md5('t' || n), daemon
       FROM (SELECT * FROM authorisation WHERE state = 'pending' LIMIT 1) one, generate_series(1, {pending}) n""",
    """INSERT INTO tap (serial, boot, counter, digest, type_name, lane, terminal, kind, tapped_at, received_at, amount,
                        currency, token, masked, oda, shown, verdict, reason, uuid, pass_group, config_digest, daemon)
       SELECT serial, 9, n, digest, type_name, lane, terminal, kind, tapped_at, received_at, amount, currency,
              md5('t' || n), masked, oda, shown, verdict, reason, md5('a' || n)::uuid::text, pass_group, config_digest,
              daemon
       FROM (SELECT * FROM tap LIMIT 1) one, generate_series(1, {pending}) n""",
    """INSERT INTO sealed (owner, purpose, epoch, wrapped_key, nonce, data, ran_sealed)
       SELECT md5('a' || n)::uuid::text, purpose, epoch, wrapped_key, nonce, data, ran_sealed
       FROM (SELECT * FROM sealed WHERE purpose = 'body' LIMIT 1) one, generate_series(1, {pending}) n""",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)
"""A million more, due right behind those whose bodies open."""


def run(runs: int) -> None:
    """Rates of whole drains in turn, each of a database just made; then one claim from a deep queue."""
    cluster = Cluster(MAJOR, durable=True)
    try:
        _rates(cluster, runs)
        _deep(cluster)
    finally:
        cluster.stop()


def _rates(cluster: Cluster, runs: int) -> None:
    payload = asyncio.run(_fill_ours(_made(cluster, "ours"), TAPS))
    asyncio.run(queues.fill_pgqueuer(_made(cluster, "pgqueuer"), TAPS, payload))
    asyncio.run(queues.fill_procrastinate(_made(cluster, "procrastinate"), TAPS, payload))
    for name in ("ours", "pgqueuer", "procrastinate"):
        cluster.run("VACUUM (ANALYZE)", database=name)
    rates: dict[str, list[float]] = {"ours": [], "pgqueuer": [], "procrastinate": []}
    for _ in range(runs):
        for name, drained in (
            ("ours", lambda url: asyncio.run(_drain_ours(url))),
            ("pgqueuer", lambda url: asyncio.run(queues.drain_pgqueuer(url, TAPS, CONNECTIONS, BATCH))),
            ("procrastinate", lambda url: asyncio.run(queues.drain_procrastinate(url, TAPS, CONNECTIONS))),
        ):
            rates[name].append(TAPS / _of_a_copy(cluster, name, drained))
    ours, first, second = (Figure(name, "a second", tuple(rates[name])) for name in rates)
    report(
        f"Claim and settle on PostgreSQL {MAJOR}, {len(payload)} bytes each, fsync on",
        [
            Figure(f"ours: {DAEMONS} daemons, batches of {BATCH}, fenced, attempt rows", ours.unit, ours.rounds),
            Figure(f"pgqueuer: {CONNECTIONS} connections, batches of {BATCH}", first.unit, first.rounds),
            Figure(f"procrastinate: {CONNECTIONS} connections", second.unit, second.rounds),
        ],
        ratio("ours to pgqueuer", ours, first),
        ratio("ours to procrastinate", ours, second),
    )


def _deep(cluster: Cluster) -> None:
    url = _made(cluster, "deep")
    asyncio.run(_fill_ours(url, (CLAIMS + 1) * BATCH, daemons=1))
    cluster.run(*(statement.format(pending=PENDING) for statement in _DEEP), database="deep")
    seconds = asyncio.run(_claims(url))
    report(
        f"One claim of {BATCH} with {PENDING:,} pending, the last batch settled before; {len(seconds)} claims",
        [
            Figure("median", "ms", (1e3 * quantile(seconds, 0.5),)),
            Figure("p99", "ms", (1e3 * quantile(seconds, 0.99),)),
        ],
    )


def _made(cluster: Cluster, name: str) -> str:
    cluster.run(f"CREATE DATABASE {name}")
    return cluster.url(name)


def _of_a_copy(cluster: Cluster, name: str, work: Callable[[str], float]) -> float:
    """What ``work`` gives on a copy of a database, which is thrown away."""
    cluster.run(f"CREATE DATABASE round TEMPLATE {name} STRATEGY FILE_COPY", "CHECKPOINT")
    seconds = work(cluster.url("round"))
    cluster.run("DROP DATABASE round WITH (FORCE)")
    return seconds


@asynccontextmanager
async def _journals(url: str, daemons: int = DAEMONS) -> AsyncIterator[list[PostgresJournal]]:
    async with AsyncExitStack() as stack:
        found: list[PostgresJournal] = []
        for number in range(daemons):
            journal = await PostgresJournal.open(Database(url, daemon=f"daemon-{number}"), IDENTITY, KEK)
            stack.push_async_callback(journal.close)
            found.append(journal)
        yield found


async def _fill_ours(url: str, taps: int, daemons: int = DAEMONS) -> bytes:
    """So many taps taken, each daemon its share; the body that one is sent with."""
    async with _journals(url, daemons) as journals:
        share = taps // daemons
        for number, journal in enumerate(journals):
            for first in range(number * share, (number + 1) * share, queues.SLICE):
                await take_many(journal, range(first + 1, min(first + queues.SLICE, (number + 1) * share) + 1))
        (claimed,) = await journals[0].claim(NOW, 1)
        await settle(journals[0], claimed, APPROVED)
    return claimed.body


async def _drain_ours(url: str) -> float:
    done = 1  # the one that the body was taken from

    async def drain(journal: PostgresJournal) -> None:
        nonlocal done
        while claims := await journal.claim(DUE, BATCH):
            await asyncio.gather(*(settle(journal, claimed, APPROVED) for claimed in claims))
            done += len(claims)

    async with _journals(url) as journals:
        seconds = await timed(lambda: asyncio.gather(*(drain(journal) for journal in journals * IN_FLIGHT)))
    assert done == TAPS
    return seconds


async def _claims(url: str) -> list[float]:
    found = []
    async with _journals(url, daemons=1) as (journal,):
        for _ in range(CLAIMS):
            began = time.perf_counter()
            claims = await journal.claim(DUE, BATCH)
            found.append(time.perf_counter() - began)
            await asyncio.gather(*(settle(journal, claimed, APPROVED) for claimed in claims))
    return found
