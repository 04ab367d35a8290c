"""Hints between daemons of one journal: said with a commit, heard once, and nothing but time is lost without them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.cluster import Cluster
from tests.integration.gate import until
from tests.store.builders import APPROVED, NOW, TERMINAL_REFUSED, after, claim_one, settle, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.remote_gate import Server
from tests.store.test_contract_operations import ALICE, act
from tests.store.test_postgres_leases import ENDINGS, Fleet
from tpsd.core.operations import Order
from tpsd.demo.clock import WarpClock
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.errors import JournalUnavailableError, RefusedError
from tpsd.hints import Hint
from tpsd.leases import Hold
from tpsd.store import hints
from tpsd.store.connection import Connection
from tpsd.store.hearing import PostgresHints
from tpsd.store.postgres import PostgresJournal
from tpsd.store.session import Database
from tpsd.waking import Pause
from tpsd.workers.leaseholder import Leaseholder
from tpsd.workers.listener import Listener

ALL = frozenset(Hint)
TOKENS = [bytes([number]) * 32 for number in range(20)]
NOTICE = NoticeDraft(NoticeKind.ALARM, "alarm/test", "somebody is to look")
TRIES = 8
_EARS = "FROM pg_stat_activity WHERE application_name = 'tpsd hints' AND datname = current_database()"

Heard = AsyncGenerator[frozenset[Hint], None]


@pytest.fixture(params=[16, 18])
def place(
    request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path
) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(request.param), tmp_path / "engine")
    yield engine
    engine.drop()


@pytest.fixture
async def fleet(place: PostgresEngine) -> AsyncIterator[Fleet]:
    fleet = Fleet(place)
    yield fleet
    await fleet.close()


@pytest.fixture
async def heard(place: PostgresEngine) -> AsyncIterator[Heard]:
    """Somebody who listens already."""
    async with aclosing(PostgresHints(Database(place.url)).heard()) as heard:
        assert await anext(heard) == ALL, "what was said before is not known"
        yield heard


async def say(journal: PostgresJournal, hint: Hint, times: int = 1) -> None:
    def work(connection: Connection) -> None:
        for _ in range(times):
            hints.say(connection, hint)

    await journal._writer.write(work)


async def said(journal: PostgresJournal, heard: Heard) -> set[Hint]:
    """What was said so far: they come in the order of their commits."""
    await say(journal, Hint.WORK)
    so_far: set[Hint] = set()
    async for some in heard:
        so_far |= some
        if Hint.WORK in some:
            break
    return so_far - {Hint.WORK}


class TestSaying:
    """With which commits, and how often."""

    async def test_told_at_the_commit_and_not_where_it_is_undone(self, fleet: Fleet, heard: Heard) -> None:
        one = await fleet.daemon("one")

        def undone(connection: Connection) -> None:
            hints.say(connection, Hint.LIST)
            raise RefusedError("no")

        with pytest.raises(RefusedError):
            await one._writer.write(undone)
        assert await said(one, heard) == set()
        await say(one, Hint.LIST)
        assert await said(one, heard) == {Hint.LIST}

    async def test_equal_ones_of_a_transaction_are_one(self, place: PostgresEngine, fleet: Fleet) -> None:
        one, came = await fleet.daemon("one"), list[str]()

        async def listened(connection: Any) -> None:
            await connection.add_listener("tpsd", lambda *said: came.append(said[-1]))
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(speak(), loop))
            while came[-1:] != ["mail"]:
                await connection.execute("SELECT 1")

        async def speak() -> None:
            await say(one, Hint.ROWS, 100)
            await say(one, Hint.MAIL)

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(place._ask, listened)
        assert came == ["rows", "mail"]

    async def test_a_change_of_the_deny_list(self, fleet: Fleet, heard: Heard) -> None:
        one = await fleet.daemon("one")
        await one.denylist.add(TOKENS, ALICE)
        assert await said(one, heard) == {Hint.LIST}
        await one.denylist.add(TOKENS, ALICE)
        assert await said(one, heard) == set(), "they were there"
        generation = await one.denylist.begin("file", NOW)
        await one.denylist.fill(generation, b"".join(TOKENS))
        assert await said(one, heard) == set(), "it is not in force"
        await one.denylist.go_live(generation, replace=True, audit=ALICE)
        assert await said(one, heard) == {Hint.LIST}

    async def test_an_order_by_hand_for_anothers_row(self, fleet: Fleet, heard: Heard) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        for journal, counter in ((one, 1), (two, 2)):
            await take(journal, counter)
        await settle(one, await claim_one(one), TERMINAL_REFUSED)
        await settle(two, await claim_one(two), TERMINAL_REFUSED)
        await act(two, Order.RELEASE, [2])
        assert await said(two, heard) == set(), "it wakes itself"
        await act(two, Order.RELEASE, [1])
        assert await said(two, heard) == {Hint.ROWS}
        assert len(await one.claim(NOW, 10)) == 1

    async def test_a_notice_for_who_presides(self, fleet: Fleet, heard: Heard) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await one.tell(NOTICE, NOW)
        assert await said(one, heard) == set(), "it wakes itself"
        await two.tell(NOTICE, NOW)
        assert await said(one, heard) == {Hint.MAIL}

    async def test_a_tap_its_claim_and_its_end_say_nothing(self, fleet: Fleet, heard: Heard) -> None:
        """Such a transaction would take its turn with all the server's others that say something."""
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        del one
        for counter in range(5):
            await take(two, counter)
        first, second, *others = await two.claim(NOW, 10)
        await settle(two, first, APPROVED)
        await settle(two, second, TERMINAL_REFUSED)
        await asyncio.gather(*(settle(two, claimed, APPROVED) for claimed in others))
        await two.keep_house(60_000_000)
        assert two.leases is not None
        await two.leases.renew()
        assert await said(two, heard) == set()


class TestLeaving:
    """A daemon gives its lease up."""

    async def test_others_see_it_at_once_and_it_writes_no_more(self, fleet: Fleet, heard: Heard) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        assert one.leases is not None
        assert two.leases is not None
        assert not two.leases.presides
        await one.leases.leave()
        assert await anext(heard) == {Hint.WORK}
        renewed = await two.leases.renew()
        assert (renewed.others, set(renewed.gone), renewed.left) == ([], {"one"}, {"one"})
        assert two.leases.presides, "before its connection is closed"
        with pytest.raises(Exception, match="other daemons took over this one's work"):
            await take(one, 2)
        assert (await two.leases.take_over(NOW, ENDINGS))["sends_taken_over"] == 1
        await fleet.stops(one)
        again = await fleet.daemon("one")
        assert again.leases is not None
        assert (await two.leases.renew()).gone == {}
        assert await again.claim(NOW, 10) == []

    async def test_one_that_was_declared_gone_did_not_leave(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        assert two.leases is not None
        fleet.run_out("one")
        (seen,) = (await two.leases.renew()).others
        assert await two.leases.declare_gone(seen)
        renewed = await two.leases.renew()
        assert (set(renewed.gone), renewed.left) == ({"one"}, frozenset())
        await fleet.stops(one)


class Watch:
    """Two daemons: one with a due row, and one whose leaseholder is at work."""

    def __init__(self, fleet: Fleet, place: PostgresEngine) -> None:
        self._fleet = fleet
        self._place = place
        self.rounds = 0

    @asynccontextmanager
    async def watching(self, pause: Pause, *, hears: bool) -> AsyncIterator[tuple[PostgresJournal, PostgresJournal]]:
        """``pause`` is the waiting of the second one's poll; ``hears``: whether it has a listener."""
        one, two = await self._fleet.daemon("one"), await self._fleet.daemon("two")
        await take(one, 1)
        assert two.leases is not None
        clock = WarpClock()
        holder = Leaseholder(two.leases, Hold(clock.schedule, 10_000_000), clock, ENDINGS, self._count)
        holder.pause = pause
        wake = dict.fromkeys(Hint, holder.wake.set)
        tasks = [asyncio.create_task(holder.run())]
        if hears:
            tasks.append(asyncio.create_task(Listener(PostgresHints(Database(self._place.url)), wake, clock).run()))
        try:
            await until(lambda: self.rounds > int(hears), "the first look")
            yield one, two
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _count(self) -> None:
        self.rounds += 1


async def woken_alone(wake: asyncio.Event, wait_us: int) -> None:
    """However long: what follows comes of a hint and of nothing else."""
    del wait_us
    await wake.wait()


async def at_once(wake: asyncio.Event, wait_us: int) -> None:
    """The time has passed."""
    del wake
    assert wait_us <= 5_000_000
    await asyncio.sleep(0)


async def test_what_one_leaves_another_takes_on_the_hint(fleet: Fleet, place: PostgresEngine) -> None:
    async with Watch(fleet, place).watching(woken_alone, hears=True) as (one, two):
        assert one.leases is not None
        await one.leases.leave()
        assert await until(lambda: two.claim(after(60), 10), "the row of the other")


async def test_and_without_any_hint_on_its_next_look(fleet: Fleet, place: PostgresEngine) -> None:
    async with Watch(fleet, place).watching(at_once, hears=False) as (one, two):
        assert one.leases is not None
        await one.leases.leave()
        assert await until(lambda: two.claim(after(60), 10), "the row of the other")


class TestListener:
    """Its connection comes and goes, and nobody minds."""

    async def test_one_that_is_cut_comes_back_and_wakes_all(self, fleet: Fleet, place: PostgresEngine) -> None:
        one, woken, pauses = await fleet.daemon("one"), Counter[Hint](), list[float]()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            await asyncio.sleep(0)

        def counting(hint: Hint) -> Callable[[], None]:
            return lambda: woken.update((hint,))

        wake = {hint: counting(hint) for hint in Hint}
        running = asyncio.create_task(Listener(PostgresHints(Database(place.url)), wake, WarpClock(), sleep).run())
        for times in (1, 2, 3):
            await until(partial(eq, woken, Counter(dict.fromkeys(Hint, times))), "all to be woken")
            place.tamper([f"WITH cut AS (SELECT pg_terminate_backend(pid) {_EARS}) SELECT count(*) FROM cut"])
        await until(lambda: woken[Hint.LIST] == 4, "the fourth connection")
        await say(one, Hint.LIST)
        await until(lambda: woken[Hint.LIST] == 5, "a hint on it")
        assert pauses == [0.5, 1.0, 2.0]
        running.cancel()
        await asyncio.wait((running,))

        async def ears(connection: Any) -> int:
            return int(await connection.fetchval(f"SELECT count(*) {_EARS}"))

        await until(lambda: place._ask(ears) == 0, "the end of its connection")

    async def test_a_word_that_is_not_known_wakes_all(self, place: PostgresEngine, heard: Heard) -> None:
        """A later version may say more."""
        place._ask(lambda connection: connection.execute("NOTIFY tpsd, 'whatever'"))
        assert await anext(heard) == ALL

    async def test_where_nobody_can_listen_there_is_one_line_in_the_log(self) -> None:
        """As at a standby, or behind what does not pass LISTEN on."""
        cluster, tries = Cluster(18), list[float]()
        try:
            await asyncio.to_thread(cluster.become_standby)

            async def sleep(seconds: float) -> None:
                tries.append(seconds)
                if len(tries) == TRIES:
                    raise asyncio.CancelledError
                await asyncio.sleep(0)

            database, wake = Database(cluster.url("postgres")), dict.fromkeys(Hint, pytest.fail)
            with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
                await Listener(PostgresHints(database), wake, WarpClock(), sleep).run()  # type: ignore[arg-type]
        finally:
            await asyncio.to_thread(cluster.stop)
        (line,) = lines
        assert (line["event"], line["log_level"], line["times"]) == ("hints_not_heard", "warning", 1)
        assert "tells no hints" in line["error"]
        assert tries == sorted(tries)
        assert tries[0] == 0.5

    async def test_a_server_that_says_nothing_any_more_is_noticed(self, place: PostgresEngine) -> None:
        async with aclosing(PostgresHints(Database(place.url), 0.01, 0.2).heard()) as heard:
            assert await anext(heard) == ALL
            asleep = Server(place._databases.cluster, place.name).asleep()
            with asleep, pytest.raises(JournalUnavailableError, match="TimeoutError"):
                await anext(heard)

    async def test_nobody_there(self, place: PostgresEngine) -> None:
        heard = PostgresHints(Database(place.url.replace(place.name, "nowhere"))).heard()
        with pytest.raises(JournalUnavailableError, match=r"database nowhere at .* tells no hints"):
            await anext(heard)
