"""Who asks: the process at the other end of the unix socket, as the kernel names it."""

from __future__ import annotations

import pwd
import socket
import struct

from aiohttp import web

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)


def peer_name(request: web.Request) -> str:
    """``alice (1000)``, or ``uid 1000`` for a user without a name; what the peer says of itself is never asked."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is None:
        raise web.HTTPBadRequest(text="the caller is gone; ask again")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"uid {uid}"
