"""Passengers of realtime lanes: who taps where, how often, and how long after the tap before. One row a ride."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.sim.plan import LaneStyle


class Where(Enum):
    """At which lane a step of a ride is made."""

    IN = "one that checks in"
    OUT = "one that checks out"
    PAY = "one that takes payments"


Gap = Callable[[random.Random], float]
"""Seconds after the step before."""


def _at_once(rng: random.Random) -> float:
    return rng.choice([0.0, rng.uniform(0.0, 0.3)])


def _soon(rng: random.Random) -> float:
    return rng.uniform(1.0, 25.0)


def _later(rng: random.Random) -> float:
    return rng.choice([rng.uniform(5, 60), rng.uniform(5, 60), rng.uniform(60, 200), rng.uniform(200, 4000)])


@dataclass(frozen=True, slots=True)
class Step:
    """One tap. ``fails``: TPS does not let it through. ``again``: the payment before, tapped again."""

    where: Where
    gap: Gap = _soon
    fails: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Ride:
    """A ride of some weight."""

    weight: float
    steps: tuple[Step, ...]


_IN, _OUT = Step(Where.IN), Step(Where.OUT, _later)
_OUT_AGAIN, _OUT_IN_VAIN = Step(Where.OUT), Step(Where.OUT, fails=True)
_PAY, _PAY_IN_VAIN, _PAY_AGAIN = Step(Where.PAY), Step(Where.PAY, fails=True), Step(Where.PAY, again=True)

RIDES: Final[Mapping[str, Ride]] = {
    "there and back": Ride(8, (_IN, _OUT)),
    "in vain": Ride(5, (_IN, Step(Where.OUT, _later, fails=True), _OUT_IN_VAIN, _OUT_IN_VAIN, _OUT_AGAIN)),
    "at the second try": Ride(4, (_IN, Step(Where.OUT, _later, fails=True), _OUT_AGAIN)),
    "long after the first try": Ride(1, (_IN, Step(Where.OUT, _later, fails=True), _OUT)),
    "never out": Ride(3, (_IN,)),
    "not let in": Ride(2, (Step(Where.IN, fails=True), _IN, _OUT)),
    "in at two lanes": Ride(3, (_IN, Step(Where.IN, _at_once), _OUT)),
    "out at two lanes": Ride(3, (_IN, _OUT, Step(Where.OUT, _at_once))),
    "out of order": Ride(2, (Step(Where.OUT), _IN, _OUT)),
    "in and out at once": Ride(2, (_IN, Step(Where.OUT, _at_once), _OUT_AGAIN)),
    "in again": Ride(3, (_IN, Step(Where.IN, _later), _OUT)),
    "paid": Ride(6, (_PAY,)),
    "paid again": Ride(6, (_PAY_IN_VAIN, _PAY_AGAIN)),
    "paid again much later": Ride(2, (_PAY_IN_VAIN, Step(Where.PAY, _later, again=True), _PAY_AGAIN)),
}


@dataclass(frozen=True, slots=True)
class Tapped:
    """A step of a ride at a lane, ``after`` so many seconds from its beginning."""

    lane: int
    after: float
    fails: bool
    again: bool


def possible(lanes: Sequence[LaneStyle]) -> dict[str, float]:
    """The rides that these lanes allow, with their weights."""
    there = {where for where in Where if _lanes(where, lanes)}
    return {name: ride.weight for name, ride in RIDES.items() if {step.where for step in ride.steps} <= there}


def ridden(name: str, lanes: Sequence[LaneStyle], rng: random.Random) -> list[Tapped]:
    """The taps of one ride."""
    after, lane, taps = 0.0, 0, []
    for number, step in enumerate(RIDES[name].steps):
        after += step.gap(rng) if number else 0.0
        lane = lane if step.again else rng.choice(_lanes(step.where, lanes))
        taps.append(Tapped(lane, after, step.fails, step.again))
    return taps


def _lanes(where: Where, lanes: Sequence[LaneStyle]) -> list[int]:
    return [number for number, lane in enumerate(lanes) if _FITS[where](lane)]


_FITS: Final[Mapping[Where, Callable[[LaneStyle], bool]]] = {
    Where.IN: lambda lane: lane.checks_in,
    Where.OUT: lambda lane: lane.checks_out,
    Where.PAY: lambda lane: lane.realtime and not lane.checks_in and not lane.checks_out,
}
