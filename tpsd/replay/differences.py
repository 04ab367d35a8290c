"""What differs between two runs of the same taps, as typed values in one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tpsd.domain.time import Micros


class Aspect(Enum):
    """In what they differ, in the order in which a tap's differences are told."""

    VERDICT = "verdict"
    REQUEST = "request"
    OUTCOME = "outcome"
    LADDER = "ladder"
    MONEY = "money"
    JOURNEY = "journey"
    MAIL = "mail"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Difference:
    """One. ``tap`` is ``VAL00042:3:17`` as the validator calls it; empty for mails and journeys, which are of no tap.

    ``at``: when the tap was taken then (schedule clock). ``then`` and ``now`` are JSON values; None: there was nothing.
    """

    aspect: Aspect
    at: Micros
    n: int
    tap: str
    lane: str
    uuid: str | None
    then: Any
    now: Any

    def __str__(self) -> str:
        who = f"{self.tap} at {self.lane}" if self.tap else "the day"
        return f"{who}: {self.aspect.value} was {_shown(self.then)} and would be {_shown(self.now)}"


def in_order(found: Iterable[Difference]) -> list[Difference]:
    """By time and tap, and for one tap in the order of ``Aspect``: the same for the same input."""
    rank = {aspect: place for place, aspect in enumerate(Aspect)}
    return sorted(found, key=lambda one: (one.at, one.n, rank[one.aspect], str(one.uuid), str(one.then), str(one.now)))


def by_kind(found: Iterable[Difference]) -> dict[str, int]:
    """How many of each aspect there are; those there are none of are left out."""
    counts = Counter(one.aspect for one in found)
    return {aspect.value: counts[aspect] for aspect in Aspect if counts[aspect]}


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """A JSON object's values by dotted name."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= leaves(inner, f"{prefix}.{key}" if prefix else key)
    return found


def same(then: Any, now: Any) -> bool:
    """Whether they are equal; in an object, nothing and null are one."""
    if then == now:
        return True
    return isinstance(then, dict) and isinstance(now, dict) and differing(then, now) == ({}, {})


def differing(then: Any, now: Any) -> tuple[Any, Any]:
    """Only what differs of two values, where both are objects."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return then, now
    before, after = leaves(then), leaves(now)
    keys = [key for key in dict.fromkeys((*before, *after)) if before.get(key) != after.get(key)]
    return {key: before.get(key) for key in keys}, {key: after.get(key) for key in keys}


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)
