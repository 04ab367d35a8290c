"""The Protocol between the bodies' worker and the journal: taps stamped before the time was known, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tpsd.core.bodies import Bodiless, Body, Failure
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class Known:
    """What a life learnt when the time became known.

    ``shift_us``: what to add to the times its clock had shown. ``schedule_shift_us``: what to add to its schedule
    clock for the true time. ``began_at``: when it began, in true time. ``floor``: no time is before it.
    """

    life: str
    shift_us: int
    schedule_shift_us: int
    began_at: Micros
    floor: Micros


class Bodies(Protocol):
    """The journal as the bodies' worker uses it.

    Every method that writes is one transaction, durable when it returns, or raises JournalUnavailableError.
    """

    async def begin(self, now: Micros, floor: Micros) -> int:
        """At start: the schedule clock is taken for true until ``know``; the number of rows whose age was mended.

        Rows of a life whose clock was not set are as old as their tap, or as this life (``now``).
        """

    async def know(self, known: Known) -> None:
        """Keep what this life learnt, so that a crash does not turn its taps' times into estimates."""

    async def correct(self, known: Known, limit: int) -> int:
        """Put some taps' times right, once each; 0 when none is left. Those of other lives may be estimates."""

    async def waiting(self, limit: int) -> Sequence[Bodiless]:
        """Rows without a body whose tap's time is right."""

    async def give(self, made: Sequence[Body | Failure], now: Micros) -> int:
        """Write bodies, or fail their rows, unless somebody else has moved these; the number of bodies given."""
