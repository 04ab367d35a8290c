"""The queue as people read it: tiers and sends."""

from __future__ import annotations

import pytest

from tpsd.core.queue import Rung, rungs, tier_of
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.authorisation import Ladder, Tier
from tpsd.domain.picture import RungCount
from tpsd.domain.time import MINUTE, Micros

SHORT = (Tier(2, MINUTE),)


def count(ladder: Ladder, sends: int, rows: int, due: int, oldest: int) -> RungCount:
    return RungCount(ladder, sends, rows, Micros(due), Micros(oldest), Micros(oldest))


@pytest.mark.parametrize(
    ("sends", "tier", "minutes"),
    [(0, 0, None), (1, 1, 1), (3, 1, 1), (4, 2, 15), (6, 2, 15), (7, 3, 60), (10, 4, 360), (12, 4, 360), (99, 4, 360)],
)
def test_the_tier_of_the_next_send(sends: int, tier: int, minutes: int | None) -> None:
    assert tier_of(DEFAULT_LADDER, sends) == (tier, None if minutes is None else minutes * MINUTE)


def test_lines_are_in_the_ladders_order_and_ladders_share_them() -> None:
    lines = rungs(
        [
            count(DEFAULT_LADDER, 4, 7, 50, 40),
            count(DEFAULT_LADDER, 1, 2, 30, 20),
            count(SHORT, 1, 3, 10, 25),
            count(DEFAULT_LADDER, 0, 1, 5, 5),
            count(SHORT, 0, 1, 6, 4),
        ]
    )
    assert lines == (
        Rung(0, 0, None, 2, Micros(5), Micros(4)),
        Rung(1, 1, 1.0, 5, Micros(10), Micros(20)),
        Rung(2, 4, 15.0, 7, Micros(50), Micros(40)),
    )


def test_an_empty_ladder_has_a_first_send_only() -> None:
    assert tier_of((), 3) == (0, None)
    assert rungs([]) == ()
