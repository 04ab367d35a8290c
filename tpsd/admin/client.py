"""Asking a running daemon over its unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tpsd.errors import NotFoundError, RefusedError, TpsdError

STREAM_SECONDS = 600.0  # behind the last byte of a long list the journal puts it in order
ASK_SECONDS = 10.0  # the journal reads in slices of a few ms; longer means that the daemon hangs


class NoDaemonError(TpsdError):
    """Nobody listens on the socket."""


async def ask(
    socket: Path, path: str, params: Mapping[str, str] | None = None, *, seconds: float | None = ASK_SECONDS
) -> dict[str, Any]:
    """The JSON object that the daemon answers to ``GET path``.

    ``seconds`` is how long the answer may take; None where that grows with the journal. Raises NoDaemonError when none
    runs there, NotFoundError for what does not exist, TpsdError otherwise.
    """
    return await _request(socket, "GET", path, seconds, params=params)


async def tell(
    socket: Path, path: str, body: Mapping[str, Any], *, seconds: float | None = ASK_SECONDS
) -> dict[str, Any]:
    """The same for ``POST path`` with a JSON object: something is to be changed. RefusedError when it may not be."""
    return await _request(socket, "POST", path, seconds, json=body)


async def stream(socket: Path, path: str, params: Mapping[str, str], chunks: AsyncIterable[bytes]) -> dict[str, Any]:
    """The same with a body as long as it takes, and an answer that may take its time behind it."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=ASK_SECONDS, sock_read=STREAM_SECONDS)
    return await _request(socket, "POST", path, None, params=params, data=chunks, timeout=timeout)


async def _request(socket: Path, method: str, path: str, seconds: float | None, **content: Any) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.request(method, f"http://tpsd{path}", **content) as answer,
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
    raise _ERRORS.get(answer.status, TpsdError)(text)


_ERRORS: Mapping[int, type[TpsdError]] = {404: NotFoundError, 409: RefusedError}


def _unreachable(socket: Path, exc: aiohttp.ClientConnectorError) -> TpsdError:
    if isinstance(exc.os_error, PermissionError):
        return TpsdError(f"{socket} may not be opened by this user; join the socket's group or use sudo")
    return NoDaemonError(
        f"no daemon listens on {socket}; start it with: tpsd run --config FILE, or name its --socket or --config"
    )
