"""What a soak does by turns, each with a seed: it counts what it tried, and returns what it found, with its command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from device.vl1.codes import TapKind
from tests.integration.processes import environment
from tests.kill.test_kill import (
    REALTIME_KILLS,
    judge,
    judge_realtime,
    lived_through,
)
from tests.kill.world import world
from tests.power.cuts import cuts
from tests.power.faults import STEPS, faults
from tests.power.files import LARGE, SMALL
from tests.sim.run import run
from tests.soak.figures import Figures

CUTS: Final = 100
FAULTS_EVERY: Final = 5  # of a step's cases
FUZZ_SECONDS: Final = 20
FUZZED: Final = ("answer", "configuration", "decoder", "message", "tlv")
KILLS: Final = 5
TAP_SECONDS: Final = 0.5  # between two taps of a door: on a busy machine, too, all of them must have come to their end
ROOT: Final = Path(__file__).resolve().parents[2]

Turn = Callable[[int, Figures], str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """``share``: of the time, beside the others' shares."""

    turn: Turn
    share: int


def _world(seed: int, figures: Figures) -> str | None:
    report = run(seed)
    figures.seeds += 1
    figures.taps += report.taps
    figures.lives += report.lives
    figures.requests += report.requests
    figures.simulated_seconds += report.simulated_seconds
    return None if report.failure is None else f"{report.failure}\n{report.command}"


def _cut(seed: int, figures: Figures) -> str | None:
    try:
        report = cuts(seed, CUTS)
    except AssertionError as exc:
        return f"{exc}\npython -m tests.power --seed {seed} --cuts {CUTS}"
    figures.cuts += report.cuts
    figures.shared += report.did["shared"]
    return None


def _disk(seed: int, figures: Figures) -> str | None:
    luck = Random(seed)
    figures.disk_faults += faults(
        seed, luck.choice([SMALL, LARGE]), luck.choice(list(STEPS)), FAULTS_EVERY
    ).faults.total()
    return None


def _kill(seed: int, figures: Figures) -> str | None:
    with TemporaryDirectory(prefix="tpsd-soak-") as folder:
        figures.kills += asyncio.run(_killed(Path(folder), seed))
    return None


async def _killed(folder: Path, seed: int) -> int:
    if seed % 2:
        async with world(folder, seed) as here:
            await lived_through(here, KILLS, TAP_SECONDS)
            judge(here)
        return KILLS
    async with world(folder, seed, TapKind.RETAIL_PAYMENT) as here:
        await lived_through(here, REALTIME_KILLS, TAP_SECONDS)
        judge_realtime(here)
    return REALTIME_KILLS


def _network(seed: int, figures: Figures) -> str | None:
    """One daemon on a file and four on PostgreSQL by turns."""
    alone = ("pytest", "-q", "-p", "no:cacheprovider", "tests/faults/test_matrix.py")
    found = _said("-m", *(alone if seed % 2 else ("tests.faults",)))
    figures.networks += found is None
    return found


def _fuzz(seed: int, figures: Figures) -> str | None:
    found = _said("-m", "tests.fuzz", FUZZED[seed % len(FUZZED)], "--seconds", str(FUZZ_SECONDS))
    figures.fuzz_seconds += FUZZ_SECONDS
    return found


def _said(*arguments: str) -> str | None:
    """What a process of this Python said where it failed, with its command."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    last = "\n".join([*done.stdout.splitlines()[-20:], *done.stderr.splitlines()[-20:]])
    return f"{last}\npython {' '.join(arguments)}"


PARTS: Final = {
    "worlds": Part(_world, 4),
    "cuts": Part(_cut, 2),
    "disk": Part(_disk, 1),
    "kills": Part(_kill, 1),
    "network": Part(_network, 1),
    "fuzz": Part(_fuzz, 1),
}
