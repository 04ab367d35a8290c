"""The warden counts running time, with a last round when it stops."""

from __future__ import annotations

from pathlib import Path

import apsw

from tests.integration.failing_disk import failing_disk
from tests.unit.workshop import running, workshop
from tpsd.demo.clock import WarpClock

HOUR = 3600.0


class Stopwatch(WarpClock):
    """Monotonic seconds as a test sets them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def epochs(folder: Path) -> int:
    return len(list((folder / "epochs").iterdir()))


async def ran(folder: Path, hours: float) -> None:
    """A life of so many hours."""
    clock = Stopwatch()
    async with workshop(folder, clock=clock) as daemon, running(daemon.warden):
        clock.seconds = hours * HOUR


async def test_running_time_adds_up_over_lives(tmp_path: Path) -> None:
    """An epoch is of about a day of running time, however the lives are cut."""
    await ran(tmp_path, 13)
    assert epochs(tmp_path) == 1
    await ran(tmp_path, 10)
    assert epochs(tmp_path) == 1
    await ran(tmp_path, 2)
    assert epochs(tmp_path) == 2


async def test_a_full_disk_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    clock = Stopwatch()
    with failing_disk() as disk:
        async with workshop(tmp_path, clock=clock) as daemon:
            async with running(daemon.warden):
                clock.seconds = 25 * HOUR
                disk.trouble = apsw.FullError
            disk.trouble = None
            assert epochs(tmp_path) == 1
            assert disk.refused > 0
