"""What transactions are called: by chance, except where a log says what they were called."""

from __future__ import annotations

import random
from typing import Protocol
from uuid import UUID

from tpsd.core.following import Original
from tpsd.domain.tap import Kind, TapReport


class Uuids(Protocol):
    """Names transactions, each once."""

    def of_tap(self, report: TapReport) -> UUID:
        """The one that a tap begins."""

    def of_follower(self, original: Original, kind: Kind) -> UUID:
        """The one that follows another without a card: a refund, a release, a check-out by hand."""

    def of_rebuilt(self, old: str) -> UUID:
        """The one that takes the place of another (UUID), its request made anew."""


class Drawn:
    """By chance, as version 4 has it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def of_tap(self, report: TapReport) -> UUID:
        """Whatever the tap."""
        del report
        return self._draw()

    def of_follower(self, original: Original, kind: Kind) -> UUID:
        """Whatever it follows."""
        del original, kind
        return self._draw()

    def of_rebuilt(self, old: str) -> UUID:
        """Whatever it replaces."""
        del old
        return self._draw()

    def _draw(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)
