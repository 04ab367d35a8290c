"""What is read of a certificate file and its key: dates of the whole chain, where it breaks, and what does not fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tpsd.domain.preflight import CertificateFacts
from tpsd.domain.time import DAY, SECOND, Micros
from tpsd.sfey.certificates import VALID_DAYS, Authority
from tpsd.sfey.pairs import read_pair

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
NAME = "GATE-X1:VAL00001"


def made(folder: Path, authority: Authority, until: datetime | None = None) -> tuple[Path, Path, Path]:
    """Certificate, key and root."""
    root = folder / "ca.crt"
    root.write_bytes(authority.certificate)
    return *authority.client(NAME, until).write(folder, "own"), root


def read(certificate: Path, key: Path, root: Path | None) -> CertificateFacts:
    return read_pair(certificate, key, root, own=True)


def test_a_good_pair(tmp_path: Path) -> None:
    facts = read(*made(tmp_path, Authority("A root", NOW)))
    at = Micros(int(NOW.timestamp()) * SECOND)
    assert (facts.unfit, facts.broken, facts.common_name, facts.issuer) == ("", "", NAME, "A root")
    assert (facts.begins, facts.ends) == (at - DAY, at + VALID_DAYS * DAY)


def test_the_earliest_end_of_the_chain_counts(tmp_path: Path) -> None:
    authority = Authority("A root", NOW)
    certificate, key, root = made(tmp_path, authority, NOW + timedelta(days=VALID_DAYS + 5))
    certificate.write_bytes(certificate.read_bytes() + authority.certificate)
    facts = read(certificate, key, root)
    assert facts.broken == ""
    assert facts.ends == int(NOW.timestamp()) * SECOND + VALID_DAYS * DAY


def test_a_chain_in_which_one_did_not_sign_the_other(tmp_path: Path) -> None:
    certificate, key, root = made(tmp_path, Authority("A root", NOW))
    certificate.write_bytes(certificate.read_bytes() + Authority("Another", NOW).certificate)
    assert read(certificate, key, root).broken == "certificate 1 of the file is not signed by the next one"


def test_a_root_of_the_same_name_that_is_another(tmp_path: Path) -> None:
    certificate, key, root = made(tmp_path, Authority("A root", NOW))
    root.write_bytes(Authority("A root", NOW).certificate)
    assert "that root in ca_file did not sign it" in read(certificate, key, root).broken
    root.write_bytes(Authority("Another", NOW).certificate)
    assert read(certificate, key, root).broken == "", "clients may have a root of their own"
    root.unlink()
    assert read(certificate, key, root).broken == ""
    assert read(certificate, key, None).broken == ""


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    authority = Authority("A root", NOW)
    certificate, key, root = made(tmp_path, authority)
    _, other = authority.client("another").write(tmp_path, "other")
    assert (
        read(certificate, other, root).unfit == f"{other}: this key does not belong to the certificate in {certificate}"
    )
    key.write_text("half")
    assert read(certificate, key, root).unfit == f"{key}: not a private key in PEM"
    certificate.unlink()
    assert f"{certificate}: cannot be read" in read(certificate, key, root).unfit
