"""Who did what by hand, when and why: rows written in the commit of the change they tell of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from tpsd.domain.audit import AuditDraft, AuditRow
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

T = TypeVar("T")


class Reads(Protocol):
    """What a log needs of a journal, open for writing or only looked at."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run work outside any transaction."""


class AuditLog:
    """The audit table as people read it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def rows(self, limit: int) -> list[AuditRow]:
        """The newest ``limit`` rows, newest first."""
        return await self._reads.read(
            lambda connection: [AuditRow(*row) for row in connection.execute(Q["audit_rows"], (limit,))]
        )


def write(connection: Connection, draft: AuditDraft, subject: str) -> None:
    """One row, inside the caller's transaction."""
    connection.execute(Q["insert_audit"], (draft.at, draft.who, draft.what, subject, draft.why))
