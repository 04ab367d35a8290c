"""The service manager's end of NOTIFY_SOCKET: a datagram socket that keeps what it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

BOUND_SECONDS = 60.0


class ServiceManager:
    """Bound to a path, or to an abstract name that begins with @."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind("\0" + name[1:] if name.startswith("@") else name)
        self._door.setblocking(False)

    def heard(self) -> list[str]:
        """What it was told since it was last asked."""
        messages = []
        while True:
            try:
                messages.append(self._door.recv(4096).decode())
            except BlockingIOError:
                return messages

    async def hears(self, words: str) -> str:
        """The next message that holds these words."""
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                message = (await asyncio.get_running_loop().sock_recv(self._door, 4096)).decode()
                if words in message:
                    return message

    def close(self) -> None:
        self._door.close()


@contextmanager
def service_manager(name: str) -> Iterator[ServiceManager]:
    manager = ServiceManager(name)
    try:
        yield manager
    finally:
        manager.close()
