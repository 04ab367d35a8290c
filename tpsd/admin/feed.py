"""The deny list's feed over the socket: ``GET /denylist/feed``, ``POST /denylist/accept``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

from aiohttp import web

from tpsd.admin.denylist import audit_of, read_object
from tpsd.denylist import DenyFeed, ParameterStore
from tpsd.domain.feed import ParameterState
from tpsd.domain.picture import FeedFacts
from tpsd.domain.time import Micros


class Asks(Protocol):
    """The loop that asks TPS."""

    def facts(self) -> FeedFacts:
        """How it is."""

    def look(self) -> None:
        """Have it ask at once."""


def routes(
    feed: DenyFeed, loop: Asks | None, wall: Callable[[], Micros], parameters: ParameterStore
) -> list[web.RouteDef]:
    """The routes; ``loop`` None where the feed is off, ``wall`` the daemon's clock for people."""

    async def state(request: web.Request) -> web.Response:
        found = asdict(await feed.state())
        del found["token"]  # whoever has it could pass for the terminal's feed
        facts = None if loop is None else loop.facts()
        told: dict[str, object] = {"on": facts is not None, "age_seconds": None, "stale": None, "cause": ""}
        if facts is not None:
            told |= {"age_seconds": facts.age_seconds, "stale": facts.stale, "cause": facts.cause}
            told |= {"max_age_seconds": facts.max_age_seconds}
        beside = [_shown(one) for one in await parameters.states()]
        return web.json_response({**told, **found, "parameters": beside})

    async def accept(request: web.Request) -> web.Response:
        asked = await read_object(request)
        change = await feed.flip(wall(), audit_of(request, "denylist accept", asked.get("reason"), wall()))
        if loop is not None:
            loop.look()
        return web.json_response({"tokens": change.changed, "version": change.version})

    return [
        web.get("/denylist/feed", state, allow_head=False),
        web.post("/denylist/accept", accept),
    ]


def _shown(state: ParameterState) -> dict[str, object]:
    return {
        "kind": state.kind.value,
        "terminal": state.terminal,
        "version": state.version,
        "records": state.records,
        "coming": state.coming,
        "whole_at": state.whole_at,
    }
