"""The other end's registration: it takes a request, waits for its code to be typed, and answers with two chains."""

from __future__ import annotations

import base64
import json

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tpsd.sfey.certificates import Authority
from tpsd.sfey.paths import pattern
from tpsd.sfey.registration import code_of
from tpsd.sfey.update_desk import Reply
from tpsd.sfey.wire import DEVICE_V1, Profile, nest, pick


class RegistrationDesk:
    """``authority`` signs what is issued; without one nothing is. ``codes`` are those that somebody has typed.

    ``for_another_key``: a mix-up, the certificate is made for a key that nobody asked for.
    """

    def __init__(self, profile: Profile = DEVICE_V1) -> None:
        self._profile = profile
        self._path = pattern(profile.registration_path)
        self.authority: Authority | None = None
        self.codes: set[str] = set()
        self.for_another_key = False
        self.company_id = 1001
        self.keys: list[dict[str, object]] = []  # device keys that come with the certificates
        self.requests: list[bytes] = []

    def serve(self, method: str, path: str, body: bytes) -> Reply | None:
        """One request; None: it is not about a registration."""
        found = self._path.fullmatch(path)
        if method != "POST" or found is None:
            return None
        terminal = f"{found['terminalTypeName']}:{found['terminalSn']}"
        places = self._profile.registrations
        request = base64.b64decode(str(pick(json.loads(body), places["request"])))
        self.requests.append(request)
        if self.authority is None or code_of(request) not in self.codes:
            return Reply(200, b"{}")
        key = x509.load_der_x509_csr(request).public_key()
        if self.for_another_key:
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
        chains = [self._chain(self.authority, terminal, key), self._chain(self.authority, "DKSK", None)]
        answer = nest(
            [
                (places["key_chain"], chains[0]),
                (places["signer_chain"], chains[1]),
                (places["company_id"], self.company_id),
                (places["terminal_id"], "T-7"),
                (places["timezone"], "Europe/Tallinn"),
                (places["currency"], "978"),
                *([(places["keys"], self.keys)] if self.keys else []),
            ]
        )
        return Reply(200, json.dumps(answer).encode())

    @staticmethod
    def _chain(authority: Authority, name: str, key: object) -> list[str]:
        certificates = (authority.certify(name, key), authority.root)
        return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]
