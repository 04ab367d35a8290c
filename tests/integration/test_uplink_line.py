"""The uplink on a real line: what an exchange that began before a change shows, and what a knock is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.stage import until
from tests.store.engines import SqliteEngine
from tpsd.core.outcomes import classify
from tpsd.demo.clock import WarpClock
from tpsd.domain.outcome import Answer, CredentialRefused, NoConnection
from tpsd.domain.time import SECOND, Micros
from tpsd.outages import Outages
from tpsd.sfey.client import TpsClient
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.uplink import Uplink, Waiting, WatchedTps

APPROVED = b'{"transactionResultData":{"approved":true,"actionCode":"000"}}'
WAITING = Waiting(96 * 3600 * SECOND, 300 * SECOND)


class Host:
    """A host that answers a GET at once and a POST when it is released; its listener comes and goes."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = self.posts = 0
        self.released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._speaking: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """New connections are refused; those that stand go on."""
        assert self._server is not None
        self._server.close()

    async def close(self) -> None:
        self.stop_listening()
        for task in self._speaking:
            task.cancel()
        await asyncio.gather(*self._speaking, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._speaking.add(asyncio.ensure_future(self._speak(reader, writer)))

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = b"404 Not Found", b"{}"
                if head.startswith(b"POST"):
                    await reader.readexactly(2)
                    self.posts += 1
                    await self.released.wait()
                    status, body = b"200 OK", APPROVED
                writer.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                             % (status, len(body), body))  # fmt: skip
        writer.close()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    await host.listen()
    yield host
    await host.close()


@pytest.fixture
async def client(host: Host) -> AsyncIterator[TpsClient]:
    client = TpsClient(
        f"http://127.0.0.1:{host.port}", {"common": None}, monotonic=WarpClock().monotonic, timeout_seconds=5.0
    )
    yield client
    await client.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteEngine(tmp_path / "engine", inline=True).open()
    yield journal
    await journal.close()


@pytest.fixture
def clock() -> WarpClock:
    clock = WarpClock()
    clock.stand_still()
    return clock


def uplink_of(tps: TpsClient, outages: Outages, clock: WarpClock, changes: list[str]) -> Uplink:
    return Uplink(
        "tps.example", ["common"], tps, outages, clock, random.Random(1), WAITING,
        on_change=lambda: changes.append("change"), on_notice=lambda: changes.append("notice"),
    )  # fmt: skip


@asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[None]:
    task = asyncio.create_task(uplink.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def state(uplink: Uplink) -> object:
    return uplink.status()["state"]


async def test_an_answer_to_what_began_before_an_outage_does_not_end_it(
    host: Host, client: TpsClient, journal: SqliteJournal, clock: WarpClock
) -> None:
    uplink = uplink_of(client, journal.outages, clock, [])
    tps = WatchedTps(client, uplink)
    before = asyncio.create_task(tps.post("common", "/p", b"{}"))
    await until(lambda: host.posts == 1, "the first request")
    host.stop_listening()
    assert await tps.post("common", "/p", b"{}") == NoConnection("connect")
    assert state(uplink) == "down"
    host.released.set()
    assert classify(await before).cause == "action.000"
    assert state(uplink) == "down"
    async with running(uplink):
        await until(lambda: clock.quiet(1), "the beginning is kept")
        assert state(uplink) == "down"
        outage = await journal.outages.unfinished("tps.example")
        assert outage is not None
        assert outage.since == clock.schedule()


async def test_the_gate_is_closed_before_the_failed_exchange_is_known_to_its_sender(
    host: Host, client: TpsClient, journal: SqliteJournal, clock: WarpClock
) -> None:
    uplink = uplink_of(client, journal.outages, clock, [])
    assert uplink.claimable_before(clock.schedule()) is None
    host.stop_listening()
    await WatchedTps(client, uplink).post("common", "/p", b"{}")
    assert uplink.claimable_before(clock.schedule()) == clock.schedule() - 96 * 3600 * SECOND


async def test_probes_follow_their_pauses_and_the_end_is_kept_before_anything_is_claimed(
    host: Host, client: TpsClient, journal: SqliteJournal, clock: WarpClock
) -> None:
    changes: list[str] = []
    uplink = uplink_of(client, journal.outages, clock, changes)
    host.stop_listening()
    began = clock.schedule()
    await WatchedTps(client, uplink).post("common", "/p", b"{}")
    async with running(uplink):
        for seconds in (5, 15, 35, 75):
            await until(lambda: clock.quiet(1), "the loop waits")
            assert clock.next_due() == began + seconds * SECOND
            clock.jump(Micros(began + seconds * SECOND))
        await until(lambda: uplink.status()["probes"] == 4, "four probes failed")
        await host.listen()
        await until(lambda: clock.quiet(1), "the loop waits")
        connections = host.connections
        clock.jump(Micros(began + 135 * SECOND))
        await until(lambda: state(uplink) == "up", "the end")
        assert host.connections == connections + 1
        assert await journal.outages.unfinished("tps.example") is None
        assert uplink.claimable_before(clock.schedule()) is None
        await until(lambda: clock.quiet(1), "the loop waits")
        assert clock.next_due() is None
    assert changes == ["change"] * 5, "whoever waits is woken at each of them"


async def test_a_knock_is_on_a_connection_of_its_own(host: Host, client: TpsClient) -> None:
    host.released.set()
    assert isinstance(await client.post("common", "/p", b"{}"), Answer)
    assert host.connections == 1
    answer = await client.knock("common")
    assert isinstance(answer, Answer)
    assert (answer.http, host.connections) == (404, 2)
    assert isinstance(await client.post("common", "/p", b"{}"), Answer)
    assert host.connections == 2, "its answer has proven the credential, and the connection is kept"


async def test_a_knock_on_nobodys_door(host: Host, client: TpsClient) -> None:
    host.stop_listening()
    assert await client.knock("common") == NoConnection("connect")
    assert await client.knock("nobody") == CredentialRefused("no_credential")
