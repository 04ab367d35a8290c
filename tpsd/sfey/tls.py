"""TLS towards TPS: our certificate, the authorities we believe, the alerts that speak of our certificate."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tpsd.dating import DatedContext, Judge, by_the_system
from tpsd.errors import ConfigError

CERTIFICATE_ALERTS = frozenset(
    {
        "HANDSHAKE_FAILURE",  # 40: what a TLS 1.2 server says to a missing certificate
        "BAD_CERTIFICATE",  # 42
        "UNSUPPORTED_CERTIFICATE",  # 43
        "CERTIFICATE_REVOKED",  # 44
        "CERTIFICATE_EXPIRED",  # 45
        "CERTIFICATE_UNKNOWN",  # 46
        "UNKNOWN_CA",  # 48
        "ACCESS_DENIED",  # 49
        "CERTIFICATE_REQUIRED",  # 116
    }
)
"""RFC 8446 6.2: the alerts by which a server refuses a client's certificate."""

_FILE_BYTES_MAX = 1 << 20  # the largest bundle of authorities in use is a quarter of it


def tls_context(
    ca_file: Path | str | None,
    cert_file: Path | str | None,
    key_file: Path | str | None,
    *,
    judge: Judge = by_the_system,
) -> ssl.SSLContext:
    """The context of one credential: TLS 1.2 or later, the server verified by chain and name.

    ``ca_file`` None trusts the system's authorities; ``cert_file`` None presents no certificate. ``judge`` says by
    which clock the server's dates are verified; while it knows of none they are not, and ``TpsClient`` sends
    nothing but probes. Raises ConfigError that names the file and what is wrong with it.
    """
    context = DatedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.judge, context.undated = judge, True
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        certificates_in(Path(ca_file))
        _load_authorities(context, Path(ca_file))
    if cert_file is None and key_file is None:
        return context
    if cert_file is None or key_file is None:
        raise ConfigError(f"{cert_file or key_file}: a client certificate and its key go together")
    _load_own(context, Path(cert_file), Path(key_file))
    return context


def certificate_alert(error: BaseException | None) -> bool:
    """Whether somewhere in this chain of exceptions the server sent an alert against our certificate."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        reason = getattr(error, "reason", None)  # aiohttp's own SSLErrors have none; their causes do
        if isinstance(error, ssl.SSLError) and _alert_name(str(reason)) in CERTIFICATE_ALERTS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _alert_name(reason: str) -> str:
    """OpenSSL puts the protocol before the alert: ``TLSV13_ALERT_CERTIFICATE_REQUIRED``."""
    _, alert, name = reason.partition("_ALERT_")
    return name if alert else ""


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as exc:
        raise ConfigError(f"{path}: not a bundle of authorities ({exc.reason})") from exc


def _load_own(context: ssl.SSLContext, cert_path: Path, key_path: Path) -> None:
    certificate = certificates_in(cert_path)[0]
    # OpenSSL would ask for a pass phrase on the terminal: the key is looked at before it gets the file.
    if public_bytes(certificate.public_key()) != key_public_bytes(key_path):
        raise ConfigError(f"{key_path}: this key does not belong to the certificate in {cert_path}")
    try:
        context.load_cert_chain(cert_path, key_path)
    except ssl.SSLError as exc:
        raise ConfigError(f"{cert_path}: OpenSSL refuses this certificate or its key ({exc.reason})") from exc


def read_subject(path: Path) -> str:
    """A digest of whom a certificate names and who says so. Raises ConfigError."""
    own = certificates_in(path)[0]
    return hashlib.sha256(f"{own.subject.rfc4514_string()} by {own.issuer.rfc4514_string()}".encode()).hexdigest()


def certificates_in(path: Path) -> list[x509.Certificate]:
    """All of a PEM file, in its order. Raises ConfigError."""
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as exc:
        raise ConfigError(f"{path}: not a certificate in PEM") from exc


def key_public_bytes(path: Path) -> bytes:
    """The public half of the private key in a PEM file. Raises ConfigError."""
    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as exc:
        raise ConfigError(f"{path}: the key is encrypted; tpsd reads unencrypted keys (mode 0600)") from exc
    except ValueError as exc:
        raise ConfigError(f"{path}: not a private key in PEM") from exc
    return public_bytes(key.public_key())


def public_bytes(key: object) -> bytes:
    """A key's public half in DER, empty for what has none."""
    encode = getattr(key, "public_bytes", None)
    if encode is None:
        return b""
    return bytes(encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror})") from exc
    if len(data) > _FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {_FILE_BYTES_MAX} bytes, so not a PEM file of ours")
    return data
