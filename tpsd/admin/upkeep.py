"""The journal's upkeep over the socket: ``POST /store/check``, ``/store/prune`` and ``/store/backup``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain
from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import DAY, Micros
from tpsd.upkeep import Upkeep

DAYS_MAX = 36_500  # a hundred years: beyond it is a slip


def routes(upkeep: Upkeep, schedule: Callable[[], Micros], wall: Callable[[], Micros]) -> list[web.RouteDef]:
    """The routes; ``schedule`` and ``wall`` are the daemon's clocks."""

    async def check(request: web.Request) -> web.Response:
        return web.json_response({"findings": plain(await upkeep.check())})

    async def prune(request: web.Request) -> web.Response:
        asked = await _object(request)
        days, dry = asked.get("older_than_days"), asked.get("dry_run") is True
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= DAYS_MAX:
            raise web.HTTPBadRequest(text=f"older_than_days is no number from 1 to {DAYS_MAX}; give whole days")
        by = AuditDraft(wall(), peer_name(request), "store prune", f"older than {days} days")
        return web.json_response(plain(await upkeep.prune(days * DAY, schedule(), by, dry=dry)))

    async def backup(request: web.Request) -> web.Response:
        target = Path(str((await _object(request)).get("file", "")))
        if not target.is_absolute():
            raise web.HTTPBadRequest(text="file is no absolute path; the daemon has a folder of its own")
        by = AuditDraft(wall(), peer_name(request), "store backup", "asked for")
        return web.json_response(plain(await upkeep.backup(target, by)))

    return [web.post("/store/check", check), web.post("/store/prune", prune), web.post("/store/backup", backup)]


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the request is no JSON object; use the tpsd command")
    return asked
