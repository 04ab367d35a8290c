"""Sfey's tap data: what is accepted, what is made, what is carried, and what stays in clear."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from device.tlv import Form, Tlv, decode, encode, find
from tests.card_search import findings
from tpsd.emv.tapdata import CLEAR, CLEAR_PRIMITIVE, CardFault, TapData, Ttk, envelope, read

VISA = "4761739001010119"
TRACK2 = bytes.fromhex(f"{VISA}D28122011758928889")
TTK = Ttk("000123", bytes(range(16)))

SECRET = (Tlv(0x57, TRACK2), Tlv(0x5A, bytes.fromhex(VISA)), Tlv(0x5F24, b"\x28\x12\x31"))
BESIDE = (Tlv(0x9F26, bytes.fromhex("E120C07356EA3DD8")), Tlv(0x9F36, b"\x00\x2a"), Tlv(0x9F02, bytes(6)))
HOLDER = (
    Tlv(0x5F20, b"EXPIRED/CARD"),
    Tlv(0x56, f"B{VISA}^CARD/TEST^2812".encode()),
    Tlv(0x9F1F, b"17589096000000"),
    Tlv(0x9F20, VISA.encode()),
    Tlv(0x9F6B, TRACK2),
    Tlv(0xDF812A, VISA.encode()),
    Tlv(0xFFEE14, TRACK2),
    Tlv(0xDF7F, bytes.fromhex(VISA)),  # no table knows it
)


def mode(number: int) -> Tlv:
    return Tlv(0xDFFF8401, bytes([number]))


def clear(*inner: Tlv) -> tuple[Tlv, ...]:
    return (mode(0), Tlv.template(CLEAR, inner))


def read_well(card: tuple[Tlv, ...]) -> TapData:
    data = read(card)
    assert isinstance(data, TapData)
    return data


def decrypted(tag: bytes, ttk: Ttk) -> tuple[Tlv, ...]:
    cipher = find(decode(tag), 0xDFFF8405)
    assert cipher is not None
    decryptor = Cipher(algorithms.AES(ttk.key), modes.CBC(ttk.iv)).decryptor()
    padded = decryptor.update(cipher.value) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    return decode(unpadder.update(padded) + unpadder.finalize())


@pytest.mark.parametrize(
    "card",
    [
        clear(*SECRET, *BESIDE),
        (mode(0), Tlv.template(CLEAR, SECRET), *BESIDE),
        (mode(0), Tlv(CLEAR_PRIMITIVE, encode(SECRET)), *BESIDE),
        (mode(0), *SECRET, *BESIDE),
        clear(Tlv.template(0x70, SECRET)),
        (mode(0), Tlv.template(CLEAR, BESIDE), SECRET[1]),
    ],
    ids=["template", "beside", "primitive", "flat", "nested", "card number beside"],
)
def test_mode_00_goes_on_as_it_came(card: tuple[Tlv, ...]) -> None:
    data = read_well(card)
    assert data.mode == 0
    assert any(item.tag in (0x57, 0x5A, 0x70) for item in data.clear)
    assert envelope(data, None) == encode(card)


@pytest.mark.parametrize("tag", [0x57, 0x5A])
def test_bare_card_data_is_mode_00_and_gets_its_mode(tag: int) -> None:
    card = (Tlv(tag, TRACK2 if tag == 0x57 else TRACK2[:8]), *BESIDE)
    data = read_well(card)
    assert (data.mode, data.clear) == (0, card)
    assert envelope(data, None) == encode((mode(0), Tlv.template(CLEAR, card)))


@pytest.mark.parametrize(
    "card",
    [
        clear(*SECRET, *BESIDE),
        (mode(0), Tlv.template(CLEAR, SECRET), *BESIDE),
        (mode(0), Tlv(CLEAR_PRIMITIVE, encode(SECRET)), *BESIDE),
        (*SECRET, *BESIDE),
        (mode(0), Tlv.template(CLEAR, (Tlv.template(0x77, SECRET),)), *BESIDE),
    ],
    ids=["template", "beside", "primitive", "bare", "nested"],
)
def test_mode_01_seals_the_card_and_leaves_the_rest_beside(card: tuple[Tlv, ...]) -> None:
    tag = envelope(read_well(card), TTK)
    top = decode(tag)
    assert [item.tag for item in top[:3]] == [0xDFFF8401, 0xDFFF8402, 0xDFFF8405]
    assert (top[0].value, top[1].value) == (b"\x01", bytes.fromhex("000123"))
    assert top[3:] == BESIDE
    assert decrypted(tag, TTK) == SECRET
    assert findings("tag", tag, [VISA, "2011758928889"]) == []


def test_mode_01_leaves_nothing_sensitive_in_clear() -> None:
    tag = envelope(read_well(clear(*SECRET, *HOLDER, *BESIDE)), TTK)
    assert findings("tag", tag, [VISA, "2011758928889"]) == []
    assert b"EXPIRED" not in tag
    assert b"17589096" not in tag
    assert decode(tag)[3:] == BESIDE


def test_mode_01_uses_the_iv_it_was_given() -> None:
    other = Ttk("000123", TTK.key, iv=bytes(range(100, 116)))
    data = read_well(clear(*SECRET))
    assert envelope(data, other) != envelope(data, TTK)
    assert decrypted(envelope(data, other), other) == SECRET


def test_mode_01_carries_no_second_set_of_sfeys_own_tags() -> None:
    strays = tuple(Tlv(tag, bytes(16)) for tag in (0xDFFF8402, 0xDFFF8403, 0xDFFF8404, 0xDFFF8405))
    top = decode(envelope(read_well((*clear(*SECRET), *strays, *BESIDE)), TTK))
    assert [item.tag for item in top] == [0xDFFF8401, 0xDFFF8402, 0xDFFF8405, 0x9F26, 0x9F36, 0x9F02]
    assert top[1].value == bytes.fromhex("000123")


def test_the_certificate_that_sfey_lists_travels_in_mode_01() -> None:
    certificate = Tlv(0x9F46, bytes(range(128)))
    assert certificate in decode(envelope(read_well(clear(*SECRET, certificate)), TTK))


CARRIED = {
    "01": (mode(1), Tlv(0xDFFF8402, b"\x01\x23"), Tlv(0xDFFF8405, bytes(range(32))), *BESIDE),
    "02": (mode(2), Tlv(0xDFFF8402, b"\x01\x23"), Tlv(0xDFFF8403, b"\x65\x00\x00\x01"), Tlv(0xDFFF8405, bytes(48))),
    "03": (mode(3), Tlv(0xDFFF8404, bytes(10)), Tlv(0xDFFF8405, bytes(range(24))), *BESIDE),
    "04": (mode(4), Tlv(0xDFFF8404, bytes(12)), Tlv(0xDFFF8405, bytes(range(200))), *BESIDE),
    "04, other order and repeats": (Tlv(0xDFFF8405, b"x" * 16), *BESIDE, *BESIDE, Tlv(0xDFFF8404, bytes(12)), mode(4)),
}


@pytest.mark.parametrize("card", CARRIED.values(), ids=CARRIED.keys())
@pytest.mark.parametrize("ttk", [None, TTK], ids=["no key", "a key"])
def test_what_the_reader_encrypted_is_carried_byte_for_byte(card: tuple[Tlv, ...], ttk: Ttk | None) -> None:
    raw = encode(card)
    data = read_well(decode(raw))
    assert data.clear == ()
    assert envelope(data, ttk) == raw


@pytest.mark.parametrize("name", CARRIED)
def test_each_part_that_a_mode_needs_is_missed(name: str) -> None:
    card = CARRIED[name]
    for item in card:
        if item.tag in (0xDFFF8402, 0xDFFF8403, 0xDFFF8404, 0xDFFF8405):
            without = tuple(other for other in card if other is not item)
            emptied = tuple(Tlv(item.tag) if other is item else other for other in card)
            for broken in (without, emptied):
                fault = read(broken)
                assert isinstance(fault, CardFault)
                assert fault.reason == "no_card_data"
                assert f"{item.tag:X}" in fault.words


FAULTS = {
    "nothing at all": ((), "no_card_data"),
    "no card data": (BESIDE, "no_card_data"),
    "mode 00 with nothing": ((mode(0),), "no_card_data"),
    "mode 00 with an empty template": (clear(), "no_card_data"),
    "mode 00 without a card": (clear(*BESIDE), "no_card_data"),
    "mode 00, the primitive form damaged": ((mode(0), Tlv(CLEAR_PRIMITIVE, b"\x57\x80")), "malformed"),
    "a mode nobody knows": ((mode(5), *SECRET), "malformed"),
    "mode FF": ((mode(0xFF), *SECRET), "malformed"),
    "a mode without a value": ((Tlv(0xDFFF8401), *SECRET), "malformed"),
    "a mode of two bytes": ((Tlv(0xDFFF8401, b"\x00\x00"), *SECRET), "malformed"),
    "a reader's marked length": ((Tlv(0x5A, TRACK2[:8], form=Form.MASKED),), "malformed"),
    "a marked length below": (
        (mode(0), Tlv(CLEAR, b"", (Tlv(0x57, TRACK2, form=Form.ENCRYPTED), *SECRET))),
        "malformed",
    ),
}


@pytest.mark.parametrize(("card", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_faults(card: tuple[Tlv, ...], reason: str) -> None:
    fault = read(card)
    assert isinstance(fault, CardFault)
    assert fault.reason == reason
    assert findings("words", fault.words.encode(), [VISA]) == []


def test_neither_tap_data_nor_key_print_themselves() -> None:
    shown = repr(read_well(clear(*SECRET))) + repr(TTK)
    assert findings("repr", shown.encode(), [VISA]) == []
    assert TTK.key.hex() not in shown
    assert repr(TTK.key) not in shown
