"""The back-off of a poll."""

from tpsd.core.polling import SOONEST_US, pause
from tpsd.domain.time import SECOND


def test_short_after_something_was_there_and_then_twice_as_long_up_to_the_bound() -> None:
    waits = [pause(5 * SECOND, 5 * SECOND, found=True)]
    for _ in range(5):
        waits.append(pause(waits[-1], 5 * SECOND, found=False))
    assert waits == [SOONEST_US, 1 * SECOND, 2 * SECOND, 4 * SECOND, 5 * SECOND, 5 * SECOND]


def test_never_longer_than_the_bound() -> None:
    assert pause(SECOND, SOONEST_US // 2, found=True) == SOONEST_US // 2
