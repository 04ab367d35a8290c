"""The ladder: when a request that failed is due again (design 2), on the schedule clock.

A try is due at the start of the one before plus its tier. Jitter and ``Retry-After`` only ever delay it.
"""

from __future__ import annotations

from typing import Final

from tpsd.domain.authorisation import Ladder, Tier
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

DEFAULT_LADDER: Final[Ladder] = (
    Tier(3, 1 * MINUTE),
    Tier(3, 15 * MINUTE),
    Tier(3, 60 * MINUTE),
    Tier(3, 360 * MINUTE),
)
"""Sfey's flow for deferred taps: three tries in each tier, all but the first optional (seed, section 4)."""

JITTER_SHARE_MAX: Final = 0.1
"""Share of a tier: enough to part the vehicles of a fleet, and the ladder stays the one Sfey prints."""

JITTER_US_MAX: Final = 5 * MINUTE
"""A tenth of the six-hour tier would be 36 minutes; five part a fleet too (field.md: a spread of 300 s)."""

RETRY_AFTER_US_MAX: Final = 6 * HOUR
"""The longest tier: a gateway's absurd Retry-After must not park a tap for ever."""


def minutes(ladder: Ladder) -> list[float]:
    """Minutes after the first send at which each send is due, 0 first, no jitter; whole ones as integers."""
    sends: list[float] = [0]
    at = 0
    for tier in ladder:
        for _ in range(tier.tries):
            at += tier.every_us
            sends.append(at // MINUTE if at % MINUTE == 0 else at / MINUTE)
    return sends


def span(ladder: Ladder, jitter_share: float = 0.0) -> int:
    """Microseconds from the first send to the last one due, with the most that jitter may add."""
    return sum(tier.tries * (tier.every_us + _jitter(tier, 1.0, jitter_share)) for tier in ladder)


def next_due(
    ladder: Ladder,
    sends: int,
    *,
    started_at: Micros,
    ended_at: Micros,
    jitter_draw: float,
    jitter_share: float,
    retry_after: int | None = None,
) -> Micros | None:
    """When the send after the ``sends``-th is due; None when the ladder is over.

    ``started_at`` and ``ended_at`` are the last send's, on the schedule clock; ``jitter_draw`` is in [0, 1),
    ``jitter_share`` in [0, JITTER_SHARE_MAX], ``retry_after`` in seconds. Raises ValueError outside these.
    """
    if sends < 1:
        raise ValueError(f"{sends} sends: the next one of a ladder follows at least one")
    if not 0 <= jitter_draw < 1:
        raise ValueError(f"jitter draw {jitter_draw} is outside [0, 1)")
    tier = _tier(ladder, sends)
    if tier is None:
        return None
    due = started_at + tier.every_us + _jitter(tier, jitter_draw, jitter_share)
    asked = min(max(retry_after or 0, 0) * SECOND, RETRY_AFTER_US_MAX)
    return Micros(max(due, ended_at + asked))


def _tier(ladder: Ladder, sends: int) -> Tier | None:
    past = 0
    for tier in ladder:
        past += tier.tries
        if sends <= past:
            return tier
    return None


def _jitter(tier: Tier, draw: float, share: float) -> int:
    if not 0 <= share <= JITTER_SHARE_MAX:
        raise ValueError(f"jitter share {share} is outside [0, {JITTER_SHARE_MAX}]")
    return int(draw * min(share * tier.every_us, JITTER_US_MAX))
