"""From a seed to its plan: what happens, when, to whom."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from device.vl1.cards import CARDS
from device.vl1.codes import Oda, Shown, TapKind
from tests.sim import fate_tables
from tests.sim.doors import DoorPlan, PlannedTap, Stamp
from tests.sim.incidents import TABLE
from tests.sim.plan import Incident, Plan, Style, Tiers
from tests.sim.vl1_world import PERFECT, Faults

TAPS: Final = 50
FIRST_AMOUNT: Final = 101
BURST_SECONDS: Final = 25.0

# Ladders of twelve tries, with how long the faults may last beside them: the whole ladder, and some time more.
LADDERS: Final[Sequence[tuple[int, Tiers, float]]] = (
    (6, ((3, 0.05), (3, 0.2), (3, 0.5), (3, 1.0)), 1200.0),
    (3, ((3, 0.2), (3, 1.0), (3, 4.0), (3, 10.0)), 4200.0),
    (1, ((3, 1.0), (3, 15.0), (3, 60.0), (3, 360.0)), 90_000.0),
)

LINES: Final[Sequence[Faults]] = (
    PERFECT,
    PERFECT,
    Faults(lose=0.05, damage=0.05),
    Faults(lose=0.1, double=0.1, damage=0.1, delay=0.1, late=0.3),
    Faults(lose=0.2, double=0.1, damage=0.1, delay=0.2, late=0.8, reorders=True),
)


def drawn(seed: int, taps: int = TAPS) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"plan {seed}")
    (ladder,) = rng.choices(LADDERS, [weight for weight, _, _ in LADDERS])
    _, tiers, calm_at = ladder
    doors = tuple(_door(rng) for _ in range(rng.choice([1, 2, 3, 4])))
    kinds = tuple(rng.choice(["MTT", "MTT", "KFT"]) for _ in doors)
    bursts = sorted(rng.uniform(0, calm_at / 2) for _ in range(rng.randint(1, 4)))
    planned = _taps(rng, taps, bursts, kinds)
    stories = {tap.amount: fate_tables.drawn(rng, "deferred", tap.amount) for tap in planned}
    incidents = _incidents(rng, len(doors), bursts, calm_at)
    return Plan(
        seed=seed,
        style=_style(rng, tiers, kinds),
        doors=doors,
        taps=planned,
        fates=stories,
        incidents=incidents,
        calm_at=calm_at,
        commit_seconds=rng.choice([0.0, 0.002, 0.05]),
    )


def _style(rng: random.Random, tiers: Tiers, kinds: tuple[str, ...]) -> Style:
    minutes = sum(tries * each for tries, each in tiers)
    again = rng.choice([0.0, 0.0, 2.0])
    return Style(
        tiers=tiers,
        jitter=rng.choice([0.0, 0.1]),
        concurrency=rng.choice([1, 4, 32]),
        hold_while_offline=rng.random() < 0.8,
        hold_hours_max=rng.choice([0.05, 96.0]),
        spread_seconds=rng.choice([0, 20, 300]),
        horizon_hours=rng.choice([36.0, minutes / 60 * 1.1 + 1.1]) if minutes < 600 else 36.0,
        enquires=rng.random() < 0.5,
        timeout_seconds=rng.choice([2.0, 10.0]),
        pass_back_seconds=(again, 15.0) if again else (0.0, 0.0),
        group_size=rng.choice([0, 1]),
        kinds=kinds,
    )


def _door(rng: random.Random) -> DoorPlan:
    return DoorPlan(
        faults=rng.choice(LINES),
        patience=rng.choice([None, None, 0.5]),
        when_late=rng.choice([Shown.LET_IN, Shown.TURNED_AWAY]),
        chunked=rng.random() < 0.2,
        tokens=rng.random() < 0.8,
    )


def _taps(rng: random.Random, count: int, bursts: Sequence[float], kinds: Sequence[str]) -> tuple[PlannedTap, ...]:
    made = []
    for amount in range(FIRST_AMOUNT, FIRST_AMOUNT + count):
        door = rng.randrange(len(kinds))
        own = TapKind.MTT if kinds[door] == "MTT" else TapKind.KFT_DEFERRED
        made.append(
            PlannedTap(
                amount=amount,
                door=door,
                at=round(rng.choice(bursts) + rng.uniform(0, BURST_SECONDS), 6),
                card=rng.randrange(len(CARDS)),
                kind=rng.choice([TapKind.LANE, own, own, TapKind.KFT_DEFERRED]),
                stamp=rng.choice([Stamp.TRUE, Stamp.TRUE, Stamp.TRUE, Stamp.NONE, Stamp.UNSET]),
                oda=rng.choice([Oda.GOOD, Oda.GOOD, Oda.GOOD, Oda.GOOD, Oda.FAILED]),
            )
        )
    return tuple(made)


def _incidents(rng: random.Random, doors: int, bursts: Sequence[float], calm_at: float) -> tuple[Incident, ...]:
    """Most happen where taps are; nothing happens at all in one world of ten."""
    count = 0 if rng.random() < 0.1 else rng.randint(2, 12)
    names = rng.choices(list(TABLE), [row.weight for row in TABLE.values()], k=count)
    found = []
    for number, name in enumerate(names):
        near = rng.choice(bursts) + rng.uniform(-2.0, BURST_SECONDS + 10.0)
        at = near if rng.random() < 0.7 else rng.uniform(0, calm_at * 0.9)
        found.append(Incident(number, round(max(0.0, at), 6), name, TABLE[name].draw(rng, doors)))
    return tuple(found)
