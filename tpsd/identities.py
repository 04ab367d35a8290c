"""The Protocols between the registrar, the journal that keeps identities, and the wire that asks for them."""

from __future__ import annotations

from typing import Protocol

from tpsd.domain.audit import AuditDraft
from tpsd.domain.identity import Answered, Described, Identity, Issued
from tpsd.domain.time import Micros


class Identities(Protocol):
    """The journal as the registrar uses it. Every method that writes is one transaction, durable when it returns."""

    async def rows(self) -> list[Identity]:
        """All, by lane."""

    async def describe(self, lane: str, described: Described, audit: AuditDraft) -> Identity:
        """Keep a new key pair, sealed, with its request; one that the lane had before is gone."""

    async def request(self, lane: str) -> bytes:
        """The lane's request, DER. Raises NotFoundError."""

    async def awaits(self, lane: str) -> Identity:
        """TPS has the request."""

    async def activate(self, lane: str, issued: Issued, at: Micros) -> Identity:
        """TPS gave the certificates."""


class Registration(Protocol):
    """The way to TPS (``tpsd.sfey.registration``)."""

    def describe(self, terminal: str) -> Described:
        """A new key pair and request for ``TYPE:SERIAL``; takes a while, so not on the event loop."""

    async def ask(self, credential: str, terminal: str, request: bytes) -> Answered:
        """Send the request and verify what comes; never raises for what TPS or the network does."""
