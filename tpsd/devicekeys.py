"""The Protocol between whoever receives device keys and the journal that keeps them, sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import KeyRow, KeysKept, KeyToKeep, TokenKeyUse
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros


class DeviceKeys(Protocol):
    """Every method that writes is one transaction, durable when it returns."""

    async def keep(self, keys: Sequence[KeyToKeep], at: Micros, audit: AuditDraft | None = None) -> KeysKept:
        """Seal those that are not known yet. One that was retired stays so, from whichever terminal it comes again; one
        kept as received may open now.

        ``at`` on the wall clock; ``audit`` where a person gave them.
        """

    async def rows(self) -> list[KeyRow]:
        """All, the newest of each type first."""

    async def uses(self) -> list[TokenKeyUse]:
        """What would be found no more if a version of the token key were retired."""

    async def secret(self, number: int) -> bytes:
        """The key itself, or the text that was received of one that is not opened.

        Raises NotFoundError; RefusedError for one that was retired; SealError where it does not open.
        """

    async def retire(self, number: int, at: Micros, audit: AuditDraft) -> KeyRow:
        """Destroy what is sealed of a key, to whichever terminals it came; the rows stay.

        Raises NotFoundError; RefusedError where that was done.
        """

    async def refuse(self, uuid: UUID, key: KeyRow, notice: NoticeDraft, at: Micros, now: Micros) -> bool:
        """Note that TPS refused what was made with a key, if this transaction was: its card token, or its card data.

        With the notice, the first time; whether it was. ``at`` on the wall clock, ``now`` on the schedule clock.
        """

    async def put_in_force(self, token_key: str | None) -> None:
        """Have lists that come from now on carry this version of the token key; None: there is none."""
