"""Which lanes a world has: deferred alone, realtime alone, or both beside each other."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from device.vl1.codes import TapKind
from tests.sim.plan import LaneStyle

LANES_MAX: Final = 4

REALTIME: Final[Mapping[str, float]] = {
    "RETAIL_PAYMENT": 3,
    "KFT": 1,
    "RETAIL_CHECK_IN": 1,
    "RETAIL_CHECK_OUT": 1,
    "RETAIL_CHECK_IN_OUT": 3,
}
DEFERRED: Final[Mapping[str, float]] = {"MTT": 2, "KFT": 1}

SHARES: Final = (0.0, 0.0, 0.5, 0.5, 1.0)
"""Of realtime lanes: worlds of one timing are found by it alone, mixed ones by what shares its sends."""

_CODES: Final[Mapping[str, TapKind]] = {
    "MTT": TapKind.MTT,
    "RETAIL_PAYMENT": TapKind.RETAIL_PAYMENT,
    "RETAIL_CHECK_IN": TapKind.CHECK_IN,
    "RETAIL_CHECK_OUT": TapKind.CHECK_OUT,
    "RETAIL_CHECK_IN_OUT": TapKind.CHECK_IN_OR_OUT,
}


def drawn(rng: random.Random) -> tuple[LaneStyle, ...]:
    """The lanes of one world."""
    share = rng.choice(SHARES)
    return tuple(_lane(rng, realtime=rng.random() < share) for _ in range(rng.randint(1, LANES_MAX)))


def code(lane: LaneStyle) -> TapKind:
    """What a tap at it may say that it is."""
    if lane.kind == "KFT":
        return TapKind.KFT_REALTIME if lane.realtime else TapKind.KFT_DEFERRED
    return _CODES[lane.kind]


def _lane(rng: random.Random, *, realtime: bool) -> LaneStyle:
    kinds = REALTIME if realtime else DEFERRED
    (kind,) = rng.choices(list(kinds), list(kinds.values()))
    return LaneStyle(
        kind=kind,
        realtime=realtime,
        verdict_seconds=rng.choice([2.0, 4.0, 10.0]),
        partial=rng.choice(["refuse", "accept"]),
        check_in_again=rng.choice(["refuse", "close"]),
    )
