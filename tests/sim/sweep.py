"""Many seeds over some processes, each report as it comes."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.sim.run import Report, run

SEEDS_FILE = Path(__file__).with_name("seeds.txt")
JOBS = 2
TRACE_KEPT = 60  # lines of a failed run: the whole comes with the command


def sweep(seeds: Iterable[int], jobs: int = JOBS) -> Iterator[Report]:
    """The reports of all seeds, in their order."""
    if jobs == 1:
        gc.freeze()  # what is there already is no run's garbage, and need not be walked again and again
        yield from map(_run, seeds)
        return
    # Not forked: a child would take over the loops and disks of whoever tests beside this.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_run, seeds, chunksize=4)


def kept_seeds() -> dict[int, str]:
    """The seeds that once found something, with what they found."""
    found = {}
    for line in SEEDS_FILE.read_text(encoding="utf-8").splitlines():
        seed, _, what = line.partition(" ")
        if seed.isdigit():
            found[int(seed)] = what.strip()
    return found


def _run(seed: int) -> Report:
    report = run(seed)
    report.trace = report.trace[-TRACE_KEPT:] if report.failure else []
    return report
