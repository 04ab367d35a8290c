"""The Protocol between the doorkeeper and the journal: lanes that people closed."""

from __future__ import annotations

from typing import Protocol

from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed


class Closures(Protocol):
    """The journal as the doorkeeper uses it. Every method that writes is one transaction, durable when it returns."""

    async def closed(self) -> dict[str, LaneClosed]:
        """Every lane that stands closed, by name; the configuration may no longer know it."""

    async def close(self, name: str, closed: LaneClosed, audit: AuditDraft) -> None:
        """It stays closed until ``open``, over restarts too."""

    async def open(self, name: str, audit: AuditDraft) -> None:
        """It is closed no more."""
