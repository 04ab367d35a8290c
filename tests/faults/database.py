"""Four daemons that share a database, each behind a proxy of its own, while their way to it fails; TPS is well.

Two lanes are deferred and two realtime. A daemon without a spool ends when its connection is lost, and starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.cluster import Cluster
from tests.faults.apart import Apart
from tests.faults.cells import KINDS, LANES
from tests.faults.fleet import FLEET, Common
from tests.faults.harms import HALF_OPEN, Harm, at_commit
from tests.faults.proxy import Proxy, Way
from tests.faults.toxics import AtWord
from tests.integration.stage import Stage, Tap, opened
from tests.kill.world import LADDER
from tpsd.demo.clock import WarpClock
from tpsd.domain.tap import Timing
from tpsd.errors import JournalError
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.simulator import Simulator

BOUND_SECONDS = 90.0  # for one cell: far above a lost statement, a hang-up, and a start on a busy machine
AGAIN_SECONDS = 0.2  # the name may still be taken by a connection whose end the server has not noticed
SLOW_MS = 1000  # so that a busy machine is not taken for a slow database
WAITING_MAX = 3  # taps of one validator without a verdict
SOCKET = ".s.PGSQL.5432"

TAPS: Final = {Timing.DEFERRED: (250, 250, 60_004, 60_002), Timing.REALTIME: (250, 250, 60_012)}
"""Amounts: approved, twice 503, charged and not answered, not now."""


class Member:
    """One daemon, its validator, and its way to the database."""

    def __init__(self, stage: Stage, proxies: Apart, proxy: Proxy, timing: Timing, *, spools: bool) -> None:
        self.stage = stage
        self.proxies = proxies
        self.proxy = proxy
        self.timing = timing
        self.spools = spools
        self.taps: list[Tap] = []
        self.lives = 0
        self.ended: BaseException | None = None  # why the last life did
        self.up = asyncio.Event()
        self._over = asyncio.Event()
        self._rng = random.Random(stage.seed)

    async def live(self) -> None:
        """One life after another, until ``end``."""
        while not self._over.is_set():
            self.lives += 1
            self.stage.seed += FLEET  # dice of its own for each life
            try:
                await self._life()
            except* JournalError as ended:
                self.ended = ended
            self.up.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), AGAIN_SECONDS)

    async def end(self) -> None:
        """No further life."""
        self._over.set()

    async def _life(self) -> None:
        async with self.stage.daemon_running():
            self.up.set()
            over = asyncio.ensure_future(self._over.wait())
            died = asyncio.ensure_future(self.stage.died())
            await asyncio.wait((over, died), return_when=asyncio.FIRST_COMPLETED)
            for waits in (over, died):
                waits.cancel()

    def tap(self) -> Tap:
        """One of any fate."""
        tap = self.stage.gate.tap(self._rng.choice(TAPS[self.timing]), kind=KINDS[self.timing])
        self.taps.append(tap)
        return tap

    async def meets(self, harm: Harm) -> None:
        """A tap whose way into the database fails so, and what comes of it once that is well again."""
        async with asyncio.timeout(BOUND_SECONDS):
            await self.well()
            before, life = self._losses(), self.lives
            met = await self.poison(harm)
            tap = self.tap()
            if harm.way is not None:
                await met.wait()
                if harm.then is HALF_OPEN:  # nobody tells it: it must find out
                    await self._until(lambda: self.lives > life or self._losses() > before, "the loss")
            else:
                await self._verdict(tap)
            await self.proxies.heal(self.proxy)
            await self._verdict(tap)

    async def well(self) -> None:
        """Every tap has its verdict, and it is connected to its database."""
        for tap in self.taps:
            await self._verdict(tap)
        await self._until(
            lambda: self.up.is_set() and (not self.spools or self.stage.daemon.journal.may_claim), "its connection"
        )

    async def poison(self, harm: Harm) -> asyncio.Event:
        """From now on it is in its way; the event says that it has met something."""
        met, loop = asyncio.Event(), asyncio.get_running_loop()
        for way in Way if harm.way is None else (harm.way,):
            toxics = harm.then
            if harm.way is not None:
                on_met = partial(loop.call_soon_threadsafe, met.set)
                toxics = (AtWord(harm.word, harm.count, harm.then, on_met),)
            await self.proxies.poison(self.proxy, way, *toxics)
        return met

    def _losses(self) -> int:
        writer = self.stage.daemon.journal._writer if self.up.is_set() else None
        return getattr(writer, "losses", 0)

    async def _verdict(self, tap: Tap) -> None:
        await self._until(lambda: tap.number in self.stage.gate.verdicts, f"the verdict of {tap}")

    async def _until(self, condition: Callable[[], Any], what: str) -> None:
        """Whichever life it is that makes it true."""
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {BOUND_SECONDS:g} s: {what}") from self.ended


class Site:
    """All of them, and their judge."""

    def __init__(self, cluster: Cluster, name: str, common: Common, members: list[Member]) -> None:
        self.cluster = cluster
        self.name = name
        self.common = common
        self.members = members

    async def rows(self, query: str) -> list[Any]:
        """What the database has, past every proxy."""
        return await asyncio.to_thread(self.cluster.ask, lambda one: one.fetch(query), self.name)

    async def done(self) -> None:
        """Every tap has its verdict, and nothing is under way."""
        async with asyncio.timeout(BOUND_SECONDS):
            for one in self.members:
                await one.well()
            while await self.rows("SELECT 1 FROM authorisation WHERE state IN ('pending', 'sending') LIMIT 1"):
                await asyncio.sleep(0.05)

    def _verdicts(self) -> int:
        return sum(len(one.stage.gate.verdicts) for one in self.members)

    async def loses_a_connection(self, rng: random.Random) -> None:
        """The server ends any of those that there are, while there are taps on their way."""
        goal = self._verdicts() + 1
        for one in self.members:
            if one.stage.gate.validator.waiting < WAITING_MAX:
                one.tap()
        query = f"""SELECT pid FROM pg_stat_activity
                    WHERE datname = '{self.name}' AND application_name = 'tpsd' ORDER BY backend_start"""
        async with asyncio.timeout(BOUND_SECONDS):
            while not (found := await self.rows(query)):
                await asyncio.sleep(0.01)
        await self.rows(f"SELECT pg_terminate_backend({rng.choice(found)['pid']})")
        async with asyncio.timeout(BOUND_SECONDS):
            while self._verdicts() < goal:
                await asyncio.sleep(0.01)

    async def gives_up(self, member: Member) -> None:
        """One is cut off with TPS's answer on its way into the database, and its lease is over before it is well."""
        name = member.stage.folder.name
        noticed = f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = '{self.name}' AND state = 'idle in transaction'
                        AND state_change < clock_timestamp() - interval '1 second'"""
        left = f"""SELECT 1 FROM daemon d
                   WHERE d.name = '{name}' AND (d.gone_at IS NULL OR EXISTS (
                       SELECT 1 FROM authorisation a WHERE a.daemon = d.name AND a.state = 'sending'))"""
        async with asyncio.timeout(BOUND_SECONDS):
            met = await member.poison(at_commit(3, Way.UP, "cut off", HALF_OPEN))
            member.tap()
            await met.wait()
            for way in Way:  # no further life comes through either
                await member.proxies.poison(member.proxy, way, *HALF_OPEN)
            while not await self.rows(noticed):
                await asyncio.sleep(0.05)
            await self.rows(f"UPDATE daemon SET lease_until = now_us() - 1 WHERE name = '{name}'")
            while await self.rows(left):
                await asyncio.sleep(0.05)
            await member.proxies.heal(member.proxy)

    async def judge(self) -> Counter[str]:
        """Nothing lost, nothing charged twice, and nobody rides on what TPS did not say; the states they ended in."""
        ledger = self.common.ledger
        assert ledger.violations == []
        assert ledger.duplicates() == []
        found = await self.rows(
            """SELECT t.serial, t.tapped_at, t.reason, a.uuid, a.state, a.may_have_charged
               FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid"""
        )
        rows = {(row["serial"], row["tapped_at"]): row for row in found}
        assert len(rows) == len(found) == sum(len(one.taps) for one in self.members), "one row a tap"
        charged = {(charge.serial, charge.tapped_at) for charge in ledger.charges()}
        for one in self.members:
            for tap in one.taps:
                key = (tap.serial, tap.tapped_at)
                row, let_in = rows[key], one.stage.gate.verdicts[tap.number].verdict.verdict == 1
                if row["state"] == "approved":
                    assert key in charged, row
                elif key in charged:
                    assert row["state"] == "in_doubt" or row["may_have_charged"], row
                if let_in and one.timing is Timing.DEFERRED:
                    assert ledger.requests_of(*key), f"lost: {row}"
                elif let_in:
                    assert key in charged, f"rode unpaid: {row}"
        return Counter(row["state"] for row in found if row["state"] is not None)


@contextlib.asynccontextmanager
async def site(cluster: Cluster, name: str, folder: Path, files: Files, *, spools: bool) -> AsyncIterator[Site]:
    """All four started; they end in order."""
    folder.mkdir()
    common = Common.made(cluster.url(name), folder)
    tls = server_context(files.server_cert, files.server_key, files.ca)
    async with contextlib.AsyncExitStack() as stack:
        serving = await stack.enter_async_context(Simulator(ledger=common.ledger).serving(ssl_context=tls))
        proxies = stack.enter_context(Apart())
        members = []
        for number in range(1, FLEET + 1):
            proxy = proxies.proxy(cluster.folder / SOCKET, number)
            timing = (Timing.DEFERRED, Timing.REALTIME)[number % 2]
            place = folder / f"gate-{number}"
            place.mkdir()
            (place / "spool").mkdir(mode=0o700)
            store: dict[str, Any] = {
                "url": f"postgresql://tpsd@127.0.0.1:{proxy.port}/{name}?sslmode=disable",
                "daemon": f"gate-{number}",
            }
            if spools:
                store |= {"spool": str(place / "spool" / "spool.db"), "slow_ms": SLOW_MS}
            changes = {
                "sfey": {"base_url": serving.url, "timeout_seconds": 3.0},
                "retry": {"tiers": LADDER, "jitter": 0.0, "hold_while_offline": False},
                "keys": dict(common.keys),
                "store": store,
            }
            stage = await stack.enter_async_context(
                opened(
                    place, files, tps_listens=False, changes=changes, lane_changes=LANES[timing], clock=WarpClock(),
                    ledger=common.ledger, seed=number, first_serial=number,
                )
            )  # fmt: skip
            members.append(Member(stage, proxies, proxy, timing, spools=spools))
        async with asyncio.TaskGroup() as group:
            for one in members:
                group.create_task(one.live())
            try:
                for one in members:
                    await one._until(one.up.is_set, "its first life")
                yield Site(cluster, name, common, members)
            finally:
                for one in members:
                    await one.end()
