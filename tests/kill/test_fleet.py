"""Four daemons on one database are killed at random moments, and one of them for good; TPS's own ledger judges."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.stage import until
from tests.kill.fleet import WORKERS, Fleet, Worker, fleet
from tests.kill.test_kill import STOP_SECONDS, judge
from tests.kill.world import END_SECONDS
from tests.store.databases import Databases
from tpsd.domain.time import SECOND
from tpsd.leases import TAKE_OVER_US

KILLS = 50
LAST_TAPS = 6  # of the worker that never comes back
TAP_SECONDS = 0.25  # on average between two taps of a door
SLACK_SECONDS = 30.0  # for the ladders, and a machine that does ten other things


@pytest.fixture
def url(databases: Callable[[int], Databases]) -> Iterator[str]:
    here = databases(18)
    name = here.new()
    yield here.cluster.url(name)
    here.drop(name)


async def killed_and_started_again(together: Fleet, kills: int) -> None:
    """Any of them, whatever it was doing."""
    rng = together.here.rng
    for _ in range(kills):
        await together.entries(rng.randint(1, 4))
        worker = rng.choice(together.workers)
        together.here.lives += 1
        worker.life().kill()
        worker.start()


async def gone_for_good(together: Fleet, worker: Worker) -> float:
    """It is killed with work left, or just after it; seconds until others have found that and done the rest."""
    others = [other for other in together.workers if other is not worker]

    def found() -> int:
        return sum(other.said("daemon_gone").count(f'"daemon": "{worker.name}"') for other in others)

    for _ in range(LAST_TAPS):
        worker.door.tap()
    await until(lambda: worker.door.waiting == 0, "the last verdicts", SLACK_SECONDS * 2)
    before = found()
    worker.life().signal(signal.SIGKILL)
    began = asyncio.get_running_loop().time()
    await worker.life().ended()
    await until(lambda: found() > before, "somebody who finds that it is gone", END_SECONDS)
    await together.all_done(others)
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("seed", [20261127])
async def test_no_tap_is_lost_and_none_charged_twice(tmp_path: Path, seed: int, url: str) -> None:
    async with fleet(tmp_path, seed, url) as together:
        for worker in together.workers:
            worker.start()
        async with together.here.tapping(TAP_SECONDS):
            await killed_and_started_again(together, KILLS)
        await together.all_done(together.workers)
        last = together.workers[-1]
        seconds = await gone_for_good(together, last)
        assert seconds < TAKE_OVER_US / SECOND + SLACK_SECONDS
        for worker in together.workers[:-1]:
            worker.life().signal(signal.SIGTERM)
        for worker in together.workers[:-1]:
            assert await worker.life().ended(STOP_SECONDS) == 0, worker.life().said()
        states = judge(together.here)
        assert len(together.here.taps) > WORKERS * LAST_TAPS
        assert states["approved"] > 0
        assert set(states) <= {"approved", "declined", "tap_refused", "permanently_failed", "in_doubt"}
