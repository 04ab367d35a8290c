"""The server behind the unix socket: what the journal and the loops say of themselves.

Access is the socket's file mode: its owner and group, nobody else (mode 0660).
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from tpsd.admin.plain import plain
from tpsd.domain.views import TapFilter
from tpsd.errors import ConfigError, NotFoundError, RefusedError, TpsdError
from tpsd.ports import TapReader

LIMIT_MAX = 1000  # rows in one answer: a screen needs 50, and the journal's reads come in short slices
REQUEST_BYTES_MAX = 65_536  # a command's words; what is longer comes in parts
SOCKET_MODE = 0o660
STOP_SECONDS = 2.0  # what still answers when the daemon ends; a check or a backup under way is given up
KNOCK_SECONDS = 1.0  # a living daemon accepts at once; a dead one's socket refuses at once
_FILTERS = ("lane", "state", "cause", "limit")

_logger = structlog.get_logger(__name__)


class AdminServer:
    """Serves ``GET /status``, ``/taps`` and ``/taps/{ref}``; every error is JSON with what to do."""

    def __init__(
        self,
        socket_path: Path,
        journal: TapReader,
        status: Callable[[], Awaitable[dict[str, Any]]],
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        self._path = socket_path
        self._routes = tuple(routes)  # those of the other topics, each from a module of its own
        self._journal = journal
        self._status = status
        self._runner: web.AppRunner | None = None
        self._inode: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen. A dead daemon's socket is replaced; raises ConfigError where a living one answers."""
        app = web.Application(middlewares=[_errors_as_json], client_max_size=REQUEST_BYTES_MAX)
        app.router.add_get("/status", self._get_status, allow_head=False)
        app.router.add_get("/taps", self._get_taps, allow_head=False)
        app.router.add_get("/taps/{ref}", self._get_tap, allow_head=False)
        app.router.add_routes(self._routes)
        listener = _bind(self._path)
        try:
            self._inode = _identity(self._path)
            self._runner = web.AppRunner(
                app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=STOP_SECONDS
            )
            await self._runner.setup()
            await web.SockSite(self._runner, listener).start()
        except BaseException:
            listener.close()
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and remove the socket, unless another daemon has put its own there."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._inode is not None and _identity(self._path) == self._inode:
            self._path.unlink()
        self._inode = None

    async def _get_status(self, request: web.Request) -> web.Response:
        return web.json_response(plain(await self._status()))

    async def _get_taps(self, request: web.Request) -> web.Response:
        rows = await self._journal.taps(_filter(request))
        return web.json_response({"taps": plain(rows)})

    async def _get_tap(self, request: web.Request) -> web.Response:
        story = await self._journal.story(request.match_info["ref"])
        return web.json_response(plain(story))


def _filter(request: web.Request) -> TapFilter:
    query = request.query
    unknown = sorted(set(query) - set(_FILTERS))
    if unknown:
        raise web.HTTPBadRequest(text=f"unknown filter {unknown[0]!r}; known are {', '.join(_FILTERS)}")
    text = query.get("limit", str(TapFilter().limit))
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= LIMIT_MAX:
        raise web.HTTPBadRequest(text=f"limit {text!r} is not a number from 1 to {LIMIT_MAX}; ask for fewer rows")
    return TapFilter(query.get("lane"), query.get("state"), query.get("cause"), limit)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotFoundError as exc:
        return _error(404, str(exc), "list what there is with: tpsd taps")
    except RefusedError as exc:
        return _error(409, str(exc), "")
    except TpsdError as exc:
        return _error(503, str(exc), "see the daemon's log")
    except web.HTTPNotFound:
        return _error(404, "no such page", "ask for /status, /taps or /taps/{tap}")
    except web.HTTPException as exc:
        what, _, remedy = (exc.text or exc.reason).partition("; ")
        return _error(exc.status, what, remedy or "ask for /status, /taps or /taps/{tap} with GET")
    except Exception:
        # One bad question must not end the daemon. Its text may hold anything: only the masked log gets it.
        _logger.exception("admin_request_failed", path=request.path)
        return _error(500, "the daemon could not answer", "see the daemon's log")


def _error(status: int, what: str, remedy: str) -> web.Response:
    return web.json_response({"error": what, "what_to_do": remedy}, status=status)


def _bind(path: Path) -> socket.socket:
    """A bound socket of mode 0660 that nobody could open with another mode before."""
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listener.bind(str(path))
    except OSError as exc:
        listener.close()
        raise ConfigError(
            f"admin.socket {path} cannot be made ({exc.strerror or exc}); create its folder, or set another path"
        ) from exc
    finally:
        os.umask(umask)
    listener.setblocking(False)
    return listener


def _clear(path: Path) -> None:
    """Remove a dead daemon's socket. Raises ConfigError where a living one answers or a file stands."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # not there, or its folder is not: binding says so
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"admin.socket {path} is there and is not a socket; set another path or move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(KNOCK_SECONDS)
        try:
            knock.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as exc:
            raise ConfigError(f"admin.socket {path} is in use ({exc.strerror or exc}); stop that daemon") from exc
    raise ConfigError(f"another daemon answers on admin.socket {path}; stop it, or set another path")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
