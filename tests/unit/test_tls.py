"""Certificate files: each thing that can be wrong with one is said with the file's name."""

import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tpsd.errors import ConfigError
from tpsd.sfey.certificates import Authority, Files, make
from tpsd.sfey.tls import certificate_alert, tls_context

NOW = datetime.now(UTC)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return make(tmp_path, NOW)


def test_a_context_verifies_the_server_and_speaks_no_old_tls(files: Files) -> None:
    context = tls_context(files.ca, files.client_cert, files.client_key)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_the_systems_authorities_and_no_certificate() -> None:
    context = tls_context(None, None, None)
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_keys_are_for_their_owner_alone(files: Files) -> None:
    for key in (files.client_key, files.server_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(Authority("x", NOW).client("y"))


def refused(match: str, *paths: Path | None) -> None:
    with pytest.raises(ConfigError, match=match):
        tls_context(*paths)


def test_missing_files_are_named(files: Files, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    refused("gone.pem: cannot be read .No such file", gone, files.client_cert, files.client_key)
    refused("gone.pem: cannot be read", files.ca, gone, files.client_key)
    refused("gone.pem: cannot be read", files.ca, files.client_cert, gone)
    refused(f"{tmp_path.name}: cannot be read .Is a directory", tmp_path, None, None)


def test_files_of_the_wrong_kind_are_named(files: Files, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("hello\n")
    refused("text.pem: not a certificate in PEM", text, None, None)
    refused("text.pem: not a certificate in PEM", files.ca, text, files.client_key)
    refused("text.pem: not a private key in PEM", files.ca, files.client_cert, text)
    refused("client.key: not a certificate", files.ca, files.client_key, files.client_key)
    text.write_bytes(b"-" * 2_000_000)
    refused("text.pem: larger than", text, None, None)


def test_a_key_of_another_certificate(files: Files) -> None:
    refused("server.key: this key does not belong .*client.crt", files.ca, files.client_cert, files.server_key)


def test_an_encrypted_key_asks_nobody_for_a_pass_phrase(files: Files) -> None:
    key = load_pem_private_key(files.client_key.read_bytes(), None)
    files.client_key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    refused("client.key: the key is encrypted", files.ca, files.client_cert, files.client_key)


def test_half_a_pair(files: Files) -> None:
    refused("go together", files.ca, files.client_cert, None)
    refused("go together", files.ca, None, files.client_key)


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] whatever (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True),
        ("TLSV1_ALERT_UNKNOWN_CA", True),
        ("SSLV3_ALERT_BAD_CERTIFICATE", True),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", True),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", True),
        ("TLSV1_ALERT_PROTOCOL_VERSION", False),
        ("TLSV1_ALERT_INTERNAL_ERROR", False),
        ("CERTIFICATE_VERIFY_FAILED", False),
        ("WRONG_VERSION_NUMBER", False),
    ],
)
def test_alerts_that_speak_of_our_certificate(reason: str, ours: bool) -> None:
    assert certificate_alert(alert(reason)) is ours
    outer = ConnectionError("lost")
    outer.__cause__ = alert(reason)
    assert certificate_alert(outer) is ours


def test_a_circle_of_causes_ends() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert certificate_alert(one) is False
    assert certificate_alert(None) is False
