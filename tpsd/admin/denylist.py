"""The deny list over the socket: ``GET /denylist``, ``POST /denylist/add``, ``/remove`` and ``/import``.

A whole list comes as one request whose body is its tokens, 32 bytes each, read as fast as the journal takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain
from tpsd.denylist import DenyList
from tpsd.domain.audit import AuditDraft, may_hold_card_number
from tpsd.domain.denial import BY_FEED, TOKEN_BYTES, NoToken, is_source, read_token
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError, RefusedError

TOKENS_MAX = 10_000_000  # in one list: ten times a large operator's, and 400 MB of journal
BY_HAND_MAX = 500  # tokens in one command: one commit of about 5 ms; more is a list
CHUNK_BYTES = 65_536  # 2,048 tokens: a few commits, and nothing to speak of in memory
TIDY_SLICES = 20_000  # commits behind an import, of 5 ms each: the rest waits for the daemon's housekeeping
REASON_MAX = 200  # characters: a sentence

log = structlog.get_logger("tpsd.denylist")


def routes(denylist: DenyList, wall: Callable[[], Micros]) -> list[web.RouteDef]:
    """The routes; ``wall`` is the daemon's clock for people."""

    async def count(request: web.Request) -> web.Response:
        totals = await denylist.totals()
        return web.json_response({"tokens": totals.tokens, **plain(totals)})

    async def add(request: web.Request) -> web.Response:
        asked = await read_object(request)
        change = await denylist.add(_tokens(asked), audit_of(request, "denylist add", asked.get("reason"), wall()))
        return web.json_response({"asked": change.asked, "added": change.changed, "version": change.version})

    async def remove(request: web.Request) -> web.Response:
        asked = await read_object(request)
        source = None if asked.get("source") is None else _source(asked["source"])
        audit = audit_of(request, "denylist remove", asked.get("reason"), wall())
        change = await denylist.remove(_tokens(asked), source, audit)
        return web.json_response({"asked": change.asked, "removed": change.changed, "version": change.version})

    async def take_list(request: web.Request) -> web.Response:
        query = request.query
        source = _of_people(_source(query.get("source")))
        replace, expected = query.get("replace") == "true", _expected(query)
        audit = audit_of(request, "denylist import", query.get("reason"), wall())
        generation = await denylist.begin(source, wall())
        try:
            await _fill(denylist, generation, request, expected)
            change = await denylist.go_live(generation, replace, audit)
        except BaseException:
            await _give_up(denylist, generation)
            raise
        await _tidy(denylist)
        totals = await denylist.totals()
        return web.json_response({"imported": change.changed, "version": change.version, "tokens": totals.tokens})

    return [
        web.get("/denylist", count, allow_head=False),
        web.post("/denylist/add", add),
        web.post("/denylist/remove", remove),
        web.post("/denylist/import", take_list),
    ]


async def _fill(denylist: DenyList, generation: int, request: web.Request, expected: int) -> None:
    received, rest = 0, b""
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        rest += chunk
        received += len(chunk)
        whole = len(rest) // TOKEN_BYTES * TOKEN_BYTES
        await denylist.fill(generation, rest[:whole])
        rest = rest[whole:]
        if received > expected * TOKEN_BYTES:
            break
    if received != expected * TOKEN_BYTES:
        raise RefusedError("the list did not come as announced; nothing was changed, import the file again")


async def _give_up(denylist: DenyList, generation: int) -> None:
    try:
        await denylist.abandon(generation)
    except JournalUnavailableError:
        log.warning("import_not_cleared")  # a restart does it; it never takes effect


async def _tidy(denylist: DenyList) -> None:
    try:
        await denylist.tidy(TIDY_SLICES)
    except JournalUnavailableError:
        log.warning("deny_list_not_tidied")  # the list is in force, and housekeeping goes on


def _tokens(asked: Mapping[str, Any]) -> list[bytes]:
    texts = asked.get("tokens")
    if not isinstance(texts, list) or not 1 <= len(texts) <= BY_HAND_MAX:
        raise web.HTTPBadRequest(text=f"tokens are not 1 to {BY_HAND_MAX}; import a file of them")
    found = [read_token(str(text)) for text in texts]
    for number, token in enumerate(found, start=1):
        if isinstance(token, NoToken):
            raise RefusedError(f"token {number} {token.what}; nothing was changed")
    return [token for token in found if isinstance(token, bytes)]


def _source(name: object) -> str:
    if not isinstance(name, str) or not is_source(name):
        raise RefusedError("the source is not 1 to 32 of a-z, 0-9, _ and -; choose another name")
    return name


def _of_people(name: str) -> str:
    if name == BY_FEED:
        raise RefusedError(f"the source {BY_FEED} is what TPS's feed lists; choose another name")
    return name


def _expected(query: Mapping[str, str]) -> int:
    text = query.get("tokens", "")
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(TOKENS_MAX)) else 0
    if not 1 <= count <= TOKENS_MAX:
        raise RefusedError(f"a list holds 1 to {TOKENS_MAX:,} tokens; nothing was changed")
    return count


def audit_of(request: web.Request, what: str, why: object, at: Micros) -> AuditDraft:
    """Who asks on this socket, and why. Raises RefusedError for a reason that is too long or holds a card number."""
    reason = "" if why is None else str(why)
    if len(reason) > REASON_MAX:
        raise RefusedError(f"the reason has more than {REASON_MAX} characters; say it in a sentence")
    if may_hold_card_number(reason):
        raise RefusedError("the reason holds what could be a card number; leave it out")
    return AuditDraft(at, peer_name(request), what, reason)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object."""
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the request is no JSON object; use the tpsd command")
    return asked
