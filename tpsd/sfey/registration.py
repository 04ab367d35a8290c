"""Registration by HCV: the one module for its wire, all of which but the code and the words is assumed (sfey.md 5).

The terminal makes a key pair and a request for certificates; TPS answers with two chains once a person has typed the
request's code. What does not lead to the configured root, or was made for another key, is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tpsd.core.codes import SYSTEM_CODES
from tpsd.domain.identity import Answered, Awaiting, Described, Issued, NotIssued
from tpsd.domain.outcome import Answer
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import ConfigError
from tpsd.sfey.client import Raw, TpsClient
from tpsd.sfey.device_keys import read_key_list
from tpsd.sfey.messages import registration
from tpsd.sfey.pairs import issued
from tpsd.sfey.tls import certificates_in, public_bytes
from tpsd.sfey.wire import DEVICE_V1, Profile, nest, pick

KEY_BITS: Final = 3072  # RSA, as TR-34 wants one; good beyond 2030 [assumed]
CHAIN_MAX: Final = 8  # certificates: more is no hierarchy anybody runs
ANSWER_BYTES_MAX: Final = 131_072  # bytes: two such chains of RSA-4096 in Base64 are a third of it
TEXT_CHARACTERS_MAX: Final = 64  # of a time zone, a terminal's id


class Refused(Exception):  # noqa: N818 - what an answer is, raised within this module alone
    """An answer that cannot be kept; its text says why and what to do."""


def code_of(request: bytes) -> str:
    """The hash check value of a request (DER) that a person types, ``ddd-ddd`` (sfey.md 5)."""
    digest = hashlib.sha256(request).digest()
    number = int.from_bytes(bytes(digest[at] for at in (31, 23, 7, 0)), "big") % 1_000_000
    return f"{number // 1000:03d}-{number % 1000:03d}"


class RegistrationClient:
    """``identities.Registration`` over a TPS client. ``wall`` judges certificates, ``root_file`` holds the roots."""

    def __init__(
        self, line: TpsClient, root_file: Path | None, wall: Callable[[], Micros], profile: Profile = DEVICE_V1
    ) -> None:
        self._line = line
        self._root_file = root_file
        self._wall = wall
        self._profile = profile

    def describe(self, terminal: str) -> Described:
        """See ``identities.Registration``."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, terminal)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
        der = request.public_bytes(Encoding.DER)
        return Described(
            terminal, code_of(der), der, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        )

    async def ask(self, credential: str, terminal: str, request: bytes) -> Answered:
        """See ``identities.Registration``."""
        type_name, _, serial = terminal.partition(":")
        path = registration(self._profile, serial, type_name)
        text = base64.b64encode(request).decode("ascii")
        body = json.dumps(nest([(self._profile.registrations["request"], text)])).encode()
        came = await self._line.submit(credential, path, body, ANSWER_BYTES_MAX)
        if not isinstance(came, Raw):
            cause = "protocol" if isinstance(came, Answer) else came.cause
            return NotIssued(f"TPS gives no answer ({cause}); see the network and the certificate, then ask again")
        try:
            return self._read(came, terminal, request)
        except Refused as exc:
            return NotIssued(str(exc))

    def _read(self, raw: Raw, terminal: str, request: bytes) -> Answered:
        try:
            root = json.loads((raw.body or b"").decode("utf-8-sig"))
        except (ValueError, RecursionError):
            root = None
        if not 200 <= raw.http < 300:
            raise Refused(_said(raw.http, pick(root, self._profile.results["system_code"])))
        if not isinstance(root, dict):
            raise Refused("TPS's answer is no JSON object; see [sfey.wire] registration_path")
        places = self._profile.registrations
        chains = {name: pick(root, places[name]) for name in ("key_chain", "signer_chain")}
        if all(chain is None for chain in chains.values()):
            return Awaiting()
        key_chain, signer_chain = (_chain(chains[name], places[name]) for name in ("key_chain", "signer_chain"))
        self._check(key_chain, signer_chain, terminal, request)
        company = pick(root, places["company_id"])
        keys = read_key_list(pick(root, places["keys"]), self._profile, terminal)
        if isinstance(keys, str):
            raise Refused(
                f"TPS's answer has device keys at {places['keys']} that cannot be read: {keys}; see [sfey.wire]"
            )
        return Issued(
            _pem(key_chain),
            _pem(signer_chain),
            min(_ends(one) for one in (*key_chain, *signer_chain)),
            company if isinstance(company, int) and not isinstance(company, bool) else None,
            terminal_id=_text(pick(root, places["terminal_id"])),
            timezone=_text(pick(root, places["timezone"])),
            currency=_text(pick(root, places["currency"])),
            keys=tuple(keys),
        )

    def _check(
        self,
        key_chain: Sequence[x509.Certificate],
        signer_chain: Sequence[x509.Certificate],
        terminal: str,
        request: bytes,
    ) -> None:
        asked = x509.load_der_x509_csr(request)
        if public_bytes(key_chain[0].public_key()) != public_bytes(asked.public_key()):
            raise Refused(
                "TPS answered with a certificate for another key than the request's; see that the code that was typed"
                " is this terminal's, then ask again"
            )
        names = [str(one.value) for one in key_chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [terminal]:
            raise Refused(f"TPS answered with a certificate for {', '.join(names) or 'nobody'}, not for {terminal}")
        roots, now = self._roots(), self._wall()
        _verify(key_chain, roots, now, "DKEK-CERT")
        _verify(signer_chain, roots, now, "DKSK-CERT")

    def _roots(self) -> list[x509.Certificate]:
        if self._root_file is None:
            raise Refused("no root is configured; set [sfey] registration_root_file or ca_file, then ask again")
        try:
            return certificates_in(self._root_file)
        except ConfigError as exc:
            raise Refused(str(exc)) from exc


def _verify(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: Micros, what: str) -> None:
    """Each signed by the next, the last by a root or a root itself, all of them valid now. Raises Refused."""
    for number, (one, signer) in enumerate(pairwise(chain), start=1):
        if not (issued(one, signer) and _may_sign(signer)):
            raise Refused(f"the chain of {what} breaks behind its certificate {number}; nothing of it was kept")
    last = chain[-1]
    if last not in roots and not any(issued(last, root) and _may_sign(root) for root in roots):
        raise Refused(f"the chain of {what} does not lead to the configured root; nothing of it was kept")
    for number, one in enumerate(chain, start=1):
        if not _begins(one) <= now <= _ends(one):
            raise Refused(f"certificate {number} of {what} is not valid now; see whether the clock is right")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _chain(found: object, place: str) -> list[x509.Certificate]:
    """From a list of Base64 DER, or one alone. Raises Refused."""
    texts = found if isinstance(found, list) else [found]
    if not 1 <= len(texts) <= CHAIN_MAX or not all(isinstance(text, str) for text in texts):
        raise Refused(f"TPS's answer has no chain of 1 to {CHAIN_MAX} certificates at {place}; see [sfey.wire]")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(str(text), validate=True)) for text in texts]
    except (binascii.Error, ValueError):
        raise Refused(f"what TPS's answer has at {place} are no certificates in Base64 DER; see [sfey.wire]") from None


def _pem(chain: Sequence[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain)


def _begins(certificate: x509.Certificate) -> Micros:
    return Micros(int(certificate.not_valid_before_utc.timestamp()) * SECOND)


def _ends(certificate: x509.Certificate) -> Micros:
    return Micros(int(certificate.not_valid_after_utc.timestamp()) * SECOND)


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    good = isinstance(value, str) and value.isprintable() and 0 < len(value) <= TEXT_CHARACTERS_MAX
    return str(value) if good else None


def _said(http: int, code: object) -> str:
    if isinstance(code, int) and code in SYSTEM_CODES:
        return f"TPS says {code} {SYSTEM_CODES[code].name}; have Sfey set the terminal up for registration"
    return f"TPS answers HTTP {http}; correct [sfey.wire] registration_path, which is our assumption"
