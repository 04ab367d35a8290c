"""Sfey's tap data, the ``tag`` element (sfey.md 3): modes 00 and 01 are made here, 02 to 04 are carried.

Modes 03 and 04 come from the reader under keys tpsd never holds; mode 02's derivation is not public.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from device.tlv import Form, Tlv, TlvError, decode, encode, find, walk
from tpsd.emv.reading import EXPIRY, PAN, TRACK2
from tpsd.emv.tags import TAGS, Show

MODE = 0xDFFF8401
KEY_ID = 0xDFFF8402
TIMESTAMP = 0xDFFF8403
KSN = 0xDFFF8404
CIPHERTEXT = 0xDFFF8405
CLEAR = 0xFFFF8406
CLEAR_PRIMITIVE = 0xDFFF8406  # accepted as well when decoding [inferred]

CLEAR_MODE = 0x00
TTK_MODE = 0x01
NEEDED = {0x01: (KEY_ID,), 0x02: (KEY_ID, TIMESTAMP), 0x03: (KSN,), 0x04: (KSN,)}  # beside the ciphertext

SEALED_BY_TTK = (TRACK2, PAN, EXPIRY)
SHOWABLE = frozenset({Show.HEX, Show.TEXT, Show.FIXED})
BESIDE_THOUGH_HIDDEN = frozenset({0x9F46})  # sfey.md 3 lists it, although the issuer's key recovers the PAN from it
OWN_FAMILIES = frozenset({0xDFFF84, 0xFFFF84})
AES_BLOCK_BITS = 128
ZERO_IV = bytes(16)  # assumed, as sfey.md 3 says; overridable


@dataclass(frozen=True, slots=True)
class Ttk:
    """A transit transaction key: AES-128, with the id Sfey knows it by (BCD digits)."""

    key_id: str
    key: bytes = field(repr=False)
    iv: bytes = field(default=ZERO_IV, repr=False)


@dataclass(frozen=True, slots=True)
class TapData:
    """A tap's card data as it arrived. ``clear`` is what can be read (empty when the reader encrypted)."""

    mode: int
    clear: tuple[Tlv, ...] = field(repr=False)
    as_arrived: tuple[Tlv, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CardFault:
    """Why card data cannot be used: a reason for the verdict and our own words."""

    reason: str
    words: str


def read(card: tuple[Tlv, ...]) -> TapData | CardFault:
    """Sort a tap's card TLVs by the mode they are in, checking that what the mode needs is there."""
    if any(item.form is not Form.PLAIN for item in walk(card)):
        return CardFault("malformed", "card data with a reader's marked lengths is not tap data")
    mode_item = find(card, MODE)
    if mode_item is None:
        return _bare(card)
    if len(mode_item.value) != 1:
        return CardFault("malformed", "tag DFFF8401 is not one byte")
    mode = mode_item.value[0]
    if mode == CLEAR_MODE:
        return _clear(card)
    if mode not in NEEDED:
        return CardFault("malformed", f"tap data mode {mode:02X} is unknown")
    for tag in (*NEEDED[mode], CIPHERTEXT):
        item = find(card, tag)
        if item is None or not item.value:
            return CardFault("no_card_data", f"tap data mode {mode:02X} lacks tag {tag:X}")
    return TapData(mode, (), card)


def envelope(data: TapData, ttk: Ttk | None) -> bytes:
    """The BER-TLV of the ``tag`` element: mode 01 when the card data is clear and a TTK is at hand."""
    if data.mode != CLEAR_MODE or (ttk is None and find(data.as_arrived, MODE) is not None):
        return encode(data.as_arrived)
    if ttk is None:
        return encode((Tlv(MODE, bytes([CLEAR_MODE])), Tlv.template(CLEAR, data.clear)))
    sealed = tuple(item for item in _flat(data.clear) if item.tag in SEALED_BY_TTK)
    beside = tuple(item for item in _flat(data.clear) if _may_stay_clear(item))
    return encode(
        (
            Tlv(MODE, bytes([TTK_MODE])),
            Tlv(KEY_ID, bytes.fromhex(ttk.key_id)),
            Tlv(CIPHERTEXT, _encrypt(ttk, encode(sealed))),
            *beside,
        )
    )


def _bare(card: tuple[Tlv, ...]) -> TapData | CardFault:
    if not any(item.tag in (TRACK2, PAN) for item in _flat(card)):
        return CardFault("no_card_data", "neither tap data (DFFF8401) nor a PAN or track 2 is there")
    return TapData(CLEAR_MODE, card, card)


def _clear(card: tuple[Tlv, ...]) -> TapData | CardFault:
    inner = find(card, CLEAR) or find(card, CLEAR_PRIMITIVE)
    beside = tuple(item for item in card if item.tag not in (MODE, CLEAR, CLEAR_PRIMITIVE))
    try:
        inside = () if inner is None else inner.children if inner.children is not None else decode(inner.value)
    except TlvError as error:
        return CardFault("malformed", f"clear card data: {error}")
    clear = (*inside, *beside)
    if not any(item.tag in (TRACK2, PAN) for item in _flat(clear)):
        return CardFault("no_card_data", "tap data mode 00 holds neither PAN nor track 2")
    return TapData(CLEAR_MODE, clear, card)


def _may_stay_clear(item: Tlv) -> bool:
    """Fails closed: only what the table knows and would show, and no second set of Sfey's own tags."""
    if item.tag in BESIDE_THOUGH_HIDDEN:
        return True
    known = TAGS.get(item.tag)
    return known is not None and known.show in SHOWABLE and item.tag >> 8 not in OWN_FAMILIES


def _flat(items: Iterable[Tlv]) -> Iterable[Tlv]:
    for item in items:
        if item.children is None:
            yield item
        else:
            yield from _flat(item.children)


def _encrypt(ttk: Ttk, plain: bytes) -> bytes:
    padder = PKCS7(AES_BLOCK_BITS).padder()
    encryptor = Cipher(algorithms.AES(ttk.key), modes.CBC(ttk.iv)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
