"""What can happen in a world: how a seed draws it, and what it does. One row a kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.sim.reaper import TRIGGERS

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Row:
    """``draw`` gives the values of ``act``, numbers and words only, so that a plan can be printed and told apart."""

    draw: Callable[[random.Random, int], tuple[Any, ...]]
    act: Callable[..., object]


def _die(world: World, trigger: str, skip: int, steps: int, pause: float) -> None:
    world.restart_seconds = pause
    world.reaper.arm(trigger, skip, steps)


TABLE: Final[Mapping[str, Row]] = {
    "die": Row(
        lambda rng, _doors: (
            rng.choice(sorted(TRIGGERS)),
            rng.randrange(12),
            rng.randrange(16),
            rng.choice([0.5, 2, 60]),
        ),
        _die,
    ),
}
