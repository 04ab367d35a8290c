"""From a seed to its plan: what happens, when, to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from device.vl1.cards import CARDS
from device.vl1.codes import Oda, Shown, TapKind
from tests.sim import fate_tables
from tests.sim.doors import DoorPlan, PlannedTap, Stamp
from tests.sim.drawing import chance, one_of
from tests.sim.incidents import TABLE
from tests.sim.plan import Incident, Plan, Style, Tiers
from tests.sim.vl1_world import PERFECT, Faults

TAPS: Final = 50
FIRST_AMOUNT: Final = 101
BURST_SECONDS: Final = 25.0
INCIDENTS_MAX: Final = 14

SHORT: Final[Tiers] = ((3, 0.05), (3, 0.2), (3, 0.5), (3, 1.0))

# Ladders of twelve tries, with how long the faults last: the whole ladder, and some time more; once in a while three
# days and a half, in which keys turn and bodies go.
LADDERS: Final[Sequence[tuple[float, Tiers, float]]] = (
    (6, SHORT, 1200.0),
    (3, ((3, 0.2), (3, 1.0), (3, 4.0), (3, 10.0)), 4200.0),
    (1, ((3, 1.0), (3, 15.0), (3, 60.0), (3, 360.0)), 90_000.0),
    (0.1, SHORT, 300_000.0),
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
    rng = chance(seed, "plan")
    ((_, tiers, calm_at),) = rng.choices(LADDERS, [weight for weight, _, _ in LADDERS])
    kinds = tuple(rng.choice(["MTT", "MTT", "KFT"]) for _ in range(rng.randint(1, 4)))
    bursts = sorted(rng.uniform(0, calm_at / 2) for _ in range(rng.randint(1, 4)))
    planned = tuple(_tap(seed, FIRST_AMOUNT + n, bursts, kinds) for n in range(taps))
    return Plan(
        seed=seed,
        style=_style(seed, tiers, kinds),
        doors=tuple(_door(seed, number) for number, _ in enumerate(kinds)),
        taps=planned,
        fates={tap.amount: fate_tables.drawn(seed, "deferred", tap.amount) for tap in planned},
        incidents=_incidents(seed, len(kinds), bursts, calm_at),
        calm_at=calm_at,
        commit_seconds=rng.choice([0.0, 0.002, 0.05]),
    )


def _style(seed: int, tiers: Tiers, kinds: tuple[str, ...]) -> Style:
    rng = chance(seed, "style")
    hours = sum(tries * each for tries, each in tiers) / 60
    again = rng.choice([0.0, 0.0, 0.0, 2.0])
    return Style(
        tiers=tiers,
        jitter=rng.choice([0.0, 0.1]),
        concurrency=rng.choice([1, 4, 32]),
        hold_while_offline=rng.random() < 0.8,
        hold_hours_max=rng.choice([0.05, 96.0]),
        spread_seconds=rng.choice([0, 20, 300]),
        horizon_hours=36.0 if hours > 10 else rng.choice([36.0, hours * 1.1 + 1.1]),
        enquires=rng.random() < 0.5,
        timeout_seconds=rng.choice([2.0, 10.0]),
        pass_back_seconds=(again, 15.0) if again else (0.0, 0.0),
        group_size=rng.choice([0, 1]),
        kinds=kinds,
        keep_failed_days=rng.choice([1, 7]),
    )


def _door(seed: int, number: int) -> DoorPlan:
    rng = chance(seed, "door", number)
    return DoorPlan(
        faults=rng.choice(LINES),
        patience=rng.choice([None, None, 0.5]),
        when_late=rng.choice([Shown.LET_IN, Shown.TURNED_AWAY]),
        chunked=rng.random() < 0.2,
        tokens=rng.random() < 0.8,
        stays=rng.random() < 0.02,
    )


def _tap(seed: int, amount: int, bursts: Sequence[float], kinds: Sequence[str]) -> PlannedTap:
    rng = chance(seed, "tap", amount)
    door = rng.randrange(len(kinds))
    own = TapKind.MTT if kinds[door] == "MTT" else TapKind.KFT_DEFERRED
    return PlannedTap(
        amount=amount,
        door=door,
        at=round(rng.choice(bursts) + rng.uniform(0, BURST_SECONDS), 6),
        card=rng.randrange(len(CARDS)),
        kind=rng.choices([TapKind.LANE, own, TapKind.KFT_DEFERRED], [10, 10, 1])[0],
        stamp=rng.choices([Stamp.TRUE, Stamp.NONE, Stamp.UNSET], [3, 1, 1])[0],
        oda=rng.choices([Oda.GOOD, Oda.FAILED], [15, 1])[0],
    )


def _incidents(seed: int, doors: int, bursts: Sequence[float], calm_at: float) -> tuple[Incident, ...]:
    """Most happen where taps are; nothing happens at all in one world of ten."""
    rng = chance(seed, "incidents")
    count = 0 if rng.random() < 0.1 else rng.randint(2, INCIDENTS_MAX)
    return tuple(_incident(seed, number, doors, bursts, calm_at) for number in range(count))


def _incident(seed: int, number: int, doors: int, bursts: Sequence[float], calm_at: float) -> Incident:
    rng = chance(seed, "incident", number)
    near = rng.choice(bursts) + rng.uniform(-2.0, BURST_SECONDS + 10.0)
    at = near if rng.random() < 0.7 else rng.uniform(0, calm_at * 0.9)
    name = one_of({name: row.weight for name, row in TABLE.items()}, seed, "incident", number)
    return Incident(number, round(max(0.0, at), 6), name, TABLE[name].draw(rng, doors))
