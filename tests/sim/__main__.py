"""``python -m tests.sim 17``, ``1-300``, ``17 --trace``, ``17 --shrink``: seeds by hand."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.sim.plan import Plan
from tests.sim.run import Report, played
from tests.sim.seeding import drawn
from tests.sim.shrink import command, shrunk, with_perfect_lines
from tests.sim.sweep import JOBS, sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """The number of failures, at most 1."""
    asked = _parser().parse_args(arguments)
    first, _, last = asked.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if len(seeds) > 1:
        return _many(seeds, asked.jobs)
    plan = _chosen(drawn(seeds[0]), asked)
    report = played(plan)
    if asked.shrink and report.failure is not None:
        plan = shrunk(plan, report.failure)
        report = played(plan)
        print(command(plan))
    if asked.trace:
        print("\n".join(report.trace))
    print(_line(report))
    if report.failure is not None:
        print(report.details)
    return report.failure is not None


def _many(seeds: range, jobs: int) -> int:
    states: Counter[str] = Counter()
    journeys: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    seconds = 0.0
    failed = 0
    for report in sweep(seeds, jobs):
        states.update(report.states)
        journeys.update(report.journeys)
        ways.update(report.ways)
        seconds += report.seconds
        if report.failure is not None:
            failed += 1
            print(_line(report), flush=True)
    print(f"{len(seeds)} seeds, {failed} failed, {seconds / len(seeds):.2f} s of the processor each")
    for counted in (states, journeys, ways):
        print(dict(sorted(counted.items())))
    return failed > 0


def _line(report: Report) -> str:
    counts = f"{report.taps} taps, {report.requests} requests, {report.lives} lives, {report.mails} mails"
    time = f"{report.simulated_seconds:.0f} s in {report.seconds:.2f} s, {report.steps} steps"
    return f"{report.seed}: {counts}, {time}: {report.failure or 'ok'}  [{report.digest[:16]}]"


def _chosen(plan: Plan, asked: argparse.Namespace) -> Plan:
    if asked.taps:
        amounts = {int(amount) for amount in asked.taps.split(",")}
        plan = replace(plan, taps=tuple(tap for tap in plan.taps if tap.amount in amounts))
    if asked.incidents:
        numbers = {int(number) for number in asked.incidents.split(",") if number.isdigit()}
        plan = replace(plan, incidents=tuple(one for one in plan.incidents if one.number in numbers))
    return with_perfect_lines(plan) if asked.perfect_lines else plan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seeds", help="a seed, or the first and the last: 1-300")
    parser.add_argument("--trace", action="store_true", help="every event of the run")
    parser.add_argument("--shrink", action="store_true", help="look for a smaller run that fails alike")
    parser.add_argument("--taps", help="only these, by their amounts: 101,117")
    parser.add_argument("--incidents", help="only these, by their numbers: 0,3; or none")
    parser.add_argument("--perfect-lines", action="store_true", help="without faults on the serial lines")
    parser.add_argument("--jobs", type=int, default=JOBS, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
