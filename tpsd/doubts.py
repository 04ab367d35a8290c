"""The Protocols between the enquirer and the parts it works with: the journal's doubts, and TPS that is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from tpsd.core.enquiry import Conclusion, Heard
from tpsd.core.settlement import Settlement
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Exchange
from tpsd.domain.time import Micros

Judge = Callable[[Micros], Settlement | None]
"""What becomes of a due row instead of a send, by the start of its first send that may have charged; None: sent."""

Crashed = Callable[[Enquired], tuple[Heard, Conclusion]]
"""What is concluded from an enquiry whose end nobody saw."""

Ask = Callable[[UUID], Awaitable[Exchange]]
"""One enquiry at TPS. Never raises for network trouble: that is a value."""


def never_judged(_since: Micros) -> Settlement | None:
    """A judge that lets every row be sent."""
    return None


class Doubts(Protocol):
    """The journal as the enquirer uses it; times on the schedule clock.

    Every method that writes is one transaction, durable when it returns, or raises JournalUnavailableError.
    """

    async def begin(self, now: Micros, enquires: bool, crashed: Crashed) -> dict[str, int]:
        """At start: ends enquiries a crash left open, asks about rows that wait unasked, or tells of them.

        What was done, by name. Without ``enquires`` rows that waited for an enquiry rest for a person.
        """

    async def claim(self, now: Micros, limit: int) -> Sequence[Enquired]:
        """The rows whose enquiry is due, oldest first, each with its attempt number written."""

    async def conclude(self, enquired: Enquired, heard: Heard, conclusion: Conclusion, ended_at: Micros) -> bool:
        """End the attempt and write what follows; False when something else moved the row: then only the attempt."""

    async def control(self, since: Micros, until: Micros) -> UUID | None:
        """The transaction that TPS approved last between these instants, None where it approved none."""

    async def next_due(self) -> Micros | None:
        """When the earliest enquiry is due."""
