"""The page for watchers: ``GET /healthz`` and ``GET /metrics`` over plain HTTP. It changes nothing and names no tap."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from tpsd.admin.metrics import CONTENT_TYPE
from tpsd.core.health import Check, Health
from tpsd.domain.picture import FleetFacts
from tpsd.domain.time import SECOND
from tpsd.errors import ConfigError

BACKLOG = 16  # connections: a watcher or two; more is a flood, and the daemon has better things to do

_logger = structlog.get_logger(__name__)


class HealthServer:
    """Listens on ``[admin] listen``."""

    def __init__(
        self,
        address: tuple[str, int],
        health: Callable[[], Awaitable[Health]],
        metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._address = address
        self._health = health
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises ConfigError where the address is taken or is not this machine's."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/healthz", self._get_health)
        app.router.add_get("/metrics", self._get_metrics)
        listener = _bound(*self._address)
        self.port = int(listener.getsockname()[1])
        try:
            self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
            await self._runner.setup()
            await web.SockSite(self._runner, listener, backlog=BACKLOG).start()
        except BaseException:
            listener.close()
            await self.stop()
            raise
        _logger.info("health_listens", host=self._address[0], port=self.port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _get_health(self, _request: web.Request) -> web.Response:
        found = await self._health()
        return web.json_response(health_page(found), status=200 if found.healthy else 503)

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self._metrics(), headers={"Content-Type": CONTENT_TYPE})


def fleet_page(fleet: FleetFacts) -> dict[str, object]:
    """The daemons that share a journal, as plain values."""
    return {
        "daemon": fleet.daemon,
        "presides": fleet.presides,
        "others": list(fleet.others),
        "gone_seconds": {name: since_us / SECOND for name, since_us in sorted(fleet.gone.items())},
        "clock_apart_seconds": fleet.apart_us / SECOND,
    }


def health_page(health: Health) -> dict[str, object]:
    """What ``/healthz`` and ``tpsd status --json`` say."""
    return {
        "healthy": health.healthy,
        "reasons": [reason for _, reason in health.reasons],
        "checks": {check.value: health.holds(check) for check in Check},
        "clock_trusted": health.holds(Check.CLOCK),
        "clock_offset_seconds": health.clock_offset_seconds,
    }


def _bound(host: str, port: int) -> socket.socket:
    where = f"admin.listen {f'[{host}]' if ':' in host else host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as exc:
        raise ConfigError(f"{where}: {host} is not a host known here; write an address of this machine") from exc
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # a taken address shows here at the latest
    except OSError as exc:
        listener.close()
        raise ConfigError(
            f"{where} cannot be listened on ({exc.strerror or exc}); choose another port, or end what uses it"
        ) from exc
    listener.setblocking(False)
    return listener
