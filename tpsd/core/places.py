"""How the sends that may be under way at once are shared between taps that wait and passengers who do."""

from __future__ import annotations


def deferred_places(concurrency: int, realtime_share: float, *, realtime: bool) -> int:
    """How many deferred sends may be in flight: all of them, or what realtime leaves; at least one.

    ``realtime``: whether a lane asks TPS while its passenger waits. Its share is then kept free, so that a drain
    of what an outage left cannot make a passenger wait. ``realtime_share`` is in [0, 1).
    """
    if not realtime:
        return concurrency
    kept_free = -int(-concurrency * realtime_share // 1)  # rounded up: one place of four is not none
    return max(1, concurrency - kept_free)
