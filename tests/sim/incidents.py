"""What can happen in a world: how a seed draws it, and what it does. One row a kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.sim import feeds, operators, reloads
from tests.sim.doors import token_of
from tests.sim.reaper import TRIGGERS
from tests.sim.road import BARRIERS, DOORS
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from tests.sim.world import World

Draw = Callable[[random.Random, int], tuple[Any, ...]]

PAUSES: Final = (0.5, 2.0, 2.0, 30.0, 90.0)  # seconds from a death to the next life
STEPS_US: Final = (-365 * DAY, -HOUR, -5 * MINUTE, 30 * SECOND, HOUR, 365 * DAY)


@dataclass(frozen=True, slots=True)
class Row:
    """``draw`` gives the values of ``act``, numbers and words only, so that a plan can be printed; ``weight`` of it.

    ``draw`` gets the number of doors too.
    """

    weight: int
    draw: Draw
    act: Callable[..., object]


# --- the process ---


def _die(world: World, trigger: str, skip: int, steps: int, pause: float) -> None:
    world.restart_seconds = pause
    world.reaper.arm(trigger, skip, steps)


def _stop(world: World, pause: float) -> None:
    world.restart_seconds = pause
    world.stop_gently()


# --- lines ---


def _unplug(world: World, door: int, seconds: float) -> None:
    there = world.doors[door]
    if there.plugged:
        there.unplug()
        world.after(seconds, there.plug)


def _cut(world: World, door: int, seconds: float) -> None:
    there = world.doors[door]
    there.up.cut = there.down.cut = True
    world.after(seconds, there.mend)


def _reboot(world: World, door: int) -> None:
    world.doors[door].reboot()


# --- the network and TPS ---


def _barrier(world: World, cause: str, seconds: float) -> None:
    world.weather.barrier = BARRIERS[cause]
    world.after(seconds, partial(setattr, world.weather, "barrier", None))


def _storm(world: World, refused: float, going: float, coming: float, slow: float, seconds: float) -> None:
    weather = world.weather
    weather.refused, weather.lost_going, weather.lost_coming, weather.slow = refused, going, coming, slow
    world.after(seconds, weather.settle)


def _door_of_enquiries(world: World, cause: str, seconds: float) -> None:
    world.weather.door = DOORS[cause]
    world.after(seconds, partial(setattr, world.weather, "door", None))


# --- mail, disk, clocks ---


def _mail_closed(world: World, seconds: float) -> None:
    world.mailbox.closed = True
    world.after(seconds, partial(setattr, world.mailbox, "closed", False))


def _mail_rough(world: World, refuses: float, hangs: float, mumbles: float) -> None:
    box = world.mailbox
    box.refuses, box.hangs, box.mumbles = refuses, hangs, mumbles


def _disk_full(world: World, seconds: float) -> None:
    world.disk.full = True
    world.disk_full_until = world.loop.time() + seconds
    world.after(seconds, partial(setattr, world.disk, "full", False))


def _clock_step(world: World, offset_us: int, seconds: float) -> None:
    world.machine.step(offset_us, synchronised=False)
    world.after(seconds, world.repair_clock)


def _boot_unset(world: World, seconds: float) -> None:
    world.machine.boot_unset()
    world.after(seconds, world.repair_clock)
    world.reaper.at_once()


def _suspend(world: World, seconds: float) -> None:
    world.machine.suspend(seconds)


def _door(rng: random.Random, doors: int) -> int:
    return rng.randrange(doors)


def _seconds(rng: random.Random) -> float:
    """Mostly short, sometimes hours."""
    return round(rng.choice([rng.uniform(1, 20), rng.uniform(20, 300), rng.uniform(300, 7200)]), 3)


# --- the deny list ---


def _list(world: World, what: str, *cards: int) -> None:
    feeds.CHANGES[what](world.updates, [token_of(card) for card in cards])


def _feed(world: World, fault: str, seconds: float) -> None:
    world.updates.fault = lambda _: feeds.FAULTS[fault]
    world.after(seconds, partial(feeds.mend, world.updates))


TABLE: Final[Mapping[str, Row]] = {
    "die": Row(
        18,
        lambda rng, _: (rng.choice(sorted(TRIGGERS)), rng.randrange(12), rng.randrange(24), rng.choice(PAUSES)),
        _die,
    ),
    "stop": Row(2, lambda rng, _: (rng.choice(PAUSES),), _stop),
    "unplug": Row(4, lambda rng, doors: (_door(rng, doors), round(rng.uniform(0.05, 8), 3)), _unplug),
    "cut": Row(2, lambda rng, doors: (_door(rng, doors), round(rng.uniform(0.05, 8), 3)), _cut),
    "reboot": Row(2, lambda rng, doors: (_door(rng, doors),), _reboot),
    "barrier": Row(4, lambda rng, _: (rng.choice(sorted(BARRIERS)), _seconds(rng)), _barrier),
    "enquiries": Row(4, lambda rng, _: (rng.choice(sorted(DOORS)), _seconds(rng)), _door_of_enquiries),
    "storm": Row(4, lambda rng, _: (*(round(rng.choice([0, 0.1, 0.4]), 1) for _ in range(4)), _seconds(rng)), _storm),
    "mail_closed": Row(2, lambda rng, _: (_seconds(rng),), _mail_closed),
    "mail_rough": Row(2, lambda rng, _: (0.3, 0.1, 0.3), _mail_rough),
    "disk_full": Row(3, lambda rng, _: (round(rng.uniform(1, 120), 3),), _disk_full),
    "clock_step": Row(2, lambda rng, _: (rng.choice(STEPS_US), _seconds(rng)), _clock_step),
    "boot_unset": Row(3, lambda rng, _: (_seconds(rng),), _boot_unset),
    "suspend": Row(1, lambda rng, _: (rng.choice([60.0, 3600.0, 40_000.0]),), _suspend),
    "reload": Row(4, reloads.drawn, reloads.reload),
    "lane_out": Row(4, lambda rng, doors: (_door(rng, doors), _seconds(rng)), reloads.take_out),
    "by_hand": Row(10, lambda rng, _: (rng.choice(operators.NEEDED_BY_HAND), rng.random()), operators.order),
    "list": Row(8, feeds.drawn, _list),
    "feed": Row(3, lambda rng, _: (rng.choice(sorted(feeds.FAULTS)), _seconds(rng)), _feed),
    "order": Row(8, lambda rng, _: (rng.choice(sorted(operators.COMMANDS)), rng.random()), operators.order),
}
