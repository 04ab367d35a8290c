"""From a seed to its plan: what happens, when, to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from device.vl1.cards import CARDS
from device.vl1.codes import Oda, Shown, TapKind
from tests.sim import fate_tables, lane_mixes, rides
from tests.sim.doors import DoorPlan, PlannedTap, Stamp
from tests.sim.drawing import chance, one_of
from tests.sim.incidents import TABLE
from tests.sim.plan import FeedStyle, Incident, LaneStyle, Plan, Style, Tiers
from tests.sim.vl1_world import PERFECT, Faults

TAPS: Final = 50
FIRST_AMOUNT: Final = 101
BURST_SECONDS: Final = 25.0
INCIDENTS_MAX: Final = 14
RIDES_SHARE: Final = 0.7
LAST_TAP_SHARE: Final = 0.9

SHORT: Final[Tiers] = ((3, 0.05), (3, 0.2), (3, 0.5), (3, 1.0))

# Ladders of twelve tries, with how long the faults last: the whole ladder, and some time more; once in a while three
# days and a half, in which keys turn and bodies go.
LADDERS: Final[Sequence[tuple[float, Tiers, float]]] = (
    (6, SHORT, 1200.0),
    (3, ((3, 0.2), (3, 1.0), (3, 4.0), (3, 10.0)), 4200.0),
    (1, ((3, 1.0), (3, 15.0), (3, 60.0), (3, 360.0)), 90_000.0),
    (0.1, SHORT, 300_000.0),
)

STALE_LISTS: Final[Sequence[str | int]] = ("accept", "accept", "deny", 120)

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
    lanes = lane_mixes.drawn(rng)
    bursts = sorted(rng.uniform(0, calm_at / 2) for _ in range(rng.randint(1, 4)))
    planned = _taps(seed, taps, bursts, lanes, calm_at)
    return Plan(
        seed=seed,
        style=_style(seed, tiers, lanes, calm_at),
        doors=tuple(_door(seed, number, lane) for number, lane in enumerate(lanes)),
        taps=tuple(one.tap for one in planned),
        fates={one.tap.amount: fate_tables.drawn(seed, one.story, one.tap.amount, one.tap.brings) for one in planned},
        incidents=_incidents(seed, len(lanes), bursts, calm_at),
        calm_at=calm_at,
        commit_seconds=rng.choice([0.0, 0.002, 0.05]),
        followers={
            one.tap.amount: fate_tables.drawn(seed, "follower", one.tap.amount, one.tap.brings)
            for one in planned
            if lanes[one.tap.door].realtime
        },
    )


def _style(seed: int, tiers: Tiers, lanes: tuple[LaneStyle, ...], calm_at: float) -> Style:
    rng = chance(seed, "style")
    hours = sum(tries * each for tries, each in tiers) / 60
    again = rng.choice([0.0, 0.0, 0.0, 2.0])
    horizon = 36.0 if hours > 10 else rng.choice([36.0, hours * 1.1 + 1.1])
    return Style(
        tiers=tiers,
        jitter=rng.choice([0.0, 0.1]),
        concurrency=rng.choice([1, 4, 32]),
        hold_while_offline=rng.random() < 0.8,
        hold_hours_max=rng.choice([0.05, 96.0]),
        spread_seconds=rng.choice([0, 20, 300]),
        horizon_hours=horizon,
        enquires=rng.random() < 0.5,
        timeout_seconds=rng.choice([2.0, 10.0]),
        pass_back_seconds=(again, 15.0) if again else (0.0, 0.0),
        group_size=rng.choice([0, 1]),
        keep_failed_days=rng.choice([1, 7]),
        found_approved=rng.choice(["tell", "refund"]),
        journey_hours=rng.choice([0.05, 0.3, min(18.0, calm_at / 3600, horizon)]),
        lanes=lanes,
        feed=_feed(seed),
    )


def _feed(seed: int) -> FeedStyle | None:
    rng = chance(seed, "feed")
    if rng.random() < 0.5:
        return None
    poll = rng.choice([0.2, 1.0, 5.0])
    return FeedStyle(
        poll_minutes=poll,
        max_age_hours=rng.choice([poll / 30, 0.2, 24.0]),
        stale_list=rng.choice(STALE_LISTS),
        listed=tuple(sorted(rng.sample(range(len(CARDS)), rng.randrange(4)))),
        page_records=rng.choice([1, 3, 1000]),
    )


def _door(seed: int, number: int, lane: LaneStyle) -> DoorPlan:
    rng = chance(seed, "door", number)
    return DoorPlan(
        faults=rng.choice(LINES),
        patience=rng.choice([None, None, 0.5]),
        when_late=rng.choice([Shown.LET_IN, Shown.TURNED_AWAY]),
        chunked=rng.random() < 0.2,
        tokens=rng.random() < (0.97 if lane.checks_in or lane.checks_out else 0.8),
        stays=rng.random() < 0.02,
        kept_patience=rng.choice([15.0, 15.0, 3.0]),
        can_take_pin=rng.random() < 0.3,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """A tap with the table that its story is from."""

    tap: PlannedTap
    story: str


def _taps(
    seed: int, count: int, bursts: Sequence[float], lanes: Sequence[LaneStyle], calm_at: float
) -> tuple[_Told, ...]:
    """Where lanes are realtime, rides and single taps that fit no ride."""
    found: list[_Told] = []
    there = rides.possible(lanes)
    while len(found) < count:
        amount = FIRST_AMOUNT + len(found)
        if there and chance(seed, "rides", amount).random() < RIDES_SHARE:
            found += _ride(seed, amount, bursts, lanes, one_of(there, seed, "ride", amount), calm_at)
        else:
            tap = _tap(seed, amount, bursts, lanes)
            found.append(_Told(tap, _story(lanes[tap.door])))
    return tuple(found[:count])


def _ride(
    seed: int, first: int, bursts: Sequence[float], lanes: Sequence[LaneStyle], name: str, calm_at: float
) -> list[_Told]:
    rng = chance(seed, "rider", first)
    begins, card, paid, found = rng.choice(bursts) + rng.uniform(0, BURST_SECONDS), rng.randrange(len(CARDS)), first, []
    for amount, one in enumerate(rides.ridden(name, lanes, rng), start=first):
        paid = paid if one.again else amount
        tap = PlannedTap(
            amount=amount,
            door=one.lane,
            at=round(min(begins + one.after, calm_at * LAST_TAP_SHARE), 6),
            card=card,
            kind=rng.choice([TapKind.LANE, lane_mixes.code(lanes[one.lane])]),
            again=paid if one.again else None,
        )
        found.append(_Told(tap, "in_vain" if one.fails else _story(lanes[one.lane])))
    return found


def _story(lane: LaneStyle) -> str:
    if lane.checks_out:
        return "check_out"
    return "realtime" if lane.realtime else "deferred"


def _tap(seed: int, amount: int, bursts: Sequence[float], lanes: Sequence[LaneStyle]) -> PlannedTap:
    rng = chance(seed, "tap", amount)
    door = rng.randrange(len(lanes))
    own = lane_mixes.code(lanes[door])
    stray = rng.choice([TapKind.CHECK_IN, TapKind.CHECK_OUT, TapKind.KFT_DEFERRED, TapKind.RETAIL_PAYMENT])
    return PlannedTap(
        amount=amount,
        door=door,
        at=round(rng.choice(bursts) + rng.uniform(0, BURST_SECONDS), 6),
        card=rng.randrange(len(CARDS)),
        kind=rng.choices([TapKind.LANE, own, stray], [10, 10, 1])[0],
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
