"""The daemon is killed at random moments; TPS's own ledger judges what became of the taps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from device.vl1.codes import TapKind
from tests.integration.processes import BOUND_SECONDS, Running
from tests.integration.stage import until
from tests.kill.world import LANES, SENDS_MAX, Made, World, world
from tpsd.sfey.ledger import Ledger

KILLS = 10
assert KILLS + 2 < SENDS_MAX  # a tap whose every send a crash met would be given up before TPS had seen it
TAP_SECONDS = 0.08  # on average between two taps of a door
REALTIME_KILLS = 20
REALTIME_TAP_SECONDS = 0.2  # on average: some wait for an answer that never comes
STOP_SECONDS = 10.0  # two send time-outs and what the daemon allows itself beside them


def lost(taps: list[Made], ledger: Ledger) -> list[Made]:
    """Taps let in that TPS has never seen."""
    seen = {(request.serial, request.tapped_at) for request in ledger.requests()}
    return [tap for tap in taps if tap.told and tap.told[0][0] == 1 and (tap.serial, tap.tapped_at) not in seen]


def agreed(here: World) -> tuple[list[Made], Ledger, list[dict[str, Any]]]:
    """Taps, TPS's books and the journal's rows, and what must hold between them whatever the taps are."""
    taps, ledger, rows = here.taps, here.ledger(), here.journal()
    assert ledger.violations == [], "every repeat is the first request, byte for byte"
    assert ledger.duplicates() == []
    assert all(len(set(tap.told)) == 1 for tap in taps), "no second verdict contradicts the first"
    assert len(rows) == len(taps), "one row a tap"
    return taps, ledger, rows


def judge(here: World) -> Counter[str]:
    """What must hold whatever happened; the states the taps ended in."""
    taps, ledger, rows = agreed(here)
    assert lost(taps, ledger) == []
    assert len({request.uuid for request in ledger.requests()}) <= len(rows), "no tap has two transactions"
    charged = {charge.uuid for charge in ledger.charges()}
    approved = {row["uuid"] for row in rows if row["state"] == "approved"}
    doubtful = {row["uuid"] for row in rows if row["may_have_charged"] and row["state"] != "approved"}
    assert approved <= charged
    assert charged - approved <= doubtful, "what was charged and is not approved here is told of as doubtful"
    sends = Counter(request.uuid for request in ledger.requests())
    assert all(sends[row["uuid"]] <= row["attempts"] for row in rows), "no request without its attempt number"
    assert max(sends.values()) <= SENDS_MAX
    return Counter(str(row["state"]) for row in rows)


async def at_a_random_moment(here: World, running: Running, number: int) -> None:
    """Sends the signal: in the very moment of some verdict, or some time after some entry of TPS's ledger."""
    if here.rng.random() < 0.5:
        await at_a_verdict(here, running, number)
        return
    goal = here.ledger_events() + here.rng.randint(1, 25)

    def come() -> bool:
        assert running.process.poll() is None, running.said()
        return here.ledger_events() >= goal

    await until(come, f"{goal} entries in TPS's ledger", BOUND_SECONDS)
    moment = asyncio.Event()
    asyncio.get_running_loop().call_later(here.rng.uniform(0, 0.05), moment.set)
    await moment.wait()
    running.signal(number)


async def at_a_verdict(here: World, running: Running, number: int) -> None:
    """Sends the signal before anybody else can run: what was told now must be kept already."""
    left = here.rng.randint(1, 10)
    sent = asyncio.Event()

    def told() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            running.signal(number)
            sent.set()

    here.on_verdict = told
    async with asyncio.timeout(BOUND_SECONDS):
        await sent.wait()


async def lived_through(here: World, kills: int, tap_seconds: float) -> None:
    """Taps while the daemon is killed again and again, then a life that ends in order when all is done."""
    async with here.tapping(tap_seconds):
        for _ in range(kills):
            async with here.daemon() as running:
                await at_a_random_moment(here, running, signal.SIGKILL)
                assert await running.ended() == -signal.SIGKILL
    async with here.daemon() as running:
        await here.all_done(running)
        running.signal(signal.SIGTERM)
        assert await running.ended(STOP_SECONDS) == 0
    assert here.lives == kills + 1
    assert sum(event["attempts_ended_unknown"] for event in here.logged("recovered")) > 0, "kills met open sends"


@pytest.mark.parametrize("seed", [20261123])
async def test_no_tap_is_lost_and_none_charged_twice(tmp_path: Path, seed: int) -> None:
    async with world(tmp_path, seed) as here:
        await lived_through(here, KILLS, TAP_SECONDS)
        states = judge(here)
        assert len(here.taps) > LANES * KILLS
        assert states["approved"] > KILLS
        assert states["permanently_failed"] > 0
        assert set(states) <= {"approved", "declined", "tap_refused", "permanently_failed", "in_doubt"}


def judge_realtime(here: World) -> Counter[str]:
    """As ``judge``, where TPS's answer is the verdict and nothing is sent twice."""
    taps, ledger, rows = agreed(here)
    assert set(Counter(request.uuid for request in ledger.requests()).values()) == {1}, "sent once"
    charged = {(charge.serial, charge.tapped_at) for charge in ledger.charges()}
    let_in = {(tap.serial, tap.tapped_at) for tap in taps if tap.told[0][0] == 1}
    assert let_in <= charged, "nobody rides on what TPS did not say"
    charges = {charge.uuid for charge in ledger.charges()}
    approved = {row["uuid"] for row in rows if row["state"] == "approved"}
    doubtful = {row["uuid"] for row in rows if row["state"] == "in_doubt"}
    assert approved <= charges <= approved | doubtful, "what was charged and nobody was told of is in doubt"
    return Counter(str(row["state"]) for row in rows)


@pytest.mark.parametrize("seed", [20261126])
async def test_who_was_charged_was_let_in_or_is_in_doubt(tmp_path: Path, seed: int) -> None:
    async with world(tmp_path, seed, TapKind.RETAIL_PAYMENT) as here:
        await lived_through(here, REALTIME_KILLS, REALTIME_TAP_SECONDS)
        states = judge_realtime(here)
        assert states["approved"] > REALTIME_KILLS
        assert states["in_doubt"] > 0


async def test_an_orderly_end_under_load(tmp_path: Path) -> None:
    """SIGTERM while taps come and sends are in flight: exit code 0 in time, and the next life goes on."""
    async with world(tmp_path, 7) as here:
        async with here.tapping(0.05):
            for _ in range(2):
                async with here.daemon() as running:
                    await at_a_random_moment(here, running, signal.SIGTERM)
                    assert await running.ended(STOP_SECONDS) == 0
                    assert '"event": "stopped"' in running.said()
                    assert "Traceback" not in running.said()
                    assert not (tmp_path / "tpsd.sock").exists()
        async with here.daemon() as running:
            await here.all_done(running)
            assert '"attempts_ended_unknown": 0' in running.said(), "an orderly end forgets no answer"
        judge(here)


async def test_no_core_after_an_abort(tmp_path: Path) -> None:
    """A core would hold card data in clear, wherever whoever starts the daemon allows it one."""
    allowing_cores = ["/bin/sh", "-c", 'ulimit -c "$(ulimit -Hc)" && exec "$@"', "sh"]
    async with world(tmp_path, 8) as here:
        here.doors[0].tap()
        async with here.daemon(allowing_cores) as running:
            await until(lambda: here.verdicts, "a verdict")
            pid = running.process.pid
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]
            running.signal(signal.SIGABRT)
            status = await asyncio.to_thread(os.waitpid, pid, 0)
            running.process.returncode = -signal.SIGABRT
            assert os.WTERMSIG(status[1]) == signal.SIGABRT
            assert not os.WCOREDUMP(status[1])
        assert [path for path in tmp_path.rglob("core*") if path.is_file()] == []
