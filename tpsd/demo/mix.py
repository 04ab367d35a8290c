"""Which taps the demo taps: every fate at least once, the rest mostly approved, the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from device.vl1.cards import CARDS, EXPIRED, SimulatedCard
from device.vl1.codes import Oda

NEVER_ANSWERED = 60_003  # the simulator's amount for it (tpsd.sfey.fates)
TERMINAL_REFUSED = 80_041
FARE = 250

_SPECIAL = (
    ("declined", 90_116),
    ("503 twice, then approved", 60_004),
    ("911 twice, then approved", 60_012),
    ("closed before the charge", 60_008),
    ("closed after the charge", 60_002),
    ("tap refused", 80_060),
    ("declined", 90_101),
)


@dataclass(frozen=True, slots=True)
class PlannedTap:
    """One tap: which validator (from 0), which card, what TPS will do with it."""

    validator: int
    card: SimulatedCard
    amount: int
    fate: str
    oda: Oda = Oda.GOOD


def plan(taps: int, seed: int, validators: int) -> list[PlannedTap]:
    """``taps`` taps in the order they are tapped.

    The one that TPS blames the terminal for is the last of the last validator: what that terminal taps afterwards
    would be held, and the demo is to show each fate for itself.
    """
    rng = random.Random(seed)
    fates = _fates(taps, rng)
    planned = []
    for number, (fate, amount) in enumerate(fates):
        card, oda = rng.choice(CARDS), Oda.GOOD
        if fate == "expired":
            card = EXPIRED
        elif fate == "oda failed":
            oda = Oda.FAILED
        planned.append(PlannedTap(number % validators, card, amount, fate, oda))
    if taps >= validators:
        planned.append(PlannedTap(validators - 1, rng.choice(CARDS), TERMINAL_REFUSED, "terminal refused"))
    return planned[:taps]


def _fates(taps: int, rng: random.Random) -> list[tuple[str, int]]:
    wanted: list[tuple[str, int]] = [("never answered", NEVER_ANSWERED)]
    wanted += _SPECIAL
    wanted += [("expired", FARE), ("oda failed", FARE)]
    room = taps - 1 if taps >= 3 else taps  # the terminal's own is put last by the caller
    while len(wanted) < room // 2:
        wanted.append(rng.choice(_SPECIAL))
    wanted = wanted[:room]
    wanted += [("approved", rng.choice((FARE, 320, 0))) for _ in range(room - len(wanted))]
    rng.shuffle(wanted)
    return wanted
