"""The Protocols between the enquirer and the parts it works with: the journal's doubts, and TPS that is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from tpsd.asking import Answered, Follow
from tpsd.core.enquiry import Conclusion, Heard
from tpsd.core.following import Original
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Claimed, Draft
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Exchange
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros

Judge = Callable[[Micros], Settlement | None]
"""What becomes of a due row instead of a send, by the start of its first send that may have charged; None: sent."""

Crashed = Callable[[Enquired], tuple[Heard, Conclusion]]
"""What is concluded from an enquiry whose end nobody saw."""

Ask = Callable[[UUID], Awaitable[Exchange]]
"""One enquiry at TPS. Never raises for network trouble: that is a value."""


def nothing_follows(original: Original, kind: Kind, amount: int) -> Draft:
    """For where nothing is given back. Raises ValueError."""
    raise ValueError(f"a {kind.value} of {amount} would follow {original.uuid}, and nobody makes its request")


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

    async def claim_one(self, uuid: str, now: Micros) -> Enquired | None:
        """This row, because its passenger stands at the lane again: beside the series, which it does not use up.

        None where it is in doubt no more, or an enquiry is under way.
        """

    async def conclude(
        self,
        enquired: Enquired,
        heard: Heard,
        conclusion: Conclusion,
        ended_at: Micros,
        follow: Follow = nothing_follows,
    ) -> bool:
        """End the attempt and write what follows; False when something else moved the row: then only the attempt.

        ``follow`` makes the request that gives back what the conclusion says.
        """

    async def cover(
        self, enquired: Enquired, heard: Heard, conclusion: Conclusion, claimed: Claimed, ended_at: Micros
    ) -> Answered | None:
        """It is found approved and pays for the tap that waits (``claimed``): one commit for both.

        None when something else moved either of them, or the passenger was turned away meanwhile: then only the
        enquiry's attempt is ended, and the row is asked about again.
        """

    async def leave(self, enquired: Enquired, heard: Heard, ended_at: Micros) -> None:
        """End the attempt of ``claim_one`` and leave the row as it is."""

    async def control(self, since: Micros, until: Micros) -> UUID | None:
        """The transaction that TPS approved last between these instants, None where it approved none."""

    async def next_due(self) -> Micros | None:
        """When the earliest enquiry is due."""
