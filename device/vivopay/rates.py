"""At which rate a reader is looked for: the usual one, then the others, round and round."""

from __future__ import annotations


class Rates:
    """``baud`` is the first of them, ``probe`` the rest; bits/s."""

    def __init__(self, baud: int, probe: tuple[int, ...]) -> None:
        self._rates = (baud, *(rate for rate in probe if rate != baud))
        self._at = 0
        self._silent = 0  # of them, one after the other, without an answer

    @property
    def current(self) -> int:
        """Where the port should be."""
        return self._rates[self._at]

    def heard(self) -> None:
        """A reader answers at this one."""
        self._silent = 0

    def turn(self) -> bool:
        """Nobody answers at this one: the next is the current one. False once all have been tried since."""
        self._at = (self._at + 1) % len(self._rates)
        self._silent = (self._silent + 1) % len(self._rates)
        return self._silent != 0
