"""What is made of a device key: opened where Sfey prints how, kept as received with a clear word where it does not."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from tpsd.domain.device_key import AsReceived, DeviceKey, KeyToKeep, OpenedKey

SALT: Final = "SALT"
TTK: Final = "TTK"

SIZES: Final[Mapping[str, int]] = {SALT: 32, TTK: 16}
"""Bytes: an HMAC-SHA256 key and an AES-128 key (sfey.md 3 and 5)."""

KEY_ID: Final = re.compile(r"(?:[0-9]{2}){1,10}")
"""A TTK's id: BCD digits (sfey.md 3), as many as stand on a card number and one more [assumed]."""

EXCHANGE_KEY_SIZES: Final = (16, 24, 32)  # bytes: AES
CHECK_BYTES: Final = 3
"""Of a check value, as ANSI X9.24-1 shows one of an AES key; six hex digits that a person can compare."""

_BLOCK: Final = 16
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_HMAC_NAMES: Final = frozenset({"", "HMACSHA256"})


class Way(Enum):
    """How a key's data becomes the key."""

    PLAIN = "as it stands"
    EXCHANGE_KEY = "under the key-exchange key"


WAYS: Final[Mapping[tuple[str, str], Way]] = {
    (kind, name): way for kind in SIZES for name, way in (("PLAIN", Way.PLAIN), ("AES", Way.EXCHANGE_KEY))
}
"""By type and format; for every other pair how to open it is not public."""

_NOT_PUBLIC: Final[Mapping[str, str]] = {
    "TR34": "the exact TR-34 profile is not public",
    "IPEK": "initial DUKPT keys are for readers, and how they get there is not public",
    "TMS_SECRET": "what the terminal management's keys are for is not public",
    "TMS_PUBKEY": "what the terminal management's keys are for is not public",
    "TMS_CACRT": "what the terminal management's keys are for is not public",
    "TMS_DEVICECERT": "what the terminal management's keys are for is not public",
    "RIDANGO": "the algorithm RIDANGO is named by Sfey and not published",
}


def prepared(key: DeviceKey, exchange_key: bytes | None) -> KeyToKeep:
    """The key with what can be made of it; ``exchange_key`` is the terminal's, None where none is configured."""
    return KeyToKeep(key, _made(key, exchange_key))


def check_value(kind: str, secret: bytes) -> str:
    """Of an AES key the CMAC of a block of zeros, of an HMAC key the HMAC of nothing [assumed]; never the key."""
    if kind == SALT:
        return hmac.digest(secret, b"", hashlib.sha256)[:CHECK_BYTES].hex().upper()
    mac = CMAC(algorithms.AES(secret))
    mac.update(bytes(_BLOCK))
    return mac.finalize()[:CHECK_BYTES].hex().upper()


def _made(key: DeviceKey, exchange_key: bytes | None) -> OpenedKey | AsReceived:
    for name in (key.algorithm, key.format, key.type):
        if name in _NOT_PUBLIC:
            return AsReceived(_NOT_PUBLIC[name])
    way = WAYS.get((key.type, key.format))
    if way is None:
        return AsReceived(f"how a key of type {key.type} in format {key.format} is opened is not public")
    if key.type == SALT and re.sub(r"[^A-Z0-9]", "", key.algorithm.upper()) not in _HMAC_NAMES:
        return AsReceived(f"the algorithm {key.algorithm} of a SALT is unknown")
    size = SIZES[key.type]
    data = bytes.fromhex(key.data) if _HEX.fullmatch(key.data) else b""
    if len(data) != size:
        return AsReceived(f"its data is not {2 * size} hex digits, which a {key.type} has; ask Sfey for it again")
    if way is Way.PLAIN:
        return _opened(key, data)
    return _decrypted(key, data, exchange_key)


def _decrypted(key: DeviceKey, data: bytes, exchange_key: bytes | None) -> OpenedKey | AsReceived:
    if exchange_key is None:
        return AsReceived("no key-exchange key is configured; set [keys] exchange_key_file, and import it again")
    iv = bytes(_BLOCK)
    if key.index:
        iv = bytes.fromhex(key.index) if _HEX.fullmatch(key.index) else b""
    if len(iv) != _BLOCK:
        return AsReceived("its keyIndex is not the 32 hex digits of an IV; ask Sfey for it again")
    decryptor = Cipher(algorithms.AES(exchange_key), modes.CBC(iv)).decryptor()
    secret = decryptor.update(data) + decryptor.finalize()
    return _opened(key, secret)


def _opened(key: DeviceKey, secret: bytes) -> OpenedKey:
    key_id = key.id or key.index
    named = key.type == TTK and KEY_ID.fullmatch(key_id) is not None
    return OpenedKey(secret, check_value(key.type, secret), key_id if named else None)
