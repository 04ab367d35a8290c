"""The other end of the client's wire: certificates for one test, and a raw server that is scripted byte by byte."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tpsd.sfey.certificates import Authority, Files, make, server_context
from tpsd.sfey.client import TpsClient
from tpsd.sfey.tls import tls_context

NOW = datetime.now(UTC)
OK = b'{"transactionResultData":{"approved":true,"actionCode":"000"}}'
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Stopwatch:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pki:
    """One authority with a server and a client; and the wrong ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: Files = make(folder, NOW)
        self._stranger = Authority("Somebody else's root", NOW)

    def client(self) -> ssl.SSLContext:
        return tls_context(self.files.ca, self.files.client_cert, self.files.client_key)

    def client_without_certificate(self) -> ssl.SSLContext:
        return tls_context(self.files.ca, None, None)

    def foreign_client(self) -> ssl.SSLContext:
        cert, key = self._stranger.client("GATE-X1:VAL00042").write(self.folder, "foreign")
        return tls_context(self.files.ca, cert, key)

    def client_that_believes_others(self) -> ssl.SSLContext:
        ca = self.folder / "others.crt"
        ca.write_bytes(self._stranger.certificate)
        return tls_context(ca, self.files.client_cert, self.files.client_key)

    def server(self, only: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = server_context(self.files.server_cert, self.files.server_key, self.files.ca)
        if only is not None:
            context.minimum_version = context.maximum_version = only
        return context

    def server_of(self, *, names: tuple[str, ...] = ("127.0.0.1",), expired: bool = False) -> ssl.SSLContext:
        """A server whose authority the client believes too (appended to its bundle), for names, or expired."""
        authority = Authority("Second root", NOW)
        self.files.ca.write_bytes(self.files.ca.read_bytes() + authority.certificate)
        until = NOW - timedelta(hours=1) if expired else None
        cert, key = authority.server(names, until).write(self.folder, "special")
        return server_context(cert, key, self.files.ca)


@asynccontextmanager
async def client_of(
    url: str,
    context: ssl.SSLContext | None,
    *,
    timeout: float = 5.0,
    concurrency: int = 32,
    clock: Stopwatch | None = None,
    may_send: Callable[[], bool] = lambda: True,
) -> AsyncIterator[TpsClient]:
    client = TpsClient(
        url,
        {"lane": context},
        monotonic=clock or Stopwatch(),
        timeout_seconds=timeout,
        concurrency=concurrency,
        may_send=may_send,
    )
    try:
        yield client
    finally:
        await client.close()


def answer(body: bytes = OK, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass
class RawServer:
    """What the raw server saw: whole requests as bytes, and how many connections are open and were made."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def posts(self) -> int:
        return sum(request.startswith(b"POST") for request in self.requests)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(holds)

    async def note(self) -> None:
        async with self.changed:
            self.changed.notify_all()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@asynccontextmanager
async def raw_server(
    script: Script,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    probed: Callable[[], bytes] = lambda: answer(b"", status="404 Not Found"),
) -> AsyncIterator[RawServer]:
    """``script(reader, writer, request)`` runs once a request; GETs (probes) are answered before it."""
    seen = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        seen.open += 1
        await seen.note()
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                seen.requests.append(request)
                await seen.note()
                if request.startswith(b"GET"):
                    writer.write(probed())
                else:
                    await script(reader, writer, request)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()
            seen.open -= 1
            await seen.note()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(start, host, 0, ssl=context)
    scheme = "http" if context is None else "https"
    seen.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def approve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.write(answer())


async def drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.close()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _request: bytes) -> None:
    await reader.read(1)


def replying(data: bytes, *, close: bool = False) -> Script:
    async def reply(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(data)
        if close:
            writer.close()

    return reply


@contextmanager
def alerting_server(context: ssl.SSLContext) -> Iterator[tuple[str, list[str]]]:
    """A server on blocking sockets: unlike asyncio's, it sends OpenSSL's alerts. Its URL, and how handshakes ended."""
    ends: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    ends.append("taken")
                    secured.recv(65_536)
                    secured.sendall(answer(b"", headers="Connection: close\r\n"))
            except ssl.SSLError as exc:
                ends.append(exc.reason or "")
            except OSError:
                ends.append("left")
            finally:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", ends
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
