"""Lanes that somebody closed by hand, and the device each lane had last: rows of ``meta``, which outlive a restart."""

from __future__ import annotations

import json

from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros
from tpsd.store import audit as audit_log
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.writer import Writer


class SqlLanes:
    """``closures.Closures`` and ``fittings.Fittings`` on a journal's writer, of one daemon where there are several."""

    def __init__(self, writer: Writer, daemon: str = "") -> None:
        self._writer = writer
        of_daemon = f"{daemon}/" if daemon else ""
        self._closed, self._device = f"lane_closed/{of_daemon}", f"lane_device/{of_daemon}"

    async def closed(self) -> dict[str, LaneClosed]:
        """See ``closures.Closures``."""
        return {name: LaneClosed(**json.loads(value)) for name, value in (await self._lanes(self._closed)).items()}

    async def close(self, name: str, closed: LaneClosed, audit: AuditDraft) -> None:
        """See ``closures.Closures``."""
        value = json.dumps({"who": closed.who, "at": closed.at, "why": closed.why})

        def work(connection: Connection) -> None:
            connection.execute(Q["set_meta"], (self._closed + name, value))
            audit_log.write(connection, audit, name)

        await self._writer.write(work)

    async def open(self, name: str, audit: AuditDraft) -> None:
        """See ``closures.Closures``."""

        def work(connection: Connection) -> None:
            connection.execute(Q["end_meta"], (self._closed + name,))
            audit_log.write(connection, audit, name)

        await self._writer.write(work)

    async def devices(self) -> dict[str, str]:
        """See ``fittings.Fittings``."""
        return await self._lanes(self._device)

    async def fitted(self, name: str, serial: str, notice: NoticeDraft | None, now: Micros) -> None:
        """See ``fittings.Fittings``."""

        def work(connection: Connection) -> None:
            connection.execute(Q["set_meta"], (self._device + name, serial))
            if notice is not None:
                insert_notices(connection, (notice,), None, None, now)

        await self._writer.write(work)

    async def _lanes(self, prefix: str) -> dict[str, str]:
        rows = await self._writer.read(lambda connection: list(connection.execute(Q["meta_of_lanes"], (prefix,))))
        return {key.removeprefix(prefix): value for key, value in rows}
