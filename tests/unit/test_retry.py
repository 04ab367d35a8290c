"""The ladder's figures and its bounds."""

import pytest

from tpsd.core.retry import (
    DEFAULT_LADDER,
    JITTER_SHARE_MAX,
    JITTER_US_MAX,
    RETRY_AFTER_US_MAX,
    minutes,
    next_due,
    span,
)
from tpsd.domain.authorisation import Ladder, Tier
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

START = Micros(1_790_000_000_000_000)


def due_after(
    sends: int,
    *,
    ladder: Ladder = DEFAULT_LADDER,
    took: int = SECOND,
    draw: float = 0.0,
    share: float = 0.0,
    retry_after: int | None = None,
) -> int | None:
    """Microseconds from the start of the last send to the next one."""
    due = next_due(
        ladder,
        sends,
        started_at=START,
        ended_at=Micros(START + took),
        jitter_draw=draw,
        jitter_share=share,
        retry_after=retry_after,
    )
    return None if due is None else due - START


def test_the_minutes_are_sfeys() -> None:
    assert minutes(DEFAULT_LADDER) == [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
    assert all(isinstance(minute, int) for minute in minutes(DEFAULT_LADDER))


def test_minutes_of_fractions_and_of_no_tier() -> None:
    assert minutes((Tier(2, 30 * SECOND),)) == [0, 0.5, 1]
    assert minutes(()) == [0]


def test_each_tier_in_turn_and_then_the_end() -> None:
    waits = [due_after(sends) for sends in range(1, 14)]
    assert waits == [m * MINUTE for m in [1] * 3 + [15] * 3 + [60] * 3 + [360] * 3] + [None]
    assert due_after(99) is None
    assert due_after(1, ladder=()) is None


def test_a_tier_that_is_switched_off_is_stepped_over() -> None:
    ladder = (Tier(1, MINUTE), Tier(0, 15 * MINUTE), Tier(1, HOUR))
    assert [due_after(n, ladder=ladder) for n in (1, 2, 3)] == [MINUTE, HOUR, None]


def test_never_before_the_last_send_ended() -> None:
    assert due_after(1, took=5 * MINUTE) == 5 * MINUTE


def test_jitter_only_delays_and_is_capped() -> None:
    assert due_after(1, draw=0.5, share=0.1) == MINUTE + 3 * SECOND
    assert due_after(10, draw=0.999_999_999_999, share=0.1) == 360 * MINUTE + JITTER_US_MAX - 1


def test_retry_after_counts_from_the_answer_when_it_is_later() -> None:
    assert due_after(1, retry_after=30) == MINUTE
    assert due_after(1, retry_after=120) == 120 * SECOND + SECOND
    assert due_after(1, retry_after=-5) == MINUTE
    assert due_after(1, retry_after=10**9) == RETRY_AFTER_US_MAX + SECOND


@pytest.mark.parametrize(
    ("sends", "draw", "share", "names"),
    [(0, 0.0, 0.0, "sends"), (1, 1.0, 0.0, "draw"), (1, -0.1, 0.0, "draw"), (1, 0.0, 0.11, "share")],
)
def test_values_outside_their_limits_are_refused(sends: int, draw: float, share: float, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        due_after(sends, draw=draw, share=share)


def test_the_span_is_the_last_minute_and_fits_the_default_horizon() -> None:
    assert span(DEFAULT_LADDER) == 1308 * MINUTE
    widest = span(DEFAULT_LADDER, JITTER_SHARE_MAX)
    assert widest == 1308 * MINUTE + 3 * (6 * SECOND + 90 * SECOND + 5 * MINUTE + 5 * MINUTE)
    assert widest + HOUR <= 36 * HOUR
