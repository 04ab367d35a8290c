"""``socket://host:port``: a validator behind a terminal server, over TCP by asyncio itself (pyserial's would block)."""

from __future__ import annotations

import asyncio

from tpsd.errors import PortError
from tpsd.ports import LinkLostError

CONNECT_SECONDS = 5.0  # a terminal server in the same cabinet answers in milliseconds


class NetworkPort:
    """A host and port that take the place of a serial device."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name = name
        self._host = host
        self._port = port

    async def open(self, wake: asyncio.Event) -> NetworkTransport:
        """Connect. Raises PortError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, transport = await loop.create_connection(lambda: NetworkTransport(wake), self._host, self._port)
        except TimeoutError as exc:
            raise PortError(f"{self.name} did not answer within {CONNECT_SECONDS:.0f} s") from exc
        except OSError as exc:
            raise PortError(f"{self.name} cannot be reached: {exc.strerror or exc}") from exc
        return transport


class NetworkTransport(asyncio.Protocol):
    """An open TCP connection."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._lost: str | None = None
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        self._received += data
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call."""
        self._lost = "the connection was closed" if exc is None else f"the connection broke: {type(exc).__name__}"
        self._closed.set()
        self._wake.set()

    def take(self) -> bytes:
        """What has arrived since the last call."""
        if not self._received and self._lost is not None:
            raise LinkLostError(self._lost)
        data = bytes(self._received)
        self._received.clear()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if self._transport is not None and self._lost is None:
            self._transport.write(data)

    def set_rate(self, baud: int) -> None:
        """Drop what waits to be taken: the rate is the terminal server's."""
        self._received.clear()

    async def close(self) -> None:
        """Close at once, whatever was not sent yet."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()
