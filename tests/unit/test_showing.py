"""TLV values for people: what is masked, what is hidden, and that nothing slips through."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from device.tlv import Form, Tlv, decode, is_constructed, walk
from tests.golden.tlv_samples import S01, S03, S10, S12, S17
from tpsd.emv.showing import show
from tpsd.emv.tags import TAGS, UNKNOWN_SHOWN_BYTES, Show, name

PANS = ("4761739001010119", "4111111111111111", "5413330089010012", "378282246310005", "6759649826438453")


def value(tag: int, text: str, form: Form = Form.PLAIN) -> str:
    return show(Tlv(tag, bytes.fromhex(text), form=form))


@pytest.mark.parametrize(
    ("tag", "text", "shown"),
    [
        (0x9F02, "000000000250", "000000000250"),
        (0x9F26, "e120c07356ea3dd8", "E120C07356EA3DD8"),
        (0x9F34, "", ""),
        (0x5A, "4761739001010119", "476173******0119"),
        (0x5A, "378282246310005F", "378282*****0005"),
        (0x5A, "6759649826438453001F", "675964*********3001"),
        (0x5A, "4761739001010D", "476173***1010"),
        (0x5A, "4761", "[hidden 2 bytes]"),
        (0x5A, "476173900101011A", "[hidden 8 bytes]"),
        (0x5A, "47617390010101194761739001010119", "[hidden 16 bytes]"),
        (0x57, "4761739001010119D22122011758928889", "476173******0119"),
        (0x57, "4761739001010119D2212201175892888F", "476173******0119"),
        (0x57, "213BC786AA6724920CA2A6441FFD5E7C", "[hidden 16 bytes]"),
        (0x9F6B, "5200000000000000D19111010100000000003F", "520000******0000"),
        (0x5F20, "455850495245442F43415244", "[hidden 12 bytes]"),
        (0x5F24, "221231", "[hidden 3 bytes]"),
        (0x99, "0011223344556677", "[hidden 8 bytes]"),
        (0xDFFF8405, "00112233", "[hidden 4 bytes]"),
        (0xDFEE12, "6299500010000640000A", "6299500010000640000A"),
        (0x9F1E, "3954313930343238", "3954313930343238"),
        (0x50, "34373631373339303031303130313139", "[hidden 16 bytes]"),
        (0x9F7C, "00", "[hidden 1 bytes]"),
        (0x9F6E, "4761739001010119", "[hidden 8 bytes]"),
        (0xDF7E, "0102030405", "0102030405"),
        (0xDF7E, "010203040506", "[hidden 6 bytes]"),
    ],
)
def test_plain_values(tag: int, text: str, shown: str) -> None:
    assert value(tag, text) == shown


@pytest.mark.parametrize(
    ("tag", "text", "form", "shown"),
    [
        (0x5A, "5413CCCCCCCC1513", Form.MASKED, "5413CCCCCCCC1513"),
        (0x57, "5413CCCCCCCC1513D2012CCCCCCCCCCCCCCC", Form.MASKED, "5413CCCCCCCC1513D2012CCCCCCCCCCCCCCC"),
        (0x5A, "5413330089010012", Form.MASKED, "[hidden 8 bytes]"),
        (0x5A, "5413330CCC010012", Form.MASKED, "[hidden 8 bytes]"),
        (0x57, "5413CCCCCCCC1513D5413330089010012C", Form.MASKED, "[hidden 17 bytes]"),
        (0x5A, "CCA41680B767BA798E9AA28A3D825FA4", Form.ENCRYPTED, "CCA41680B767BA798E9AA28A3D825FA4"),
        (0x5A, "4761739001010119", Form.ENCRYPTED, "[hidden 8 bytes]"),
        (0x57, "4761739001010119D22122011758928889", Form.ENCRYPTED, "[hidden 17 bytes]"),
    ],
)
def test_a_readers_word_is_not_believed(tag: int, text: str, form: Form, shown: str) -> None:
    assert value(tag, text, form) == shown


def test_a_template_shows_nothing_of_its_content() -> None:
    (template,) = decode(S17)
    assert show(template) == "[hidden 51 bytes]"


@pytest.mark.parametrize("sample", [S01, S03, S10, S12, S17], ids=["S01", "S03", "S10", "S12", "S17"])
def test_the_samples_show_no_card_number(sample: bytes) -> None:
    shown = " ".join(show(item) for item in walk(decode(sample, vendor_lengths=True)))
    for secret in ("4999999999999999", "5200000000000000", "4761739001010119", "4558504952", "2012315F"):
        assert secret not in shown


@given(
    tag=st.sampled_from(sorted(TAGS)) | st.sampled_from([0xDF7E, 0xDFEE99, 0xC1]),
    pan=st.sampled_from(PANS),
    before=st.binary(max_size=8),
    after=st.binary(max_size=8),
    packed=st.booleans(),
    form=st.sampled_from(Form),
)
def test_a_card_number_anywhere_is_never_shown_whole(
    tag: int, pan: str, before: bytes, after: bytes, packed: bool, form: Form
) -> None:
    known = TAGS.get(tag)
    # The formats of these have no room for a card number, and look like one by accident.
    assume(known is None or not (known.show is Show.FIXED or (known.show is Show.TEXT and packed)))
    middle = bytes.fromhex(pan + "F" * (len(pan) % 2)) if packed else pan.encode()
    shown = show(Tlv(tag, before + middle + after, form=form))
    assert pan not in shown
    assert pan.encode().hex() not in shown.lower()


def test_names() -> None:
    assert name(0x57) == "Track 2 Equivalent Data"
    assert name(0xDF7E) is None
    assert UNKNOWN_SHOWN_BYTES == 5


def test_every_tag_of_the_table_is_a_tag_and_names_its_source() -> None:
    for tag, row in TAGS.items():
        is_constructed(tag)  # raises for what is no tag
        assert row.name
        assert row.source


SFEY_AND_TRANSIT = (
    "DFFF8401 DFFF8402 DFFF8403 DFFF8404 DFFF8405 FFFF8406 57 5A 5F24 9F26 9F27 9F10 9F36 9F37 95 9A 9C 9F02 9F03"
    " 5F2A 82 9F1A 9F33 9F34 84 5F34 9F6E 9F46"
)


def test_the_tags_of_a_tap_have_names() -> None:
    assert [text for text in SFEY_AND_TRANSIT.split() if name(int(text, 16)) is None] == []
