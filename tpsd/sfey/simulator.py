"""The other end: a TPS on loopback. What it decides is ``tpsd.sfey.teller``'s; here is how its answers travel."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tpsd.domain.time import Micros
from tpsd.errors import ConfigError
from tpsd.sfey import replies
from tpsd.sfey.fates import Choose, Delivery, by_amount
from tpsd.sfey.ledger import Ledger
from tpsd.sfey.registration_desk import RegistrationDesk
from tpsd.sfey.teller import AFC_BASE_PATH, Served, Teller, system_wall
from tpsd.sfey.terminal_desk import TerminalDesk
from tpsd.sfey.update_desk import Reply, UpdateDesk
from tpsd.sfey.wire import DEVICE_V1, Profile

__all__ = ["AFC_BASE_PATH", "Serving", "Simulator", "serve"]

KEEP_ALIVE_SECONDS = 30.0  # s: longer than the client's, as a real server's is
SHUTDOWN_SECONDS = 1.0  # s: whoever still holds a connection then is cut off

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Serving:
    """A simulator that listens: ``url`` is the client's base_url."""

    url: str
    host: str
    port: int


class Simulator:
    """The simulated TPS. ``choose`` gives a request's fates, ``wall`` stamps the ledger and the ``Date`` header.

    ``updates`` is its deny list, empty at first; ``terminals`` says which terminals it knows, all at first;
    ``registrations`` takes terminals' requests for certificates.
    """

    def __init__(
        self,
        choose: Choose = by_amount,
        *,
        ledger: Ledger | None = None,
        wall: Callable[[], Micros] = system_wall,
        profile: Profile = DEVICE_V1,
    ) -> None:
        self._teller = Teller(choose, ledger=ledger, wall=wall, profile=profile)
        self.ledger = self._teller.ledger
        self.updates = UpdateDesk(profile)
        self.terminals = TerminalDesk(profile)
        self.registrations = RegistrationDesk(profile)

    @asynccontextmanager
    async def serving(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncIterator[Serving]:
        """Listen until the block ends. Port 0 takes a free one. Raises ConfigError for a host beyond loopback."""
        if host not in _LOOPBACK:
            raise ConfigError(f"{host}: the simulated TPS listens on loopback only")
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
            bound = int(runner.addresses[0][1])
            scheme = "http" if ssl_context is None else "https"
            name = f"[{host}]" if ":" in host else host
            yield Serving(f"{scheme}://{name}:{bound}", host, bound)
        finally:
            await self._teller.stop()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        for desk in (self.updates, self.terminals):
            reply = desk.serve(request.method, request.raw_path)
            if reply is not None:
                return self._reply(request, reply)
        body = await request.read()
        registered = self.registrations.serve(request.method, request.raw_path, body)
        if registered is not None:
            return self._reply(request, registered)
        served = await self._teller.serve(request.method, request.raw_path, body)
        if served is None:
            headers = {"Date": replies.http_date(self._teller.wall())}
            return web.Response(status=404, body=replies.NOT_FOUND, content_type=replies.JSON, headers=headers)
        return await self._deliver(request, served)

    def _reply(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.http is None and request.transport is not None:
            request.transport.close()
        headers = {"Date": replies.http_date(self._teller.wall())}
        if reply.retry_after is not None:
            headers["Retry-After"] = str(reply.retry_after)
        return web.Response(status=reply.http or 500, body=reply.body, content_type=replies.JSON, headers=headers)

    async def _deliver(self, request: web.Request, served: Served) -> web.StreamResponse:
        fate = served.fate
        if fate.delivery is Delivery.HOLD:
            await asyncio.Event().wait()  # until the client leaves, which cancels this handler
        if fate.delivery is Delivery.CLOSE and request.transport is not None:
            request.transport.close()
        body, kind = replies.content(self._teller.profile, fate, served.uuid)
        headers = replies.headers(fate, self._teller.wall())
        return web.Response(status=fate.http, body=body, content_type=kind, headers=headers)


async def serve(
    host: str,
    port: int,
    *,
    choose: Choose = by_amount,
    ssl_context: ssl.SSLContext | None = None,
    ledger_file: Path | None = None,
    listening: Callable[[Serving], None] | None = None,
) -> None:
    """Serve until cancelled. ``ledger_file`` gets one flushed JSON line an entry; ``listening`` is told the port."""
    ledger = Ledger(ledger_file)
    try:
        async with Simulator(choose, ledger=ledger).serving(host, port, ssl_context) as serving:
            if listening is not None:
                listening(serving)
            await asyncio.Event().wait()
    finally:
        ledger.close()
