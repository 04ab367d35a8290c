"""The connections of one credential: a session of its own, and whether its certificate is known to be taken.

Lines are replaced, never mended: after a doubt about the certificate, what was connected before proves
nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp

from tpsd.domain.outcome import Exchange
from tpsd.sfey.faults import Phase

CONNECT_SECONDS_MAX = 5.0  # s: DNS, TCP and TLS on a bad mobile link; more would leave TPS no time to answer
KEEP_ALIVE_SECONDS = 15.0  # s: below Tomcat's 20 and load balancers' 60 and 75; a connection that the server is
# closing just now would cost a tap an unknown attempt
PROVEN_SECONDS = 60.0  # s: so long an answer proves a credential (sfey.md 4)
assert KEEP_ALIVE_SECONDS < PROVEN_SECONDS  # 15 < 60: the probe of an idle credential makes a fresh connection

_HEADERS = {"User-Agent": "tpsd", "Accept": "application/json", "Accept-Encoding": "identity"}
_READ_BYTES = 65_536  # bytes: aiohttp stops reading from the socket at twice this


_Mark = Callable[[aiohttp.ClientSession, SimpleNamespace, Any], Awaitable[None]]


class Trail:
    """How far one exchange came, as tracing saw it."""

    def __init__(self) -> None:
        self.phase = Phase.STARTED
        self.fresh = False  # on a connection made for it, not a kept one


class Line:
    """One HTTP session over connections of its own; a retired one closes when its last exchange ended.

    ``dated``: whether the server's certificate is judged by its dates too, on every one of them.
    """

    def __init__(self, context: ssl.SSLContext | None, timeout_seconds: float, dated: bool = True) -> None:
        self.dated = dated
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context if context is not None else True,
                limit=0,  # who sends is limited: by turns, or by the passengers who wait
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                resolver=aiohttp.ThreadedResolver(),  # the system's own, whatever else is installed
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_SECONDS_MAX, timeout_seconds)),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            trace_configs=[_tracing()],
        )
        self._users = 0
        self._retired = False

    def enter(self) -> None:
        """One more exchange uses it."""
        self._users += 1

    async def leave(self) -> None:
        """One exchange less; the last one of a retired line closes it."""
        self._users -= 1
        if self._retired and not self._users:
            await self.session.close()

    async def retire(self) -> None:
        """No new exchange will enter."""
        self._retired = True
        if not self._users:
            await self.session.close()


class Credential:
    """A credential's present line, and when it was last answered.

    ``probes`` counts the probes made, ``failure`` is what the last came to; both change under ``probing``.
    """

    def __init__(self, open_line: Callable[[], Line]) -> None:
        self._open_line = open_line
        self._closed = False
        self._proven_at: float | None = None
        self.line = open_line()
        self.probing = asyncio.Lock()
        self.probes = 0
        self.failure: Exchange | None = None

    def is_proven(self, now: float) -> bool:
        """Whether it was answered in the last PROVEN_SECONDS and not doubted since; ``now`` as in ``prove``."""
        return self._proven_at is not None and now - self._proven_at <= PROVEN_SECONDS

    def prove(self, line: Line, now: float) -> None:
        """An HTTP answer came over ``line``; from a retired or undated one it says nothing of what connects now."""
        if line is self.line and line.dated:
            self._proven_at = now

    async def doubt(self) -> None:
        """The next exchange must prove it again, on a fresh connection."""
        self._proven_at = None
        if not self._closed:
            old, self.line = self.line, self._open_line()
            await old.retire()

    async def close(self) -> None:
        """Close its connections at once, whoever uses them."""
        self._closed = True
        await self.line.session.close()


def _tracing() -> aiohttp.TraceConfig:
    def reaches(phase: Phase, fresh: bool) -> _Mark:
        async def mark(_session: aiohttp.ClientSession, context: SimpleNamespace, _seen: object) -> None:
            trail: Trail = context.trace_request_ctx
            trail.phase, trail.fresh = phase, fresh

        return mark

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(reaches(Phase.CONNECTING, True))
    trace.on_dns_resolvehost_start.append(reaches(Phase.RESOLVING, True))
    trace.on_dns_resolvehost_end.append(reaches(Phase.CONNECTING, True))
    trace.on_connection_create_end.append(reaches(Phase.CONNECTED, True))
    trace.on_connection_reuseconn.append(reaches(Phase.CONNECTED, False))
    return trace
