"""When a tap was: by its own stamp where that can be used, else by when it came and how old it was (design 7)."""

from __future__ import annotations

from tpsd.domain.tap import TapReport
from tpsd.domain.time import Micros

CLOCK_FLOOR = Micros(1_704_067_200_000_000)
"""2024-01-01T00:00:00Z: before tpsd existed; a tap stamped earlier came from a clock that was never set."""

CLOCK_CEILING = Micros(4_102_444_800_000_000)
"""2100-01-01T00:00:00Z: no card expires later (emv.reading.CENTURY); a later stamp is noise in eight bytes."""


def has_own_time(report: TapReport, floor: Micros = CLOCK_FLOOR) -> bool:
    """Whether the tap's own stamp can be used: there is one, and its clock had been set."""
    return report.tapped_at is not None and floor <= report.tapped_at < CLOCK_CEILING


def tap_time(report: TapReport, floor: Micros = CLOCK_FLOOR) -> Micros:
    """The tap's own time; received time less its age where it has none that can be used."""
    if report.tapped_at is not None and has_own_time(report, floor):
        return report.tapped_at
    return Micros(max(0, received_less_age(report)))


def received_less_age(report: TapReport) -> Micros:
    """By our own clock; before 1970 where that clock was not set and the tap is older than this life."""
    return Micros(report.received_at - (report.age_ms or 0) * 1000)
