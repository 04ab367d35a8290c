"""What watchers see of the journal, as plain values, and the socket's route for the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tpsd.core.queue import rungs
from tpsd.domain.picture import JournalFigures
from tpsd.domain.time import SECOND, Micros

QUEUE_PATH = "/queue"


def routes(queue: Callable[[], Awaitable[dict[str, Any]]]) -> list[web.RouteDef]:
    """``GET /queue``."""

    async def get_queue(_request: web.Request) -> web.Response:
        return web.json_response(await queue())

    return [web.get(QUEUE_PATH, get_queue, allow_head=False)]


def queue_page(figures: JournalFigures, now: Micros) -> dict[str, Any]:
    """The queue line by line; times in seconds from ``now`` (schedule clock), negative for what is overdue."""
    oldest = figures.oldest_pending
    return {
        "queue": queue_lines(figures, now),
        "pending": sum(rung.count for rung in figures.rungs),
        "sending": figures.sending,
        "waiting_for_clock": sum(rung.unsealed for rung in figures.rungs),
        "oldest_pending_seconds": None if oldest is None else (now - oldest) / SECOND,
    }


def queue_lines(figures: JournalFigures, now: Micros) -> list[dict[str, Any]]:
    """By tier and by sends made; tier 0 waits for its first send."""
    return [
        {
            "tier": rung.tier,
            "every_minutes": rung.every_minutes,
            "sends": rung.sends,
            "pending": rung.count,
            "next_due_seconds": (rung.next_due - now) / SECOND,
            "oldest_seconds": (now - rung.oldest) / SECOND,
        }
        for rung in rungs(figures.rungs)
    ]


def resting_lines(figures: JournalFigures, now: Micros) -> list[dict[str, Any]]:
    """What rests by state and cause, most first."""
    return [
        {"state": rest.state, "cause": rest.cause, "count": rest.count, "oldest_seconds": (now - rest.oldest) / SECOND}
        for rest in sorted(figures.resting, key=lambda rest: (-rest.count, rest.state, rest.cause))
    ]
