"""The dispatcher's loop over a real journal, with TPS scripted."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.stage import until
from tests.store.builders import crashed_asked, outcome_of, take_many
from tests.unit.workshop import BOUND_SECONDS, COMMON, ScriptedTps, running, workshop
from tpsd.daemon import Daemon
from tpsd.demo.clock import WarpClock
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.time import MINUTE, Micros
from tpsd.domain.views import TapFilter


async def tap(daemon: Daemon, *counters: int) -> None:
    """Taps kept by the journal, due now."""
    await take_many(daemon.journal, counters, now=daemon.clock.schedule())
    daemon.dispatcher.wake.set()


async def states(daemon: Daemon) -> list[str | None]:
    """By the order of the taps."""
    return [row.state for row in reversed(await daemon.journal.taps(TapFilter()))]


def counts(tps: ScriptedTps, started: int, ended: int) -> bool:
    return (len(tps.started), tps.ended) == (started, ended)


def in_flight(daemon: Daemon, count: int) -> bool:
    return daemon.dispatcher.in_flight == count


async def test_what_is_due_is_sent_and_settled(tmp_path: Path) -> None:
    tps = ScriptedTps()
    async with workshop(tmp_path, tps) as daemon, running(daemon.dispatcher):
        await tap(daemon, 1, 2)
        await until(lambda: tps.ended == 2 and daemon.dispatcher.in_flight == 0, "two sends")
        assert await states(daemon) == ["approved", "approved"]
        assert len(set(tps.started)) == 2


async def test_nobody_takes_it_for_quiet_while_it_claims(tmp_path: Path) -> None:
    """What a claim has committed is somebody's before its sends begin."""
    async with workshop(tmp_path, ScriptedTps()) as daemon:
        await tap(daemon, 1)
        begun, let = threading.Event(), threading.Event()

        def keep(_connection: object) -> None:
            begun.set()
            let.wait(BOUND_SECONDS)

        busy = asyncio.create_task(daemon.journal._writer.write(keep))
        await until(begun.is_set, "the writer to be kept")
        async with running(daemon.dispatcher):
            await until(lambda: daemon.dispatcher.claiming, "a claim")
            assert (daemon.dispatcher.in_flight, daemon._is_quiet()) == (0, False)
            let.set()
            await busy
            await until(daemon._is_quiet, "the end of its send")
            assert await states(daemon) == ["approved"]


async def test_a_final_answer_is_no_reason_to_look_for_more(tmp_path: Path) -> None:
    """A look is a transaction, and one that found all there was need not be repeated."""
    looks: list[int] = []
    tps = ScriptedTps()
    tps.close_gate()
    async with workshop(tmp_path, tps) as daemon:
        daemon.dispatcher.may_claim = lambda: not looks.append(len(tps.started))  # type: ignore[func-returns-value]
        await tap(daemon, 1, 2, 3)
        async with running(daemon.dispatcher):
            for ended in range(3):
                await until(partial(counts, tps, 3, ended), "the sends")
                tps.gate.release()
                await until(partial(in_flight, daemon, 2 - ended), "the settling")
            assert await states(daemon) == ["approved"] * 3
            assert looks == [0]
            await tap(daemon, 4)
            tps.gate.release()
            await until(partial(counts, tps, 4, 4), "the next one")


async def test_no_more_at_once_than_there_are_places(tmp_path: Path) -> None:
    tps = ScriptedTps()
    tps.close_gate()
    async with workshop(tmp_path, tps, retry={"concurrency": 2}) as daemon, running(daemon.dispatcher):
        await tap(daemon, 1, 2, 3, 4, 5)
        for ended in range(5):
            started = min(ended + 2, 5)
            await until(partial(counts, tps, started, ended), f"{started} sends begun and {ended} answered")
            await until(partial(in_flight, daemon, started - ended), "the settling")
            assert (await states(daemon)).count("sending") == started - ended
            tps.gate.release()
        await until(lambda: daemon.dispatcher.in_flight == 0, "the last one")
        assert await states(daemon) == ["approved"] * 5


async def test_a_resend_waits_for_its_due_time(tmp_path: Path) -> None:
    clock = WarpClock()
    clock.stand_still()
    start = clock.schedule()
    tps = ScriptedTps(lambda number: Answer(503) if number == 1 else Answer(200, action_code="000"))
    async with workshop(tmp_path, tps, clock=clock) as daemon, running(daemon.dispatcher):
        await tap(daemon, 1)
        await until(lambda: clock.next_due() is not None, "the wait for the next rung")
        assert clock.next_due() == start + MINUTE
        clock.jump(Micros(start + MINUTE - 1))
        daemon.dispatcher.wake.set()
        await until(lambda: not daemon.dispatcher.wake.is_set() and clock.next_due() is not None, "a look at the rows")
        assert len(tps.started) == 1
        clock.jump(Micros(start + MINUTE))
        await until(lambda: tps.ended == 2 and daemon.dispatcher.in_flight == 0, "the resend")
        assert tps.started[0] == tps.started[1]
        assert await states(daemon) == ["approved"]


async def test_a_surprise_in_reading_one_answer_makes_that_attempt_unknown(tmp_path: Path) -> None:
    nonsense: Any = Answer("two hundred")  # type: ignore[arg-type]
    tps = ScriptedTps(lambda number: nonsense if number == 1 else Answer(200, action_code="000"))
    async with workshop(tmp_path, tps) as daemon, running(daemon.dispatcher):
        await tap(daemon, 1)
        await until(lambda: tps.ended == 1 and daemon.dispatcher.in_flight == 0, "the first")
        await tap(daemon, 2)
        await until(lambda: tps.ended == 2 and daemon.dispatcher.in_flight == 0, "the second")
        assert await states(daemon) == ["pending", "approved"]
        [attempt] = (await daemon.journal.story("VAL00042:3:1")).attempts
        assert (attempt.outcome, attempt.cause, attempt.may_have_charged) == ("unknown", "deciding", True)


async def test_stopping_finishes_what_is_in_flight_and_begins_nothing(tmp_path: Path) -> None:
    tps = ScriptedTps()
    tps.close_gate()
    async with workshop(tmp_path, tps, retry={"concurrency": 1}) as daemon:
        async with running(daemon.dispatcher) as task:
            await tap(daemon, 1, 2)
            await until(lambda: tps.started, "the first send")
            daemon.dispatcher.stop()
            tps.gate.release()
            async with asyncio.timeout(BOUND_SECONDS):
                await asyncio.wait((task,))
        assert sorted(map(str, await states(daemon))) == ["approved", "pending"]
        assert len(tps.started) == 1


async def test_a_late_result_changes_nothing(tmp_path: Path) -> None:
    """Another life has ended the attempt meanwhile: its fence moved on."""
    tps = ScriptedTps(lambda number: Answer(200, action_code="116"))
    tps.close_gate()
    async with workshop(tmp_path, tps) as daemon, running(daemon.dispatcher):
        await tap(daemon, 1)
        await until(lambda: tps.started, "the send")
        crash: Exchange = NoAnswer("crash")
        now = daemon.clock.schedule()
        await daemon.journal.recover(now, {COMMON}, lambda claimed: outcome_of(claimed, crash, now), crashed_asked)
        tps.gate.release()
        await until(lambda: daemon.dispatcher.in_flight == 0, "the late result")
        assert await states(daemon) == ["pending"]
        [attempt] = (await daemon.journal.story("VAL00042:3:1")).attempts
        assert attempt.cause == "crash"
