"""Lanes over the socket: ``GET /lanes`` shows them, ``POST /lanes/{name}`` closes or opens one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.questions import json_object, reason
from tpsd.domain.lane import LaneWaits
from tpsd.domain.picture import FeedFacts, SpoolFacts
from tpsd.domain.time import SECOND, Micros

LANES_PATH = "/lanes"
GONE = "gone"  # the state of a lane that the configuration no longer names, and of which taps still wait


class Doorkeepers(Protocol):
    """Who carries orders out (``tpsd.workers.doorkeeper``)."""

    async def close(self, name: str, who: str, why: str) -> str:
        """The lane's name. Raises NotFoundError, RefusedError saying why not."""

    async def open(self, name: str, who: str, why: str) -> str:
        """The lane's name. Raises NotFoundError, RefusedError saying why not."""


def routes(doorkeeper: Doorkeepers, lanes: Callable[[], Awaitable[dict[str, Any]]]) -> list[web.RouteDef]:
    """The routes of this topic."""

    async def get_lanes(_request: web.Request) -> web.Response:
        return web.json_response(await lanes())

    async def order(request: web.Request) -> web.Response:
        asked = await json_object(request)
        opened = asked.get("open")
        if not isinstance(opened, bool):
            raise web.HTTPBadRequest(text="open is neither true nor false; say which")
        carry_out = doorkeeper.open if opened else doorkeeper.close
        name = await carry_out(request.match_info["name"], peer_name(request), reason(asked, optional=opened))
        return web.json_response({"lane": name, "open": opened})

    return [web.get(LANES_PATH, get_lanes, allow_head=False), web.post(LANES_PATH + "/{name}", order)]


def lanes_page(
    lanes: Iterable[Mapping[str, Any]],
    waits: Mapping[str, LaneWaits],
    now: Micros,
    feed: FeedFacts | None = None,
    spool: SpoolFacts | None = None,
) -> dict[str, Any]:
    """Every lane with what waits of it and how old its deny list is, those that are gone last.

    Ages in seconds from ``now`` (schedule clock). ``feed`` None: no list has an age. ``spool`` None: there is none.
    """
    aged = {} if feed is None else {"list_age_seconds": feed.age_seconds, "list_is_stale": feed.stale}
    there = {lane["name"]: dict(lane) | aged for lane in lanes}
    gone = {name: {"name": name, "state": GONE} for name in sorted(waits) if name not in there}
    return {
        "lanes": [row | _waits(waits.get(name, LaneWaits()), now) for name, row in (there | gone).items()],
        "spool": None if spool is None else asdict(spool),
    }


def _waits(waits: LaneWaits, now: Micros) -> dict[str, Any]:
    return {
        "pending": waits.pending,
        "held": waits.held,
        "oldest_pending_seconds": None if waits.oldest is None else (now - waits.oldest) / SECOND,
    }
