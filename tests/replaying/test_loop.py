"""The virtual loop in order, and a journal that is committed late."""

from __future__ import annotations

import asyncio

import apsw
import pytest

from tpsd.errors import JournalUnavailableError
from tpsd.replay.loop import STEPS_AT_ONE_TIME_MAX, StuckError, VirtualLoop, virtual_loop
from tpsd.replay.writer import GROUPS_A_COMMIT, LazyCommit
from tpsd.store.group import Job, Pulse


def test_without_a_seed_things_happen_in_their_order() -> None:
    loop = virtual_loop(None, None)
    said: list[object] = []

    async def main() -> None:
        for number in range(50):
            loop.call_soon(said.append, number)
        await asyncio.sleep(5)
        loop.call_later(1, said.append, "later")
        loop.call_later(0.5, said.append, "sooner")
        await asyncio.sleep(2)

    loop.run_until_complete(main())
    assert said == [*range(50), "sooner", "later"]
    assert loop.time() == 1007.0


def test_who_paces_it_hears_how_far_it_jumps() -> None:
    loop = virtual_loop(None, None)
    jumps: list[float] = []
    loop.passing = jumps.append
    loop.run_until_complete(_sleeps(1.5, 0, 3600))
    assert jumps == [1.5, 3600.0]


async def _sleeps(*seconds: float) -> None:
    for one in seconds:
        await asyncio.sleep(one)


def test_who_waits_for_quiet_goes_on_when_nothing_else_can_and_before_time_passes() -> None:
    loop = virtual_loop(None, None)
    said: list[object] = []

    async def chain(left: int) -> None:
        for number in range(left):
            await asyncio.sleep(0)
            said.append(number)

    async def main() -> None:
        loop.call_later(1, said.append, "later")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chain(30))
            await loop.quiet()
            said.append("quiet")
            tasks.create_task(chain(2))
            await loop.quiet()
        said.append(loop.time())
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert said == [*range(30), "quiet", 0, 1, 1000.0, "later"]


def test_what_comes_to_rest_between_is_no_endless_turning() -> None:
    """Where a log's clock stood still, any number of taps is of one moment."""
    loop = virtual_loop(None, None)

    async def main() -> None:
        for _ in range(STEPS_AT_ONE_TIME_MAX):
            await loop.quiet()

    loop.run_until_complete(main())
    assert loop.time() == 1000.0


@pytest.mark.parametrize("call", ["create_connection", "create_datagram_endpoint", "getaddrinfo", "run_in_executor"])
def test_there_is_no_way_out_of_it(call: str) -> None:
    loop = virtual_loop(None, None)
    arguments = {"getaddrinfo": ("localhost", 80), "run_in_executor": (None, print)}.get(call, (asyncio.Protocol,))

    async def main() -> None:
        found = getattr(loop, call)(*arguments)
        await found

    with pytest.raises(NotImplementedError):
        loop.run_until_complete(main())


def test_waiting_for_nothing_is_said() -> None:
    loop: VirtualLoop = virtual_loop(None, None)
    with pytest.raises(StuckError, match="nothing can ever run again"):
        loop.run_until_complete(asyncio.Event().wait())  # type: ignore[arg-type]
    loop.end()


@pytest.fixture
def lazy() -> LazyCommit:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (x UNIQUE)")
    return LazyCommit(connection, Pulse())


def put(lazy: LazyCommit, *values: int) -> list[Job]:
    def putting(value: int) -> Job:
        return Job(lambda link: link.execute("INSERT INTO t VALUES (?)", (value,)))

    jobs = [putting(value) for value in values]
    rest = iter(jobs[1:])
    return lazy.write(jobs[0], lambda: next(rest, None))


def test_a_bad_write_fails_alone_and_the_others_are_seen_at_once(lazy: LazyCommit) -> None:
    assert [job.error is None for job in put(lazy, 1, 1, 2)] == [True, False, True]
    found = Job(lambda link: list(link.execute("SELECT x FROM t ORDER BY x")))
    lazy.read(found)
    assert found.result == [(1,), (2,)]


def test_it_commits_once_in_so_many_groups(lazy: LazyCommit) -> None:
    for number in range(GROUPS_A_COMMIT - 1):
        put(lazy, number)
    assert lazy._lazy.in_transaction
    put(lazy, GROUPS_A_COMMIT)
    assert not lazy._lazy.in_transaction
    lazy.close()


def test_a_disk_that_fails_is_everybodys_error(lazy: LazyCommit) -> None:
    def full(_link: apsw.Connection) -> None:
        raise apsw.FullError

    (job,) = lazy.write(Job(full), lambda: None)
    assert isinstance(job.error, JournalUnavailableError)
    assert [job.error for job in put(lazy, 5)] == [None]
    lazy.close()
