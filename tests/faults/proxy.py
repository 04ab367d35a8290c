"""A TCP proxy on loopback that harms what it carries, each direction by itself, from any moment on.

What no proxy of bytes can show is done to the listening socket: a port that refuses, and one whose SYNs are lost.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from tests.faults.toxics import Carry, End, Parcel, Toxic, chained

BACKLOG = 64
FILLERS = 2  # a listener with a backlog of 0 keeps one connection; the second filler is there in case it keeps two
LINGER_ZERO = struct.pack("ii", 1, 0)  # a close with this sends RST (socket(7), SO_LINGER)


class Way(Enum):
    """A direction, as the client sees it."""

    UP = "to TPS"
    DOWN = "from TPS"


class Proxy:
    """Listens from ``__aenter__`` to ``__aexit__``. ``target``: the port behind it, or a socket's path; jitter comes
    from ``seed``.
    """

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._toxics: dict[Way, tuple[Toxic, ...]] = dict.fromkeys(Way, ())
        self._connections: set[_Connection] = set()
        self._joining: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []
        self._reads: dict[Way, int] = dict.fromkeys(Way, 0)  # since that direction was poisoned
        self._read = asyncio.Event()
        self._gone = asyncio.Event()
        self._socket = _reserved(0)
        self.port = int(self._socket.getsockname()[1])
        self.target: int | Path = 0
        self.made = 0  # connections accepted so far
        self.left: dict[Way, int] = dict.fromkeys(Way, 0)  # bytes that one end sent
        self.arrived: dict[Way, int] = dict.fromkeys(Way, 0)  # bytes that the other was given

    async def __aenter__(self) -> Self:
        self.listen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.refuse()
        for task in self._joining:
            task.cancel()
        await asyncio.gather(*self._joining, return_exceptions=True)
        for connection in list(self._connections):
            connection.end(End.RESET)
        await self._emptied()
        self._socket.close()

    # --- the port ---

    def listen(self) -> None:
        """Connections are taken; those whose SYN was lost come when it is sent again (after 1 s at first)."""
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        self._empty_fillers()
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def refuse(self) -> None:
        """The port answers with RST from now on; connections that stand go on."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._empty_fillers()
        self._socket.close()
        self._socket = _reserved(self.port)

    def deafen(self, seconds: float | None = None) -> None:
        """SYNs are lost from now on, or for so long: the backlog is full, and Linux drops what comes then."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._socket.listen(0)
        for _ in range(FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._fillers.append(filler)
        if seconds is not None:
            loop.call_later(seconds, self.listen)

    # --- the bytes ---

    def poison(self, way: Way, *toxics: Toxic) -> None:
        """Put toxics on one direction, of the connections that stand and of all to come."""
        self._toxics[way] = toxics
        self._reads[way] = 0
        for connection in self._connections:
            connection.pipes[way].carry = self._begun(way)

    async def met(self, way: Way, pieces: int) -> None:
        """Returns when so many pieces came that way since it was poisoned."""
        while self._reads[way] < pieces:
            self._read.clear()
            await self._read.wait()

    def is_waiting(self, way: Way) -> bool:
        """Whether something is on its way."""
        return any(connection.pipes[way].is_waiting for connection in self._connections)

    async def drop(self) -> None:
        """End every connection towards the client; returns when the client has noticed."""
        for connection in list(self._connections):
            connection.hang_up()
        await self._emptied()

    async def heal(self) -> None:
        """Everything passes again; what was harmed is closed, what was delayed still arrives."""
        self.listen()
        harmed = any(self._toxics.values())
        for way in Way:
            self.poison(way)
        if harmed:
            for connection in list(self._connections):
                waiting = connection.pipes[Way.UP].is_waiting
                connection.pipes[Way.UP if waiting else Way.DOWN].take(b"", End.CLOSE)

    # --- within ---

    async def _emptied(self) -> None:
        while self._connections:
            self._gone.clear()
            await self._gone.wait()

    def _begun(self, way: Way) -> Carry:
        return chained(self._toxics[way], self._rng)

    def _empty_fillers(self) -> None:
        for filler in self._fillers:
            filler.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            filler.close()
        self._fillers.clear()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                client, _ = self._socket.accept()
                client.setblocking(False)
                self.made += 1
                task = asyncio.get_running_loop().create_task(self._join(client))
                self._joining.add(task)
                task.add_done_callback(self._joining.discard)

    async def _join(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection = _Connection(self)
        near, far = (_Side(connection, way) for way in Way)
        try:
            if isinstance(self.target, Path):
                await loop.create_unix_connection(lambda: far, str(self.target))
            else:
                await loop.create_connection(lambda: far, "127.0.0.1", self.target)
            await loop.connect_accepted_socket(lambda: near, client)
        except BaseException as exc:
            client.close()
            far.end(End.RESET)
            if isinstance(exc, OSError):  # nobody listens behind the proxy
                return
            raise
        connection.joined(near, far, {way: self._begun(way) for way in Way})
        self._connections.add(connection)

    def _came(self, way: Way, size: int) -> None:
        self.left[way] += size
        self._reads[way] += 1
        self._read.set()

    def _forget(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._gone.set()


class _Connection:
    """Two sides and the two pipes between them."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.pipes: dict[Way, _Pipe] = {}
        self.sides: tuple[_Side, ...] = ()

    def joined(self, near: _Side, far: _Side, carries: dict[Way, Carry]) -> None:
        """Both sides stand: what one of them said before goes on its way."""
        self.sides = (near, far)
        self.pipes = {
            Way.UP: _Pipe(self, Way.UP, far, carries[Way.UP]),
            Way.DOWN: _Pipe(self, Way.DOWN, near, carries[Way.DOWN]),
        }
        for side in self.sides:
            side.begin(self.pipes[side.way])

    def left(self, way: Way, size: int) -> None:
        """So many bytes came from one side."""
        self._proxy._came(way, size)

    def arrived(self, way: Way, size: int) -> None:
        """So many bytes reached the other side."""
        self._proxy.arrived[way] += size

    def hang_up(self) -> None:
        """Say FIN to the client and wait for its own."""
        self.sides[0].hang_up()

    def end(self, how: End) -> None:
        """Both sides, now."""
        for side in self.sides:
            side.end(how)

    def lost(self) -> None:
        """One side is gone; the last one takes the connection with it."""
        if all(side.gone for side in self.sides):
            for pipe in self.pipes.values():
                pipe.stop()
            self._proxy._forget(self)


class _Pipe:
    """One direction of one connection: parcels in the order they came, each at its time."""

    def __init__(self, connection: _Connection, way: Way, target: _Side, carry: Carry) -> None:
        self.carry = carry
        self._way = way
        self._connection = connection
        self._target = target
        self._parcels: deque[Parcel] = deque()
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something is on its way."""
        return bool(self._parcels)

    def take(self, data: bytes, end: End | None = None) -> None:
        """Bytes or an end came from the other side."""
        self._connection.left(self._way, len(data))
        for parcel in self.carry(Parcel(asyncio.get_running_loop().time(), data, end)):
            self._last = max(self._last, parcel.at)
            self._parcels.append(replace(parcel, at=self._last))
        if self._timer is None:
            self._deliver()

    def stop(self) -> None:
        """Nothing arrives any more."""
        self._parcels.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._parcels and self._parcels[0].at <= loop.time():
            parcel = self._parcels.popleft()
            if parcel.data:
                self._connection.arrived(self._way, len(parcel.data))
                self._target.write(parcel.data)
            if parcel.end is not None:
                self._connection.end(parcel.end)
        if self._parcels:
            self._timer = loop.call_at(self._parcels[0].at, self._deliver)


class _Side(asyncio.Protocol):
    """One socket of a connection; ``way`` is where what it reads goes."""

    def __init__(self, connection: _Connection, way: Way) -> None:
        self.way = way
        self.gone = False
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._pipe: _Pipe | None = None
        self._early = bytearray()
        self._early_end = False
        self._hung_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._pipe is None:
            self._early += data
        else:
            self._pipe.take(data)

    def eof_received(self) -> bool:
        if self._pipe is None:
            self._early_end = True
        else:
            self._pipe.take(b"", End.CLOSE)
        return True  # stay: the end arrives on the other side first, at its time

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if exc is not None and self._pipe is not None:
            self._pipe.take(b"", End.RESET)
        self._connection.lost()

    def begin(self, pipe: _Pipe) -> None:
        self._pipe = pipe
        if self._early or self._early_end:
            pipe.take(bytes(self._early), End.CLOSE if self._early_end else None)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.gone and not self._hung_up:
            self._transport.write(data)

    def end(self, how: End) -> None:
        if self._transport is None or self.gone:
            return
        if how is End.CLOSE:
            self._transport.close()
        else:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            self._transport.abort()

    def hang_up(self) -> None:
        if self._transport is not None and not self.gone:
            self._hung_up = True
            self._transport.write_eof()


def _reserved(port: int) -> socket.socket:
    """A bound socket on which nobody listens yet: connections to it are refused."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", port))
    return reserved
