"""What makes the time known, whom it comes from, and what a certificate is judged by."""

from __future__ import annotations

import pytest

from tpsd.core.taptime import CLOCK_CEILING, CLOCK_FLOOR
from tpsd.core.trust import (
    AGREES_US,
    Anchor,
    Dates,
    Judging,
    Reading,
    ask_pause,
    believes,
    former_shift,
    heard,
    judging,
    looked,
    true_wall,
)
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

TRUE = Micros(1_790_000_000_000_000)
UNSET = Micros(30 * SECOND)


def reading(wall: int = UNSET, running: int = 0, *, synchronised: bool = False) -> Reading:
    return Reading(Micros(wall), running, synchronised)


@pytest.mark.parametrize(
    ("wall", "synchronised", "believed"),
    [
        (TRUE, True, True),
        (TRUE, False, False),
        (UNSET, True, False),
        (CLOCK_FLOOR, True, True),
        (CLOCK_FLOOR - 1, True, False),
        (CLOCK_CEILING - 1, True, True),
        (CLOCK_CEILING, True, False),
    ],
)
def test_the_system_is_believed_when_synchronised_at_a_possible_time(
    wall: int, synchronised: bool, believed: bool
) -> None:
    given = reading(wall, synchronised=synchronised)
    assert believes(given, CLOCK_FLOOR) is believed
    assert looked(None, given, CLOCK_FLOOR) == (Anchor(Micros(wall), 0) if believed else None)


def test_a_later_floor_believes_less() -> None:
    given = reading(TRUE, synchronised=True)
    assert believes(given, TRUE)
    assert not believes(given, Micros(TRUE + 1))
    assert heard(None, reading(), TRUE, Micros(TRUE + 1)) is None


@pytest.mark.parametrize(
    ("date", "adopted"),
    [
        (TRUE, True),
        (CLOCK_FLOOR, True),
        (CLOCK_FLOOR - 1, False),
        (CLOCK_CEILING, False),
        (UNSET, False),
    ],
)
def test_a_date_makes_the_time_known_unless_it_is_impossible(date: int, adopted: bool) -> None:
    assert heard(None, reading(running=5), Micros(date), CLOCK_FLOOR) == (Anchor(Micros(date), 5) if adopted else None)


def test_a_synchronised_clock_does_not_listen() -> None:
    given = reading(TRUE, synchronised=True)
    assert heard(None, given, Micros(TRUE + HOUR), CLOCK_FLOOR) is None
    anchor = looked(None, given, CLOCK_FLOOR)
    assert heard(anchor, given, Micros(TRUE + HOUR), CLOCK_FLOOR) == anchor


def test_a_small_difference_changes_nothing_and_a_larger_one_does() -> None:
    anchor = Anchor(TRUE, 0)
    later = reading(TRUE + HOUR, HOUR)
    for difference in (0, AGREES_US, -AGREES_US):
        assert heard(anchor, later, Micros(TRUE + HOUR + difference), CLOCK_FLOOR) == anchor
    for difference in (AGREES_US + 1, -AGREES_US - 1):
        date = Micros(TRUE + HOUR + difference)
        assert heard(anchor, later, date, CLOCK_FLOOR) == Anchor(date, HOUR)


def test_a_system_that_agrees_with_the_first_date_keeps_its_own_microseconds() -> None:
    given = reading(TRUE + 900_000, 0)
    anchor = heard(None, given, TRUE, CLOCK_FLOOR)
    assert anchor is not None
    assert true_wall(anchor, given, CLOCK_FLOOR) == TRUE + 900_000
    assert judging(anchor, given, CLOCK_FLOOR) == Judging(Dates.SYSTEM, Micros(TRUE + 900_000))


def test_a_system_that_is_wrong_is_not_asked_again() -> None:
    anchor = Anchor(TRUE, 0)
    for wall in (UNSET, TRUE - DAY, TRUE + 9 * 365 * DAY, 0, -5):
        given = reading(wall, HOUR)
        assert true_wall(anchor, given, CLOCK_FLOOR) == TRUE + HOUR
        assert judging(anchor, given, CLOCK_FLOOR) == Judging(Dates.OWN, Micros(TRUE + HOUR))


def test_a_system_that_becomes_synchronised_takes_over() -> None:
    right = reading(TRUE + 10 * SECOND, HOUR, synchronised=True)
    assert true_wall(Anchor(TRUE, 0), right, CLOCK_FLOOR) == TRUE + 10 * SECOND
    assert looked(Anchor(TRUE, 0), right, CLOCK_FLOOR) == Anchor(Micros(TRUE + 10 * SECOND), HOUR)


def test_before_the_time_is_known_nobody_judges_certificates() -> None:
    assert judging(None, reading(TRUE), CLOCK_FLOOR).dates is Dates.NOBODY


def test_the_pauses_between_questions() -> None:
    assert [ask_pause(asked) // SECOND for asked in range(1, 8)] == [5, 10, 20, 40, 60, 60, 60]
    assert ask_pause(10**9) == MINUTE


FORMER = {
    # its last time, this life's shift, when this life began → what is added
    "both without a battery: the latest it can have been": (3600 * SECOND, TRUE - UNSET, TRUE, TRUE - 3600 * SECOND),
    "a good clock since: the same": (3600 * SECOND, 0, TRUE, TRUE - 3600 * SECOND),
    "a battery, and both right": (TRUE - DAY, 0, TRUE, 0),
    "a battery, and both an hour slow": (TRUE - DAY - HOUR, HOUR, TRUE, HOUR),
    "a battery that died meanwhile": (TRUE - DAY, TRUE - UNSET, TRUE, DAY),
    "a clock years ahead": (TRUE + 900 * DAY, 0, TRUE, -900 * DAY),
    "until this very instant": (TRUE, 0, TRUE, 0),
}


@pytest.mark.parametrize(("last", "shift", "began", "added"), FORMER.values(), ids=list(FORMER))
def test_a_life_that_never_knew_the_time(last: int, shift: int, began: int, added: int) -> None:
    assert former_shift(Micros(last), shift, Micros(began), CLOCK_FLOOR) == added
