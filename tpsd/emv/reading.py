"""What a card's TLVs say: PAN, expiry, track 2. Nothing here prints or stores them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from device.tlv import Tlv, find
from tpsd.domain.card import CardReading, CardToken, Expiry, Pan, Track2

TRACK2 = 0x57  # EMV Book 3 Annex A: track 2 equivalent data
PAN = 0x5A  # EMV Book 3 Annex A: application PAN, cn, padded with F
EXPIRY = 0x5F24  # EMV Book 3 Annex A: application expiration date, YYMMDD

CENTURY = 2000  # every contactless card in use expires after 2000 and before 2100


def read_card(clear: Iterable[Tlv]) -> CardReading:
    """The card behind clear EMV TLVs, searched in templates too; what is absent or damaged is None."""
    items = tuple(primitives(clear))
    track2 = _track2(find(items, TRACK2))
    pan = _pan(find(items, PAN)) or _pan_of_track2(track2)
    expiry = _expiry(find(items, EXPIRY)) or _expiry_of_track2(track2)
    return CardReading(pan, expiry, track2, pan.masked if pan else None)


def card_token(salt: bytes, pan: Pan) -> CardToken:
    """HMAC-SHA256 of the PAN's ASCII digits under the 32-byte SALT key, lower-case hex (sfey.md 5)."""
    return CardToken(hmac.new(salt, pan.reveal().encode("ascii"), hashlib.sha256).hexdigest())


def primitives(items: Iterable[Tlv]) -> Iterable[Tlv]:
    """The objects that hold values, those within templates too, in their order."""
    for item in items:
        if item.children is None:
            yield item
        else:
            yield from primitives(item.children)


def _pan(item: Tlv | None) -> Pan | None:
    return None if item is None else _pan_of_digits(item.value.hex().rstrip("f"))


def _pan_of_digits(digits: str) -> Pan | None:
    try:
        return Pan(digits)
    except ValueError:
        return None


def _track2(item: Tlv | None) -> Track2 | None:
    if item is None or not item.value:
        return None
    digits = item.value.hex().upper()
    return Track2(digits[:-1] if digits.endswith("F") else digits)


def _pan_of_track2(track2: Track2 | None) -> Pan | None:
    return None if track2 is None else _pan_of_digits(track2.reveal().partition("D")[0])


def _expiry_of_track2(track2: Track2 | None) -> Expiry | None:
    return None if track2 is None else _expiry_of_digits(track2.reveal().partition("D")[2][:4])


def _expiry(item: Tlv | None) -> Expiry | None:
    return None if item is None else _expiry_of_digits(item.value.hex()[:4])


def _expiry_of_digits(digits: str) -> Expiry | None:
    if len(digits) != 4 or not digits.isdecimal():
        return None
    year, month = CENTURY + int(digits[:2]), int(digits[2:])
    return Expiry(year, month) if 1 <= month <= 12 else None
