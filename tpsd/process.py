"""The daemon as a process: its signals, its doors, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from schemas.config import Configuration
from tpsd import config as settings
from tpsd.admin.health import HealthServer
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes, assembled
from tpsd.daemon import Daemon
from tpsd.errors import TpsdError
from tpsd.hardening import harden
from tpsd.notify import Notifier
from tpsd.workers.heartbeat import Heartbeat

log = structlog.get_logger("tpsd")


def run(config: Configuration, read: Callable[[], Configuration] | None = None) -> int:
    """The daemon in the foreground until SIGTERM or SIGINT; the exit code. Raises TpsdError.

    ``read`` gives the configuration anew on SIGHUP.
    """
    harden()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it means a reload; what is being read is new anyway
    try:
        asyncio.run(_run(config, read))
    except TpsdError:
        raise
    except Exception:
        log.exception("stopped_by_a_surprise")  # through the log, which masks: an error's text may hold anything
        return 1
    return 0


async def _run(config: Configuration, read: Callable[[], Configuration] | None) -> None:
    manager = Notifier()
    manager.status("opening the journal")
    async with assembled(config) as daemon, AsyncExitStack() as stack:
        daemon.reloading.read = read
        daemon.on_ready = lambda: manager.ready(f"{len(daemon.lanes)} lanes")

        def stop() -> None:
            manager.stopping()
            daemon.stop()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.reloading.ask)
        await stack.enter_async_context(_watched(daemon, manager))
        for server in _servers(config, daemon):
            await server.start()
            stack.push_async_callback(server.stop)
        await _unwrapped(daemon.run)


@asynccontextmanager
async def _watched(daemon: Daemon, manager: Notifier) -> AsyncIterator[None]:
    """Signs of life for the service manager's watchdog, to the very end (design 10)."""
    if manager.watchdog_seconds is None:
        yield
        return
    heartbeat = Heartbeat(daemon.journal.next_due, manager.alive, manager.watchdog_seconds)
    beating = asyncio.create_task(heartbeat.run(), name="heartbeat")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait((beating,))


def _servers(config: Configuration, daemon: Daemon) -> list[AdminServer | HealthServer]:
    servers: list[AdminServer | HealthServer] = [
        AdminServer(config.admin.socket, daemon.journal, daemon.status, admin_routes(daemon))
    ]
    address = settings.listen_address(config)
    if address is not None:
        servers.append(HealthServer(address, daemon.observer.health, daemon.observer.page))
    return servers


async def _unwrapped(work: Callable[[], Awaitable[None]]) -> None:
    """Run it; where TaskGroups failed for reasons of ours alone, raise the first of these."""
    try:
        await work()
    except ExceptionGroup as group:
        reason = _reason(group)
        if reason is None:
            raise
        raise reason from None


def _reason(group: ExceptionGroup[Exception]) -> TpsdError | None:
    """The first error for people, however deep; None where there is a surprise beside it."""
    first: TpsdError | None = None
    for error in group.exceptions:
        found = _reason(error) if isinstance(error, ExceptionGroup) else error
        if not isinstance(found, TpsdError):
            return None
        first = first or found
    return first
