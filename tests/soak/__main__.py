"""``python -m tests.soak --hours H [--seed N]``: simulated worlds and power cuts in turn, then every planted bug.

It stops at the first thing found, with the command that shows it again; its figures are printed at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.planted.bugs import BUGS
from tests.planted.harness import tried
from tests.power.cuts import cuts
from tests.sim.run import run

CUTS_A_ROUND: Final = 100
DAY_SECONDS: Final = 86_400


@dataclass(slots=True)
class Figures:
    """What was tried so far."""

    seeds: int = 0
    taps: int = 0
    lives: int = 0
    requests: int = 0
    simulated_seconds: float = 0.0
    cuts: int = 0
    planted: int = 0

    def __str__(self) -> str:
        days = self.simulated_seconds / DAY_SECONDS
        return (
            f"{self.seeds:,} seeds with {self.taps:,} taps, {self.lives:,} lives, {self.requests:,} requests and "
            f"{days:,.0f} simulated days; {self.cuts:,} power cuts; {self.planted} planted bugs caught"
        )


def main() -> int:
    """The command line; exit code 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() // 1_000_000_000, help="the first; then one more each"
    )
    parser.add_argument("--no-planted", action="store_true", help="leave out the planted bugs at the end")
    asked = parser.parse_args()
    figures = Figures()
    found = _by_luck(asked.seed, asked.hours * 3600, figures)
    if found is None and not asked.no_planted:
        found = next(_survivors(figures), None)
    print(f"from seed {asked.seed}: {figures}")
    if found is not None:
        print(found)
    return 0 if found is None else 1


def _by_luck(first: int, seconds: float, figures: Figures) -> str | None:
    """Worlds and cuts until the time is over; what was found, with its command."""
    began, seed = time.monotonic(), first
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("soak", total=seconds)
        while (spent := time.monotonic() - began) < seconds:
            progress.update(bar, completed=spent, description=str(figures))
            if (found := _world(seed, figures) or _cut(seed, figures)) is not None:
                return found
            seed += 1
    return None


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
        cuts(seed, CUTS_A_ROUND)
    except AssertionError as exc:
        return f"{exc}\npython -m tests.power --seed {seed} --cuts {CUTS_A_ROUND}"
    figures.cuts += CUTS_A_ROUND
    return None


def _survivors(figures: Figures) -> Iterator[str]:
    for bug in BUGS:
        if not tried(bug).caught:
            yield f"a planted bug survived: {bug.name}\npython -m tests.planted '{bug.name}'"
        figures.planted += 1


if __name__ == "__main__":
    raise SystemExit(main())
