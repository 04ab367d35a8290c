"""ViVOpay frames and the decoder: the published frames, CRC orders, damage, padding, text, silence, bounds."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA
from device.vivopay.decoder import Decoder, Item, listed
from device.vivopay.frames import (
    HEADER,
    CrcOrder,
    Frame,
    Side,
    checksum,
    encode_answer,
    encode_command,
    order_of,
)
from device.vivopay.garbage import Garbage, GarbageReason
from device.vivopay.limits import DATA_MAX, OVERHEAD, RUN_MAX, SILENCE_SECONDS
from tests.golden.vivopay_frames import FRAMES, Published

NOW = 100.0
PING, PONG = FRAMES["ping"].octets, FRAMES["ping answered"].octets
TAP = FRAMES["encrypted Mastercard"].octets
TAMPER = "DEVICE OUT OF SERVICE"
PAN = "4761739001010119"

published = pytest.mark.parametrize("frame", FRAMES.values(), ids=list(FRAMES))


def decoded(*parts: bytes, side: Side = Side.ANSWERS, silent: bool = True) -> list[Item]:
    """What comes out of these parts, and of the silence after them."""
    decoder = Decoder(side)
    items = [item for part in parts for item in decoder.feed(part, NOW)]
    if silent:
        items += decoder.tick(NOW + SILENCE_SECONDS)
        assert decoder.deadline is None
    return items


def side_of(frame: Published) -> Side:
    return Side.COMMANDS if frame.is_command else Side.ANSWERS


def frames_in(items: list[Item]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def garbage_in(items: list[Item]) -> list[Garbage]:
    return [item for item in items if isinstance(item, Garbage)]


class TestPublished:
    @published
    def test_encodes(self, frame: Published) -> None:
        encode = encode_command if frame.is_command else encode_answer
        assert encode(frame.command, frame.code, bytes.fromhex(frame.data)) == frame.octets

    @published
    def test_whole_and_byte_by_byte(self, frame: Published) -> None:
        expected = Frame(frame.command, frame.code, bytes.fromhex(frame.data))
        assert decoded(frame.octets, side=side_of(frame)) == [expected]
        assert decoded(*(bytes((octet,)) for octet in frame.octets), side=side_of(frame)) == [expected]
        assert decoded(frame.octets * 3, side=side_of(frame)) == [expected] * 3

    @published
    def test_only_its_own_side_takes_it(self, frame: Published) -> None:
        other = Side.ANSWERS if frame.is_command else Side.COMMANDS
        assert frames_in(decoded(frame.octets, side=other)) == []
        (found,) = frames_in(decoded(frame.octets, side=Side.BOTH))
        assert found.crc is frame.order

    @published
    def test_any_flipped_bit_is_noticed(self, frame: Published) -> None:
        for at in range(len(frame.octets)):
            for bit in (0, 3, 7):
                damaged = bytearray(frame.octets)
                damaged[at] ^= 1 << bit
                assert frames_in(decoded(bytes(damaged), side=side_of(frame))) == [], at

    def test_the_simulated_cards_are_the_published_ones(self) -> None:
        assert encode_answer(0x02, 0x23, PLAIN_VISA) == FRAMES["plain Visa"].octets
        assert encode_answer(0x02, 0x23, ENCRYPTED_MASTERCARD) == TAP


class TestCrcOrder:
    @pytest.mark.parametrize(
        ("command", "sub"), [(0x2C, 0x02), (0x2C, 0x0E), (0x0A, 0x02), (0x0B, 0x00), (0x0B, 0x7F), (0x90, 0x07)]
    )
    def test_pass_through_and_maintenance_commands_have_the_high_byte_first(self, command: int, sub: int) -> None:
        wire = encode_command(command, sub, b"\x01\x02")
        assert int.from_bytes(wire[-2:], "big") == checksum(wire[:-2])
        assert decoded(wire, side=Side.COMMANDS) == [Frame(command, sub, b"\x01\x02")]

    @pytest.mark.parametrize(("command", "sub"), [(0x2C, 0x03), (0x0A, 0x03), (0x90, 0x06), (0x18, 0x01)])
    def test_other_commands_have_the_low_byte_first(self, command: int, sub: int) -> None:
        assert order_of(command, sub) is CrcOrder.LOW_FIRST
        wire = encode_command(command, sub)
        assert int.from_bytes(wire[-2:], "little") == checksum(wire[:-2])
        assert frames_in(decoded(wire[:-2] + wire[:-3:-1], side=Side.COMMANDS)) == []

    def test_equal_bytes_have_no_order(self) -> None:
        data = next(n.to_bytes(2, "big") for n in range(1 << 16) if _crc_of(n) % 257 == 0)
        for side in Side:
            (frame,) = decoded(encode_answer(0x18, 0x01, data), side=side)
            assert isinstance(frame, Frame)
            assert frame.crc is CrcOrder.EITHER


def _crc_of(number: int) -> int:
    wire = encode_answer(0x18, 0x01, number.to_bytes(2, "big"))
    return int.from_bytes(wire[-2:], "big")


class TestPadding:
    def test_runs_of_00_between_frames_are_passed_over(self) -> None:
        decoder = Decoder()
        items = list(decoder.feed(bytes(7) + PONG + bytes(50) + PONG + bytes(41), NOW))
        assert items == [Frame(0x18, 0x00)] * 2
        assert decoder.passed_over == 98
        assert decoder.deadline is None

    def test_a_crc_that_ends_in_00_is_not_padding(self) -> None:
        data = next(n.to_bytes(2, "big") for n in range(1 << 16) if _crc_of(n) & 0xFF == 0)
        wire = encode_answer(0x18, 0x01, data)
        assert wire[-1] == 0
        for tail in (b"", bytes(1), bytes(30)):
            assert decoded(wire + tail + PONG) == [Frame(0x18, 0x01, data), Frame(0x18, 0x00)]
        assert decoded(wire[:-1], wire[-1:]) == [Frame(0x18, 0x01, data)]

    def test_00_inside_data_stay(self) -> None:
        wire = encode_answer(0x12, 0x00, bytes(40))
        assert decoded(wire) == [Frame(0x12, 0x00, bytes(40))]


class TestDamage:
    def test_the_header_s_own_bytes_before_a_frame(self) -> None:
        items = decoded(HEADER[:6] + PONG)
        assert frames_in(items) == [Frame(0x18, 0x00)]
        assert sum(item.size for item in garbage_in(items)) == 6

    def test_one_byte_is_dropped_and_the_frame_behind_is_found(self) -> None:
        bad = bytearray(TAP)
        bad[-1] ^= 1
        (garbage, *more, frame) = decoded(bytes(bad) + PONG)
        assert frame == Frame(0x18, 0x00)
        assert garbage == Garbage(GarbageReason.CRC, RUN_MAX, command=0x02)
        assert garbage.size + sum(item.size for item in garbage_in(more)) == len(TAP)

    def test_a_frame_inside_a_damaged_one_is_found(self) -> None:
        """A length that grew swallows what follows; its CRC is wrong, and the next header is looked for inside."""
        bad = bytearray(PONG)
        bad[13] = 2 * OVERHEAD
        assert frames_in(decoded(bytes(bad) + PONG * 3)) == [Frame(0x18, 0x00)] * 3

    @pytest.mark.parametrize("length", [DATA_MAX + 1, 0xFFFF])
    def test_a_length_above_the_bound_waits_for_nothing(self, length: int) -> None:
        bad = HEADER + b"\x02\x23" + length.to_bytes(2, "big") + bytes(2)
        items = decoded(bad + PONG, silent=False)
        assert items[-1] == Frame(0x18, 0x00)
        assert garbage_in(items)[0].reason is GarbageReason.LENGTH

    def test_the_longest_frame_and_one_more(self) -> None:
        data = random.Random(1).randbytes(DATA_MAX)
        assert decoded(encode_answer(0x02, 0x23, data)) == [Frame(0x02, 0x23, data)]
        with pytest.raises(ValueError, match="at most 4096"):
            encode_answer(0x02, 0x23, data + b"\x00")

    def test_no_repr_shows_data(self) -> None:
        bad = bytearray(FRAMES["plain Visa"].octets)
        bad[-1] ^= 1
        shown = repr(decoded(FRAMES["plain Visa"].octets)) + repr(decoded(bytes(bad))) + repr(decoded(PAN.encode()))
        assert "4999" not in shown
        assert PAN not in shown
        assert "data" not in shown


class TestSilence:
    def test_half_a_frame_is_garbage_after_250_ms_and_the_next_is_taken(self) -> None:
        decoder = Decoder()
        assert list(decoder.feed(TAP[:101], NOW)) == []
        assert decoder.deadline == NOW + SILENCE_SECONDS
        assert list(decoder.tick(NOW + SILENCE_SECONDS - 0.01)) == []
        assert list(decoder.tick(NOW + SILENCE_SECONDS)) == [Garbage(GarbageReason.CUT, 101, command=0x02)]
        assert list(decoder.feed(PONG, NOW + 1)) == [Frame(0x18, 0x00)]

    def test_frames_that_a_wrong_length_held_back_come_out(self) -> None:
        bad = bytearray(PONG)
        bad[12] = 0x0F
        decoder = Decoder()
        assert list(decoder.feed(bytes(bad) + PONG + PONG, NOW)) == []
        items = list(decoder.tick(NOW + SILENCE_SECONDS))
        assert frames_in(items) == [Frame(0x18, 0x00)] * 2
        assert garbage_in(items) == [Garbage(GarbageReason.CUT, OVERHEAD, command=0x18)]

    def test_silence_counts_from_the_last_byte(self) -> None:
        decoder = Decoder()
        for at in range(len(TAP) - 1):
            assert list(decoder.feed(TAP[at : at + 1], NOW + 0.2 * at)) == []
            assert list(decoder.tick(NOW + 0.2 * at + 0.19)) == []
        (frame,) = decoder.feed(TAP[-1:], NOW + 0.2 * len(TAP))
        assert isinstance(frame, Frame)

    def test_bytes_that_waited_are_heard_before_silence_is_judged(self) -> None:
        decoder = Decoder()
        assert list(decoder.feed(TAP[:100], NOW)) == []
        (frame,) = decoder.feed(TAP[100:], NOW + 30)
        assert isinstance(frame, Frame)

    def test_a_reset_forgets(self) -> None:
        decoder = Decoder()
        list(decoder.feed(TAP[:200], NOW))
        decoder.reset()
        assert decoder.deadline is None
        assert list(decoder.feed(PONG, NOW)) == [Frame(0x18, 0x00)]


class TestText:
    def test_a_line_comes_out_at_its_end(self) -> None:
        assert decoded(f"{TAMPER}\r\n".encode(), silent=False) == [Garbage(GarbageReason.TEXT, 21, TAMPER)]
        (text,) = garbage_in(decoded(f"{TAMPER}\r\n".encode()))
        assert text.text == TAMPER

    def test_lines_without_an_end_come_out_before_a_frame_or_with_silence(self) -> None:
        before, frame = decoded(TAMPER.encode() + PONG)
        assert (before, frame) == (Garbage(GarbageReason.TEXT, 21, TAMPER), Frame(0x18, 0x00))
        assert decoded(f"  {TAMPER}\t".encode() + bytes(9)) == [Garbage(GarbageReason.TEXT, 24, TAMPER)]

    def test_text_before_a_damaged_frame_is_still_text(self) -> None:
        bad = bytearray(PONG)
        bad[-1] ^= 1
        assert decoded(TAMPER.encode() + bad) == [
            Garbage(GarbageReason.TEXT, 21, TAMPER),
            Garbage(GarbageReason.CRC, OVERHEAD, command=0x18),
        ]

    def test_what_a_damaged_frame_holds_is_never_text(self) -> None:
        """A cardholder's name or a track in the open, between bytes that look like the ends of lines."""
        wire = bytearray(encode_answer(0x02, 0x23, b"\x01\x5f\x20\x0aCARDHOLDER\x50\x0aMasterCard\r\nB" + PAN.encode()))
        for damaged in (wire[:-1] + b"\x00", b"X" + wire[1:], wire[:20] + wire[21:], wire[:-9]):
            assert [item.text for item in garbage_in(decoded(bytes(damaged)))] == [None]

    def test_a_frame_or_silence_lets_text_be_heard_again(self) -> None:
        items = decoded(b"\x80\x81" + TAMPER.encode() + b"\r\n" + PONG + TAMPER.encode())
        assert [item.text for item in garbage_in(items)] == [None, TAMPER]

    @pytest.mark.parametrize("before", range(240, 257))
    def test_a_card_number_is_never_cut_in_two(self, before: int) -> None:
        text = "." * before + "4761 7390 0101 0119" + "." * 300
        said = [item.text or "" for item in garbage_in(decoded(text.encode()))]
        assert sum("4761 7390 0101 0119" in part for part in said) == 1
        assert "".join(said).replace(" ", "") == text.replace(" ", "")

    def test_digits_without_end_are_no_text(self) -> None:
        items = garbage_in(decoded(b"7" * (RUN_MAX + 40) + b"\r\n"))
        assert [(item.text, item.size) for item in items] == [(None, RUN_MAX), (None, 42)]

    def test_at_from_a_modem_manager_is_a_short_text(self) -> None:
        assert decoded(b"AT\r") == [Garbage(GarbageReason.TEXT, 2, "AT")]


class TestBounds:
    def test_memory_is_bounded_and_endless_noise_is_not_silent(self) -> None:
        for octet in (b"\x80", b"V", b"7", b"a", HEADER, HEADER + b"\x02\x23\x10\x00"):
            decoder, reported = Decoder(), 0
            for _ in range(500):
                reported += sum(item.size for item in garbage_in(list(decoder.feed(octet * 77, NOW))))
                assert len(decoder._held) < OVERHEAD + DATA_MAX
                assert len(decoder._run._held) < RUN_MAX
            assert 500 * 77 * len(octet) - reported - decoder.passed_over <= OVERHEAD + DATA_MAX + RUN_MAX

    def test_time_is_linear_however_the_stream_is_cut(self) -> None:
        """Eight times the stream may take eight times as long, not sixty-four: 20 leaves room for a busy machine."""
        bad = bytearray(TAP)
        bad[12] = 0x0F
        stream = bytes(bad) + TAP + b"\x80" * 700 + TAMPER.encode()

        def took(repeats: int, step: int) -> float:
            decoder, data = Decoder(), stream * repeats
            start = time.process_time()
            for at in range(0, len(data), step):
                decoder.feed(data[at : at + step], NOW)
            return time.process_time() - start

        assert min(took(8, 1) for _ in range(2)) < 20 * min(took(1, 1) for _ in range(3))
        assert min(took(80, 1 << 20) for _ in range(2)) < 20 * min(took(10, 1 << 20) for _ in range(3))


def test_feed_takes_all_in_even_if_nobody_looks() -> None:
    decoder = Decoder()
    decoder.feed(PONG[:5], NOW)
    assert list(decoder.feed(PONG[5:], NOW)) == [Frame(0x18, 0x00)]


def test_listed_finds_both_sides_with_their_places() -> None:
    data = b"\x00\x80" + PING + b"AT\r" + PONG + bytes(4) + TAP[:300]
    items = list(listed(data))
    assert [(item.offset, type(item)) for item in items] == [
        (1, Garbage), (2, Frame), (18, Garbage), (21, Frame), (41, Garbage), (41 + RUN_MAX, Garbage),
    ]  # fmt: skip
    assert [item.size for item in garbage_in(items)] == [1, 2, RUN_MAX, 300 - RUN_MAX]
    assert all(before.offset < after.offset for before, after in pairwise(items))
