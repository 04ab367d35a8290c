"""When to try a vanished port again: quickly at first, then every few seconds, never all lanes at once."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.1  # a replugged device is there again within this
LONGEST_SECONDS = 0.5  # a device is to be served within a second of its return; a failed open costs microseconds
LONGEST_NETWORK_SECONDS = 5.0  # a terminal server that is away costs one connection a lane this often
JITTER_SHARE = 0.25  # parts lanes whose hub went away together


class Backoff:
    """Doubling pauses with jitter, up to ``longest`` seconds; ``reset`` after a port was opened and heard from."""

    def __init__(self, rng: random.Random, longest: float = LONGEST_SECONDS) -> None:
        self._rng = rng
        self._longest = longest
        self._next = FIRST_SECONDS

    def pause(self) -> float:
        """Seconds to wait before the next try."""
        pause = self._next * (1 + JITTER_SHARE * self._rng.random())
        self._next = min(self._next * 2, self._longest)
        return pause

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._next = FIRST_SECONDS
