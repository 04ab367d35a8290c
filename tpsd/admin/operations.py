"""What an operator orders by hand, over the socket: ``POST /orders`` acts, the lists are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain
from tpsd.admin.questions import json_object, limit, reason, text
from tpsd.core.operations import Order, Standing
from tpsd.domain.authorisation import RESTING, State
from tpsd.domain.time import Micros
from tpsd.operating import START, Cursor, OperationsReader, Ordered, Selection, Tally

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
        return web.json_response(await doubts_page(reader, limit(request)))

    async def audit(request: web.Request) -> web.Response:
        return web.json_response({"audit": plain(await reader.audited(limit(request)))})

    async def order(request: web.Request) -> web.Response:
        asked = await json_object(request)
        kind, states = _order(asked)
        ordered = Ordered(kind, peer_name(request), reason(asked, optional=kind.sends))
        if "tap" in asked:
            row = await orders.one(ordered, text(asked, "tap"))
            return web.json_response({"uuid": row.uuid, "was": row.state.value, "cause": row.cause})
        selection = Selection(text(asked, "cause"), _since(asked), states)
        return web.json_response(
            plain(await orders.many(ordered, selection, _cursor(asked), dry=asked.get("dry") is not False))
        )

    return [
        web.get("/held", held, allow_head=False),
        web.get("/in-doubt", in_doubt, allow_head=False),
        web.get("/audit", audit, allow_head=False),
        web.post("/orders", order),
    ]


async def doubts_page(reader: OperationsReader, rows: int) -> dict[str, Any]:
    """What is in doubt, and what may come to be: check-outs between two tries."""
    return {
        "causes": plain(await reader.doubts()),
        "in_doubt": plain(await reader.doubt_rows(rows)),
        "awaiting_tap": plain(await reader.awaited_rows(rows)),
    }


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
