"""What TPS decides, without a wire: it keeps books, obeys a fate for each request, and forgives nothing.

Its rules for a transaction UUID: a repeat that differs is refused (27) and written down as a violation; a repeat
while one is being processed is told so (303); a byte-identical repeat of a settled one gets the same answer and
moves no money. Fates: ``tpsd.sfey.fates``; books: ``tpsd.sfey.ledger``. How an answer travels is the carrier's:
``tpsd.sfey.simulator`` over HTTP, ``tpsd.sfey.direct`` within one process.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tpsd.domain.time import Micros
from tpsd.sfey.fates import Asked, Choose, Delivery, Fate, by_amount, in_progress, system
from tpsd.sfey.inspection import AUTHORIZATION_NOT_FOUND, INVALID_REPEAT_REQUEST, Finding, inspect
from tpsd.sfey.ledger import Charge, Ledger, Reply, Request, Violation, Visit
from tpsd.sfey.paths import pattern
from tpsd.sfey.wire import DEVICE_V1, Profile

AFC_BASE_PATH = "/afc-api/v3"  # where afc_base_url must point for enquiries


@dataclass(frozen=True, slots=True)
class Served:
    """What is to be delivered, and of which transaction; None: its UUID could not be read."""

    fate: Fate
    uuid: str | None


@dataclass(slots=True)
class _Transaction:
    """What TPS knows of one UUID."""

    digest: str
    requests: int = 0
    busy: bool = False
    settled: Fate | None = None


def system_wall() -> Micros:
    """This machine's wall clock."""
    return Micros(time.time_ns() // 1000)


class Teller:
    """One TPS. ``choose`` gives a request's fates, ``wall`` stamps the ledger."""

    def __init__(
        self,
        choose: Choose = by_amount,
        *,
        ledger: Ledger | None = None,
        wall: Callable[[], Micros] = system_wall,
        profile: Profile = DEVICE_V1,
    ) -> None:
        self.ledger = ledger if ledger is not None else Ledger()
        self.wall = wall
        self.profile = profile
        self._choose = choose
        self._transactions: dict[str, _Transaction] = {}
        # Processing goes on when the client leaves, as TPS's does: its tasks belong to nobody who asks.
        self._context = contextvars.copy_context()
        self._processing: set[asyncio.Task[Fate]] = set()
        self._transaction_path = pattern(profile.transaction_path)
        self._enquiry_path = pattern(AFC_BASE_PATH + profile.enquiry_path)

    async def serve(self, method: str, path: str, body: bytes = b"") -> Served | None:
        """One request from its arrival to its fate; None: there is nothing at this path."""
        if method == "POST" and self._transaction_path.fullmatch(path):
            return await self._transaction(path, body)
        self.ledger.add(Visit(self.wall(), method, path))
        enquiry = self._enquiry_path.fullmatch(path)
        if method == "GET" and enquiry is not None:
            return self._enquiry(enquiry["transactionUuid"])
        return None

    async def stop(self) -> None:
        """End what is being processed."""
        for task in self._processing:
            task.cancel()
        await asyncio.gather(*self._processing, return_exceptions=True)

    async def _transaction(self, path: str, body: bytes) -> Served:
        finding = inspect(self.profile, body)
        digest = hashlib.sha256(path.encode() + b"\0" + body).hexdigest()
        known = self._transactions.setdefault(finding.uuid, _Transaction(digest)) if finding.uuid else None
        number = self._record(finding, known, digest)
        fate = await self._fate(finding, known, digest, number)
        self.ledger.add(Reply(self.wall(), finding.uuid, number, fate.name))
        return Served(fate, finding.uuid)

    def _record(self, finding: Finding, known: _Transaction | None, digest: str) -> int:
        if known is not None:
            known.requests += 1
        number = 1 if known is None else known.requests
        asked = finding.asked
        if asked is None:
            self.ledger.add(Request(self.wall(), finding.uuid, number, digest))
        else:
            self.ledger.add(
                Request(
                    self.wall(),
                    finding.uuid,
                    number,
                    digest,
                    asked.serial,
                    asked.tapped_at,
                    asked.amount,
                    asked.type,
                )
            )
        return number

    async def _fate(self, finding: Finding, known: _Transaction | None, digest: str, number: int) -> Fate:
        if known is not None and known.digest != digest:
            return self._refusal(finding, INVALID_REPEAT_REQUEST, "differs from the first request of its UUID")
        if known is not None and known.busy:
            return in_progress()
        if finding.system_code is not None or known is None or finding.asked is None:
            code = finding.system_code or 0
            return self._refusal(finding, code, f"does not keep the contract: system code {code}")
        if known.settled is None and (wrong := self._follows_wrongly(finding.asked)) is not None:
            return self._refusal(finding, AUTHORIZATION_NOT_FOUND, wrong)
        fates = self._choose(finding.asked)
        fate = fates[min(number, len(fates)) - 1]
        known.busy = True
        task = asyncio.create_task(self._process(known, finding.asked, fate), context=self._context)
        self._processing.add(task)
        task.add_done_callback(self._processing.discard)
        return await asyncio.shield(task)

    def _follows_wrongly(self, asked: Asked) -> str | None:
        """Why a transaction cannot follow the one it names; None where it can, or follows none."""
        if asked.initial is None:
            return None
        charges = {charge.uuid: charge for charge in self.ledger.charges()}
        first = charges.get(asked.initial)
        if first is None:
            return "follows a transaction that was never approved"
        if asked.type == "RETAIL_CHECK_OUT":
            if first.type != "RETAIL_CHECK_IN":
                return "checks out of what was no check-in"
            return "checks out a second time" if self.ledger.checked_out(asked.initial) else None
        return "gives back more than was charged" if asked.amount > self.ledger.charged(asked.initial) else None

    def _refusal(self, finding: Finding, code: int, what: str) -> Fate:
        self.ledger.add(Violation(self.wall(), finding.uuid, what))
        return system(code)

    async def _process(self, known: _Transaction, asked: Asked, fate: Fate) -> Fate:
        """Move the money, and give the fate that is delivered."""
        try:
            if known.settled is not None:
                return known.settled if fate.delivery is Delivery.ANSWER else fate
            if fate.delay_seconds:
                await asyncio.sleep(fate.delay_seconds)
            if fate.charges:
                amount = asked.amount if fate.amount is None else fate.amount
                self.ledger.add(_charge(self.wall(), asked, amount))
            if fate.settles:
                known.settled = replace(fate, name="repeated", delivery=Delivery.ANSWER)
            return fate
        finally:
            known.busy = False

    def _enquiry(self, uuid: str) -> Served | None:
        known = self._transactions.get(uuid)
        if known is None or (known.settled is None and not known.busy):
            return None
        return Served(known.settled or in_progress(), uuid)


def _charge(at: Micros, asked: Asked, amount: int) -> Charge:
    return Charge(
        at, asked.uuid, asked.serial, asked.tapped_at, amount, asked.type, initial=asked.initial, carded=asked.carded
    )
