"""Certificates judged by another clock than the system's, over real TLS: theirs are of times that are not now.

The machine's own clock is not touched: a server of 2024 is one that OpenSSL would call expired, and one of 2050 is
not valid yet.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.tls_peer import NOW, OK, RawServer, Stopwatch, answer, approve, raw_server
from tests.machine import Machine
from tests.sfey_requests import TAP
from tpsd.clock import SystemClock
from tpsd.core.trust import Dates, Judging
from tpsd.dating import NO_CHECK_TIME, DatedContext, check_dates
from tpsd.domain.outcome import Answer, Exchange, NoConnection
from tpsd.domain.time import SECOND, Micros
from tpsd.sfey.afc import AfcClient
from tpsd.sfey.certificates import VALID_DAYS, Authority, server_context
from tpsd.sfey.client import TpsClient
from tpsd.sfey.messages import transaction
from tpsd.sfey.replies import http_date
from tpsd.sfey.tls import tls_context
from tpsd.sfey.wire import DEVICE_V1

PATH, BODY = transaction(DEVICE_V1, TAP)
APPROVED = Answer(200, True, "000")
REFUSED = NoConnection("tls.server")
PAST, FUTURE = datetime(2024, 6, 1, tzinfo=UTC), datetime(2050, 6, 1, tzinfo=UTC)
BEFORE_THE_FLOOR = datetime(1999, 6, 1, tzinfo=UTC)


def micros(moment: datetime) -> Micros:
    return Micros(int(moment.timestamp()) * SECOND)


class Worlds:
    """A terminal of now, and servers of any time; certificates are valid from a day before it to 30 after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = Authority("Terminals", NOW)
        self._terminal = self._own.client("GATE-X1:VAL00042").write(folder, "terminal")
        self._own_ca = folder / "terminals.crt"
        self._own_ca.write_bytes(self._own.certificate)
        self._servers = 0

    def server(self, at: datetime, *, names: tuple[str, ...] = ("127.0.0.1",)) -> tuple[ssl.SSLContext, Path]:
        """Its context, and the authority to believe."""
        self._servers += 1
        authority, name = Authority("Servers", at), f"server-{self._servers}"
        ca = self.folder / f"{name}-ca.crt"
        ca.write_bytes(authority.certificate)
        return server_context(*authority.server(names).write(self.folder, name), self._own_ca), ca

    def client(self, ca: Path, judge: Callable[[], Judging]) -> ssl.SSLContext:
        return tls_context(ca, *self._terminal, judge=judge)


@pytest.fixture
def worlds(tmp_path: Path) -> Worlds:
    return Worlds(tmp_path)


@asynccontextmanager
async def client_by(
    clock: SystemClock, worlds: Worlds, at: datetime, says: datetime | None, **server: tuple[str, ...]
) -> AsyncIterator[tuple[TpsClient, RawServer]]:
    """A client with that clock, and a server with certificates of ``at`` whose probes are answered with ``says``."""
    date = "" if says is None else f"Date: {http_date(micros(says))}\r\n"
    context, ca = worlds.server(at, **server)
    async with raw_server(approve, context, probed=lambda: answer(b"", status="404 Not Found", headers=date)) as peer:
        tps = TpsClient(
            peer.url,
            {"lane": worlds.client(ca, clock.judging)},
            monotonic=Stopwatch(),
            timeout_seconds=5.0,
            dated=lambda: clock.trusted,
            on_date=clock.adopt,
        )
        try:
            yield tps, peer
        finally:
            await tps.close()


def lines(peer: RawServer) -> list[str]:
    return [request.split(b" ", 1)[0].decode() for request in peer.requests]


def set_to(true: datetime) -> SystemClock:
    """A clock whose system shows 1970 and that was told the time."""
    clock = Machine(micros(true)).clock()
    clock.adopt(micros(true))
    assert clock.judging().dates is Dates.OWN
    return clock


# --- the adopted time judges


@pytest.mark.parametrize("when", [PAST, FUTURE, NOW])
async def test_a_certificate_that_is_valid_by_the_adopted_time(worlds: Worlds, when: datetime) -> None:
    async with client_by(set_to(when), worlds, when, None) as (tps, peer):
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert (lines(peer), peer.connections) == (["GET", "POST"], 1)


@pytest.mark.parametrize(
    ("certificates", "now"),
    [
        (FUTURE, NOW),
        (PAST, NOW),
        (NOW, PAST),
        (NOW, FUTURE),
        (FUTURE, FUTURE - timedelta(days=2)),
        (PAST, PAST + timedelta(days=VALID_DAYS + 1)),
    ],
)
async def test_a_certificate_that_is_not(worlds: Worlds, certificates: datetime, now: datetime) -> None:
    async with client_by(set_to(now), worlds, certificates, None) as (tps, peer):
        for exchange in (tps.post("lane", PATH, BODY), tps.get("lane", "/x"), tps.knock("lane")):
            assert await exchange == REFUSED
        assert peer.requests == [], "nothing leaves, not even a probe"


async def test_only_dates_are_judged_otherwise(worlds: Worlds) -> None:
    async with client_by(set_to(FUTURE), worlds, FUTURE, None, names=("tps.example",)) as (tps, peer):
        assert await tps.post("lane", PATH, BODY) == REFUSED
        assert peer.requests == []
    context, _ = worlds.server(FUTURE)
    _, stranger = worlds.server(FUTURE)
    async with raw_server(approve, context) as peer:
        judge = set_to(FUTURE).judging
        tps = TpsClient(peer.url, {"lane": worlds.client(stranger, judge)}, monotonic=Stopwatch(), timeout_seconds=5.0)
        try:
            assert await tps.post("lane", PATH, BODY) == REFUSED
        finally:
            await tps.close()


@pytest.mark.parametrize(("when", "expected"), [(PAST, REFUSED), (FUTURE, REFUSED), (NOW, APPROVED)])
async def test_a_system_that_is_right_judges_by_itself(worlds: Worlds, when: datetime, expected: Exchange) -> None:
    true = micros(datetime.now(UTC))
    clock = Machine(true, true, synchronised=True).clock()
    async with client_by(clock, worlds, when, when) as (tps, _):
        assert await tps.post("lane", PATH, BODY) == expected
        assert clock.wall() == true, "it does not listen to TPS"


# --- before the time is known


@pytest.mark.parametrize("when", [PAST, NOW, FUTURE])
async def test_a_machine_in_1970_asks_first_and_sends_on_a_fresh_connection(worlds: Worlds, when: datetime) -> None:
    clock = Machine(micros(when)).clock()
    async with client_by(clock, worlds, when, when) as (tps, peer):
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert lines(peer) == ["GET", "GET", "POST"]
        assert peer.connections == 2, "what was connected without a look at the dates carries no tap"
        assert clock.wall() == micros(when)


async def test_the_date_shows_that_the_certificate_has_expired(worlds: Worlds) -> None:
    for certificates in (FUTURE, PAST):
        clock = Machine(micros(NOW)).clock()
        async with client_by(clock, worlds, certificates, NOW) as (tps, peer):
            assert await tps.post("lane", PATH, BODY) == REFUSED
            assert lines(peer) == ["GET"]
            assert clock.trusted, "a Date is one, whoever's certificate came with it: chain and name were good"
            assert await tps.post("lane", PATH, BODY) == REFUSED
            assert lines(peer) == ["GET"]


async def test_without_a_date_nothing_but_probes_leaves(worlds: Worlds) -> None:
    clock = Machine(micros(NOW)).clock()
    async with client_by(clock, worlds, NOW, None) as (tps, peer):
        assert await tps.post("lane", PATH, BODY) == REFUSED
        assert await tps.get("lane", "/secret") == REFUSED
        assert isinstance(await tps.knock("lane"), Answer)
        assert set(lines(peer)) == {"GET"}
        assert not any(b"/secret" in request for request in peer.requests)
        machine_learns(clock)
        assert await tps.post("lane", PATH, BODY) == APPROVED


def machine_learns(clock: SystemClock) -> None:
    clock.adopt(micros(NOW))
    assert clock.trusted


async def test_a_date_that_is_no_time_does_not_help(worlds: Worlds) -> None:
    clock = Machine(micros(NOW)).clock()
    async with client_by(clock, worlds, BEFORE_THE_FLOOR, BEFORE_THE_FLOOR) as (tps, peer):
        assert await tps.post("lane", PATH, BODY) == REFUSED
        assert not clock.trusted
        assert peer.posts() == 0


async def test_chain_and_name_are_verified_all_the_same(worlds: Worlds) -> None:
    clock = Machine(micros(NOW)).clock()
    async with client_by(clock, worlds, NOW, NOW, names=("tps.example",)) as (tps, peer):
        assert await tps.knock("lane") == REFUSED
        assert peer.requests == []
        assert not clock.trusted


async def test_a_knock_then_a_tap(worlds: Worlds) -> None:
    clock = Machine(micros(NOW)).clock()
    async with client_by(clock, worlds, NOW, NOW) as (tps, peer):
        assert isinstance(await tps.knock("lane"), Answer)
        assert clock.trusted
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert (lines(peer), peer.connections) == (["GET", "GET", "POST"], 2)


async def test_a_system_set_right_meanwhile(worlds: Worlds) -> None:
    machine = Machine(micros(datetime.now(UTC)))
    clock = machine.clock()
    async with client_by(clock, worlds, NOW, None) as (tps, peer):
        assert isinstance(await tps.knock("lane"), Answer)
        machine.wall, machine.synchronised = machine.true, True
        clock.look()
        assert await tps.post("lane", PATH, BODY) == APPROVED
        assert peer.connections == 2


async def test_enquiries_wait_for_the_time(worlds: Worlds) -> None:
    clock = Machine(micros(FUTURE)).clock()
    context, ca = worlds.server(FUTURE)
    async with raw_server(approve, context, probed=lambda: answer(OK)) as peer:
        afc = AfcClient(
            peer.url, worlds.client(ca, clock.judging), 1001, token="secret", monotonic=Stopwatch(),
            timeout_seconds=5.0, dated=lambda: clock.trusted,
        )  # fmt: skip
        try:
            assert await afc.ask(TAP.uuid) == REFUSED
            assert peer.connections == 0, "the token stays here"
            clock.adopt(micros(FUTURE))
            assert await afc.ask(TAP.uuid) == APPROVED
        finally:
            await afc.close()


# --- the context itself


def test_flags_follow_the_judge_at_every_connection(worlds: Worlds) -> None:
    _, ca = worlds.server(NOW)
    judged = [Judging(dates, micros(NOW)) for dates in (Dates.NOBODY, Dates.SYSTEM, Dates.OWN, Dates.SYSTEM)]
    context = worlds.client(ca, lambda: judged.pop(0))
    relaxed = []
    for _ in range(4):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="tps.example")
        relaxed.append(bool(context.verify_flags & NO_CHECK_TIME))
    assert relaxed == [True, False, True, False]


def test_who_may_not_connect_undated_leaves_the_dates_to_openssl() -> None:
    context = DatedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.judge = lambda: Judging(Dates.NOBODY, Micros(0))
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="mail.example")
    assert not context.verify_flags & NO_CHECK_TIME


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"notBefore": "Jan  1 00:00:00 2050 GMT", "notAfter": "Jan  1 00:00:00 2051 GMT"}, "not valid yet"),
        ({"notBefore": "Jan  1 00:00:00 1999 GMT", "notAfter": "Jan  1 00:00:00 2000 GMT"}, "expired"),
        ({"notBefore": "Jan  1 00:00:00 1999 GMT"}, "no dates"),
        ({"notBefore": "yesterday", "notAfter": "tomorrow"}, "no dates"),
        ({}, "no dates"),
    ],
)
def test_what_is_wrong_with_a_certificate(certificate: dict[str, str], words: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        check_dates(certificate, Judging(Dates.OWN, micros(NOW)))
    check_dates(certificate, Judging(Dates.NOBODY, micros(NOW)))


def test_the_first_and_the_last_second_count() -> None:
    certificate = {"notBefore": "Nov 23 08:15:30 2026 GMT", "notAfter": "Nov 24 08:15:30 2026 GMT"}
    begins = micros(datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC))
    for at, good in ((begins - 1, False), (begins, True), (begins + 86_400 * SECOND, True)):
        judging = Judging(Dates.OWN, Micros(at))
        if good:
            check_dates(certificate, judging)
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                check_dates(certificate, judging)
