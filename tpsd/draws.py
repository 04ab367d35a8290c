"""What is drawn by chance so that not all is sent at once: from a generator, except where a log says what was drawn."""

from __future__ import annotations

import random
from typing import Protocol
from uuid import UUID


class Draws(Protocol):
    """Numbers in [0, 1), each for one transaction."""

    def of_attempt(self, uuid: UUID) -> float:
        """The jitter of the rung behind an attempt."""

    def of_release(self, uuid: str) -> float:
        """Where in the spread a row lies that is released with many others."""


class Drawn:
    """By chance, whatever the transaction."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def of_attempt(self, uuid: UUID) -> float:
        """The next one."""
        del uuid
        return self._rng.random()

    def of_release(self, uuid: str) -> float:
        """The next one."""
        del uuid
        return self._rng.random()
