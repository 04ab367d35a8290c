"""What fares and the zone table must be to the lanes and to each other, one function a rule."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.config import Configuration, Lane
from tpsd.config.effective import zones
from tpsd.config.problems import Problem


def table(config: Configuration) -> Iterator[Problem]:
    """Every row stands there once, and every lane has a fare or a zone that begins some journey."""
    known, seen = zones(config), set[tuple[str, str]]()
    for index, row in enumerate(config.zones):
        if (row.start, row.end) in seen:
            yield Problem(("zones", index), f"{row.start} to {row.end} stands there twice", "keep one of them")
        seen.add((row.start, row.end))
    for index, lane in enumerate(config.lanes):
        if lane.fare is None and lane.zone is None:
            yield Problem(
                ("lanes", index, "fare"), "is missing, and so is zone", "set one: what taps without amount cost"
            )
        elif lane.fare is None and lane.zone is not None and known.largest_from(lane.zone) is None:
            yield Problem(("lanes", index, "zone"), f"{lane.zone!r} is in no row of [[zones]]", "add its fares")


def journeys(config: Configuration) -> Iterator[Problem]:
    """Where the table says the fare, every journey that may end there needs one, or its passenger cannot check out."""
    known, begin = zones(config), [lane for lane in config.lanes if lane.kind.startswith("RETAIL_CHECK_IN")]
    nowhere = next((lane.name for lane in begin if lane.zone is None), None)
    for index, lane in _by_table(config):
        if not lane.kind.endswith("_OUT"):
            continue
        if nowhere is not None:
            yield Problem(
                ("lanes", index, "zone"),
                f"gives no fare to a journey from lane {nowhere!r}, which has no zone",
                "set that lane's zone, or a flat fare here",
            )
        lacking = sorted({one.zone for one in begin if one.zone and known.between(one.zone, lane.zone or "") is None})
        if lacking:
            yield Problem(
                ("lanes", index, "zone"),
                f"{lane.zone!r} has no fare from {', '.join(lacking)}",
                "add a row to [[zones]]",
            )


def limits(config: Configuration) -> Iterator[Problem]:
    """Fares of the table that the limits of a lane would deny."""
    known = zones(config)
    starts = {lane.zone for lane in config.lanes if lane.zone and lane.kind.startswith("RETAIL_CHECK_IN")}
    for index, lane in _by_table(config):
        zone, asked = lane.zone or "", set[int | None]()
        if lane.kind != "RETAIL_CHECK_OUT":
            asked.add(known.largest_from(zone))
        if lane.kind.endswith("_OUT"):
            asked |= {known.between(start, zone) for start in starts}
        largest = max((fare for fare in asked if fare is not None), default=0)
        if largest > lane.amount_limit:
            yield Problem(
                ("lanes", index, "zone"),
                f"{zone!r} has a fare of {largest}, above amount_limit {lane.amount_limit}",
                "raise amount_limit or lower the fare",
            )
        if 0 in asked and not lane.zero_allowed:
            yield Problem(
                ("lanes", index, "zone"),
                f"{zone!r} has a fare of 0 and zero_allowed is false",
                "set a fare or allow zero",
            )


def _by_table(config: Configuration) -> Iterator[tuple[int, Lane]]:
    return ((index, lane) for index, lane in enumerate(config.lanes) if lane.fare is None and lane.zone is not None)
