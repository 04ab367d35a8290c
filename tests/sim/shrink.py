"""From a run that fails to a smaller one that fails alike: fewer incidents and taps, better lines, by halving."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.sim.plan import Plan
from tests.sim.run import Report, played
from tests.sim.vl1_world import PERFECT

RUNS_MAX = 80  # of the plan; a minute or two


def kind_of(failure: str) -> str:
    """What a failure is about, without the names in it: ``Violated: I3``."""
    return ":".join(failure.split(":")[:2])[:40]


def shrunk(plan: Plan, failure: str, play: Callable[[Plan], Report] = played) -> Plan:
    """The smallest plan found that fails alike."""
    runs = 0

    def fails(candidate: Plan) -> bool:
        nonlocal runs
        runs += 1
        found = play(candidate).failure
        return found is not None and kind_of(found) == kind_of(failure)

    shrinking = True
    while shrinking and runs < RUNS_MAX:
        shrinking = False
        for candidate in _smaller(plan):
            if runs >= RUNS_MAX:
                break
            if fails(candidate):
                plan, shrinking = candidate, True
                break
    return plan


def command(plan: Plan) -> str:
    """How to run it again, as far as a seed, its taps and its incidents tell it."""
    taps = ",".join(str(tap.amount) for tap in plan.taps)
    incidents = ",".join(str(incident.number) for incident in plan.incidents) or "none"
    lines = " --perfect-lines" if all(door.faults == PERFECT for door in plan.doors) else ""
    return f"python -m tests.sim {plan.seed} --taps {taps} --incidents {incidents}{lines} --trace"


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Candidates, the largest steps first."""
    for fewer in _fewer(plan.incidents):
        yield replace(plan, incidents=fewer)
    if any(door.faults != PERFECT for door in plan.doors):
        yield with_perfect_lines(plan)
    for fewer in _fewer(plan.taps):
        if fewer:
            yield replace(plan, taps=fewer)


def with_perfect_lines(plan: Plan) -> Plan:
    """The same with lines that do what they should."""
    return replace(plan, doors=tuple(replace(door, faults=PERFECT) for door in plan.doors))


def _fewer(things: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Without a half, a quarter, an eighth …, in every place."""
    size = (len(things) + 1) // 2
    while size >= 1 and things:
        for at in range(0, len(things), size):
            yield (*things[:at], *things[at + size :])
        if size == 1:
            return
        size = (size + 1) // 2
