"""Journeys, what operators order for them, and receipts, over the socket.

``GET /journeys`` and ``/receipts/{tap}``; ``POST /checkout`` and ``/refund``, which answer when TPS did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain
from tpsd.admin.questions import json_object, limit, reason, text
from tpsd.asking import JourneyReader, Receipted
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.receipts import Labels, receipt
from tpsd.core.texts import load
from tpsd.domain.journey import JourneyState
from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.receipt import Recorded
from tpsd.domain.tap import Kind
from tpsd.domain.time import SECOND, Micros

LANGUAGE = "en"  # of receipts: the command line's


class Cashiers(Protocol):
    """Who carries orders out (``tpsd.workers.cashier``)."""

    async def check_out(self, journey: str, order: CheckOutOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""

    async def refund(self, reference: str, order: RefundOrder, who: str, why: str) -> Receipted:
        """Raises NotFoundError, RefusedError saying why not."""


def routes(
    journeys: JourneyReader, cashier: Cashiers, labels: Callable[[], Labels], wall: Callable[[], Micros]
) -> list[web.RouteDef]:
    """The routes of this topic; ``labels`` are in force now, ``wall`` is the daemon's clock for people."""

    async def rows(request: web.Request) -> web.Response:
        return web.json_response({"journeys": plain(await journeys.rows(_states(request), limit(request)))})

    async def one_receipt(request: web.Request) -> web.Response:
        return web.json_response(receipt_page(await journeys.receipt(request.match_info["ref"]), labels()))

    async def checkout(request: web.Request) -> web.Response:
        asked = await json_object(request)
        order = CheckOutOrder(_amount(asked, 0), _currency(asked), asked.get("release") is True)
        done = await cashier.check_out(text(asked, "journey"), order, peer_name(request), reason(asked))
        return web.json_response(order_page("checkout", done, wall()))

    async def refund(request: web.Request) -> web.Response:
        asked = await json_object(request)
        amount = None if asked.get("amount") is None else _amount(asked, 1)
        order = RefundOrder(amount, asked.get("again") is True)
        done = await cashier.refund(text(asked, "tap"), order, peer_name(request), reason(asked))
        return web.json_response(order_page("refund", done, wall()))

    return [
        web.get("/journeys", rows, allow_head=False),
        web.get("/receipts/{ref}", one_receipt, allow_head=False),
        web.post("/checkout", checkout),
        web.post("/refund", refund),
    ]


def receipt_page(recorded: Recorded, labels: Labels) -> dict[str, Any]:
    """A tap's receipt as plain values, with the times of this machine's place."""
    return dict(plain(receipt(recorded, labels, local_iso, load(LANGUAGE))))


def order_page(order: str, done: Receipted, now: Micros) -> dict[str, Any]:
    """What became of an order; ``same_day``: a refund's, by this machine's dates, whose charge was on ``now``'s day."""
    original = done.original
    if order == "refund" and original.kind is Kind.RETAIL_CHECK_IN:
        order = "release"
    at = original.settled_at if order == "refund" else None
    return {
        "order": order,
        "uuid": done.uuid,
        "of": original.uuid,
        "amount": done.amount,
        "currency": original.currency,
        "state": done.state,
        "cause": done.cause,
        "already": done.already,
        "approved": done.approved,
        "enquired": done.enquired,
        "charged_at": at,
        "same_day": None if at is None else local_date(at) == local_date(now),
    }


def local_date(at: Micros) -> date:
    """The day of a wall-clock instant where this machine is."""
    return datetime.fromtimestamp(at // SECOND).astimezone().date()


def local_iso(at: Micros) -> str:
    """``2026-11-23T09:15:30.123+01:00``: a wall-clock instant where this machine is, cut and not rounded."""
    moment = datetime.fromtimestamp(at // SECOND).astimezone()
    return moment.replace(microsecond=at % SECOND).isoformat(timespec="milliseconds")


def _states(request: web.Request) -> list[JourneyState]:
    known = {state.value: state for state in JourneyState}
    names = [name for name in request.query.get("states", "").split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise web.HTTPBadRequest(text=f"state {unknown[0]!r} is none of {', '.join(known)}; name one")
    return [known[name] for name in names]


def _amount(asked: Mapping[str, Any], least: int) -> int:
    amount = asked.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int) or not least <= amount <= AMOUNT_MAX:
        raise web.HTTPBadRequest(text=f"amount is no number of minor units from {least} to {AMOUNT_MAX}; give one")
    return amount


def _currency(asked: Mapping[str, Any]) -> str | None:
    return None if asked.get("currency") is None else text(asked, "currency")
