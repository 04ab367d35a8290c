"""Registration by HCV: the published codes, and every answer that must not be kept."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509.oid import NameOID

from tpsd.domain.identity import Answered, Awaiting, Described, Issued, NotIssued
from tpsd.domain.time import SECOND, Micros
from tpsd.sfey.certificates import VALID_DAYS, Authority
from tpsd.sfey.client import TpsClient
from tpsd.sfey.registration import KEY_BITS, RegistrationClient, code_of

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
WALL = Micros(int(NOW.timestamp()) * SECOND)
TERMINAL = "GATE-X1:VAL00001"


class Wire:
    """TPS's end with one answer, and ours; ``root`` is what we believe."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority("A root", NOW)
        self.root: Path | None = folder / "root.crt"
        self.root.write_bytes(self.authority.certificate)
        self.http = 200
        self.body: Any = {}
        self.described = RegistrationClient(None, None, lambda: WALL).describe(TERMINAL)  # type: ignore[arg-type]
        self.key = x509.load_der_x509_csr(self.described.request).public_key()
        self.asked: list[tuple[str, Any]] = []

    def answer(self, key_chain: Sequence[x509.Certificate], signer_chain: Sequence[x509.Certificate]) -> None:
        self.body = {"dkekCert": texts(key_chain), "dkskCert": texts(signer_chain), "companyId": 1001, "terminalId": 7}

    def good(self, authority: Authority | None = None, key: object = None, name: str = TERMINAL) -> None:
        authority = authority or self.authority
        self.answer(
            [authority.certify(name, key or self.key), authority.root],
            [authority.certify("DKSK", None), authority.root],
        )

    async def ask(self, wall: Callable[[], Micros] = lambda: WALL) -> Answered:
        async with self._serving() as url:
            line = TpsClient(url, {"common": None}, monotonic=lambda: 0.0)
            try:
                client = RegistrationClient(line, self.root, wall)
                return await client.ask("common", TERMINAL, self.described.request)
            finally:
                await line.close()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[str]:
        async def handle(request: web.Request) -> web.Response:
            if request.method == "POST":
                self.asked.append((request.path, await request.json()))
            body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
            return web.Response(status=self.http, body=body)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def texts(chain: Sequence[x509.Certificate]) -> list[str]:
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path)


@pytest.mark.parametrize(("content", "code"), [(b"", "049-443"), (b"abc", "742-074")])
def test_the_published_codes(content: bytes, code: str) -> None:
    assert code_of(content) == code


def test_a_description_is_a_key_pair_with_its_request(wire: Wire) -> None:
    described: Described = wire.described
    request = x509.load_der_x509_csr(described.request)
    key = load_der_private_key(described.key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, request.public_key()) == (KEY_BITS, key.public_key())
    assert request.is_signature_valid
    assert [one.value for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [TERMINAL]
    assert described.code == code_of(described.request)
    assert repr(described.key)[2:20] not in repr(described)


async def test_without_certificates_the_code_has_yet_to_be_typed(wire: Wire) -> None:
    assert await wire.ask() == Awaiting()
    [(path, body)] = wire.asked
    assert path == "/device-api/v1/registration/VAL00001/type/GATE-X1"
    assert base64.b64decode(body["csr"]) == wire.described.request


async def test_chains_that_lead_to_the_root(wire: Wire) -> None:
    wire.good()
    issued = await wire.ask()
    assert isinstance(issued, Issued)
    assert (issued.company_id, issued.terminal_id, issued.timezone) == (1001, "7", None)
    assert issued.ends == WALL + VALID_DAYS * 86_400 * SECOND
    assert len(x509.load_pem_x509_certificates(issued.key_chain)) == 2
    wire.answer([wire.authority.certify(TERMINAL, wire.key)], [wire.authority.certify("DKSK", None)])
    assert isinstance(await wire.ask(), Issued), "the root itself need not come with them"


async def why(wire: Wire, **options: Any) -> str:
    answered = await wire.ask(**options)
    assert isinstance(answered, NotIssued)
    return answered.why


async def test_chains_that_end_elsewhere(wire: Wire) -> None:
    other = Authority("A root", NOW)
    wire.good(other)
    assert "the chain of DKEK-CERT does not lead to the configured root; nothing of it was kept" in await why(wire)
    wire.answer(
        [wire.authority.certify(TERMINAL, wire.key), wire.authority.root], [other.certify("DKSK", None), other.root]
    )
    assert "the chain of DKSK-CERT does not lead to the configured root" in await why(wire)
    wire.answer([wire.authority.certify(TERMINAL, wire.key), other.root], [wire.authority.root])
    assert "the chain of DKEK-CERT breaks behind its certificate 1" in await why(wire)


async def test_one_that_may_not_sign_does_not(wire: Wire) -> None:
    middle = wire.authority.certify("no authority", wire.key)
    wire.answer([wire.authority.certify(TERMINAL, wire.key), middle], [wire.authority.root])
    assert "breaks behind its certificate 1" in await why(wire)


async def test_a_certificate_for_another_key_or_another_terminal(wire: Wire) -> None:
    wire.good(key=rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key())
    assert (await why(wire)).startswith("TPS answered with a certificate for another key than the request's")
    wire.good(name="GATE-X1:VAL00002")
    assert await why(wire) == "TPS answered with a certificate for GATE-X1:VAL00002, not for GATE-X1:VAL00001"


async def test_certificates_of_another_time(wire: Wire) -> None:
    wire.good()
    late = Micros(WALL + (VALID_DAYS + 1) * 86_400 * SECOND)
    assert "certificate 1 of DKEK-CERT is not valid now" in await why(wire, wall=lambda: late)
    early = Micros(int((NOW - timedelta(days=2)).timestamp()) * SECOND)
    assert "is not valid now" in await why(wire, wall=lambda: early)


async def test_without_a_root_nothing_is_believed(wire: Wire) -> None:
    wire.good()
    wire.root = None
    assert "no root is configured; set [sfey] registration_root_file or ca_file" in await why(wire)


@pytest.mark.parametrize(
    ("http", "body", "words"),
    [
        (400, {"systemCode": 41}, "TPS says 41 VALIDATOR_NOT_FOUND"),
        (404, b"", "TPS answers HTTP 404; correct [sfey.wire] registration_path"),
        (200, b"<html>", "TPS's answer is no JSON object"),
        (200, {"dkekCert": ["AA=="]}, "are no certificates in Base64 DER"),
        (200, {"dkekCert": [], "dkskCert": []}, "no chain of 1 to 8 certificates at dkekCert"),
        (200, {"dkekCert": ["?"], "dkskCert": ["?"]}, "what TPS's answer has at dkekCert are no certificates"),
        (200, {"dkekCert": {"a": 1}, "dkskCert": 3}, "no chain of 1 to 8 certificates at dkekCert"),
        (200, b"[" * 100_000, "TPS's answer is no JSON object"),
        (200, b" " * 200_000, "TPS's answer is no JSON object"),
    ],
)
async def test_answers_that_are_none(wire: Wire, http: int, body: Any, words: str) -> None:
    wire.http, wire.body = http, body
    assert words in await why(wire)


async def test_only_one_of_the_two_chains(wire: Wire) -> None:
    wire.good()
    del wire.body["dkskCert"]
    assert "no chain of 1 to 8 certificates at dkskCert" in await why(wire)
