"""The world's own parts: a loop that says when it is stuck, a disk that forgets nothing, a run made smaller."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import replace

import apsw
import pytest

from tests.sim.disk import MemoryDisk
from tests.sim.plan import Plan
from tests.sim.run import Report
from tests.sim.seeding import drawn
from tests.sim.shrink import command, shrunk
from tpsd.replay.loop import OWNER, StuckError, VirtualLoop, virtual_loop


def loop_of(seed: int = 1, steps: int = 100_000) -> VirtualLoop:
    return virtual_loop(seed, steps)


class TestLoop:
    def test_time_jumps_to_the_next_timer(self) -> None:
        async def main() -> float:
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(86_400.0)
            return asyncio.get_running_loop().time() - began

        assert loop_of().run_until_complete(main()) == 86_400.0

    def test_time_outs_and_groups_keep_their_promises(self) -> None:
        async def main() -> list[str]:
            said = []

            async def worker(name: str, seconds: float) -> None:
                try:
                    async with asyncio.timeout(2.0):
                        await asyncio.sleep(seconds)
                    said.append(f"{name} done")
                except TimeoutError:
                    said.append(f"{name} late")

            async with asyncio.TaskGroup() as group:
                group.create_task(worker("one", 1.0))
                group.create_task(worker("three", 3.0))
            return said

        for seed in range(20):
            assert loop_of(seed).run_until_complete(main()) == ["one done", "three late"]

    def test_the_seed_orders_what_is_ready(self) -> None:
        async def main() -> str:
            said: list[str] = []

            async def say(word: str) -> None:
                said.append(word)

            async with asyncio.TaskGroup() as group:
                for word in "abcdef":
                    group.create_task(say(word))
            return "".join(said)

        orders = [loop_of(seed).run_until_complete(main()) for seed in range(20)]
        assert orders == [loop_of(seed).run_until_complete(main()) for seed in range(20)]
        assert len(set(orders)) > 10

    def test_nothing_can_ever_run(self) -> None:
        with pytest.raises(StuckError, match="nothing can ever run"):
            loop_of().run_until_complete(asyncio.Event().wait())

    def test_no_time_passes(self) -> None:
        async def spin() -> None:
            while True:
                await asyncio.sleep(0)

        with pytest.raises(StuckError, match="no time passed"):
            loop_of().run_until_complete(spin())

    def test_the_budget_is_spent(self) -> None:
        async def tick() -> None:
            while True:
                await asyncio.sleep(1.0)

        with pytest.raises(StuckError, match="budget of 500 steps"):
            loop_of(steps=500).run_until_complete(tick())

    def test_threads_and_sockets_are_refused(self) -> None:
        async def in_a_thread() -> None:
            await asyncio.to_thread(print)

        async def over_a_socket() -> None:
            await asyncio.open_connection("127.0.0.1", 9)

        for forbidden in (in_a_thread(), over_a_socket()):
            with pytest.raises(NotImplementedError):
                loop_of().run_until_complete(forbidden)

    def test_a_life_ends_and_others_go_on(self) -> None:
        loop = loop_of()
        said: list[str] = []

        async def life() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(50.0))
                    group.create_task(asyncio.sleep(70.0))
            finally:
                said.append("buried")

        def bury() -> None:
            loop.between = None
            loop.bury(1)

        async def main() -> None:
            context = contextvars.copy_context()
            context.run(OWNER.set, 1)
            loop.create_task(life(), context=context)
            await asyncio.sleep(1.0)
            loop.between = bury
            await asyncio.sleep(1.0)
            said.append("alive")

        loop.run_until_complete(main())
        assert said == ["buried", "alive"]


class TestDisk:
    def test_a_death_keeps_what_was_committed(self) -> None:
        disk = MemoryDisk()
        disk.begin()
        connection = self.opened(disk)
        connection.execute("CREATE TABLE line (word)")
        connection.execute("INSERT INTO line VALUES ('kept')")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO line VALUES ('lost')")
        disk.cut()
        with pytest.raises(apsw.IOError):
            connection.close()
        disk.begin()
        again = self.opened(disk)
        assert again.execute("SELECT word FROM line").fetchall() == [("kept",)]
        assert again.pragma("integrity_check") == "ok"
        again.close()
        disk.unregister()

    def test_a_full_one_refuses_and_goes_on_later(self) -> None:
        disk = MemoryDisk()
        disk.begin()
        connection = self.opened(disk)
        connection.execute("CREATE TABLE line (word)")
        disk.full = True
        with pytest.raises(apsw.FullError):
            connection.execute("INSERT INTO line VALUES (zeroblob(100000))")
        disk.full = False
        connection.execute("INSERT INTO line VALUES ('room')")
        assert disk.refused == 1
        connection.close()
        disk.unregister()

    def opened(self, disk: MemoryDisk) -> apsw.Connection:
        connection = apsw.Connection("/some.db", vfs=disk.name)
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("journal_mode", "WAL")
        return connection


class TestShrinking:
    def test_what_matters_is_left(self) -> None:
        plan = replace(drawn(3))
        needed = plan.incidents[1].number, plan.taps[7].amount

        def play(candidate: Plan) -> Report:
            there = needed[0] in {one.number for one in candidate.incidents}
            there = there and needed[1] in {tap.amount for tap in candidate.taps}
            return Report(candidate.seed, failure="Violated: I0: both are there" if there else None)

        smaller = shrunk(plan, "Violated: I0: at first", play)
        assert [one.number for one in smaller.incidents] == [needed[0]]
        assert [tap.amount for tap in smaller.taps] == [needed[1]]
        assert command(smaller) == (
            f"python -m tests.sim 3 --taps {needed[1]} --incidents {needed[0]} --perfect-lines --trace"
        )
