"""What stands in a terminal's certificate file and its key: facts for ``core.preflight``, read from the disk."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from tpsd.domain.preflight import CertificateFacts
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import ConfigError
from tpsd.sfey.tls import certificates_in, key_public_bytes, public_bytes


def read_pair(cert_file: Path, key_file: Path, ca_file: Path | None, *, own: bool) -> CertificateFacts:
    """As far as it can be read; never raises for what stands in the files. ``own`` as in the facts."""
    try:
        chain = certificates_in(cert_file)
        fits = public_bytes(chain[0].public_key()) == key_public_bytes(key_file)
    except ConfigError as exc:
        return CertificateFacts(str(cert_file), own, unfit=str(exc))
    return CertificateFacts(
        str(cert_file),
        own,
        unfit="" if fits else f"{key_file}: this key does not belong to the certificate in {cert_file}",
        broken=_broken(chain, _roots(ca_file)),
        common_name=_common_name(chain[0].subject),
        issuer=_common_name(chain[0].issuer),
        begins=max(_micros(one.not_valid_before_utc.timestamp()) for one in chain),
        ends=min(_micros(one.not_valid_after_utc.timestamp()) for one in chain),
    )


def issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether one certificate signed the other."""
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _broken(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> str:
    """Where the chain breaks. Its end may be signed by a root that is not here: clients have roots of their own."""
    for number, (one, signer) in enumerate(pairwise(chain), start=1):
        if not issued(one, signer):
            return f"certificate {number} of the file is not signed by the next one"
    last = chain[-1]
    namesakes = [root for root in roots if root.subject == last.issuer]
    if namesakes and not any(issued(last, root) for root in namesakes):
        return f"it names {_common_name(last.issuer)!r} as its issuer, and that root in ca_file did not sign it"
    return ""


def _roots(ca_file: Path | None) -> list[x509.Certificate]:
    try:
        return [] if ca_file is None else certificates_in(ca_file)
    except ConfigError:
        return []  # that it cannot be read is told of the file itself


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _micros(seconds: float) -> Micros:
    return Micros(int(seconds) * SECOND)
