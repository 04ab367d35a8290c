"""Every string of tlv-samples.md, accepted or refused as it says there."""

from __future__ import annotations

import time

import pytest

from device.tlv import (
    LIMITS,
    Form,
    Limits,
    Reason,
    Tlv,
    TlvError,
    decode,
    decode_counted,
    encode,
    find,
    spans,
    tag_bytes,
    walk,
)
from tests.golden import tlv_samples as s
from tests.golden.tlv_samples import h, outline


def value(items: tuple[Tlv, ...], *path: int) -> bytes:
    for tag in path[:-1]:
        item = find(items, tag)
        assert item is not None
        assert item.children is not None
        items = item.children
    found = find(items, path[-1])
    assert found is not None
    return found.value


class TestReaderOutput:
    def test_s01_top_level_in_order(self) -> None:
        items = decode(s.S01, vendor_lengths=True)
        assert [(item.tag, len(item.value)) for item in items] == [
            (0xDF8116, 22),
            (0xDF8129, 8),
            (0xDFEC1C, 30),
            (0xDFEE12, 10),
            (0xDFEE26, 2),
            (0xDFEE4C, 1),
            (0xDFEF4C, 6),
            (0xDFEF4D, 0),
            (0xFF8105, 384),
            (0xFF8106, 30),
            (0xFFEE01, 5),
        ]
        assert value(items, 0xDF8129) == h("30F0F000B0F0FF00")
        assert value(items, 0xDFEE12) == h("FFFFFF0200223D20000F")
        assert value(items, 0xDFEE26) == h("E100")

    def test_s01_inside_the_templates(self) -> None:
        items = decode(s.S01, vendor_lengths=True)
        record = find(items, 0xFF8105)
        assert record is not None
        assert record.children is not None
        marked = [(i.tag, i.form, len(i.value)) for i in record.children if i.form is not Form.PLAIN]
        assert marked == [
            (0x57, Form.MASKED, 18),
            (0x57, Form.ENCRYPTED, 24),
            (0x5A, Form.MASKED, 8),
            (0x5A, Form.ENCRYPTED, 16),
        ]
        assert value(items, 0xFF8105, 0x57) == h("5413CCCCCCCC1513D2012CCCCCCCCCCCCCCC")
        assert value(items, 0xFF8105, 0x5A) == h("5413CCCCCCCC1513")
        for tag, text in (
            (0x5F24, "201231"),
            (0x9F26, "E120C07356EA3DD8"),
            (0x9F27, "80"),
            (0x9F36, "36C3"),
            (0x9F37, "CF5F09A2"),
            (0x9F39, "07"),
            (0x9F1C, ""),
            (0x9F4E, ""),
        ):
            assert value(items, 0xFF8105, tag) == h(text)
        assert outline(find(items, 0xFF8106).children or ()) == [  # type: ignore[union-attr]
            (0xDF8115, "0000000000FF"),
            (0x9F42, "0978"),
            (0xDF810B, "00"),
            (0xDF810E, "00"),
            (0xDF810F, "00"),
        ]
        assert value(items, 0xFFEE01, 0xDFEE30) == b"\x00"

    def test_s03_a_transit_tap(self) -> None:
        items = decode(s.S03)
        for tag, text in (
            (0xDFEE12, "6299500010000640000A"),
            (0x82, "2000"),
            (0x84, "A0000000031010"),
            (0x9A, "230721"),
            (0x5F2A, "0764"),
            (0x9F02, "000000000000"),
            (0x9F10, "06401203A02000"),
            (0x9F27, "80"),
            (0x9F34, ""),
            (0x9F36, "04A6"),
            (0x9F6E, "20700000"),
        ):
            assert value(items, tag) == h(text)
        assert len(value(items, 0x57)) == 16

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (
                s.S05,
                [
                    (0x9F1A, "0764"),
                    (0xFF8105, [(0x9F1A, "0764"), (0x9F02, "000000001000")]),
                    (0x9F02, "000000001000"),
                    (0x5F2A, "0764"),
                ],
            ),
            (s.S06, [(0xFFEE01, [(0xDF30, "0C")])]),
            (
                s.S07,
                [
                    (0x9C, "00"),
                    (0x9F02, "000000000100"),
                    (0x9F03, "000000000000"),
                    (0xDFEF37, "07"),
                    (0xDFEF3C, "010060"),
                ],
            ),
            (s.S08, [(0x9F02, "00"), (0x9F03, "00"), (0xFFEE08, [(0xDFEF1A, "0A"), (0xDFED28, "03")])]),
        ],
        ids=["S05", "S06", "S07", "S08"],
    )
    def test_small_ones(self, data: bytes, expected: list[object]) -> None:
        assert outline(decode(data)) == expected

    def test_s09_zeros_inside_values_are_no_padding(self) -> None:
        decoded = decode_counted(s.S09)
        assert len(decoded.items) == 47
        assert decoded.padding == 0
        assert value(decoded.items, 0x9F4E) == bytes(30)
        assert value(decoded.items, 0x9F7C) == bytes(20)
        assert len(s.S09) == 355


class TestCardData:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (
                s.S10,
                [
                    (
                        0x77,
                        [
                            (0x9F10, "06011A23804004"),
                            (0x57, "4999999999999999D15092FFFFFFFFFFFFFF0F"),
                            (0x82, "2000"),
                            (0x9F36, "028F"),
                            (0x9F26, "FFFFFFFFFFFFFFFF"),
                            (0x9F6C, "1000"),
                        ],
                    )
                ],
            ),
            (s.S13, [(0x77, [(0x82, "1980"), (0x94, "100101011801010020010200")])]),
            (
                s.S14,
                [
                    (
                        0x6F,
                        [
                            (0x84, b"2PAY.SYS.DDF01".hex().upper()),
                            (
                                0xA5,
                                [
                                    (
                                        0xBF0C,
                                        [
                                            (
                                                0x61,
                                                [
                                                    (0x4F, "A0000000041010"),
                                                    (0x50, b"Mastercard".hex().upper()),
                                                    (0x87, "01"),
                                                ],
                                            )
                                        ],
                                    )
                                ],
                            ),
                        ],
                    )
                ],
            ),
            (
                s.S19_VISA,
                [
                    (0x89, b"627123".hex()),
                    (0x72, [(0x86, "04DA9F6B0A00000005000091986352")]),
                    (0x8A, "3030"),
                    (0x91, "A584F94900820000"),
                ],
            ),
            (
                s.S19_MASTERCARD,
                [(0x91, "FC436535D614F3730010"), (0x8A, "3030"), (0x89, b"819534".hex())],
            ),
            (s.S20_TWO, [(0xDF56, "001736")]),
        ],
        ids=["S10", "S13", "S14", "S19 Visa", "S19 Mastercard", "S20"],
    )
    def test_decodes(self, data: bytes, expected: list[object]) -> None:
        assert outline(decode(data)) == expected

    def test_s12_record_with_an_81_length(self) -> None:
        (record,) = decode(s.S12)
        assert record.tag == 0x70
        assert record.children is not None
        assert [(item.tag, len(item.value)) for item in record.children] == [
            (0x9F6C, 2),
            (0x9F62, 6),
            (0x9F63, 6),
            (0x56, 65),
            (0x9F64, 1),
            (0x9F65, 2),
            (0x9F66, 2),
            (0x9F6B, 19),
            (0x9F67, 1),
            (0x9F6E, 7),
        ]

    def test_s15_repeats_keep_their_order(self) -> None:
        items = decode(s.S15)
        directory = next(item for item in walk(items) if item.tag == 0xBF0C)
        assert directory.children is not None
        assert [item.tag for item in directory.children] == [0x61, 0x61, 0x9F35]
        first, second, _ = directory.children
        assert first.children is not None
        assert second.children is not None
        assert [i.tag for i in first.children] == [0x4F, 0x50, 0x87, 0x9F2A]
        assert value(first.children, 0x50) == b"Diners Club 01"
        assert value(second.children, 0x4F) == h("A0000003241010")

    def test_s17_record_with_a_test_card(self) -> None:
        (record,) = decode(s.S17)
        assert record.children is not None
        assert [(i.tag, len(i.value)) for i in record.children] == [(0x57, 17), (0x5F20, 12), (0x9F1F, 14)]
        assert value((record,), 0x70, 0x5F20) == b"EXPIRED/CARD"


REFUSED = [
    ("R01", h("5A80"), Reason.LENGTH_FORM, 1, 0x5A),
    ("R02", s.R02, Reason.LENGTH_FORM, 1, 0x70),
    ("R03", h("5A88FFFFFFFFFFFFFFFF"), Reason.LENGTH_FORM, 1, 0x5A),
    ("R06", h("5A82FFFF"), Reason.VALUE_CUT, 1, 0x5A),
    ("R07", h("5A8480000000"), Reason.LENGTH_SIGN, 1, 0x5A),
    ("R08", s.R08, Reason.VALUE_CUT, 38, 0x9F1F),
    ("R10 9F", h("9F"), Reason.TAG_CUT, 0, 0x9F),
    ("R10 DFEE", h("DFEE"), Reason.TAG_CUT, 0, 0xDFEE),
    ("R10 DF81", h("DF81"), Reason.TAG_CUT, 0, 0xDF81),
    ("R11 9F02", h("9F02"), Reason.LENGTH_CUT, 2, 0x9F02),
    ("R11 9F0281", h("9F0281"), Reason.LENGTH_CUT, 2, 0x9F02),
    ("R11 value", h("9F0206000000"), Reason.VALUE_CUT, 2, 0x9F02),
    ("R12", h("DFFFFFFFFF0100"), Reason.TAG_LONG, 0, 0xDFFFFFFF),
    ("R13", s.nested_e1(40), Reason.DEPTH, 16, 0xE1),
    ("R14", s.S01, Reason.LENGTH_FORM, 139, 0x57),
    ("S20 three", s.S20_THREE, Reason.VALUE_CUT, 5, 0x17),
    ("behind padding", h("00009F"), Reason.TAG_CUT, 2, 0x9F),
]


@pytest.mark.parametrize(("data", "reason", "offset", "tag"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_must_be_refused(data: bytes, reason: Reason, offset: int, tag: int) -> None:
    with pytest.raises(TlvError) as caught:
        decode(data)
    assert (caught.value.reason, caught.value.offset, caught.value.tag) == (reason, offset, tag)
    assert f"offset {offset}" in str(caught.value)
    assert f"{tag:X}" in str(caught.value)


@pytest.mark.parametrize("first", [0x80, *range(0x85, 0x100)])
@pytest.mark.parametrize("vendor", [False, True])
def test_length_octets_that_are_not_allowed(first: int, vendor: bool) -> None:
    data = bytes((0x5A, first)) + bytes(40)
    if vendor and (0xA1 <= first <= 0xA4 or 0xC1 <= first <= 0xC4):
        assert decode(data, vendor_lengths=True)[0].form is not Form.PLAIN
        return
    with pytest.raises(TlvError) as caught:
        decode(data, vendor_lengths=vendor)
    assert caught.value.reason is Reason.LENGTH_FORM


ACCEPTED = [
    ("A01", h("DFFF84010155"), [(0xDFFF8401, "55")]),
    ("A03", h("9F3602000100009F2701800000"), [(0x9F36, "0001"), (0x9F27, "80")]),
    ("A04 81", h("5A81084761739001010010"), [(0x5A, "4761739001010010")]),
    ("A04 82", h("5A8200084761739001010010"), [(0x5A, "4761739001010010")]),
    ("A05", h("E1099F2701809F36020001"), [(0xE1, [(0x9F27, "80"), (0x9F36, "0001")])]),
    ("A06", h("FFEE1F0424000005"), [(0xFFEE1F, "24000005")]),
    ("A07", h("FFEE130425423132"), [(0xFFEE13, "25423132")]),
    ("A07 track 2", h("FFEE140425423132"), [(0xFFEE14, "25423132")]),
    ("A08 empty", b"", []),
    ("A08 zeros", h("0000"), []),
    ("A09", h("9F3400"), [(0x9F34, "")]),
    ("A09 three bytes", h("DFEF4D00"), [(0xDFEF4D, "")]),
    ("83 and 84", h("5A8300000101") + h("5A840000000102"), [(0x5A, "01"), (0x5A, "02")]),
]


@pytest.mark.parametrize(("data", "expected"), [a[1:] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED])
def test_must_be_accepted(data: bytes, expected: list[object]) -> None:
    assert outline(decode(data)) == expected


def test_padding_is_counted_on_every_level() -> None:
    assert decode_counted(h("9F3602000100009F2701800000")).padding == 4
    assert decode_counted(h("00E106009F27018000")).padding == 3
    assert decode_counted(h("0000")).padding == 2


def test_long_lengths_come_back_short() -> None:
    assert encode(decode(h("5A81084761739001010010"))) == h("5A084761739001010010")
    assert encode(decode(h("5A8200084761739001010010"))) == h("5A084761739001010010")
    assert encode((Tlv(0x5A, bytes(128)),))[:3] == h("5A8180")
    assert encode((Tlv(0x5A, bytes(256)),))[:4] == h("5A820100")


def test_marked_lengths_survive_and_are_refused_unasked() -> None:
    items = decode(s.S01, vendor_lengths=True)
    assert encode(items, vendor_lengths=True) == s.S01
    with pytest.raises(ValueError, match="57 is masked"):
        encode(items)


def test_a_marked_template_is_not_read_into() -> None:
    (item,) = decode(h("E1C1029F36"), vendor_lengths=True)
    assert (item.children, item.value, item.form) == (None, h("9F36"), Form.ENCRYPTED)


class TestLimits:
    def test_depth(self) -> None:
        assert len(list(walk(decode(s.nested_e1(LIMITS.depth))))) == LIMITS.depth
        with pytest.raises(TlvError, match="nested too deep"):
            decode(s.nested_e1(LIMITS.depth + 1))

    def test_count(self) -> None:
        assert len(decode(h("5A00") * LIMITS.count)) == LIMITS.count
        with pytest.raises(TlvError) as caught:
            decode(h("5A00") * (LIMITS.count + 1))
        assert (caught.value.reason, caught.value.offset) == (Reason.COUNT, 2 * LIMITS.count)

    def test_count_runs_over_all_levels(self) -> None:
        with pytest.raises(TlvError) as caught:
            decode(h("E1045A005A00") * 2, limits=Limits(count=5))
        assert (caught.value.reason, caught.value.offset) == (Reason.COUNT, 10)

    def test_size(self) -> None:
        assert decode(bytes(LIMITS.size)) == ()
        with pytest.raises(TlvError) as caught:
            decode(bytes(LIMITS.size + 1))
        assert (caught.value.reason, caught.value.offset, caught.value.tag) == (Reason.SIZE, LIMITS.size, None)


def test_nothing_shows_a_value() -> None:
    (record,) = decode(s.S17)
    for shown in (repr(record), str(record), f"{record}"):
        assert "4761739001010119" not in shown
        assert "4761" not in shown
        assert b"EXPIRED".hex().upper() not in shown.upper()
    assert repr(record) == "<Tlv 70[51] {<Tlv 57[17]>, <Tlv 5F20[12]>, <Tlv 9F1F[14]>}>"
    with pytest.raises(TlvError) as caught:
        decode(s.R08)
    assert "4761739001010119" not in str(caught.value) + repr(caught.value)


def test_spans_see_the_outermost_level_only() -> None:
    data = h("00 9F360200015A00E1029F36")  # the template's inside is damaged
    assert [(x.tag, data[x.start : x.end], data[x.value_at : x.end]) for x in spans(data)] == [
        (0x9F36, h("9F36020001"), h("0001")),
        (0x5A, h("5A00"), b""),
        (0xE1, h("E1029F36"), h("9F36")),
    ]
    damaged = spans(h("9F3602000157FF"))
    assert next(damaged).tag == 0x9F36
    with pytest.raises(TlvError) as caught:
        next(damaged)
    assert caught.value.offset == 6


def test_template_equals_what_decode_makes() -> None:
    built = Tlv.template(0xE1, (Tlv(0x9F27, b"\x80"), Tlv(0x9F36, b"\x00\x01")))
    assert decode(encode((built,))) == (built,)


@pytest.mark.parametrize("tag", [0, 0x9F, 0x5A02, 0x9F82, 0xDF0102, 0x1_0000_0000, 0xDFFFFFFF])
def test_not_a_tag(tag: int) -> None:
    with pytest.raises(ValueError, match="is not a tag"):
        tag_bytes(tag)


@pytest.mark.parametrize("tag", [0x5A, 0x9F02, 0xDF8129, 0xDFFF8401, 0xFFFF8406])
def test_a_tag(tag: int) -> None:
    assert int.from_bytes(tag_bytes(tag), "big") == tag


def test_children_need_a_constructed_tag() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        encode((Tlv(0x5A, b"", (Tlv(0x57, b"\x01"),)),))
    with pytest.raises(ValueError, match="cannot hold"):
        encode((Tlv(0xFFEE1F, b"", ()),))


def test_time_is_linear_in_the_size() -> None:
    """Eight times the input may take eight times as long, not sixty-four: 20 leaves room for a busy machine."""
    wide = Limits(count=1 << 20, size=1 << 22)
    small, large = h("5A0101") * 4_000, h("5A0101") * 32_000

    def took(data: bytes) -> float:
        start = time.process_time()
        decode(data, limits=wide)
        return time.process_time() - start

    assert min(took(large) for _ in range(3)) < 20 * min(took(small) for _ in range(3))
