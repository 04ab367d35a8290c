"""What a ride costs where the tap does not say it: the lane's flat fare, else a table of zones (design 3).

Nothing more: a fare engine is someone else's product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tpsd.domain.tap import Kind


@dataclass(frozen=True, slots=True)
class Zones:
    """Minor units by (from, to). A pair that is missing is looked up the other way round."""

    amounts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    _largest: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once, not at every check-in: a table may have ten thousand rows, and a passenger waits.
        largest: dict[str, int] = {}
        for (start, end), amount in self.amounts.items():
            back = self.amounts.get((end, start), amount)
            largest[start] = max(largest.get(start, 0), amount)
            largest[end] = max(largest.get(end, 0), back)
        object.__setattr__(self, "_largest", largest)

    def between(self, start: str, end: str) -> int | None:
        """The fare of a journey; None where the table has neither direction."""
        found = self.amounts.get((start, end))
        return self.amounts.get((end, start)) if found is None else found

    def largest_from(self, start: str) -> int | None:
        """The dearest journey that can begin there: what a check-in holds. None where none can."""
        return self._largest.get(start)


NO_ZONES = Zones()


@dataclass(frozen=True, slots=True)
class Fare:
    """What is known of a tap's price. ``zone``: where it was tapped; ``start``: where its journey began."""

    in_tap: int | None
    flat: int | None
    zone: str | None = None
    start: str | None = None


def price(kind: Kind | None, fare: Fare, zones: Zones = NO_ZONES) -> int | None:
    """Minor units; None where nothing says them."""
    if fare.in_tap is not None:
        return fare.in_tap
    if fare.flat is not None:
        return fare.flat
    if fare.zone is None:
        return None
    if kind is Kind.RETAIL_CHECK_OUT:
        return None if fare.start is None else zones.between(fare.start, fare.zone)
    return zones.largest_from(fare.zone)
