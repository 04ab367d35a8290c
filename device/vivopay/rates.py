"""At which rate a reader is looked for: the usual one, then the others, round and round.

One that was found at some rate will most likely come back at that: it is looked for there every other time.
"""

from __future__ import annotations


class Rates:
    """``baud`` is the first of them, ``probe`` the rest; bits/s."""

    def __init__(self, baud: int, probe: tuple[int, ...]) -> None:
        self._rates = (baud, *(rate for rate in probe if rate != baud))
        self._round = self._rates
        self._at = 0

    @property
    def current(self) -> int:
        """Where the port should be."""
        return self._round[self._at]

    def heard(self) -> None:
        """A reader answers at this one."""
        known = self.current
        others = [rate for rate in self._rates if rate != known]
        self._round = tuple(rate for other in others for rate in (known, other)) or (known,)
        self._at = 0

    def turn(self) -> bool:
        """Nobody answers at this one: the next is the current one. False once all have been tried since."""
        self._at = (self._at + 1) % len(self._round)
        return self._at != 0
