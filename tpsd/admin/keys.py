"""Device keys over the socket: ``GET /keys``, ``POST /keys``, ``POST /keys/{id}/retire``. A key itself never leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.questions import json_object, reason
from tpsd.devicekeys import DeviceKeys
from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey, KeyRow, KeysKept
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError, RefusedError

KEYS_PATH = "/keys"
DOCUMENT_BYTES_MAX = 60_000  # of a file of keys: what a request of the socket holds


class Receives(Protocol):
    """Who opens keys and has them sealed (``tpsd.workers.courier``). ``in_force``: check values by type."""

    in_force: Mapping[str, str]

    async def receive(self, keys: Sequence[DeviceKey], audit: AuditDraft | None = None) -> KeysKept:
        """Keep them."""

    async def retire(self, number: int, audit: AuditDraft) -> KeyRow:
        """Destroy one. Raises NotFoundError, RefusedError."""

    def is_in_force(self, row: KeyRow) -> bool:
        """Whether it is used."""

    def is_honoured(self, row: KeyRow) -> bool:
        """Whether a card may be known by it beside the token key in force."""


def routes(
    keys: DeviceKeys, courier: Receives, read: Callable[[str], list[DeviceKey]], wall: Callable[[], Micros]
) -> list[web.RouteDef]:
    """The routes; ``read`` makes keys of a file's text, ``wall`` is the daemon's clock for people."""

    async def listed(_request: web.Request) -> web.Response:
        rows = [_page(row, courier) for row in await keys.rows()]
        uses = [asdict(use) for use in await keys.uses()]
        return web.json_response({"in_force": dict(courier.in_force), "keys": rows, "uses": uses})

    async def take(request: web.Request) -> web.Response:
        asked = await json_object(request)
        document = asked.get("document")
        if not isinstance(document, str):
            raise web.HTTPBadRequest(text="document is no text; send the file of keys as it is")
        try:
            found = read(document)
        except ConfigError as exc:
            raise RefusedError(f"{exc}; nothing was changed") from exc
        audit = AuditDraft(wall(), peer_name(request), "keys import", reason(asked, optional=True))
        return web.json_response(asdict(await courier.receive(found, audit)))

    async def retire(request: web.Request) -> web.Response:
        asked = await json_object(request)
        audit = AuditDraft(wall(), peer_name(request), "keys retire", reason(asked))
        return web.json_response(_page(await courier.retire(_number(request.match_info["id"]), audit), courier))

    return [
        web.get(KEYS_PATH, listed, allow_head=False),
        web.post(KEYS_PATH, take),
        web.post(KEYS_PATH + "/{id}/retire", retire),
    ]


def _page(row: KeyRow, courier: Receives) -> dict[str, Any]:
    return asdict(row) | {"in_force": courier.is_in_force(row), "honoured": courier.is_honoured(row)}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise web.HTTPBadRequest(text="a key is named by its number; see 'tpsd keys list'")
    return int(text)
