"""Terminals over the socket: ``GET /terminals`` shows identities, ``POST /terminals/{lane}/register`` goes a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.questions import json_object, reason
from tpsd.domain.identity import Identity

TERMINALS_PATH = "/terminals"


class Registrars(Protocol):
    """Who registers (``tpsd.workers.registrar``). ``known``: identities by lane."""

    known: dict[str, Identity]

    async def register(self, name: str, who: str, why: str, *, anew: bool = False) -> Identity:
        """One step. Raises NotFoundError, RefusedError saying why not."""


def routes(registrar: Registrars | None) -> list[web.RouteDef]:
    """The routes of this topic; none without a registrar."""
    if registrar is None:
        return []
    registers = registrar

    async def listed(_request: web.Request) -> web.Response:
        return web.json_response({"terminals": [_page(registers.known[lane]) for lane in sorted(registers.known)]})

    async def register(request: web.Request) -> web.Response:
        asked = await json_object(request)
        anew = asked.get("anew", False)
        if not isinstance(anew, bool):
            raise web.HTTPBadRequest(text="anew is neither true nor false; say which")
        lane, why = request.match_info["lane"], reason(asked, optional=True)
        return web.json_response(_page(await registers.register(lane, peer_name(request), why, anew=anew)))

    return [
        web.get(TERMINALS_PATH, listed, allow_head=False),
        web.post(TERMINALS_PATH + "/{lane}/register", register),
    ]


def _page(identity: Identity) -> Mapping[str, Any]:
    return asdict(identity) | {"state": identity.state.value}
