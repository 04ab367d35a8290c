"""``python -m tests.soak --hours H [--seed N]``: everything that tries by luck, by turns, then every planted bug.

It stops at the first thing found, with the command that shows it again; its figures are printed at the end. The planted
bugs come after the hours, and take some minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.planted.bugs import BUGS
from tests.planted.harness import tried
from tests.soak.figures import Figures
from tests.soak.parts import PARTS


def main() -> int:
    """The command line; exit code 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="0: one turn")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() // 1_000_000_000, help="the first; then one more each turn"
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="these parts alone")
    parser.add_argument("--no-planted", action="store_true", help="leave out the planted bugs at the end")
    asked = parser.parse_args()
    figures = Figures()
    found = _by_luck(asked.only, asked.seed, asked.hours * 3600, figures)
    if found is None and not asked.no_planted:
        found = next(_survivors(figures), None)
    print(f"from seed {asked.seed}: {figures}")
    if found is not None:
        print(found)
    return 0 if found is None else 1


def _by_luck(names: Sequence[str], first: int, seconds: float, figures: Figures) -> str | None:
    """Turns until the time is over, whose part is most behind its share next; what was found, with its command."""
    spent = dict.fromkeys(names, 0.0)
    seed, began = first, time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("soak", total=seconds)
        while seed == first or time.monotonic() - began < seconds:
            name = min(names, key=lambda name: spent[name] / PARTS[name].share)
            progress.update(bar, completed=time.monotonic() - began, description=f"{figures.short} · {name}")
            turn = time.monotonic()
            if (found := _turn(name, seed, figures)) is not None:
                return found
            spent[name] += time.monotonic() - turn
            seed += 1
    return None


def _turn(name: str, seed: int, figures: Figures) -> str | None:
    """One turn; what it raises was found too."""
    try:
        return PARTS[name].turn(seed, figures)
    except Exception as exc:
        command = f"python -m tests.soak --only {name} --seed {seed} --hours 0 --no-planted"
        return f"{type(exc).__name__}: {exc}\n{command}"


def _survivors(figures: Figures) -> Iterator[str]:
    with _progress() as progress:
        for bug in progress.track(BUGS, description="planted bugs"):
            if not tried(bug).caught:
                yield f"a planted bug survived: {bug.name}\npython -m tests.planted '{bug.name}'"
            figures.planted += 1


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(bar_width=10), TimeRemainingColumn())


if __name__ == "__main__":
    raise SystemExit(main())
