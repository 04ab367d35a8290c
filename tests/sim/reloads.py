"""A changed configuration: read by the daemon that lives, between any two of its steps, and by every life after it.

Settings of lanes change, and lanes go and come.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from schemas.config import Configuration
from tests.sim.events import Happened
from tests.sim.settings import AMOUNT_LIMIT
from tpsd.errors import TpsdError

if TYPE_CHECKING:
    from tests.sim.world import World

CHANGES: Final[Mapping[str, Callable[[random.Random], Any]]] = {
    "amount_limit": lambda rng: rng.choice([125, AMOUNT_LIMIT]),
    "check_in_again": lambda rng: rng.choice(["refuse", "close"]),
    "partial": lambda rng: rng.choice(["refuse", "accept"]),
    "verdict_seconds": lambda rng: rng.choice([2.0, 4.0, 10.0]),
}
"""Settings of a lane, none of which disturbs its line."""


def drawn(rng: random.Random, doors: int) -> tuple[Any, ...]:
    """A door, a setting and its new value."""
    name = rng.choice(sorted(CHANGES))
    return rng.randrange(doors), name, CHANGES[name](rng)


def reload(world: World, door: int, name: str, value: Any) -> None:
    """The file is changed, and whoever lives is told so."""
    world.config = _changed(world.config, door, name, value)
    tell(world)


def take_out(world: World, door: int, seconds: float) -> None:
    """A lane's section leaves the file, and comes back; one always stays."""
    if door not in world.lanes_out and len(world.lanes_out) + 1 < len(world.doors):
        world.lanes_out.add(door)
        tell(world)
        world.after(seconds, partial(bring_back, world, {door}))


def bring_back(world: World, doors: Set[int]) -> None:
    """As far as they are out."""
    if world.lanes_out & doors:
        world.lanes_out -= doors
        tell(world)


def tell(world: World) -> None:
    """As SIGHUP: whoever lives reads the file, one reading after another; one that is not ready yet, when it is."""
    life = world.life
    if life is None or life.daemon is None or not life.is_ready:
        return
    daemon = life.daemon

    async def adopted() -> None:
        async with life.reloading:
            life.knows = new = world.in_force
            try:
                await daemon.adopt(new)
            except TpsdError as exc:
                world.emit(Happened(f"the reload was refused: {exc}"))

    world.in_life(life, adopted(), "reload")


def _changed(config: Configuration, door: int, name: str, value: Any) -> Configuration:
    lanes = list(config.lanes)
    lanes[door] = lanes[door].model_copy(update={name: value})
    return config.model_copy(update={"lanes": tuple(lanes)})
