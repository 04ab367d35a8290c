"""Daemons on one database are stopped in order and started again under taps: each leaves its work to the others."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.integration.stage import until
from tests.kill.fleet import Fleet, fleet
from tests.kill.test_fleet import TAP_SECONDS, url
from tests.kill.test_kill import STOP_SECONDS, judge
from tests.kill.world import END_SECONDS

__all__ = ["url"]

STOPS = 8


async def stopped_and_started_again(together: Fleet, stops: int) -> None:
    """Any of them, with taps that wait for their next send."""
    rng = together.here.rng
    for _ in range(stops):
        await together.entries(rng.randint(1, 4))
        worker = rng.choice(together.workers)
        await until(worker.status, "the end of its start", END_SECONDS)
        together.here.lives += 1
        worker.life().signal(signal.SIGTERM)
        assert await worker.life().ended(STOP_SECONDS) == 0, worker.life().said()
        await together.entries(rng.randint(2, 6))
        worker.start()


@pytest.mark.parametrize("seed", [20261128])
async def test_no_tap_is_lost_and_none_charged_twice(tmp_path: Path, seed: int, url: str) -> None:
    async with fleet(tmp_path, seed, url) as together:
        for worker in together.workers:
            worker.start()
        async with together.here.tapping(TAP_SECONDS):
            await stopped_and_started_again(together, STOPS)
        await together.all_done(together.workers)
        assert any(worker.said("work_taken_over") for worker in together.workers)
        assert not any(worker.said("daemon_gone") for worker in together.workers), "each has said that it goes"
        for worker in together.workers:
            worker.life().signal(signal.SIGTERM)
        for worker in together.workers:
            assert await worker.life().ended(STOP_SECONDS) == 0, worker.life().said()
        states = judge(together.here)
        assert states["approved"] > 0
        assert set(states) <= {"approved", "declined", "tap_refused", "permanently_failed", "in_doubt"}
