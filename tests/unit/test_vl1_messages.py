"""The messages of links.md: every field there and back, and every way in which one can be wrong."""

from __future__ import annotations

import dataclasses

import pytest

from device.tlv import Tlv, decode, encode
from device.vl1.fields import FieldError
from device.vl1.limits import PAYLOAD_MIN
from device.vl1.messages import (
    Beeps,
    ConfigMessage,
    GreetingError,
    Hello,
    HelloAck,
    Light,
    Message,
    MessageError,
    Oda,
    Position,
    Shown,
    StatusMessage,
    StatusState,
    TapKeptMessage,
    TapKind,
    TapMessage,
    TapNumber,
    VerdictCode,
    VerdictMessage,
    Where,
    clipped,
    decode_message,
    read_tap_number,
    stable_payload,
    with_age_and_shown,
)
from tests.golden import vl1_vectors as v

FULL_TAP = TapMessage(
    tap=TapNumber(3, 17),
    tapped_at=1_790_000_000_123_456,
    kind=TapKind.CHECK_OUT,
    amount=250,
    currency="978",
    stop="Zürich HB",
    oda=Oda.GOOD,
    token=bytes(range(32)),
    age_ms=1234,
    shown=Shown.TURNED_AWAY,
    where=Where("12", "12-0815", "BUS 7", Position(-33_868_820, 151_209_290)),
    card=v.TAP.card,
)
ALL: list[Message] = [
    v.TAP,
    FULL_TAP,
    TapMessage(TapNumber(0, 0)),
    TapMessage(TapNumber(0xFFFFFFFF, 0xFFFFFFFF), kind=0x7F, amount=0, currency="036"),
    TapKeptMessage(TapNumber(1, 2)),
    v.VERDICT,
    VerdictMessage(
        TapNumber(3, 17),
        VerdictCode.DENIED,
        reason="action.116",
        text="Not enough money\nPlease pay at the desk",
        light=Light.RED,
        beeps=Beeps(0, long=True),
        amount=0,
        show_seconds=3,
    ),
    VerdictMessage(None, VerdictCode.TRY_AGAIN, "malformed"),
    StatusMessage(StatusState.TAMPER, "case open", 86_400),
    StatusMessage(StatusState.READY),
    ConfigMessage(lane_open=False),
    ConfigMessage(lane_open=True, time_us=1_790_000_000_000_000, language="de", idle_text="Karte\nvorhalten"),
    ConfigMessage(),
]


def tap(*items: Tlv) -> bytes:
    return b"\x01" + encode((Tlv(0xDF8A01, bytes(7) + b"\x05"), *items))


@pytest.mark.parametrize("message", ALL)
def test_there_and_back(message: Message) -> None:
    assert decode_message(message.encode()) == message


def test_every_field_of_a_tap_stands_where_links_md_says() -> None:
    fields = {item.tag: item.value for item in decode(FULL_TAP.encode()[1:])}
    assert FULL_TAP.encode()[0] == 0x01
    assert fields[0xDF8A01] == bytes.fromhex("0000000300000011")
    assert fields[0xDF8A02] == (1_790_000_000_123_456).to_bytes(8, "big")
    assert fields[0xDF8A03] == b"\x06"
    assert fields[0xDF8A04] == bytes.fromhex("000000fa")
    assert fields[0xDF8A05] == bytes.fromhex("0978")
    assert fields[0xDF8A06] == "Zürich HB".encode()
    assert fields[0xDF8A07] == b"\x01"
    assert fields[0xDF8A08] == bytes(range(32))
    assert fields[0xDF8A09] == (1234).to_bytes(4, "big")
    assert fields[0xDF8A0A] == b"\x02"
    where = {item.tag: item.value for item in decode(fields[0xFF8A10])}
    assert where == {
        0xDF8A11: b"12",
        0xDF8A12: b"12-0815",
        0xDF8A13: b"BUS 7",
        0xDF8A14: (-33_868_820).to_bytes(4, "big", signed=True) + (151_209_290).to_bytes(4, "big"),
    }


def test_the_card_is_everything_that_is_not_ours_in_order() -> None:
    message = decode_message(
        tap(
            Tlv(0x9F36, b"\x00\x01"),
            Tlv(0xDF8A0B, b"new"),
            Tlv(0xDFFF8401, b"\x00"),
            Tlv.template(0xFF8A10, (Tlv(0xDF8A15, b"new"),)),
            Tlv(0x9F36, b"\x00\x02"),
        )
    )
    assert isinstance(message, TapMessage)
    assert [(item.tag, item.value) for item in message.card] == [
        (0x9F36, b"\x00\x01"),
        (0xDFFF8401, b"\x00"),
        (0x9F36, b"\x00\x02"),
    ]
    assert message.where == Where()


def test_unknown_tags_are_ignored() -> None:
    for message in (v.TAP_KEPT, v.VERDICT, StatusMessage(0), ConfigMessage(True)):
        more = message.encode() + encode((Tlv(0xDF8A7F, b"\x01"), Tlv.template(0xFF8A7E, (Tlv(0x5A, b""),))))
        assert decode_message(more) == message


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (tap(Tlv(0xDF8A02, bytes(7))), "DF8A02 must have 8 bytes, has 7"),
        (tap(Tlv(0xDF8A03, b"")), "DF8A03 must have 1 bytes, has 0"),
        (tap(Tlv(0xDF8A04, bytes(6))), "DF8A04 must have 4 bytes, has 6"),
        (tap(Tlv(0xDF8A04, bytes(4)), Tlv(0xDF8A04, bytes(4))), "DF8A04 stands twice"),
        (tap(Tlv(0xDF8A05, b"\x09\x7a")), "DF8A05 is not BCD of 3 digits"),
        (tap(Tlv(0xDF8A05, b"\x19\x78")), "DF8A05 is not BCD of 3 digits"),
        (tap(Tlv(0xDF8A06, b"x" * 33)), "DF8A06 must have at most 32 bytes, has 33"),
        (tap(Tlv(0xDF8A06, b"\xff\xfe")), "DF8A06 is not UTF-8"),
        (tap(Tlv(0xDF8A06, b"a\x1b[2J")), "DF8A06 holds a control character"),
        (tap(Tlv(0xDF8A07, b"\x03")), "DF8A07 must be at most 02"),
        (tap(Tlv(0xDF8A08, bytes(31))), "DF8A08 must have 32 bytes, has 31"),
        (tap(Tlv(0xDF8A0A, b"\x03")), "DF8A0A must be at most 02"),
        (tap(Tlv.template(0xFF8A10, (Tlv(0xDF8A14, bytes(4)),))), "DF8A14 must have 8 bytes, has 4"),
        (tap() + bytes.fromhex("5a0847"), "tag 5A at offset 13: the length says more than is left"),
        (tap(Tlv(0xE1, bytes.fromhex("9f3604"))), "tag 9F36 at offset 16: the length says more than is left"),
    ],
)
def test_a_malformed_tap_still_has_its_id(payload: bytes, what: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode_message(payload)
    assert caught.value.tap == TapNumber(0, 5)
    assert caught.value.number == 0x01
    assert caught.value.what == f"TAP: {what}"


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01",
        b"\x01" + encode((Tlv(0xDF8A04, bytes(4)),)),
        b"\x01" + encode((Tlv(0xDF8A01, bytes(7)),)),
        b"\x01" + encode((Tlv(0xDF8A01, bytes(8)), Tlv(0xDF8A01, bytes(8)))),
        bytes.fromhex("015a80") + tap()[1:],
    ],
    ids=["empty", "missing", "short", "twice", "behind damage"],
)
def test_a_tap_whose_id_cannot_be_read(payload: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        decode_message(payload)
    assert caught.value.tap is None
    assert caught.value.number == 0x01


@pytest.mark.parametrize(
    ("payload", "number", "what"),
    [
        (b"", None, "an empty message"),
        (b"\x00", 0, "message number 00 is not known"),
        (b"\x06\x5a\x00", 6, "message number 06 is not known"),
        (b"\x03", 3, "VERDICT: DF8A21 is missing"),
        (b"\x02", 2, "TAP_KEPT: DF8A01 is missing"),
        (b"\x04", 4, "STATUS: DF8A31 is missing"),
        (b"\x05" + encode((Tlv(0xDF8A44, b"\x02"),)), 5, "CONFIG: DF8A44 must be at most 01"),
        (
            b"\x03" + encode((Tlv(0xDF8A21, b"\x01"), Tlv(0xDF8A23, b"a\nb\nc"))),
            3,
            "VERDICT: DF8A23 holds a control character",
        ),
        (b"\x05" + encode([Tlv(0xDF8A42, b"d")]), 5, "CONFIG: DF8A42 must have 2 bytes, has 1"),
    ],
)
def test_other_messages_that_cannot_be_understood(payload: bytes, number: int | None, what: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode_message(payload)
    assert (caught.value.number, caught.value.what) == (number, what)


def test_no_error_and_no_repr_shows_card_data_or_token() -> None:
    shown = repr(FULL_TAP) + str(FULL_TAP)
    for damage in range(1, len(FULL_TAP.encode())):
        try:
            shown += repr(decode_message(FULL_TAP.encode()[:damage]))
        except MessageError as exc:
            shown += f"{exc!r} {exc} {exc.__cause__!r}"
    for secret in ("4761739001010010", "476173", "0010d3112", bytes(range(32)).hex()):
        assert secret not in shown
        assert secret not in shown.lower()
    assert "\\x10\\x11\\x12" not in shown


class TestStablePayload:
    def test_age_and_shown_are_left_out_and_nothing_else(self) -> None:
        with_both = FULL_TAP.encode()
        without = dataclasses.replace(FULL_TAP, age_ms=None, shown=Shown.NOTHING).encode()
        assert stable_payload(with_both) == without
        assert stable_payload(without) == without

    @pytest.mark.parametrize("age", [None, 0, 5, 0xFFFFFFFF])
    @pytest.mark.parametrize("shown", Shown)
    def test_each_sending_of_a_stored_tap_has_the_same(self, age: int | None, shown: Shown) -> None:
        sending = with_age_and_shown(v.TAP.encode(), age, shown)
        assert stable_payload(sending) == v.TAP.encode()
        message = decode_message(sending)
        assert message == dataclasses.replace(v.TAP, age_ms=age, shown=shown)

    def test_only_outermost_objects_go(self) -> None:
        inner = tap(Tlv.template(0xE1, (Tlv(0xDF8A09, bytes(4)),)))
        assert stable_payload(inner) == inner

    def test_padding_long_lengths_and_repeats_stay_as_they_are(self) -> None:
        odd = bytes.fromhex("01 00 5a81021122 df8a0901ff 00 df8a0a00 9f368200010a df8a0900 00")
        assert stable_payload(odd) == bytes.fromhex("01 00 5a81021122 00 9f368200010a 00")

    def test_a_damaged_template_does_not_keep_the_age_in(self) -> None:
        damaged = Tlv(0xE1, bytes.fromhex("9f3604"))
        assert stable_payload(tap(damaged, Tlv(0xDF8A09, b"\x01\x02\x03\x04"))) == tap(damaged)

    @pytest.mark.parametrize("payload", ["", "01", "01df8a09", "015a80", "01df8a090400000001 5a80"])
    def test_what_cannot_be_read_stays_as_it_is(self, payload: str) -> None:
        assert stable_payload(bytes.fromhex(payload)) == bytes.fromhex(payload)


def test_the_id_is_read_out_of_a_damaged_payload() -> None:
    assert read_tap_number(v.TAP.encode()) == TapNumber(3, 17)
    assert read_tap_number(v.TAP.encode()[:30]) == TapNumber(3, 17)
    assert read_tap_number(v.TAP.encode()[:10]) is None
    assert read_tap_number(b"") is None


class TestGreeting:
    def test_there_and_back(self) -> None:
        for hello in (v.HELLO, Hello("S", 0, 0), Hello("S", 1, 2, "T", "F", (1, 3), 512)):
            assert Hello.parse(hello.encode()) == hello
        for answer in (v.HELLO_ACK, HelloAck(), HelloAck(None, 5), HelloAck(TapNumber(1, 2), None, 2)):
            assert HelloAck.parse(answer.encode()) == answer

    def test_optional_parts(self) -> None:
        items = decode(v.HELLO.encode())
        least = encode(item for item in items if item.tag not in (0xDF8A52, 0xDF8A54, 0xDF8A55))
        assert Hello.parse(least) == Hello("VAL00042", 3, 17)

    @pytest.mark.parametrize("tag", [0xDF8A51, 0xDF8A53, 0xDF8A56, 0xDF8A57])
    def test_what_must_be_there(self, tag: int) -> None:
        with pytest.raises(GreetingError, match="HELLO lacks"):
            Hello.parse(encode(item for item in decode(v.HELLO.encode()) if item.tag != tag))

    @pytest.mark.parametrize("payload", ["df8a53", "df8a530101", "df8a510101", "5a80"])
    def test_what_cannot_be_read(self, payload: str) -> None:
        with pytest.raises(GreetingError):
            Hello.parse(bytes.fromhex(payload))

    def test_answers_that_cannot_be_read(self) -> None:
        for payload in ("", "df8a510201 01", "df8a51", "df8a510101 df8a580101"):
            with pytest.raises(GreetingError, match="HELLO_ACK"):
                HelloAck.parse(bytes.fromhex(payload))

    @pytest.mark.parametrize(("versions", "ours"), [((1, 1), True), ((0, 9), True), ((2, 3), False), ((0, 0), False)])
    def test_versions(self, versions: tuple[int, int], ours: bool) -> None:
        assert dataclasses.replace(v.HELLO, versions=versions).is_usable is ours


def test_the_longest_message_down_fits_where_it_must() -> None:
    longest = dataclasses.replace(v.VERDICT, reason="x" * 32, text="x" * 64, amount=1 << 31, show_seconds=255).encode()
    config = ConfigMessage(True, 1 << 63, "en", "x" * 64).encode()
    assert max(len(longest), len(config)) <= PAYLOAD_MIN
    assert not dataclasses.replace(v.HELLO, largest_payload=PAYLOAD_MIN - 1).is_usable
    assert dataclasses.replace(v.HELLO, largest_payload=PAYLOAD_MIN).is_usable


class TestEncodingRefuses:
    @pytest.mark.parametrize(
        "message",
        [
            dataclasses.replace(FULL_TAP, amount=1 << 32),
            dataclasses.replace(FULL_TAP, amount=-1),
            dataclasses.replace(FULL_TAP, stop="x" * 33),
            dataclasses.replace(FULL_TAP, token=b"short"),
            dataclasses.replace(FULL_TAP, currency="12345"),
            dataclasses.replace(FULL_TAP, currency="EUR"),
            VerdictMessage(None, 1, text="ä" * 33),
            VerdictMessage(None, 1, text="a\nb\nc"),
            VerdictMessage(None, 1, reason="für"),
            VerdictMessage(None, 256),
            ConfigMessage(language="deu"),
        ],
    )
    def test_what_does_not_fit(self, message: Message) -> None:
        with pytest.raises(FieldError):
            message.encode()


@pytest.mark.parametrize(
    ("text", "limit", "result"),
    [
        ("Good trip", 64, "Good trip"),
        ("ä" * 40, 64, "ä" * 32),
        ("xä", 2, "x"),
        ("a\tb\x00c", 64, "a b c"),
        ("one\ntwo\nthree", 64, "one\ntwo three"),
    ],
)
def test_clipped(text: str, limit: int, result: str) -> None:
    assert clipped(text, limit) == result
    VerdictMessage(None, 1, text=clipped(text, 64)).encode()


def test_accepting_verdicts() -> None:
    accepting = {code for code in VerdictCode if VerdictMessage(None, code).accepts}
    assert accepting == {VerdictCode.ACCEPTED, VerdictCode.CHECKED_IN, VerdictCode.CHECKED_OUT}
