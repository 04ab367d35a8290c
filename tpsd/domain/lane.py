"""A lane as the journal knows it: closed by hand, and what of it waits."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class LaneClosed:
    """Who closed a lane, when (wall clock), and why."""

    who: str
    at: Micros
    why: str

    def __str__(self) -> str:
        """As the lane's reason."""
        return f"by {self.who}: {self.why}"


@dataclass(frozen=True, slots=True)
class LaneWaits:
    """A lane's taps on the ladder (``pending``) and at rest until a cause is mended (``held``).

    ``oldest`` is when the oldest pending one was taken (schedule clock).
    """

    pending: int = 0
    held: int = 0
    oldest: Micros | None = None
