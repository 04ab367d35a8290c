"""The Protocol between those who ask TPS while somebody waits and the journal (design 1 to 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tpsd.core.answering import Ending, Waiting
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.following import Original
from tpsd.core.operations import Refusal
from tpsd.core.settlement import Settlement
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import Claimed, Draft, State
from tpsd.domain.card import CardToken
from tpsd.domain.journey import Journey, JourneyState
from tpsd.domain.outcome import Outcome
from tpsd.domain.receipt import Recorded
from tpsd.domain.tap import Kind, Told
from tpsd.domain.time import Micros
from tpsd.domain.views import JourneyRow

Judge = Callable[[Waiting], Ending]
"""What an attempt's end means, decided inside the transaction."""

Follow = Callable[[Original, Kind, int], Draft]
"""Makes the request of a kind and an amount (minor units) that follows a transaction. It holds no card data."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What commit 3 left. ``tap`` is the number of the one that waited; nothing is ``told`` where none did."""

    settlement: Settlement
    told: Told | None = None
    tap: int | None = None
    noticed: bool = False
    follows: bool = False  # something that follows it waits to be sent


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an order by hand. ``claimed`` is to be sent now.

    ``already``: the one that was ordered before, and its ``state``.
    """

    original: Original
    claimed: Claimed | None = None
    already: str | None = None
    amount: int = 0
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Receipted:
    """What became of an order. ``state`` and ``cause`` are the authorisation's; ``already``: it was ordered before.

    Amounts in minor units; ``approved``: what TPS said it approved. ``enquired``: TPS is going to be asked about it.
    """

    uuid: str
    original: Original
    amount: int
    state: str
    cause: str
    already: bool = False
    approved: int | None = None
    enquired: bool = False


class JourneyReader(Protocol):
    """A journal's journeys and receipts as people read them, with or without a daemon."""

    async def rows(self, states: Sequence[JourneyState], limit: int) -> list[JourneyRow]:
        """Those in one of the states, or all where none is named; newest first."""

    async def receipt(self, reference: str) -> Recorded:
        """What a tap's receipt is made of. Raises NotFoundError."""


class Asked(JourneyReader, Protocol):
    """The journal as realtime taps use it. Every method that writes is one transaction, durable when it returns."""

    async def journey(self, operator: int, token: CardToken) -> Journey | None:
        """The card's open one."""

    async def answer(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered:
        """Commit 3 of a realtime attempt. Raises SettledLate when another commit was first."""

    async def delivered(self, tap: int) -> None:
        """The validator's link has the verdict."""

    async def check_out(
        self,
        journey: str,
        order: CheckOutOrder,
        follow: Follow,
        now: Micros,
        audit: AuditDraft,
        *,
        enquires: bool = False,
    ) -> Ordered | Refusal:
        """Begin a check-out by hand: intent, request and attempt in one commit. Raises NotFoundError.

        Where TPS can be asked (``enquires``) and a try that waits for a tap may have charged, that is found out first:
        it waits no more, and the order is refused until then.
        """

    async def refund(
        self, reference: str, order: RefundOrder, follow: Follow, now: Micros, audit: AuditDraft
    ) -> Ordered | Refusal:
        """Begin a refund: intent, request and attempt in one commit. Raises NotFoundError."""

    async def attend(self, expired: Micros, unseen: Micros, enquires: bool, now: Micros) -> dict[str, int]:
        """Expire journeys opened before ``expired``; tell of verdicts that no link took since ``unseen`` (wall clock).

        What was done, by name.
        """

    async def found_in_doubt(self) -> int:
        """How many realtime transactions in doubt an enquiry has found approved."""

    async def next_attention(self, expires_us: int, unseen_us: int) -> Micros | None:
        """When ``attend`` has something to do (wall clock), None where nothing travels and nothing is unseen."""
