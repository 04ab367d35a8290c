"""How long to wait between two looks at what others may have left: short after something was there, then longer."""

from __future__ import annotations

from typing import Final

from tpsd.domain.time import MILLISECOND

SOONEST_US: Final = 500 * MILLISECOND
"""Who has just done something is often not done: a list comes in pages, a dying machine's work by and by."""


def pause(last_us: int, longest_us: int, *, found: bool) -> int:
    """Microseconds until the next look; ``last_us`` was the pause before this one."""
    return min(SOONEST_US if found else 2 * last_us, longest_us)
