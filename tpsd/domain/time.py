"""Instants as integers, so that they compare, store and replay exactly."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z, wall or schedule clock as the name beside it says."""

MILLISECOND = 1_000
SECOND = 1_000 * MILLISECOND
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SECONDS_KEPT = 64  # of what was told last, as text: a tap is told of within a few

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def later(at: Micros, microseconds: int) -> Micros:
    """The instant ``microseconds`` after ``at``."""
    return Micros(at + microseconds)


def iso_millis(at: Micros) -> str:
    """``2026-11-23T08:15:30.123Z``: UTC with milliseconds, cut and not rounded."""
    seconds, micros = divmod(at, SECOND)
    return f"{_iso_seconds(seconds)}.{micros // 1000:03d}Z"


def iso_micros(at: Micros) -> str:
    """``2026-11-23T08:15:30.123456Z``."""
    seconds, micros = divmod(at, SECOND)
    return f"{_iso_seconds(seconds)}.{micros:06d}Z"


def micros_of(text: str) -> Micros:
    """The instant that ``iso_micros`` wrote. Raises ValueError."""
    return Micros((datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND)


@lru_cache(maxsize=SECONDS_KEPT)
def _iso_seconds(seconds: int) -> str:
    """``2026-11-23T08:15:30``: kept, since what happens together is told together, and a day is slow to find."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
