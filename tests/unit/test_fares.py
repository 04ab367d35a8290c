"""What a ride costs: the tap's amount, else the lane's flat fare, else the zones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.fares import NO_ZONES, Fare, Zones, price
from tpsd.domain.tap import Kind

IN, OUT, PAYMENT = Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT, Kind.RETAIL_PAYMENT
TABLE = Zones({("A", "A"): 100, ("A", "B"): 320, ("A", "C"): 500, ("C", "A"): 450, ("B", "C"): 0})

PRICES: list[tuple[Kind | None, Fare, int | None]] = [
    (IN, Fare(75, 250, "A"), 75),
    (OUT, Fare(0, 250, "B", "A"), 0),
    (None, Fare(75, None), 75),
    (PAYMENT, Fare(75, None), 75),
    (PAYMENT, Fare(None, 250), 250),
    (IN, Fare(None, 250, "A"), 250),
    (OUT, Fare(None, 250, "B", "A"), 250),
    (IN, Fare(None, 0, "A"), 0),
    (PAYMENT, Fare(None, None), None),
    (IN, Fare(None, None, "A"), 500),
    (IN, Fare(None, None, "B"), 320),
    (IN, Fare(None, None, "C"), 450),
    (IN, Fare(None, None, "Z"), None),
    (IN, Fare(None, None), None),
    (OUT, Fare(None, None, "B", "A"), 320),
    (OUT, Fare(None, None, "A", "B"), 320),
    (OUT, Fare(None, None, "C", "A"), 500),
    (OUT, Fare(None, None, "A", "C"), 450),
    (OUT, Fare(None, None, "C", "B"), 0),
    (OUT, Fare(None, None, "A", "A"), 100),
    (OUT, Fare(None, None, "B", "B"), None),
    (OUT, Fare(None, None, "Z", "A"), None),
    (OUT, Fare(None, None, "B", None), None),
    (OUT, Fare(None, None, None, "A"), None),
]


@pytest.mark.parametrize(("kind", "fare", "expected"), PRICES)
def test_a_price(kind: Kind | None, fare: Fare, expected: int | None) -> None:
    assert price(kind, fare, TABLE) == expected


def test_without_zones_only_the_tap_and_the_lane_say_what_it_costs() -> None:
    for kind, fare, expected in PRICES:
        known = expected if fare.in_tap is not None or fare.flat is not None else None
        assert price(kind, fare) == known
    assert Zones() == NO_ZONES
    assert Zones({("A", "B"): 1}) == Zones({("A", "B"): 1}) != Zones({("A", "B"): 2})


def test_a_way_back_with_a_row_of_its_own_does_not_raise_what_the_way_there_holds() -> None:
    one_way = Zones({("A", "B"): 320, ("B", "A"): 900})
    assert (one_way.largest_from("A"), one_way.largest_from("B")) == (320, 900)
    assert one_way.between("B", "A") == 900


zones = st.sampled_from("ABCD")
tables = st.dictionaries(st.tuples(zones, zones), st.integers(0, 10_000), max_size=12)


@given(tables, zones, zones)
def test_a_check_in_holds_exactly_the_dearest_journey_that_can_begin_there(
    amounts: dict[tuple[str, str], int], start: str, end: str
) -> None:
    table = Zones(amounts)
    fares = [fare for other in "ABCD" if (fare := table.between(start, other)) is not None]
    assert table.largest_from(start) == max(fares, default=None)
    assert price(IN, Fare(None, None, start), table) == max(fares, default=None)
    found = amounts.get((start, end), amounts.get((end, start)))
    assert price(OUT, Fare(None, None, end, start), table) == found
