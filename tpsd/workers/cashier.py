"""The operator's cashier: a check-out or a refund by hand, from the order to TPS's answer (``core.byhand``)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from tpsd.asking import Asked, Ordered
from tpsd.core.answering import Policy
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.following import Original
from tpsd.core.operations import Refusal
from tpsd.domain.audit import AuditDraft
from tpsd.errors import RefusedError
from tpsd.ports import Clock
from tpsd.workers.authoriser import Authoriser, Terms

log = structlog.get_logger("tpsd.cashier")


@dataclass(frozen=True, slots=True)
class Receipted:
    """What became of an order. ``state`` and ``cause`` are the authorisation's; ``already``: it was ordered before.

    ``settled_at`` is the original's, on the schedule clock.
    """

    uuid: str
    original: Original
    amount: int
    state: str
    cause: str
    already: bool = False


class Cashier:
    """One daemon's."""

    def __init__(self, asked: Asked, authoriser: Authoriser, clock: Clock, policy: Policy) -> None:
        self._asked = asked
        self._authoriser = authoriser
        self._clock = clock
        self._terms = Terms(policy)

    async def check_out(self, journey: str, order: CheckOutOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""
        audit = AuditDraft(self._clock.wall(), who, "checkout", why)
        now = self._clock.schedule()
        return await self._send(await self._asked.check_out(journey, order, self._authoriser.follow, now, audit))

    async def refund(self, reference: str, order: RefundOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""
        audit = AuditDraft(self._clock.wall(), who, "refund", why)
        now = self._clock.schedule()
        return await self._send(await self._asked.refund(reference, order, self._authoriser.follow, now, audit))

    async def _send(self, ordered: Ordered | Refusal) -> Receipted:
        if isinstance(ordered, Refusal):
            raise RefusedError(ordered.words)
        if ordered.claimed is None:
            uuid = ordered.already or ""
            return Receipted(uuid, ordered.original, ordered.amount, "ordered before", "", already=True)
        uuid = str(ordered.claimed.uuid)
        # Who asked may hang up; the answer is committed all the same.
        answered = await asyncio.shield(self._authoriser.begin(ordered.claimed, self._terms))
        if answered is None:
            return Receipted(uuid, ordered.original, ordered.amount, "settled elsewhere", "")
        settlement = answered.settlement
        return Receipted(uuid, ordered.original, ordered.amount, settlement.state.value, settlement.cause or "")
