"""The operator's cashier: a check-out or a refund by hand, from the order to TPS's answer (``core.byhand``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from tpsd.asking import Asked, Ordered, Receipted
from tpsd.core.answering import Policy
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.operations import Refusal
from tpsd.domain.audit import AuditDraft
from tpsd.errors import RefusedError
from tpsd.ports import Clock
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.authoriser import Authoriser, Terms


class Cashier:
    """One daemon's. Who asked may hang up at any moment: what was committed is sent, and its answer committed.

    ``limit`` says the most that a check-out may charge now, in minor units: a digit too many is found here or nowhere.
    """

    def __init__(
        self, asked: Asked, authoriser: Authoriser, clock: Clock, policy: Policy, limit: Callable[[], int]
    ) -> None:
        self._asked = asked
        self._authoriser = authoriser
        self._clock = clock
        self._terms = Terms(policy)
        self._enquires = policy.doubt.enquires
        self._limit = limit
        self._orders: set[asyncio.Task[Receipted]] = set()
        self.witness: Witness = UNWITNESSED

    async def check_out(self, journey: str, order: CheckOutOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""
        self._refuse_without_time()
        if order.amount > (limit := self._limit()):
            raise RefusedError(
                f"{order.amount} is above {limit}, the highest amount_limit of the lanes that end journeys: "
                "correct --amount, or raise amount_limit and send SIGHUP"
            )
        audit = AuditDraft(self._clock.wall(), who, "checkout", why)
        follow, now = self._authoriser.follow, self._clock.schedule()
        self.witness.ordered("checkout", journey, who, asdict(order))
        return await self._to_its_end(
            self._asked.check_out(journey, order, follow, now, audit, enquires=self._enquires)
        )

    async def refund(self, reference: str, order: RefundOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""
        self._refuse_without_time()
        audit = AuditDraft(self._clock.wall(), who, "refund", why)
        follow, now = self._authoriser.follow, self._clock.schedule()
        self.witness.ordered("refund", reference, who, asdict(order))
        return await self._to_its_end(self._asked.refund(reference, order, follow, now, audit))

    def _refuse_without_time(self) -> None:
        if not self._clock.trusted:
            raise RefusedError("the time is not known yet, and the request would carry it: try again when it is")

    async def _to_its_end(self, begun: Coroutine[Any, Any, Ordered | Refusal]) -> Receipted:
        task = asyncio.create_task(self._send(begun), name="order by hand")
        self._orders.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Receipted]) -> None:
        self._orders.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone, and then nobody else looks at it

    async def _send(self, begun: Coroutine[Any, Any, Ordered | Refusal]) -> Receipted:
        ordered = await begun
        if isinstance(ordered, Refusal):
            raise RefusedError(ordered.words)
        original, amount = ordered.original, ordered.amount
        if ordered.claimed is None:
            state = "" if ordered.state is None else ordered.state.value
            return Receipted(ordered.already or "", original, amount, state, "", already=True)
        uuid = str(ordered.claimed.uuid)
        answered = await self._authoriser.begin(ordered.claimed, self._terms)
        if answered is None:
            return Receipted(uuid, original, amount, "settled elsewhere", "")
        end = answered.settlement
        return Receipted(
            uuid,
            original,
            amount,
            end.state.value,
            end.cause or "",
            approved=end.approved_amount,
            enquired=end.enquiry_due is not None,
        )
