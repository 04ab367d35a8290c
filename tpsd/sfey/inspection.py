"""What the simulated TPS checks in a request before it looks at money (sfey.md 2, 3 and the code table in 4)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from device import tlv
from tpsd.core.requests import follows_another
from tpsd.domain.time import SECOND, Micros
from tpsd.sfey.fates import Asked
from tpsd.sfey.wire import Profile, pick

DESERIALIZATION_FAILED = 9
AUTHORIZATION_NOT_FOUND = 21
INVALID_VALIDATOR_DATA = 12
INVALID_REPEAT_REQUEST = 27
INVALID_REQUEST_PARAMETERS = 35
INVALID_VALIDATION_STATUS = 59
INVALID_VALIDATOR_DATA_TAG = 60

_MODE, _KEY_ID, _TIMESTAMP, _KSN, _CIPHERTEXT = 0xDFFF8401, 0xDFFF8402, 0xDFFF8403, 0xDFFF8404, 0xDFFF8405
_CLEAR = (0xFFFF8406, 0xDFFF8406)  # the second form is inferred (sfey.md 3)
_NEEDED = {
    b"\x00": (),
    b"\x01": (_KEY_ID, _CIPHERTEXT),
    b"\x02": (_KEY_ID, _TIMESTAMP, _CIPHERTEXT),
    b"\x03": (_KSN, _CIPHERTEXT),
    b"\x04": (_KSN, _CIPHERTEXT),
}
_OPTIONAL = frozenset({"initial_uuid", "pan_token"})
_TEXTS = ("uuid", "validator_serial", "validator_type", "type", "currency", "validation_status", "tag")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was read. ``system_code`` None: it is good, and ``asked`` is there. ``uuid`` None: not to be read."""

    uuid: str | None
    asked: Asked | None = None
    system_code: int | None = None


def inspect(profile: Profile, body: bytes) -> Finding:
    """Read a transaction request as TPS would; what is wrong with it is a system code."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return Finding(None, system_code=DESERIALIZATION_FAILED)
    if not isinstance(root, dict):
        return Finding(None, system_code=DESERIALIZATION_FAILED)
    found = {name: pick(root, place) for name, place in profile.fields.items()}
    uuid = _uuid(found["uuid"])
    asked = _asked(profile, found)
    if uuid is None or asked is None:
        return Finding(uuid, system_code=INVALID_REQUEST_PARAMETERS)
    if found["validation_status"] != profile.statuses["OK"]:
        return Finding(uuid, asked, INVALID_VALIDATION_STATUS)
    return Finding(uuid, asked, _tag_fault(str(found["tag"])) if asked.carded else None)


def _asked(profile: Profile, found: dict[str, object]) -> Asked | None:
    kinds = {theirs: ours for ours, theirs in profile.types.items()}
    kind = kinds.get(str(found["type"]))
    optional = _OPTIONAL
    if kind is not None and follows_another(kind) and _uuid(found["initial_uuid"]) is not None:
        optional |= {"tag"}  # no card need have started it
    if any(value is None for name, value in found.items() if name not in optional):
        return None
    if not all(isinstance(found[name], str) and found[name] for name in _TEXTS if found[name] is not None):
        return None
    amount, at = found["amount"], _micros(found["tapped_at"])
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0 or at is None or kind is None:
        return None
    initial = found["initial_uuid"]
    if follows_another(kind) != (_uuid(initial) is not None):
        return None
    token, tag = found["pan_token"], found["tag"]
    return Asked(
        str(found["uuid"]),
        str(found["validator_serial"]),
        at,
        amount,
        kind,
        _uuid(initial),
        carded=tag is not None,
        pan_token=token if isinstance(token, str) else None,
        tag=str(tag or ""),
    )


def _uuid(value: object) -> str | None:
    try:
        return value if isinstance(value, str) and str(UUID(value)) == value else None
    except ValueError:
        return None


def _micros(value: object) -> Micros | None:
    """A time in any of the profile's formats."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Micros(value * 1000)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return Micros(int(moment.replace(microsecond=0).timestamp()) * SECOND + moment.microsecond)


def _tag_fault(text: str) -> int | None:
    try:
        items = tlv.decode(base64.b64decode(text, validate=True))
    except binascii.Error:
        return INVALID_REQUEST_PARAMETERS
    except tlv.TlvError:
        return INVALID_VALIDATOR_DATA
    mode = tlv.find(items, _MODE)
    needed = _NEEDED.get(mode.value) if mode is not None else None
    if needed is None:
        return INVALID_VALIDATOR_DATA_TAG
    for tag in needed:
        item = tlv.find(items, tag)
        if item is None or not item.value:
            return INVALID_VALIDATOR_DATA_TAG
    clear = any(tlv.find(items, tag) for tag in _CLEAR)
    return INVALID_VALIDATOR_DATA if not needed and not clear else None
