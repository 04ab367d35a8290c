"""A final answer to 02-40 as a tap: sfey.md 3's tap data, who it is, and what transit asks for that it lacks.

What a reader encrypted is carried in mode 03 or 04 under its KSN; keys are never here. A card in the clear becomes
mode 00. No repr and no error shows card data: errors name tags and offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from device.tlv import Form, Tlv, TlvError, decode

MODE, KSN, CIPHERTEXT, CLEAR = 0xDFFF8401, 0xDFFF8404, 0xDFFF8405, 0xFFFF8406  # sfey.md 3
CLEAR_MODE, TDES_MODE, AES_MODE = 0x00, 0x03, 0x04

READER_KSN, ENCRYPTION, FAILURE = 0xDFEE12, 0xDFEE26, 0xFFEE1F
TRACK2, PAN, EXPIRY = 0x57, 0x5A, 0x5F24
_AID, _COUNTER, _CRYPTOGRAM = 0x84, 0x9F36, 0x9F26

TRANSIT_TAGS = (
    0x9A, 0x9C, 0x5F2A, 0x9F1A, 0x9F02, 0x9F03, 0x9F36, 0x82, 0x84, 0x95, 0x9F10, 0x9F26, 0x9F33, 0x9F37,
)  # fmt: skip
"""What acquirers of mass transit ask for (sfey.md 3, the end)."""

MASTERCARD_TAGS = (0x9F27, 0x9F34)
"""What they ask for besides if it is a Mastercard."""

_BESIDE = frozenset({*TRANSIT_TAGS, *MASTERCARD_TAGS, 0x5F34, 0x9F6E, 0x9F46})  # clear, whatever the mode
_MASTERCARD_RID = bytes.fromhex("A000000004")

_CONTACTLESS_MASK, _CONTACTLESS = 0x09, 0x01  # of the attribution byte (NEO 2 guide, 8.5.3)
_CIPHER_MASK = 0x06  # of DFEE26's first byte, which has the same form
_MODES = {0x00: TDES_MODE, 0x02: AES_MODE}
_BLOCK = {TDES_MODE: 8, AES_MODE: 16}  # bytes

_MASKED = re.compile(r"([0-9]{0,6})([A-F]+)([0-9]{0,4})")  # as a reader masks: letters for digits
_PAN_DIGITS = range(12, 20)


class TapError(ValueError):
    """An answer cannot be used as a tap; the text says why, without values."""


@dataclass(frozen=True, slots=True)
class CardTap:
    """One card as the reader read it.

    ``card`` is the tap data: mode, and what goes with it. ``identity`` is the same for the same tap and no other:
    its KSN and what is there of counter (9F36) and cryptogram (9F26), else these two and the masked PAN; None if one
    of the three is not there. ``missing`` are the tags of the transit list that are absent or empty.
    """

    mode: int
    card: tuple[Tlv, ...] = field(repr=False)
    identity: bytes | None = field(repr=False)
    masked_pan: str | None = field(repr=False)
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CardFailure:
    """Why a card could not be read (FFEE1F): error code, the card's status word, where it happened; None: not said."""

    error: int | None = None
    status_word: int | None = None
    rf_state: int | None = None


def read_tap(data: bytes) -> CardTap:
    """From the data of a final answer: the attribution byte, then TLVs. Raises TapError; offsets are behind it."""
    if not data:
        raise TapError("the answer is empty")
    if data[0] & _CONTACTLESS_MASK != _CONTACTLESS:
        raise TapError("the card was not read without contact")
    try:
        objects = tuple(_primitives(decode(data[1:], vendor_lengths=True)))
    except TlvError as exc:
        raise TapError(str(exc)) from exc
    ksn = _value(objects, READER_KSN)
    encrypted = ksn is not None or any(item.form is Form.ENCRYPTED for item in objects)
    mode, card = _carried(objects, ksn) if encrypted else _clear(objects)
    beside = _first_of_each(item for item in objects if item.tag in _BESIDE and item.form is Form.PLAIN)
    masked = masked_pan(objects)
    return CardTap(mode, (*card, *beside), _identity(objects, ksn, masked), masked, missing(beside))


def read_failure(data: bytes) -> CardFailure:
    """From the data of an answer 0A; what cannot be read says nothing."""
    try:
        record = _value(tuple(decode(data[1:], vendor_lengths=True)), FAILURE)
    except TlvError:
        return CardFailure()
    if record is None or len(record) != 4:
        return CardFailure()
    return CardFailure(record[0], int.from_bytes(record[1:3], "big"), record[3])


def missing(objects: Iterable[Tlv]) -> tuple[int, ...]:
    """The tags of the transit list that are absent or empty among flat objects."""
    there = {item.tag: item.value for item in objects if item.value}
    wanted = TRANSIT_TAGS + (MASTERCARD_TAGS if there.get(_AID, b"").startswith(_MASTERCARD_RID) else ())
    return tuple(tag for tag in wanted if tag not in there)


def masked_pan(objects: Iterable[Tlv]) -> str | None:
    """At most first six and last four of the PAN, masked by the reader or here; None if there is none to mask."""
    candidates = [item for tag in (PAN, TRACK2) for item in objects if item.tag == tag]
    return next((masked for item in candidates if (masked := _masked(item)) is not None), None)


def _masked(item: Tlv) -> str | None:
    text = item.value.hex().upper().partition("D")[0].rstrip("F")
    if item.form is Form.ENCRYPTED or len(text) not in _PAN_DIGITS:
        return None
    if text.isdecimal():
        return f"{text[:6]}{'*' * (len(text) - 10)}{text[-4:]}"
    masked = _MASKED.fullmatch(text) if item.form is Form.MASKED else None
    return None if masked is None else f"{masked[1]}{'*' * len(masked[2])}{masked[3]}"


def _carried(objects: tuple[Tlv, ...], ksn: bytes | None) -> tuple[int, tuple[Tlv, ...]]:
    """Track 2 as the reader encrypted it, else the PAN: one ciphertext is all that tap data has room for."""
    if ksn is None:
        raise TapError(f"encrypted card data without its KSN ({READER_KSN:X})")
    mode = _mode(objects)
    ciphertext = _value(objects, TRACK2, Form.ENCRYPTED) or _value(objects, PAN, Form.ENCRYPTED)
    if ciphertext is None:
        raise TapError(f"a KSN ({READER_KSN:X}), but neither {TRACK2:X} nor {PAN:X} encrypted")
    if len(ciphertext) % _BLOCK[mode]:
        raise TapError(f"encrypted card data of {len(ciphertext)} bytes is not whole blocks of {_BLOCK[mode]}")
    return mode, (Tlv(MODE, bytes((mode,))), Tlv(KSN, ksn), Tlv(CIPHERTEXT, ciphertext))


def _mode(objects: tuple[Tlv, ...]) -> int:
    information = _value(objects, ENCRYPTION)
    if information is None:
        raise TapError(f"encrypted card data without {ENCRYPTION:X}: TDES or AES is not said")
    mode = _MODES.get(information[0] & _CIPHER_MASK)
    if mode is None:
        raise TapError(f"{ENCRYPTION:X} names an encryption that is neither TDES nor AES")
    return mode


def _clear(objects: tuple[Tlv, ...]) -> tuple[int, tuple[Tlv, ...]]:
    plain = (item for item in objects if item.tag in (TRACK2, PAN, EXPIRY) and item.form is Form.PLAIN)
    inside = _first_of_each(plain)
    if not any(item.tag in (TRACK2, PAN) for item in inside):
        raise TapError(f"neither {TRACK2:X} nor {PAN:X} is there")
    return CLEAR_MODE, (Tlv(MODE, bytes((CLEAR_MODE,))), Tlv.template(CLEAR, inside))


def _identity(objects: tuple[Tlv, ...], ksn: bytes | None, masked: str | None) -> bytes | None:
    counter, cryptogram = _value(objects, _COUNTER), _value(objects, _CRYPTOGRAM)
    if ksn is not None:
        # A key that is loaded anew counts from the start: alone, an old tap's KSN would let a new card in unpaid.
        return b"KSN" + ksn + (counter or b"") + (cryptogram or b"")
    if masked is None or counter is None or cryptogram is None:
        return None
    return b"PAN" + masked.encode() + counter + cryptogram


def _first_of_each(items: Iterable[Tlv]) -> tuple[Tlv, ...]:
    """Each tag once, in order: readers repeat in the open what their records hold, and may leave it empty."""
    first: dict[int, Tlv] = {}
    for item in items:
        if item.tag not in first or not first[item.tag].value:
            first[item.tag] = item
    return tuple(first.values())


def _value(objects: tuple[Tlv, ...], tag: int, form: Form = Form.PLAIN) -> bytes | None:
    """The first value that is not empty."""
    return next((item.value for item in objects if item.tag == tag and item.form is form and item.value), None)


def _primitives(items: Iterable[Tlv]) -> Iterator[Tlv]:
    for item in items:
        if item.children is None:
            yield item
        else:
            yield from _primitives(item.children)
