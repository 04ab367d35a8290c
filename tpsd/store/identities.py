"""Terminals' identities in the journal: the private key is sealed before its request leaves."""

from __future__ import annotations

from typing import Any

from tpsd.domain.audit import AuditDraft
from tpsd.domain.identity import Described, Identity, IdentityState, Issued
from tpsd.domain.time import Micros
from tpsd.errors import NotFoundError
from tpsd.store import audit as audits
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.seal import Entropy, wrap
from tpsd.store.writer import Writer


class SqlIdentities:
    """``identities.Identities`` on a journal's writer."""

    def __init__(self, writer: Writer, kek: bytes, journal_id: str, entropy: Entropy) -> None:
        self._writer = writer
        self._kek = kek
        self._journal_id = journal_id
        self._entropy = entropy

    async def rows(self) -> list[Identity]:
        """See ``identities.Identities``."""
        return await self._writer.read(
            lambda connection: [_identity(row) for row in connection.execute(Q["identity_rows"])]
        )

    async def describe(self, lane: str, described: Described, audit: AuditDraft) -> Identity:
        """See ``identities.Identities``; ``audit`` dates it."""
        label = f"key of terminal {described.terminal} of journal {self._journal_id}"
        sealed = wrap(self._kek, described.key, label, self._entropy)

        def work(connection: Connection) -> Identity:
            connection.execute(Q["identity_end"], (lane,))
            row = (lane, described.terminal, described.code, described.request, sealed, audit.at)
            connection.execute(Q["identity_insert"], row)
            audits.write(connection, audit, f"{lane}: {described.terminal}")
            return _of(connection, lane)

        return await self._writer.write(work)

    async def request(self, lane: str) -> bytes:
        """See ``identities.Identities``."""
        found = await self._writer.read(
            lambda connection: connection.execute(Q["identity_request"], (lane,)).fetchone()
        )
        if found is None:
            raise _unknown(lane)
        return bytes(found[0])

    async def awaits(self, lane: str) -> Identity:
        """See ``identities.Identities``."""

        def work(connection: Connection) -> Identity:
            connection.execute(Q["identity_awaits"], (lane,))
            return _of(connection, lane)

        return await self._writer.write(work)

    async def activate(self, lane: str, issued: Issued, at: Micros) -> Identity:
        """See ``identities.Identities``."""
        facts = (at, issued.ends, issued.company_id, issued.terminal_id, issued.timezone, issued.currency)

        def work(connection: Connection) -> Identity:
            connection.execute(Q["identity_activate"], (*facts, issued.key_chain, issued.signer_chain, lane))
            return _of(connection, lane)

        return await self._writer.write(work)


def _of(connection: Connection, lane: str) -> Identity:
    row = connection.execute(Q["identity_row"], (lane,)).fetchone()
    if row is None:
        raise _unknown(lane)
    return _identity(row)


def _identity(row: tuple[Any, ...]) -> Identity:
    lane, terminal, state, *rest = row
    return Identity(lane, terminal, IdentityState(state), *rest)


def _unknown(lane: str) -> NotFoundError:
    return NotFoundError(f"lane {lane} has no identity; begin with 'tpsd terminal register {lane}'")
