"""Places for deferred sends."""

import pytest

from tpsd.core.places import deferred_places


@pytest.mark.parametrize(
    ("concurrency", "share", "realtime", "places"),
    [
        (32, 0.25, False, 32),
        (32, 0.25, True, 24),
        (32, 0.0, True, 32),
        (5, 0.25, True, 3),
        (3, 0.01, True, 2),
        (2, 0.99, True, 1),
        (1, 0.25, True, 1),
        (1, 0.25, False, 1),
    ],
)
def test_realtime_keeps_its_share_where_there_is_realtime(
    concurrency: int, share: float, realtime: bool, places: int
) -> None:
    assert deferred_places(concurrency, share, realtime=realtime) == places
