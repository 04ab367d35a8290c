"""Whether this machine's time may be believed, and what the time is then (design 7).

A vehicle boots without network and often without a battery behind its clock. What makes time known is the system's
synchronised flag or TPS's ``Date``; from that instant on a clock that never steps carries it, whatever the system's
wall clock does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.core.taptime import CLOCK_CEILING
from tpsd.domain.time import MINUTE, SECOND, Micros

AGREES_US: Final = 2 * SECOND
"""A ``Date`` is cut to the second and was some moments on its way: a smaller difference shows nothing."""

ASK_FIRST_US: Final = 5 * SECOND
ASK_LONGEST_US: Final = MINUTE


@dataclass(frozen=True, slots=True)
class Reading:
    """The system's clocks at one instant. ``running``: microseconds that never step and count through suspend."""

    wall: Micros
    running: int
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """An instant whose true time is known; ``running`` as in ``Reading``."""

    wall: Micros
    running: int


class Dates(Enum):
    """Whose clock judges from when to when a certificate is valid."""

    SYSTEM = "system"
    OWN = "own"
    NOBODY = "nobody"  # no time is known yet


@dataclass(frozen=True, slots=True)
class Judging:
    """How a certificate is to be judged now; ``at`` means nothing where nobody can."""

    dates: Dates
    at: Micros


def believes(reading: Reading, floor: Micros) -> bool:
    """Whether the system's clock is right. A synchronised 1970 is a flag that somebody cleared."""
    return reading.synchronised and floor <= reading.wall < CLOCK_CEILING


def looked(anchor: Anchor | None, reading: Reading, floor: Micros) -> Anchor | None:
    """The anchor after a look at the system's clocks; once there is one, there always is."""
    return Anchor(reading.wall, reading.running) if believes(reading, floor) else anchor


def heard(anchor: Anchor | None, reading: Reading, date: Micros, floor: Micros) -> Anchor | None:
    """The anchor after TPS said what time it is. A clock that is right does not listen."""
    if believes(reading, floor) or not floor <= date < CLOCK_CEILING:
        return anchor
    if anchor is not None and abs(true_wall(anchor, reading, floor) - date) <= AGREES_US:
        return anchor
    return Anchor(date, reading.running)


def true_wall(anchor: Anchor, reading: Reading, floor: Micros) -> Micros:
    """What time it is: the system's where it is right or agrees, else what the anchor has become."""
    if believes(reading, floor) or agrees(anchor, reading):
        return reading.wall
    return _become(anchor, reading)


def agrees(anchor: Anchor, reading: Reading) -> bool:
    """Whether the system's clock is where the anchor says that it should be."""
    return abs(reading.wall - _become(anchor, reading)) <= AGREES_US


def _become(anchor: Anchor, reading: Reading) -> Micros:
    return Micros(anchor.wall + reading.running - anchor.running)


def judging(anchor: Anchor | None, reading: Reading, floor: Micros) -> Judging:
    """By which clock a certificate is judged."""
    if anchor is None:
        return Judging(Dates.NOBODY, reading.wall)
    at = true_wall(anchor, reading, floor)
    return Judging(Dates.SYSTEM if at == reading.wall else Dates.OWN, at)


def ask_pause(asked: int) -> int:
    """Microseconds to the next question after ``asked`` of them: 5 s, doubling to 60 s."""
    return min(ASK_FIRST_US << min(max(asked - 1, 0), 8), ASK_LONGEST_US)


def former_shift(last: Micros, shift_us: int, began_at: Micros, floor: Micros) -> int:
    """What to add to the times of a former life that never knew the time; an estimate.

    ``last``: its latest time by its own clock. ``shift_us``: what this life's clock was off by. ``began_at``: when
    this life began, in true time. The same clock may have run on; where that gives no possible time, the latest
    that it can have been: that life's last time was when this one began.
    """
    return shift_us if floor <= last + shift_us <= began_at else began_at - last
