"""The client over real TLS: what leaves, how often, and what each phase of failure comes to."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.integration.tls_peer import (
    OK,
    TLS_1_2,
    TLS_1_3,
    Pki,
    Script,
    Stopwatch,
    alerting_server,
    answer,
    approve,
    client_of,
    drop,
    raw_server,
    replying,
    silence,
)
from tests.sfey_requests import TAP
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError
from tpsd.sfey.client import ANSWER_BYTES_MAX, ServerDate, TpsClient, checked_base_url
from tpsd.sfey.connections import PROVEN_SECONDS
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

PATH, BODY = transaction(DEVICE_V1, TAP)
APPROVED = Answer(200, True, "000")
PROBE = b"GET /device-api/v1/health "


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


async def posted(script: Script, pki: Pki, *, timeout: float = 5.0) -> Exchange:
    async with raw_server(script, pki.server()) as server, client_of(server.url, pki.client(), timeout=timeout) as tps:
        return await tps.post("lane", PATH, BODY)


# --- what leaves


async def test_nothing_leaves_when_the_work_may_be_anothers_by_now(pki: Pki) -> None:
    """Asked after the wait for a turn and the probe: only a request with a body, and just before it."""
    may = [True, False]
    async with (
        raw_server(approve, pki.server()) as server,
        client_of(server.url, pki.client(), may_send=lambda: may.pop(0)) as tps,
    ):
        assert [await tps.post("lane", PATH, BODY) for _ in range(2)] == [APPROVED, NoConnection("lease")]
        assert isinstance(await tps.knock("lane"), Answer)
    assert len(server.requests) == 3, "a probe, a tap, a knock"
    assert may == []


async def test_the_bytes_on_the_wire(pki: Pki) -> None:
    async with raw_server(approve, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        assert [await tps.post("lane", PATH, BODY) for _ in range(2)] == [APPROVED, APPROVED]
        probe, first, second = server.requests
    assert probe.startswith(PROBE)
    assert first == second
    head, _, body = first.partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST " + PATH.encode() + b" HTTP/1.1"
    assert {line.split(b":")[0].lower() for line in lines[1:]} == {
        b"host", b"user-agent", b"accept", b"accept-encoding", b"content-length", b"content-type"
    }  # fmt: skip
    assert b"Content-Type: application/json" in lines
    assert b"Accept-Encoding: identity" in lines


@pytest.mark.parametrize("path", ["/a%2F..%2Fb/%2E%2E/c", "/a//b/../c", "/%c3%a9;x=1~"])
async def test_a_stored_path_is_sent_as_it_is(path: str) -> None:
    async with raw_server(approve) as server, client_of(f"{server.url}/prefix/", None) as tps:
        assert await tps.post("lane", path, b"{}") == APPROVED
        assert server.requests[-1].startswith(f"POST /prefix{path} HTTP/1.1\r\n".encode())


async def test_one_connection_is_kept(pki: Pki) -> None:
    async with raw_server(approve, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        for _ in range(3):
            assert await tps.post("lane", PATH, BODY) == APPROVED
        assert (server.connections, len(server.requests)) == (1, 4)


async def test_credentials_do_not_share_connections(pki: Pki) -> None:
    async with raw_server(approve, pki.server()) as server:
        contexts = {"one": pki.client(), "two": pki.client()}
        tps = TpsClient(server.url, contexts, monotonic=Stopwatch(), timeout_seconds=5.0)
        try:
            for name in ("one", "two", "one", "two"):
                assert await tps.post(name, PATH, BODY) == APPROVED
        finally:
            await tps.close()
        assert server.connections == 2


async def test_no_cookie_comes_back() -> None:
    script = replying(answer(headers="Set-Cookie: a=b; Path=/\r\n"))
    async with raw_server(script) as server, client_of(server.url.replace("127.0.0.1", "localhost"), None) as tps:
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert b"cookie" not in server.requests[-1].lower()


async def test_proxies_of_the_environment_are_not_used(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await posted(approve, pki) == APPROVED


async def test_an_unknown_credential_sends_nothing() -> None:
    async with raw_server(approve) as server, client_of(server.url, None) as tps:
        assert await tps.post("gone", PATH, BODY) == CredentialRefused("no_credential")
        assert await tps.get("gone", "/") == CredentialRefused("no_credential")
        assert server.connections == 0


async def test_at_most_so_many_at_once() -> None:
    gate = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        await gate.wait()
        writer.write(answer())

    async with raw_server(wait) as server:
        tps = TpsClient(server.url, {"one": None, "two": None}, monotonic=Stopwatch(), concurrency=3)
        try:
            sends = [asyncio.create_task(tps.post(name, PATH, BODY)) for name in ("one", "two") * 5]
            await server.until(lambda: server.posts() == 3)
            gate.set()
            assert await asyncio.gather(*sends) == [APPROVED] * 10
        finally:
            await tps.close()


async def test_no_time_runs_for_who_waits_for_a_turn() -> None:
    async with (
        raw_server(silence) as server,
        client_of(server.url, None, timeout=0.2, concurrency=1) as tps,
    ):
        sends = [tps.post("lane", PATH, BODY) for _ in range(3)]
        assert await asyncio.gather(*sends) == [NoAnswer("timeout")] * 3
        assert server.posts() == 3


# --- before a connection


async def test_a_closed_port(pki: Pki) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        async with client_of(f"https://127.0.0.1:{taken.getsockname()[1]}", pki.client()) as tps:
            assert await tps.post("lane", PATH, BODY) == NoConnection("connect")


@pytest.mark.parametrize("host", [".".join(["a" * 60] * 5), "a" * 70, "x" * 64 + ".test"])
async def test_a_name_that_no_resolver_can_know(host: str, pki: Pki) -> None:
    async with client_of(f"https://{host}", pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == NoConnection("dns")


async def test_an_authority_that_is_not_believed(pki: Pki) -> None:
    async with raw_server(approve, pki.server()) as server:
        async with client_of(server.url, pki.client_that_believes_others()) as tps:
            assert await tps.post("lane", PATH, BODY) == NoConnection("tls.server")
        assert server.requests == []


async def test_an_expired_server(pki: Pki) -> None:
    async with raw_server(approve, pki.server_of(expired=True)) as server, client_of(server.url, pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == NoConnection("tls.server")


async def test_a_server_of_another_name(pki: Pki) -> None:
    async with (
        raw_server(approve, pki.server_of(names=("tps.example",))) as server,
        client_of(server.url, pki.client()) as tps,
    ):
        assert await tps.post("lane", PATH, BODY) == NoConnection("tls.server")


async def test_a_server_that_speaks_no_tls(pki: Pki) -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, client_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == NoConnection("tls")


async def test_a_server_that_leaves_in_the_handshake(pki: Pki) -> None:
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    async with server, client_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == NoConnection("tls")


async def test_a_server_that_never_shakes_hands(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody speaks
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with client_of(url, pki.client(), timeout=0.2) as tps:
            assert await tps.post("lane", PATH, BODY) == NoConnection("connect_timeout")


@pytest.mark.parametrize("who", ["client_without_certificate", "foreign_client"])
async def test_tls_1_2_refuses_our_certificate_in_the_handshake(who: str, pki: Pki) -> None:
    with alerting_server(pki.server(TLS_1_2)) as (url, ends):
        async with client_of(url, getattr(pki, who)()) as tps:
            assert await tps.post("lane", PATH, BODY) == CredentialRefused("tls.client")
    assert "taken" not in ends


@pytest.mark.parametrize("who", ["client_without_certificate", "foreign_client"])
async def test_tls_1_2_without_an_alert_is_a_broken_handshake(who: str, pki: Pki) -> None:
    async with (
        raw_server(approve, pki.server(TLS_1_2)) as server,
        client_of(server.url, getattr(pki, who)()) as tps,
    ):
        assert await tps.post("lane", PATH, BODY) == NoConnection("tls")
        assert server.requests == []


@pytest.mark.parametrize("who", ["client_without_certificate", "foreign_client"])
async def test_tls_1_3_refuses_our_certificate_and_no_tap_is_in_doubt(who: str, pki: Pki) -> None:
    with alerting_server(pki.server(TLS_1_3)) as (url, ends):
        async with client_of(url, getattr(pki, who)()) as tps:
            for _ in range(10):
                seen = await tps.post("lane", PATH, BODY)
                assert seen in (NoConnection("probe"), CredentialRefused("tls.client"))
    assert ends
    assert "taken" not in ends


@pytest.mark.parametrize("who", ["client_without_certificate", "foreign_client"])
async def test_tls_1_3_without_an_alert_leaves_no_tap_in_doubt_either(who: str, pki: Pki) -> None:
    async with (
        raw_server(approve, pki.server(TLS_1_3)) as server,
        client_of(server.url, getattr(pki, who)()) as tps,
    ):
        assert await tps.post("lane", PATH, BODY) == NoConnection("probe")
        assert server.requests == []


async def test_the_alerting_server_takes_a_good_certificate(pki: Pki) -> None:
    """The control of the tests above."""
    with alerting_server(pki.server()) as (url, ends):
        async with client_of(url, pki.client()) as tps:
            assert await tps.get("lane", "/") == Answer(200, readable=False)
    assert ends == ["taken"]


# --- after it: bytes may have left


async def test_closed_before_an_answer(pki: Pki) -> None:
    assert await posted(drop, pki) == NoAnswer("closed")


async def test_reset_before_an_answer(pki: Pki) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.transport.abort()

    assert await posted(reset, pki) == NoAnswer("closed")


async def test_never_answered(pki: Pki) -> None:
    assert await posted(silence, pki, timeout=0.3) == NoAnswer("timeout")


async def test_a_trickle_of_bytes_does_not_stretch_the_time(pki: Pki) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            try:
                async with asyncio.timeout(0.01):
                    await reader.read(1)
            except TimeoutError:
                continue

    assert await posted(trickle, pki, timeout=0.3) == NoAnswer("timeout")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + OK,
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200",
    ],
)
async def test_an_answer_that_is_cut_off_is_none(data: bytes, pki: Pki) -> None:
    assert await posted(replying(data, close=True), pki) == NoAnswer("closed")


@pytest.mark.parametrize(
    "data",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_no_answer(data: bytes, pki: Pki) -> None:
    assert await posted(replying(data, close=True), pki) == NoAnswer("protocol")


async def test_a_kept_connection_that_the_server_closes_meanwhile(pki: Pki) -> None:
    """Seen in time, a new connection is made; the tap is sent once."""
    hangs_up = replying(answer(), close=True)
    async with raw_server(hangs_up, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == APPROVED
        await server.until(lambda: server.open == 0)
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert len(server.requests) == 3
        assert server.connections == 2


async def test_a_kept_connection_that_closes_on_the_tap_is_not_tried_again(pki: Pki) -> None:
    served = 0

    async def once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        nonlocal served
        served += 1
        if served == 1:
            writer.write(answer())
        else:
            writer.close()

    async with raw_server(once, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert await tps.post("lane", PATH, BODY) == NoAnswer("closed")
        assert served == 2
        assert server.connections == 1


# --- answers


async def test_ten_megabytes_are_not_read(pki: Pki) -> None:
    sent = 0

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            writer.write(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            await writer.drain()
            sent += 10_000

    async with raw_server(pour) as server, client_of(server.url, None) as tps:
        assert await tps.post("lane", PATH, BODY) == Answer(200, readable=False)
        await server.until(lambda: server.open == 0)
    assert sent < 10_000_000


@pytest.mark.parametrize(("length", "readable"), [(ANSWER_BYTES_MAX, True), (ANSWER_BYTES_MAX + 1, False)])
async def test_the_largest_answer(length: int, readable: bool, pki: Pki) -> None:
    body = OK + b" " * (length - len(OK))
    expected = APPROVED if readable else Answer(200, readable=False)
    assert await posted(replying(answer(body)), pki) == expected
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (length, body)
    assert await posted(replying(chunked), pki) == expected


async def test_a_compressed_answer_is_not_inflated(pki: Pki) -> None:
    bomb = answer(b"\x1f\x8b" + b"\0" * 50, headers="Content-Encoding: gzip\r\n")
    assert await posted(replying(bomb), pki) == Answer(200, readable=False)


async def test_a_redirect_is_an_answer(pki: Pki) -> None:
    script = replying(answer(b"", status="307 Temporary Redirect", headers="Location: /elsewhere\r\n"))
    async with raw_server(script, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        assert await tps.post("lane", PATH, BODY) == Answer(307, readable=False)
        assert len(server.requests) == 2


async def test_the_servers_date_is_kept() -> None:
    dated = replying(answer(headers="Date: Mon, 23 Nov 2026 08:15:30 GMT\r\n"))
    async with raw_server(dated) as server, client_of(server.url, None) as tps:
        await tps.ready("lane")  # answered without a date
        before = tps.last_date
        await tps.post("lane", PATH, BODY)
        assert (before, tps.last_date) == (None, ServerDate(Micros(1_795_421_730_000_000), 1000.0))


# --- whether a credential is proven


async def test_a_credential_is_probed_again_after_a_silence() -> None:
    clock = Stopwatch()
    async with raw_server(approve) as server, client_of(server.url, None, clock=clock) as tps:
        for step, requests in ((0.0, 2), (PROVEN_SECONDS, 3), (PROVEN_SECONDS + 0.1, 5), (0.0, 6)):
            clock.now += step
            assert await tps.post("lane", PATH, BODY) == APPROVED
            assert len(server.requests) == requests
    assert [one.startswith(PROBE) for one in server.requests] == [True, False, False, True, False, False]


async def test_callers_share_one_probe() -> None:
    async with raw_server(approve) as server, client_of(server.url, None) as tps:
        assert await asyncio.gather(*[tps.ready("lane") for _ in range(10)]) == [None] * 10
        assert len(server.requests) == 1


async def test_callers_share_one_failure() -> None:
    connections = 0

    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None) as tps:
        failures = await asyncio.gather(*[tps.ready("lane") for _ in range(10)])
    assert failures == [NoConnection("probe")] * 10
    assert connections <= 2  # aiohttp repeats a GET once


async def test_a_probe_that_is_cancelled_leaves_the_others_to_theirs() -> None:
    async with raw_server(approve) as server, client_of(server.url, None) as tps:
        first, second = (asyncio.create_task(tps.ready("lane")) for _ in range(2))
        await server.until(lambda: server.connections == 1)
        first.cancel()
        assert await second is None


async def test_a_fresh_connection_that_closed_on_a_tap_is_a_doubt() -> None:
    """Who closed is not known; the next tap waits for a probe on a connection made after the doubt."""
    closing = True

    async def sometimes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        if closing:
            writer.close()
        else:
            writer.write(answer())

    async with raw_server(sometimes) as server, client_of(server.url, None) as tps:
        both = await asyncio.gather(tps.post("lane", PATH, BODY), tps.post("lane", PATH, BODY))
        assert list(both) == [NoAnswer("closed")] * 2  # one on the probe's connection, one on a fresh one
        before = server.connections
        closing = False
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert server.connections == before + 1
        assert server.requests[-2].startswith(PROBE)


async def test_any_answer_to_the_probe_proves(pki: Pki) -> None:
    async with raw_server(approve, pki.server()) as server, client_of(server.url, pki.client()) as tps:
        assert await tps.ready("lane") is None  # answered 404
        assert await tps.get("lane", "/x") == Answer(404, readable=False)


# --- leaving


async def test_a_cancelled_send_leaves_no_connection(pki: Pki) -> None:
    async with raw_server(silence, pki.server()) as server, client_of(server.url, pki.client(), timeout=60) as tps:
        send = asyncio.create_task(tps.post("lane", PATH, BODY))
        await server.until(lambda: len(server.requests) == 2)
        send.cancel()
        with pytest.raises(asyncio.CancelledError):
            await send
        await server.until(lambda: server.open == 0)


async def test_a_cancelled_connect_leaves_no_connection(pki: Pki) -> None:
    left = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            begun.set()
        writer.close()
        left.set()

    begun = asyncio.Event()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server, client_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", pki.client()) as tps:
        send = asyncio.create_task(tps.post("lane", PATH, BODY))
        async with asyncio.timeout(5):
            await begun.wait()
            send.cancel()
            with pytest.raises(asyncio.CancelledError):
                await send
            await left.wait()


async def test_a_cancelled_send_gives_its_place_to_the_next() -> None:
    async with raw_server(silence) as server, client_of(server.url, None, timeout=60, concurrency=1) as tps:
        sends = [asyncio.create_task(tps.post("lane", PATH, BODY)) for _ in range(3)]
        for number in range(3):
            await server.until(lambda want=number + 2: len(server.requests) == want)  # type: ignore[misc]
            sends[number].cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*sends, return_exceptions=True)
        )
        await server.until(lambda: server.open == 0)


async def test_closing_ends_what_is_under_way() -> None:
    async with raw_server(silence) as server, client_of(server.url, None, timeout=60) as tps:
        send = asyncio.create_task(tps.post("lane", PATH, BODY))
        await server.until(lambda: len(server.requests) == 2)
        await tps.close()
        assert await send == NoAnswer("closed")
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://api.sfey.com", "TLS only"),
        ("http://localhost.example", "TLS only"),
        ("http://10.0.0.1", "TLS only"),
        ("ftp://api.sfey.com", "starts with https"),
        ("api.sfey.com", "starts with https"),
        ("https://", "URL|names a host"),
        ("https://api.sfey.com:99999", "URL"),
        ("https://user:secret@api.sfey.com", "no user"),
        ("https://api.sfey.com/?a=b", "no query"),
        ("https://api.sfey.com/#x", "no fragment"),
    ],
)
def test_base_urls_that_are_refused(url: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        checked_base_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://[::1]:1", "http://localhost/x", "https://api.sfey.com"]
)
def test_base_urls_that_are_taken(url: str) -> None:
    assert checked_base_url(f"{url}/") == url


async def test_https_wants_a_context() -> None:
    with pytest.raises(ConfigError, match="no TLS context"):
        TpsClient("https://localhost", {"lane": None}, monotonic=Stopwatch())
