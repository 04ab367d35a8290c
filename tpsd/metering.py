"""What is counted and timed while the daemon works; who counts is no business of those who work."""

from __future__ import annotations

from typing import Protocol

from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import Kind, Told


class Meter(Protocol):
    """Called once an event; must neither fail nor wait. ``committed`` is called from the journal's thread too."""

    def tapped(self, lane: str, kind: Kind | None, told: Told) -> None:
        """A new tap was kept and its verdict told; ``kind`` None where it could not be read."""

    def repeated(self, lane: str) -> None:
        """A tap that was known came again."""

    def sent(self, seconds: float) -> None:
        """One exchange with TPS ended, whatever came of it."""

    def settled(self, outcome: Outcome) -> None:
        """What one attempt came to is in the journal."""

    def committed(self, seconds: float) -> None:
        """One group of the journal is durable."""


class Unmetered:
    """Counts nothing."""

    def tapped(self, lane: str, kind: Kind | None, told: Told) -> None:
        """Nothing."""

    def repeated(self, lane: str) -> None:
        """Nothing."""

    def sent(self, seconds: float) -> None:
        """Nothing."""

    def settled(self, outcome: Outcome) -> None:
        """Nothing."""

    def committed(self, seconds: float) -> None:
        """Nothing."""


UNMETERED = Unmetered()
