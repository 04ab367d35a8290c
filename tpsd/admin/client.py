"""Asking a running daemon over its unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tpsd.errors import NotFoundError, TpsdError

ASK_SECONDS = 10.0  # the journal reads in slices of a few ms; longer means that the daemon hangs


class NoDaemonError(TpsdError):
    """Nobody listens on the socket."""


async def ask(socket: Path, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that the daemon answers to ``GET path``.

    Raises NoDaemonError when none runs there, NotFoundError for what does not exist, TpsdError otherwise.
    """
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.get(f"http://tpsd{path}", params=params) as answer,
        ):
            found = await answer.json()
    except aiohttp.ClientConnectorError as exc:
        raise _unreachable(socket, exc) from exc
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise TpsdError(
            f"the daemon on {socket} did not answer as it should ({type(exc).__name__}); see its log"
        ) from exc
    if not isinstance(found, dict):
        raise TpsdError(f"the daemon on {socket} answered no JSON object; is it the same version?")
    if answer.status == 200:
        return found
    text = f"{found.get('error', 'unknown error')}; {found.get('what_to_do', '')}".rstrip("; ")
    raise NotFoundError(text) if answer.status == 404 else TpsdError(text)


def _unreachable(socket: Path, exc: aiohttp.ClientConnectorError) -> TpsdError:
    if isinstance(exc.os_error, PermissionError):
        return TpsdError(f"{socket} may not be opened by this user; join the socket's group or use sudo")
    return NoDaemonError(
        f"no daemon listens on {socket}; start it with: tpsd run --config FILE, or name its --socket or --config"
    )
