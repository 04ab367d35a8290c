"""TLV values as people may see them: hex, a masked card number, or only how long it is. Fails closed."""

from __future__ import annotations

import re
from typing import assert_never

from device.tlv import Form, Tlv
from tpsd.domain.card import PAN_DIGITS_MAX, UNMASKABLE, mask
from tpsd.emv.tags import TAGS, UNKNOWN_SHOWN_BYTES, Show

STRAY_DIGITS_MIN = 13  # digits: no scheme issues a shorter PAN; 12 would hide every n12 amount

_STARRED = re.compile(r"[0-9]{0,6}[A-F]+[0-9]{0,4}")  # at most first six and last four (PCI DSS 3.4.1)
_DIGITS = re.compile(rf"[0-9]{{{STRAY_DIGITS_MIN},}}")


def show(tlv: Tlv) -> str:
    """One primitive's value: upper-case hex, ``476173******0119``, or ``[hidden 17 bytes]``.

    A template's content is shown through its children, so for one only the length is given.
    """
    hidden = f"[hidden {len(tlv.value)} bytes]"
    text = tlv.value.hex().upper()
    if tlv.children is not None:
        return hidden
    if not text:
        return ""
    match tlv.form:
        case Form.ENCRYPTED:
            return hidden if _pan_of(text) or _holds_card_number(tlv.value) else text
        case Form.MASKED:
            return text if _masked_by_reader(text) else hidden
        case Form.PLAIN:
            return _plain(tlv, text) or hidden
        case _:
            assert_never(tlv.form)


def _plain(tlv: Tlv, text: str) -> str | None:
    """What may be seen of a value that nobody masked; None hides it."""
    known = TAGS.get(tlv.tag)
    if known is None:
        return text if len(tlv.value) <= UNKNOWN_SHOWN_BYTES else None
    match known.show:
        case Show.HIDDEN:
            return None
        case Show.PAN | Show.TRACK2:
            return _pan_of(text)
        case Show.FIXED:
            return text
        case Show.TEXT:
            return None if could_be_pan(tlv.value.decode("latin-1")) else text
        case Show.HEX:
            return None if _holds_card_number(tlv.value) else text
        case _:
            assert_never(known.show)


def _pan_of(text: str) -> str | None:
    """The masked PAN at the start of a PAN or track 2 value; None where there is none to be masked."""
    digits, separator, _ = text.partition("D")
    masked = mask(digits if separator else digits.rstrip("F"))
    return None if masked == UNMASKABLE else masked


def _masked_by_reader(text: str) -> bool:
    """Whether a reader's mask (letters for digits) really leaves at most first six and last four."""
    pan, _, rest = text.partition("D")
    starred = _STARRED.fullmatch(pan.rstrip("F"))
    return starred is not None and _DIGITS.search(rest) is None


def _holds_card_number(value: bytes) -> bool:
    """Whether packed or ASCII digits in a value could be a card number."""
    return could_be_pan(value.hex()) or could_be_pan(value.decode("latin-1"))


def could_be_pan(text: str) -> bool:
    """Whether 13 to 19 digits with a good check digit stand anywhere in a text."""
    return any(
        run[at] != "0" and _luhn(run[at : at + length])
        for run in _DIGITS.findall(text)
        for at in range(len(run) - STRAY_DIGITS_MIN + 1)
        for length in range(STRAY_DIGITS_MIN, min(PAN_DIGITS_MAX, len(run) - at) + 1)
    )


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 Annex B."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
