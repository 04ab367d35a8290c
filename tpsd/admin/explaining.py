"""One tap's story over the socket: ``GET /explain/{tap}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin.journeys import LANGUAGE, local_iso
from tpsd.admin.plain import plain
from tpsd.core.story.telling import tell
from tpsd.core.texts import load
from tpsd.domain.history import Event, History, Keeping
from tpsd.domain.time import Micros, iso_millis

PATH = "/explain"


class HistoryReader(Protocol):
    """A journal's taps with all that is kept of them, with or without a daemon."""

    async def of(self, reference: str) -> History:
        """Of one tap. Raises NotFoundError."""


def routes(reader: HistoryReader, keeping: Callable[[], Keeping], wall: Callable[[], Micros]) -> list[web.RouteDef]:
    """The route of this topic; ``keeping`` is in force now, ``wall`` is the daemon's clock for people."""

    async def explain(request: web.Request) -> web.Response:
        return web.json_response(story_page(await reader.of(request.match_info["ref"]), keeping(), wall()))

    return [web.get(PATH + "/{ref}", explain, allow_head=False)]


def story_page(history: History, keeping: Keeping, now: Micros) -> dict[str, Any]:
    """The story as plain values, with the times of this machine's place. ``now`` on the wall clock."""
    tap, own = history.recorded, history.transaction
    events = tell(history, keeping, now=now, local=local_iso, catalogue=load(LANGUAGE))
    return {
        "tap": tap.number,
        "tap_id": tap.tap_id,
        "uuid": tap.uuid,
        "state": None if own is None else own.state.value,
        "disposition": None if tap.disposition is None else tap.disposition.value,
        "told_at": iso_millis(now),
        "events": [_event(event) for event in events],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "time": None if event.at is None else iso_millis(event.at),
        "local_time": None if event.at is None else local_iso(event.at),
        "text": event.text,
        "facts": plain(event.facts),
    }
