"""A world's plan: everything a seed decides before anything happens, as data that can be halved."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sim.doors import DoorPlan, PlannedTap
from tpsd.sfey.fates import Fate

Tiers = tuple[tuple[int, float], ...]
"""Tries and minutes between them."""


@dataclass(frozen=True, slots=True)
class LaneStyle:
    """A lane as the configuration has it."""

    kind: str = "MTT"
    realtime: bool = False
    verdict_seconds: float = 10.0
    partial: str = "refuse"
    check_in_again: str = "refuse"

    @property
    def checks_in(self) -> bool:
        """Whether a journey may begin there."""
        return self.kind in ("RETAIL_CHECK_IN", "RETAIL_CHECK_IN_OUT")

    @property
    def checks_out(self) -> bool:
        """Whether a journey may end there."""
        return self.kind in ("RETAIL_CHECK_OUT", "RETAIL_CHECK_IN_OUT")


@dataclass(frozen=True, slots=True)
class FeedStyle:
    """TPS feeds its deny list. ``listed``: cards that stand on it at the beginning."""

    poll_minutes: float = 5.0
    max_age_hours: float = 24.0
    stale_list: str | int = "accept"  # a number: below that amount
    listed: tuple[int, ...] = ()
    page_records: int = 3


@dataclass(frozen=True, slots=True)
class Style:
    """What the configuration says, as far as it differs from world to world."""

    tiers: Tiers = ((3, 1.0), (3, 15.0), (3, 60.0), (3, 360.0))
    jitter: float = 0.1
    concurrency: int = 32
    hold_while_offline: bool = True
    hold_hours_max: float = 96.0
    spread_seconds: int = 300
    horizon_hours: float = 36.0
    enquires: bool = False
    timeout_seconds: float = 10.0
    pass_back_seconds: tuple[float, float] = (0.0, 0.0)
    group_size: int = 0
    keep_failed_days: int = 7
    found_approved: str = "tell"
    journey_hours: float = 18.0
    lanes: tuple[LaneStyle, ...] = ()  # MTT where it is too short
    feed: FeedStyle | None = None

    def lane(self, number: int) -> LaneStyle:
        """The lane of a door, both counted from 0."""
        return self.lanes[number] if number < len(self.lanes) else LaneStyle()


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happens ``at`` so many seconds after the beginning. ``name`` is a row of ``incidents.TABLE``."""

    number: int
    at: float
    name: str
    value: tuple[float | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """``fates``: what TPS does with a tap's requests, by the amount that names it. ``calm_at`` ends the faults.

    ``followers``: with what follows that tap without a card, a refund or a check-out by hand. The first that follows
    meets them all, the second begins with the second fate, and so on.
    """

    seed: int
    style: Style
    doors: tuple[DoorPlan, ...]
    taps: tuple[PlannedTap, ...]
    fates: dict[int, tuple[Fate, ...]]
    incidents: tuple[Incident, ...]
    calm_at: float
    commit_seconds: float = 0.0  # the longest that a commit waits for its turn
    steps_max: int = field(default=3_000_000)
    followers: dict[int, tuple[Fate, ...]] = field(default_factory=dict)
