"""The Protocol between the uplink's loop and the journal's outages."""

from __future__ import annotations

from typing import Protocol

from tpsd.core.uplink import Outage, Spread
from tpsd.domain.time import Micros


class Outages(Protocol):
    """Outages of TPS's hosts, kept over restarts. Times on the schedule clock.

    Every method is one transaction, durable when it returns, and raises JournalUnavailableError when the commit
    could not be made.
    """

    async def unfinished(self, host: str) -> Outage | None:
        """The outage that an earlier life of this daemon left; those of other hosts are forgotten."""

    async def begin(self, host: str, since: Micros) -> None:
        """It began; one that has begun already stays as it is."""

    async def tell(self, host: str, now: Micros) -> bool:
        """It lasts: write the notice, once an outage; whether it was written now."""

    async def end(self, host: str, now: Micros, spread: Spread | None) -> bool:
        """It is over: first sends that waited are spread before the next claim; whether a notice was written.

        A notice is written where the outage's beginning was told. ``spread`` None: they are due as they were.
        """
