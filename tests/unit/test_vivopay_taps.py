"""A final answer to 02-40 as tap data: modes 00, 03 and 04, identity, what is missing, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.tlv import Form, Tlv, encode, find, walk
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA, varied
from device.vivopay.tap import (
    AES_MODE,
    CIPHERTEXT,
    CLEAR,
    ENCRYPTION,
    EXPIRY,
    KSN,
    MODE,
    PAN,
    READER_KSN,
    TDES_MODE,
    TRACK2,
    TRANSIT_TAGS,
    CardFailure,
    CardTap,
    TapError,
    missing,
    read_failure,
    read_tap,
)
from tests.golden import tlv_samples as s
from tpsd.emv.tapdata import TapData, read

CONTACTLESS = b"\x01"
VISA, MASTERCARD = bytes.fromhex("A0000000031010"), bytes.fromhex("A0000000041010")
CIPHER = bytes(range(16))
SEALED = (Tlv(READER_KSN, bytes(10)), Tlv(ENCRYPTION, b"\xe1\x00"), Tlv(TRACK2, CIPHER, None, Form.ENCRYPTED))


def tapped(*items: Tlv) -> CardTap:
    return read_tap(CONTACTLESS + encode(items, vendor_lengths=True))


def values(tap: CardTap) -> dict[int, bytes]:
    return {item.tag: item.value for item in tap.card}


class TestPublished:
    def test_the_encrypted_mastercard_is_mode_03_under_its_ksn(self) -> None:
        tap = read_tap(ENCRYPTED_MASTERCARD)
        assert tap.mode == TDES_MODE
        assert tap.card[:3] == (
            Tlv(MODE, b"\x03"),
            Tlv(KSN, bytes.fromhex("FFFFFF0200223D20000F")),
            Tlv(CIPHERTEXT, bytes.fromhex("855A31E91D0641D4C0C681A30FD97A86FC1AF00891BC8352")),
        )
        assert values(tap)[0x9F26] == bytes.fromhex("E120C07356EA3DD8")
        assert values(tap)[0x9F36] == bytes.fromhex("36C3")
        assert tap.masked_pan == "5413********1513"
        assert tap.identity == b"KSN" + bytes.fromhex("FFFFFF0200223D20000F 36C3 E120C07356EA3DD8")
        assert tap.missing == (0x5F2A,)

    def test_nothing_of_the_card_travels_beside_the_ciphertext(self) -> None:
        tags = {item.tag for item in walk(read_tap(ENCRYPTED_MASTERCARD).card)}
        assert not tags & {TRACK2, PAN, EXPIRY, 0x5F20, 0x56, CLEAR}
        assert all(item.form is Form.PLAIN for item in walk(read_tap(ENCRYPTED_MASTERCARD).card))

    def test_the_plain_visa_is_mode_00(self) -> None:
        tap = read_tap(PLAIN_VISA)
        assert tap.mode == 0
        clear = find(tap.card, CLEAR)
        assert clear is not None
        assert clear.children == (Tlv(TRACK2, bytes.fromhex("4999999999999999D15092FFFFFFFFFFFFFF0F")),)
        assert values(tap)[0x9F02] == bytes.fromhex("000000000250")
        assert tap.masked_pan == "499999******9999"
        assert tap.identity == b"PAN499999******9999" + bytes.fromhex("028F FFFFFFFFFFFFFFFF")
        assert tap.missing == (0x9F1A, 0x9F03, 0x84, 0x95, 0x9F33, 0x9F37)

    @pytest.mark.parametrize("data", [ENCRYPTED_MASTERCARD, PLAIN_VISA], ids=["encrypted", "plain"])
    def test_the_daemon_reads_it_as_tap_data(self, data: bytes) -> None:
        tap = read_tap(data)
        found = read(tap.card)
        assert isinstance(found, TapData)
        assert found.mode == tap.mode

    @pytest.mark.parametrize("data", [ENCRYPTED_MASTERCARD, PLAIN_VISA], ids=["encrypted", "plain"])
    def test_no_repr_shows_a_card(self, data: bytes) -> None:
        shown = repr(read_tap(data)).lower()
        for digits in ("4999", "5413", "1513", "9999", "855a31", "ffffff02"):
            assert digits not in shown

    def test_a_visa_in_a_clearing_record_is_the_same_tap(self) -> None:
        flat = read_tap(CONTACTLESS + s.S10[2:])
        inside = read_tap(CONTACTLESS + b"\xe1" + bytes((len(s.S10) - 2,)) + s.S10[2:])
        assert flat == inside


class TestEncrypted:
    @pytest.mark.parametrize(
        ("information", "mode"), [("E100", 3), ("C100", 3), ("E1", 3), ("E300", 4), ("C300", 4), ("43", 4)]
    )
    def test_the_mode_is_what_dfee26_says(self, information: str, mode: int) -> None:
        tap = tapped(SEALED[0], Tlv(ENCRYPTION, bytes.fromhex(information)), SEALED[2])
        assert (tap.mode, values(tap)[MODE]) == (mode, bytes((mode,)))
        assert mode in (TDES_MODE, AES_MODE)

    def test_the_pan_serves_where_track_2_is_not_encrypted(self) -> None:
        tap = tapped(*SEALED[:2], Tlv(PAN, CIPHER, None, Form.ENCRYPTED))
        assert values(tap)[CIPHERTEXT] == CIPHER

    @pytest.mark.parametrize(
        ("items", "words"),
        [
            (SEALED[1:], "without its KSN"),
            ((SEALED[0], SEALED[2]), "without DFEE26"),
            ((SEALED[0], Tlv(ENCRYPTION, b""), SEALED[2]), "without DFEE26"),
            ((SEALED[0], Tlv(ENCRYPTION, b"\xe5\x02"), SEALED[2]), "neither TDES nor AES"),
            (SEALED[:2], "neither 57 nor 5A encrypted"),
            ((*SEALED[:2], Tlv(TRACK2, CIPHER)), "neither 57 nor 5A encrypted"),
            ((*SEALED[:2], Tlv(EXPIRY, CIPHER, None, Form.ENCRYPTED)), "neither 57 nor 5A encrypted"),
            ((*SEALED[:2], Tlv(TRACK2, CIPHER[1:], None, Form.ENCRYPTED)), "whole blocks of 8"),
            ((SEALED[0], Tlv(ENCRYPTION, b"\xe3"), Tlv(PAN, bytes(8), None, Form.ENCRYPTED)), "whole blocks of 16"),
        ],
    )
    def test_what_cannot_be_carried_is_refused(self, items: tuple[Tlv, ...], words: str) -> None:
        with pytest.raises(TapError, match=words):
            tapped(*items)

    def test_a_clear_copy_beside_a_ksn_is_never_handed_on(self) -> None:
        """Transit readers exist that put cipher text under 57 without a mark (S03): it must not pass for track 2."""
        with pytest.raises(TapError, match="without DFEE26"):
            read_tap(CONTACTLESS + s.S03)
        tap = tapped(*SEALED, Tlv(TRACK2, bytes.fromhex("4761739001010119D3112F")), Tlv(PAN, bytes(8)))
        assert not {TRACK2, PAN} & {item.tag for item in walk(tap.card)}

    @pytest.mark.parametrize("tag", [0x9F36, 0x9F26])
    def test_a_key_that_is_loaded_anew_and_counts_from_the_start_makes_no_old_tap_of_a_new_card(self, tag: int) -> None:
        before, now = read_tap(ENCRYPTED_MASTERCARD), read_tap(varied(ENCRYPTED_MASTERCARD, {tag: bytes(8)}))
        assert values(before)[KSN] == values(now)[KSN]
        assert before.identity != now.identity

    @pytest.mark.parametrize(
        ("masked", "shown"),
        [
            ("5413CCCCCCCC1513", "5413********1513"),
            ("541333AAAAAA1513", "541333******1513"),
            ("541333000CCC1513", None),  # more than six at the front
            ("CCCCCC0089010012", None),
            ("541330", None),
        ],
    )
    def test_a_reader_s_mask_is_believed_only_where_it_hides_enough(self, masked: str, shown: str | None) -> None:
        assert tapped(*SEALED, Tlv(PAN, bytes.fromhex(masked), None, Form.MASKED)).masked_pan == shown


class TestPlain:
    TRACK = Tlv(TRACK2, bytes.fromhex("4761739001010119D22122011758928889"))

    def test_card_data_stands_inside_and_the_rest_beside(self) -> None:
        tap = tapped(self.TRACK, Tlv(0x5F20, b"CARDHOLDER"), Tlv(EXPIRY, b"\x22\x12\x31"), Tlv(0x9F36, b"\x00\x01"))
        assert [item.tag for item in tap.card] == [MODE, CLEAR, 0x9F36]
        clear = find(tap.card, CLEAR)
        assert clear is not None
        assert [item.tag for item in clear.children or ()] == [TRACK2, EXPIRY]

    def test_each_tag_goes_once_and_an_empty_one_gives_way(self) -> None:
        amounts = [Tlv(0x9F02, value) for value in (b"", bytes(5) + b"\x09", bytes(6))]
        tap = tapped(self.TRACK, Tlv.template(0xFF8105, amounts[:2]), amounts[2])
        assert [item.value for item in tap.card if item.tag == 0x9F02] == [bytes(5) + b"\x09"]

    def test_the_same_tap_has_the_same_identity_and_another_has_another(self) -> None:
        ids = [
            read_tap(varied(PLAIN_VISA, {0x9F36: counter, 0x9F26: cryptogram})).identity
            for counter, cryptogram in (
                (b"\x00\x01", bytes(8)),
                (b"\x00\x02", bytes(8)),
                (b"\x00\x01", bytes(7) + b"1"),
            )
        ]
        assert len(set(ids)) == 3
        assert read_tap(varied(PLAIN_VISA, {0x9F02: bytes(6)})).identity == read_tap(PLAIN_VISA).identity

    @pytest.mark.parametrize("tag", [0x9F36, 0x9F26, TRACK2])
    def test_without_one_of_its_parts_there_is_no_identity(self, tag: int) -> None:
        parts = {TRACK2: self.TRACK, 0x9F36: Tlv(0x9F36, b"\x00\x01"), 0x9F26: Tlv(0x9F26, bytes(8))}
        parts[tag] = Tlv(PAN, b"\x12") if tag == TRACK2 else Tlv(tag, b"")
        assert tapped(*parts.values()).identity is None

    def test_no_card_is_refused(self) -> None:
        with pytest.raises(TapError, match="neither 57 nor 5A is there"):
            tapped(Tlv(0x9F36, b"\x00\x01"))


class TestMissing:
    def test_the_list_is_longer_for_a_mastercard(self) -> None:
        objects = [Tlv(tag, b"\x01") for tag in TRANSIT_TAGS if tag != 0x84]
        assert missing([*objects, Tlv(0x84, VISA)]) == ()
        assert missing([*objects, Tlv(0x84, MASTERCARD)]) == (0x9F27, 0x9F34)
        assert missing(objects) == (0x84,)

    def test_an_empty_value_is_missing(self) -> None:
        assert 0x9F37 in missing([Tlv(0x9F37, b"")])


class TestRefused:
    def test_an_empty_answer(self) -> None:
        with pytest.raises(TapError, match="empty"):
            read_tap(b"")

    @pytest.mark.parametrize("attribution", [0x00, 0x08, 0x09, 0xE0])
    def test_a_card_in_the_slot_or_swiped(self, attribution: int) -> None:
        with pytest.raises(TapError, match="without contact"):
            read_tap(bytes((attribution,)) + PLAIN_VISA[1:])

    @pytest.mark.parametrize("attribution", [0x01, 0x11, 0x61, 0xE1, 0xF7])
    def test_a_card_without_contact(self, attribution: int) -> None:
        assert read_tap(bytes((attribution,)) + PLAIN_VISA[1:]) == read_tap(PLAIN_VISA)

    def test_damaged_objects_name_tag_and_offset_only(self) -> None:
        with pytest.raises(TapError, match=r"tag 57 at offset 21: the length says more than is left") as caught:
            read_tap(PLAIN_VISA[:40])
        assert "4999" not in str(caught.value)

    def test_raw_track_data_is_read_past(self) -> None:
        tap = tapped(Tlv(0xFFEE13, b"%B12"), Tlv(0xFFEE14, b";4761739001010119=2212?"), TestPlain.TRACK)
        assert [item.tag for item in tap.card] == [MODE, CLEAR]


class TestFailure:
    def test_why_a_card_failed(self) -> None:
        assert read_failure(CONTACTLESS + bytes.fromhex("FFEE1F0424000005")) == CardFailure(0x24, 0x0000, 0x05)
        assert read_failure(CONTACTLESS + bytes.fromhex("FFEE1F04426985070000")) == CardFailure(0x42, 0x6985, 0x07)

    @pytest.mark.parametrize("data", ["", "01", "01FFEE1F00", "01FFEE1F03240000", "01FFEE1F0424", "015A80"])
    def test_what_cannot_be_read_says_nothing(self, data: str) -> None:
        assert read_failure(bytes.fromhex(data)) == CardFailure()


def outcome(data: bytes) -> CardTap | TapError:
    try:
        return read_tap(data)
    except TapError as exc:
        return exc


@given(st.sampled_from([ENCRYPTED_MASTERCARD, PLAIN_VISA]), st.integers(0, 600), st.integers(0, 7))
def test_no_flipped_bit_and_no_cut_breaks_it(data: bytes, at: int, bit: int) -> None:
    flipped = bytearray(data)
    flipped[at % len(data)] ^= 1 << bit
    for damaged in (bytes(flipped), data[: at % len(data)]):
        found = outcome(damaged)
        assert not any(digits in repr(found) for digits in ("4999999", "5413"))
        if isinstance(found, CardTap):
            assert found.mode in (0, TDES_MODE, AES_MODE)
            assert isinstance(read(found.card), TapData)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tap_or_refused(data: bytes) -> None:
    assert isinstance(outcome(data), (CardTap, TapError))
    assert isinstance(read_failure(data), CardFailure)
