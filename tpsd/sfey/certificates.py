"""Certificates for the simulated TPS and its clients: an authority made for one run, never for production."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
VALID_DAYS = 45  # longer than any run, and than what preflight warns of; no one should meet these afterwards
_BEFORE = timedelta(days=1)  # valid since yesterday: the clocks of two processes need not agree


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """``NAME.crt`` and ``NAME.key`` (mode 0600) in ``folder``; their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.key)
        return certificate, key


class Authority:
    """A root that signs server and client certificates. ``now`` is the wall time, with a time zone."""

    def __init__(self, name: str, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._now = now
        usage = _usage(signs_certificates=True)
        self._root = (
            self._builder(self._name, self._key.public_key(), now + timedelta(days=VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """The root, PEM: what the other side's ``ca_file`` holds."""
        return self._root.public_bytes(Encoding.PEM)

    @property
    def root(self) -> x509.Certificate:
        """The root itself."""
        return self._root

    def certify(self, common_name: str, key: object) -> x509.Certificate:
        """A certificate for somebody else's public key, or for a new one that nobody has where ``key`` is None."""
        public = key or ec.generate_private_key(ec.SECP256R1()).public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise TypeError(f"{type(public).__name__} is no key that a terminal has")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        until = self._now + timedelta(days=VALID_DAYS)
        return self._builder(subject, public, until).sign(self._key, SHA256())

    def server(self, names: Sequence[str] = LOOPBACK_NAMES, until: datetime | None = None) -> Issued:
        """A server's certificate for these host names and addresses, until a moment (default: VALID_DAYS)."""
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return self._issue(names[0], ExtendedKeyUsageOID.SERVER_AUTH, until, alternatives)

    def client(self, common_name: str, until: datetime | None = None) -> Issued:
        """A terminal's certificate, until a moment (default: VALID_DAYS)."""
        return self._issue(common_name, ExtendedKeyUsageOID.CLIENT_AUTH, until, None)

    def _issue(
        self,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        until: datetime | None,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            self._builder(subject, key.public_key(), until or self._now + timedelta(days=VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self._key, SHA256())
        return Issued(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, until: datetime
    ) -> x509.CertificateBuilder:
        own = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(self._now, until) - _BEFORE)
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )


@dataclass(frozen=True, slots=True)
class Files:
    """Where one run's certificates lie."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def make(folder: Path, now: datetime, common_name: str = "GATE-X1:VAL00042") -> Files:
    """An authority, a server for the loopback names and one client, written into ``folder``."""
    authority = Authority("Simulated TPS root", now)
    ca = folder / "ca.crt"
    ca.write_bytes(authority.certificate)
    server = authority.server().write(folder, "server")
    client = authority.client(common_name).write(folder, "client")
    return Files(ca, *server, *client)


def server_context(cert: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """A server's context that requires a client certificate signed by ``client_ca``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
