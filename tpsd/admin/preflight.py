"""Preflight over the socket: ``POST /preflight`` looks at every lane now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from aiohttp import web

from tpsd.core.preflight import Finding

PREFLIGHT_PATH = "/preflight"


class Seen(Protocol):
    """A lane as it was found."""

    @property
    def lane(self) -> str:
        """Its name."""

    @property
    def terminal(self) -> str | None:
        """``TYPE:SERIAL``, None while nobody knows it."""

    @property
    def realtime(self) -> bool:
        """Whether its verdict is TPS's answer."""

    @property
    def opens(self) -> bool:
        """Whether nothing keeps it closed."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, and what is only to be known."""


class Inspectors(Protocol):
    """Who looks (``tpsd.workers.inspector``)."""

    async def reports(self) -> Iterable[Seen]:
        """Every lane, looked at now."""


def routes(inspector: Inspectors | None) -> list[web.RouteDef]:
    """The routes of this topic; without an inspector there is none."""
    if inspector is None:
        return []
    inspects = inspector

    async def preflight(_request: web.Request) -> web.Response:
        return web.json_response(preflight_page(await inspects.reports()))

    return [web.post(PREFLIGHT_PATH, preflight)]


def preflight_page(seen: Iterable[Seen], shared: Iterable[Finding] = ()) -> dict[str, Any]:
    """What ``tpsd preflight --json`` says. ``shared`` concerns every lane: the key files."""
    shared = list(shared)
    lanes = [
        {
            "lane": one.lane,
            "terminal": one.terminal,
            "opens": one.opens,
            "findings": [_page(finding, realtime=one.realtime) for finding in one.findings],
        }
        for one in seen
    ]
    common = [_page(finding, realtime=False) for finding in shared]
    ok = all(lane["opens"] for lane in lanes) and all(finding["result"] != "failed" for finding in common)
    return {"ok": ok, "shared": common, "lanes": lanes}


def _page(finding: Finding, *, realtime: bool) -> dict[str, str]:
    return {
        "check": finding.check.value,
        "result": finding.gravity(realtime=realtime).value,
        "what": finding.what,
        "remedy": finding.remedy,
    }
