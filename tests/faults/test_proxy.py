"""The proxy itself: each toxic does what its name says, to one direction, from the moment it is put on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy, Way
from tests.faults.toxics import (
    AtWord,
    Bandwidth,
    Blackhole,
    End,
    Latency,
    LimitData,
    Parcel,
    PastFirstRecord,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
    chained,
)
from tests.integration.gate import until

BOUND_SECONDS = 60.0
TEXT = b"0123456789" * 10


def carried(*toxics: Toxic, parcels: Iterator[Parcel] | None = None) -> list[tuple[float, bytes, End | None]]:
    """What comes of one parcel of TEXT at second 100 and of the close that follows a second later."""
    carry = chained(toxics, random.Random(1))
    given = parcels or iter((Parcel(100.0, TEXT), Parcel(101.0, end=End.CLOSE)))
    return [(round(out.at, 3), out.data, out.end) for parcel in given for out in carry(parcel)]


class TestToxics:
    """Times in, times out."""

    def test_none(self) -> None:
        assert carried() == [(100.0, TEXT, None), (101.0, b"", End.CLOSE)]

    def test_latency(self) -> None:
        assert carried(Latency(0.5)) == [(100.5, TEXT, None), (101.5, b"", End.CLOSE)]
        ((at, _, _), _) = carried(Latency(0.5, jitter=0.2))
        assert 100.3 <= at <= 100.7
        assert at != 100.5

    def test_blackhole(self) -> None:
        assert carried(Blackhole()) == []
        assert carried(Blackhole(closes_after=3.0)) == [(103.0, b"", End.CLOSE)]

    def test_reset(self) -> None:
        assert carried(Reset(0.5))[0] == (100.5, b"", End.RESET)

    def test_slow_close(self) -> None:
        assert carried(SlowClose(2.0)) == [(100.0, TEXT, None), (103.0, b"", End.CLOSE)]

    @pytest.mark.parametrize("count", [0, 1, 99])
    def test_limit(self, count: int) -> None:
        out = carried(LimitData(count))
        assert b"".join(data for _, data, _ in out) == TEXT[:count]
        assert out[-1][2] is out[min(count, 1)][2] is End.CLOSE

    def test_a_limit_that_is_not_reached(self) -> None:
        assert carried(LimitData(100)) == carried()

    def test_slicer(self) -> None:
        out = carried(Slicer(30, pause=0.1))
        assert [(at, len(data)) for at, data, _ in out] == [
            (100.0, 30),
            (100.1, 30),
            (100.2, 30),
            (100.3, 10),
            (101, 0),
        ]
        sizes = {len(data) for _, data, _ in carried(Slicer(10, 0.0, variation=5))[:-2]}
        assert sizes <= set(range(5, 16))
        assert len(sizes) > 1

    def test_bandwidth(self) -> None:
        out = carried(Bandwidth(50.0))
        assert b"".join(data for _, data, _ in out) == TEXT
        assert out[-2][0] == out[-1][0] == 102.0, "100 bytes take two seconds, and the close waits for them"

    def test_one_behind_the_other(self) -> None:
        assert carried(LimitData(5), SlowClose(4.0), Latency(0.5))[:2] == [
            (100.5, TEXT[:5], None),
            (104.5, b"", End.CLOSE),
        ]

    @pytest.mark.parametrize(("word", "count", "passes"), [(b"b", 1, b"a"), (b"b", 2, b"abc"), (b"", 2, b"a")])
    def test_at_a_word(self, word: bytes, count: int, passes: bytes) -> None:
        """The piece with the word for that time is the first that is harmed, and all behind it are."""
        met: list[None] = []
        parcels = (Parcel(100.0, bytes([letter])) for letter in b"abcb")
        out = carried(AtWord(word, count, (Blackhole(),), lambda: met.append(None)), parcels=iter(parcels))
        assert b"".join(data for _, data, _ in out) == passes
        assert met == [None]

    @pytest.mark.parametrize("pieces", [1, 2, 5, 100])
    def test_past_the_first_record(self, pieces: int) -> None:
        """However the record is cut, it passes, and the first byte behind it does not."""
        record = b"\x16\x03\x01\x00\x50" + bytes(80)
        stream = record + TEXT
        size = -(-len(stream) // pieces)
        parcels = (Parcel(100.0, stream[at : at + size]) for at in range(0, len(stream), size))
        out = carried(PastFirstRecord((Reset(),)), parcels=iter(parcels))
        assert b"".join(data for _, data, _ in out) == record
        assert out[-1][2] is End.RESET


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything twice and closes when its client does."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data * 2)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, asyncio.timeout(BOUND_SECONDS), Proxy() as proxy:
        proxy.target = server.sockets[0].getsockname()[1]
        yield proxy


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(proxy: Proxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said(ends: Ends, data: bytes) -> bytes:
    """What comes back until the connection ends, at once after ``data``."""
    reader, writer = ends
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()


class TestProxy:
    """On real sockets."""

    async def test_both_directions_pass(self) -> None:
        async with echoing() as proxy:
            reader, writer = await connected(proxy)
            writer.write(TEXT)
            assert await reader.readexactly(200) == TEXT * 2
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        assert proxy.arrived == {Way.UP: 100, Way.DOWN: 200}
        assert proxy.made == 1

    async def test_a_limit_closes_both_sides(self) -> None:
        async with echoing() as proxy:
            proxy.poison(Way.DOWN, LimitData(150))
            assert await said(await connected(proxy), TEXT) == (TEXT * 2)[:150]

    async def test_slices_come_in_order(self) -> None:
        async with echoing() as proxy:
            proxy.poison(Way.DOWN, Slicer(7, pause=0.001, variation=3), LimitData(199))
            assert await said(await connected(proxy), TEXT) == (TEXT * 2)[:199]

    async def test_a_reset_is_one(self) -> None:
        async with echoing() as proxy:
            proxy.poison(Way.UP, Reset())
            with pytest.raises(ConnectionResetError):
                await said(await connected(proxy), TEXT)

    async def test_toxics_reach_connections_that_stand_and_leave_them(self) -> None:
        async with echoing() as proxy:
            reader, writer = await connected(proxy)
            writer.write(b"a")
            assert await reader.readexactly(2) == b"aa"
            proxy.poison(Way.UP, Blackhole())
            writer.write(b"lost")
            await until(lambda: proxy.left[Way.UP] == 5, "the bytes in the hole")
            await proxy.heal()
            assert await reader.read() == b""
            writer.close()
            again = await connected(proxy)
            again[1].write(b"b")
            assert await again[0].readexactly(2) == b"bb"
            again[1].close()

    async def test_what_was_late_still_arrives_after_healing(self) -> None:
        async with echoing() as proxy:
            proxy.poison(Way.UP, Latency(0.1))
            reader, writer = await connected(proxy)
            writer.write(b"late")
            await until(lambda: proxy.left[Way.UP] == 4, "the bytes on their way")
            await proxy.heal()
            await reader.read()
            writer.close()
        assert proxy.arrived[Way.UP] == 4

    async def test_a_port_that_refuses_and_listens_again(self) -> None:
        async with echoing() as proxy:
            for _ in range(2):
                proxy.refuse()
                with pytest.raises(ConnectionRefusedError):
                    await connected(proxy)
                proxy.listen()
                (await connected(proxy))[1].close()

    async def test_lost_syns(self) -> None:
        async with echoing() as proxy:
            proxy.deafen()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connected(proxy), 0.2)
            proxy.listen()
            assert proxy.made == 0
            proxy.deafen(0.05)
            (await connected(proxy))[1].close()  # by the second SYN, a second later

    async def test_nobody_behind_it(self) -> None:
        async with Proxy() as proxy:
            with pytest.raises(OSError, match="reset"):
                await said(await connected(proxy), TEXT)

    async def test_a_dropped_client_has_noticed(self) -> None:
        async with echoing() as proxy:
            reader, writer = await connected(proxy)
            writer.write(b"a")
            await reader.readexactly(2)
            async with asyncio.TaskGroup() as group:
                group.create_task(proxy.drop())
                assert await reader.read() == b""
                writer.close()
