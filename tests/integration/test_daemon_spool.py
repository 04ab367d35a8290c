"""The daemon while its database is away or slow: passengers get their verdicts, and every tap is charged once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_lists import MASTERCARD
from tests.integration.test_daemon_postgres import CHARGED_UNHEARD, TWICE_503, all_approved
from tests.store.databases import Databases
from tests.store.remote_gate import Server
from tpsd.core.spooling import NOTE
from tpsd.domain.audit import AuditDraft
from tpsd.store.spooled import SpooledJournal

CUTS = 12
SLOW_MS = 1000  # so that a busy machine is not taken for a slow database


class Remote:
    """An empty database, and the configuration of a gate that has a spool before it."""

    def __init__(self, databases: Databases) -> None:
        self._cluster = databases.cluster
        self._server = Server(self._cluster, databases.new())
        self.name = self._server.name
        self.asleep = self._server.asleep
        self.changes: dict[str, Any] = {
            "store": {"url": self._server.url, "spool": "spool/spool.db", "slow_ms": SLOW_MS},
            "retry": {"hold_while_offline": False},
        }

    async def cut(self) -> None:
        await asyncio.to_thread(self._server.cut)

    async def shut(self) -> None:
        await asyncio.to_thread(self._server.shut)

    async def ask(self, query: str) -> list[Any]:
        """The only column of what it gives."""
        rows = await asyncio.to_thread(lambda: self._cluster.ask(lambda one: one.fetch(query), self.name))
        return [row[0] for row in rows]

    async def unshut(self) -> None:
        await asyncio.to_thread(self._server.unshut)


@pytest.fixture(params=[18])
def remote(request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Any) -> Iterator[Remote]:
    (tmp_path / "spool").mkdir(mode=0o700)
    here = databases(request.param)
    one = Remote(here)
    yield one
    Server(here.cluster, one.name).unshut()
    here.drop(one.name)


def journal_of(stage: Stage) -> SpooledJournal:
    journal = stage.daemon.journal
    assert isinstance(journal, SpooledJournal)
    return journal


async def drained(stage: Stage) -> None:
    """The database has everything, and rows may be sent."""
    await stage.until(lambda: journal_of(stage).may_claim, "an empty spool")


async def test_the_lanes_work_while_the_database_is_away(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes) as stage:
        before = stage.gate.tap()
        assert (await stage.gate.verdict(before)).verdict == 1
        await stage.settled(before)
        await remote.shut()
        taps = [stage.gate.tap(TWICE_503 if number % 3 else 250) for number in range(9)]
        for tap in taps:
            assert (await stage.gate.verdict(tap)).verdict == 1
        assert stage.daemon.lanes[0].state.state == "ready"
        health = await stage.daemon.observer.health()
        assert any("taps go to the spool, which holds 9" in reason for _, reason in health.reasons)
        status = await stage.daemon.status()
        assert isinstance(status["spool"], dict)
        assert status["spool"]["waiting"] == 9
        page = (await stage.daemon.observer.page()).decode()
        assert "tpsd_spool_waiting 9.0" in page
        assert "tpsd_database_connected 0.0" in page
        assert (await stage.daemon.observer.lanes())["spool"]["waiting"] == 9
        stage.gate.again(taps[0])
        assert (await stage.gate.verdict(taps[0])).verdict == 1
        await remote.unshut()
        await drained(stage)
        await all_approved(stage, [before, *taps])
        assert (await stage.daemon.journal.histories.of(taps[0].id)).note == NOTE
        assert all(reason != "spool" for reason, _ in (await stage.daemon.observer.health()).reasons)


async def test_a_server_that_stands_still(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes) as stage:
        first = stage.gate.tap()
        await stage.gate.verdict(first)
        await stage.settled(first)
        loop = asyncio.get_running_loop()
        with remote.asleep():
            began = loop.time()
            taps = [stage.gate.tap() for _ in range(4)]
            for tap in taps:
                assert (await stage.gate.verdict(tap)).verdict == 1
            assert loop.time() - began < 5, "the first waits for a second, and then nobody"
        await drained(stage)
        await all_approved(stage, [first, *taps])


async def test_connections_lost_at_any_moment(playing: Opens, remote: Remote) -> None:
    """Whatever was being committed, claimed or settled: every tap gets its verdict, and is charged once."""
    rng, taps = random.Random(7), list[Tap]()
    async with playing(changes=remote.changes) as stage:
        for _ in range(CUTS):
            some = [stage.gate.tap(rng.choice((250, TWICE_503, CHARGED_UNHEARD))) for _ in range(4)]
            taps.extend(some)
            for tap in some[: rng.randrange(4)]:
                await stage.gate.verdict(tap)
            await remote.cut()
        for tap in taps:
            assert (await stage.gate.verdict(tap)).verdict == 1
        await drained(stage)
        await all_approved(stage, taps)


async def test_what_a_former_life_spooled_is_drained_first(open_stage: Opens, remote: Remote) -> None:
    async with open_stage(changes=remote.changes) as stage:
        async with stage.daemon_running():
            await remote.shut()
            taps = [stage.gate.tap() for _ in range(3)]
            for tap in taps:
                assert (await stage.gate.verdict(tap)).verdict == 1
        await remote.unshut()
        stage.seed += 1
        async with stage.daemon_running():
            await drained(stage)
            await all_approved(stage, taps)


async def test_what_needs_the_database_is_out_of_service(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes, lane_changes={"kind": "RETAIL_CHECK_IN_OUT"}) as stage:
        await remote.shut()
        tap = stage.gate.tap(age_ms=100)
        verdict = await stage.gate.verdict(tap)
        assert (verdict.verdict, verdict.reason) == (0x0A, "database")
        await remote.unshut()
        await drained(stage)
        row = await stage.row(tap)
        assert (row.disposition, row.reason, row.uuid) == ("denied", "database", None)
        assert stage.tps.ledger.charges() == []


async def test_the_deny_list_answers_without_the_database(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes) as stage:
        journal = journal_of(stage)
        first = stage.gate.tap()
        await stage.gate.verdict(first)
        await stage.settled(first)
        token = (await stage.story(first)).token
        assert token is not None
        by = AuditDraft(stage.clock.wall(), "nobody", "deny", "a test")
        listed = await journal.denylist.add([bytes.fromhex(token)], by)
        await stage.until(lambda: follows(journal, listed.version), "the spool's list")
        await remote.shut()
        verdict = await stage.gate.verdict(stage.gate.tap())
        assert (verdict.verdict, verdict.reason) == (2, "deny_list")
        other = await stage.gate.verdict(stage.gate.tap(card=MASTERCARD))
        assert (other.verdict, other.reason) == (1, "ok")
        await remote.unshut()
        await drained(stage)
        rows = await stage.rows()
        assert [row.reason for row in rows] == ["ok", "deny_list", "ok"]
        stories = [await journal.story(str(row.number)) for row in rows[1:]]
        assert [story.list_version for story in stories] == [listed.version] * 2
        await stage.pass_time()


async def follows(journal: SpooledJournal, version: int | None) -> bool:
    return (await journal._spool.denylist.totals()).version == version
