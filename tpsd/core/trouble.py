"""Which times of a trouble get a line in the log: the first is loud, the others are counted.

A trouble that comes and goes is one trouble: a loose cable must not fill a disk with lines.
"""

from __future__ import annotations

from typing import Final

REMIND_SECONDS: Final = 3600.0
"""A trouble that lasts is told again this often, with its count: a line an hour is found and fills no disk."""

CALM_SECONDS: Final = 60.0
"""What comes back sooner is the same trouble."""

WHYS_MAX: Final = 8
"""So many different reasons of one trouble are each loud once; a text that changes every time is not."""


class Trouble:
    """One trouble of one subject. Times in seconds of any clock that never steps back.

    Every loud beginning has a loud end: ``over`` answers once after each ``happened`` that asked for a line.
    """

    def __init__(self) -> None:
        self._active = False
        self._loud = False  # the last line said that it is there
        self._unsaid = 0
        self._whys: set[str] = set()
        self._said_at = 0.0
        self._last_at: float | None = None

    def happened(self, now: float, why: str = "") -> int | None:
        """How often since the last line, this time included, if a line is due; None to keep quiet."""
        anew = self._last_at is None or (not self._active and now - self._last_at > CALM_SECONDS)
        if anew:
            self._whys.clear()
            self._unsaid = 0
        self._active, self._last_at = True, now
        self._unsaid += 1
        unheard = why not in self._whys and len(self._whys) < WHYS_MAX
        if not (anew or unheard or now - self._said_at >= REMIND_SECONDS):
            return None
        self._whys.add(why)
        self._loud, self._said_at = True, now
        times, self._unsaid = self._unsaid, 0
        return times

    def over(self, now: float) -> int | None:
        """How often it has happened since the last line, if its end is worth one; None otherwise."""
        if not self._active:
            return None
        self._active, self._last_at = False, now
        if not self._loud:
            return None
        self._loud = False
        times, self._unsaid = self._unsaid, 0
        return times
