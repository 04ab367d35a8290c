"""What a request to the socket says, read and checked; a wrong one is refused with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tpsd.domain.audit import may_hold_card_number

ROWS_MAX = 1000  # in one answer: a person reads fewer
TEXT_CHARACTERS_MAX = 300  # a reason, a cause: what a mail's field holds


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body."""
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the body is no JSON object; send one")
    return asked


def text(asked: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    """A short text; empty only where it is optional."""
    found = asked.get(key, "" if optional else None)
    if not isinstance(found, str) or len(found) > TEXT_CHARACTERS_MAX or not (found or optional):
        raise web.HTTPBadRequest(text=f"{key} is no text of at most {TEXT_CHARACTERS_MAX} characters; give one")
    return found


def reason(asked: Mapping[str, Any], *, optional: bool = False) -> str:
    """A person's own words for the audit, which hold no card number."""
    why = text(asked, "why", optional=True)
    if not (optional or why.strip()):
        raise web.HTTPBadRequest(text="this needs a reason for the audit; give why")
    if may_hold_card_number(why):
        raise web.HTTPBadRequest(text="the reason holds what could be a card number; leave it out")
    return why


def limit(request: web.Request) -> int:
    """How many rows are wanted."""
    given = request.query.get("limit", "50")
    found = int(given) if given.isascii() and given.isdigit() else 0
    if not 1 <= found <= ROWS_MAX:
        raise web.HTTPBadRequest(text=f"limit {given!r} is not a number from 1 to {ROWS_MAX}; ask for fewer rows")
    return found
