"""From a seed to its plan: what happens, when, to whom."""

from __future__ import annotations

import random

from device.vl1.codes import TapKind
from tests.sim.doors import DoorPlan, PlannedTap
from tests.sim.plan import Plan, Style


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"plan {seed}")
    taps = tuple(PlannedTap(100 + n, 0, rng.uniform(0, 20), rng.randrange(10), TapKind.MTT) for n in range(5))
    return Plan(seed, Style(), (DoorPlan(),), taps, {}, (), 60.0)
