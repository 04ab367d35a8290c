"""What an operator orders by hand, over the socket: ``POST /orders`` acts, the lists are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain
from tpsd.core.operations import Order, Standing
from tpsd.domain.audit import may_hold_card_number
from tpsd.domain.authorisation import RESTING, State
from tpsd.domain.time import Micros
from tpsd.operating import START, Cursor, OperationsReader, Ordered, Selection, Tally

ROWS_MAX = 1000  # in one answer: a person reads fewer
TEXT_CHARACTERS_MAX = 300  # a reason, a cause: what a mail's field holds

ORDERS: Final[Mapping[str, tuple[Order, frozenset[State]]]] = {
    "release": (Order.RELEASE, frozenset({State.HELD})),
    "resend": (Order.RESEND, RESTING),
    "close": (Order.CLOSE, RESTING),
    "charged": (Order.CHARGED, RESTING),
    "not-charged": (Order.NOT_CHARGED, RESTING),
}
"""The words of the socket, and among which rows of a cause each looks."""


class Orders(Protocol):
    """Who carries orders out (``tpsd.workers.desk``)."""

    async def one(self, ordered: Ordered, reference: str) -> Standing:
        """On one tap. Raises NotFoundError, RefusedError."""

    async def many(self, ordered: Ordered, selection: Selection, after: Cursor | None, *, dry: bool) -> Tally:
        """On the next rows of a selection. Raises NotFoundError."""


def routes(reader: OperationsReader, orders: Orders) -> list[web.RouteDef]:
    """The routes of this topic."""

    async def held(_: web.Request) -> web.Response:
        return web.json_response({"held": plain(await reader.held())})

    async def in_doubt(request: web.Request) -> web.Response:
        causes, rows = await reader.doubts(), await reader.doubt_rows(_limit(request))
        return web.json_response({"causes": plain(causes), "in_doubt": plain(rows)})

    async def audit(request: web.Request) -> web.Response:
        return web.json_response({"audit": plain(await reader.audited(_limit(request)))})

    async def order(request: web.Request) -> web.Response:
        asked = await _object(request)
        kind, states = _order(asked)
        ordered = Ordered(kind, peer_name(request), _why(asked, kind))
        if "tap" in asked:
            row = await orders.one(ordered, _text(asked, "tap"))
            return web.json_response({"uuid": row.uuid, "was": row.state.value, "cause": row.cause})
        selection = Selection(_text(asked, "cause"), _since(asked), states)
        return web.json_response(
            plain(await orders.many(ordered, selection, _cursor(asked), dry=asked.get("dry") is not False))
        )

    return [
        web.get("/held", held, allow_head=False),
        web.get("/in-doubt", in_doubt, allow_head=False),
        web.get("/audit", audit, allow_head=False),
        web.post("/orders", order),
    ]


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the body is no JSON object; send one")
    return asked


def _order(asked: Mapping[str, Any]) -> tuple[Order, frozenset[State]]:
    word = str(asked.get("order"))
    if word not in ORDERS:
        raise web.HTTPBadRequest(text=f"order is none of {', '.join(ORDERS)}; name one")
    order, states = ORDERS[word]
    if asked.get("rebuild") is not True:
        return order, states
    if not order.sends:
        raise web.HTTPBadRequest(text=f"{word} sends nothing, so there is nothing to rebuild; leave out rebuild")
    return Order.REBUILD, states


def _text(asked: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    found = asked.get(key, "" if optional else None)
    if not isinstance(found, str) or len(found) > TEXT_CHARACTERS_MAX or not (found or optional):
        raise web.HTTPBadRequest(text=f"{key} is no text of at most {TEXT_CHARACTERS_MAX} characters; give one")
    return found


def _why(asked: Mapping[str, Any], order: Order) -> str:
    why = _text(asked, "why", optional=True)
    if not order.sends and not why.strip():
        raise web.HTTPBadRequest(text="what ends a tap needs a reason for the audit; give why")
    if may_hold_card_number(why):
        raise web.HTTPBadRequest(text="the reason holds what could be a card number; leave it out")
    return why


def _since(asked: Mapping[str, Any]) -> Micros:
    since = asked.get("since", START)
    if isinstance(since, bool) or not isinstance(since, int) or since < 0:
        raise web.HTTPBadRequest(text="since is no time in microseconds since 1970; give one")
    return Micros(since)


def _cursor(asked: Mapping[str, Any]) -> Cursor | None:
    match asked.get("after"):
        case None:
            return None
        case {"created_at": int(created_at), "uuid": str(uuid)}:
            return Cursor(Micros(created_at), uuid)
        case _:
            raise web.HTTPBadRequest(text="after is no place in a list; give the one of the answer before")


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "50")
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= ROWS_MAX:
        raise web.HTTPBadRequest(text=f"limit {text!r} is not a number from 1 to {ROWS_MAX}; ask for fewer rows")
    return limit
