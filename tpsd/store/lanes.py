"""Lanes that somebody closed by hand: rows of ``meta``, so that they stay closed over a restart."""

from __future__ import annotations

import json

from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.store import audit as audit_log
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

_PREFIX = "lane_closed/"  # of a row's key; the lane's name follows


class SqlLanes:
    """``closures.Closures`` on a journal's writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def closed(self) -> dict[str, LaneClosed]:
        """See ``closures.Closures``."""
        rows = await self._writer.read(lambda connection: list(connection.execute(Q["closed_lanes"], (_PREFIX,))))
        return {key.removeprefix(_PREFIX): LaneClosed(**json.loads(value)) for key, value in rows}

    async def close(self, name: str, closed: LaneClosed, audit: AuditDraft) -> None:
        """See ``closures.Closures``."""
        value = json.dumps({"who": closed.who, "at": closed.at, "why": closed.why})

        def work(connection: Connection) -> None:
            connection.execute(Q["set_meta"], (_PREFIX + name, value))
            audit_log.write(connection, audit, name)

        await self._writer.write(work)

    async def open(self, name: str, audit: AuditDraft) -> None:
        """See ``closures.Closures``."""

        def work(connection: Connection) -> None:
            connection.execute(Q["end_meta"], (_PREFIX + name,))
            audit_log.write(connection, audit, name)

        await self._writer.write(work)
