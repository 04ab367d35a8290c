"""VL1 frames and the decoder: the vectors of links.md, COBS, damage, noise, bounds."""

from __future__ import annotations

import time
import zlib

import pytest

from device.vl1.decoder import Decoder
from device.vl1.frames import (
    Frame,
    FrameType,
    Garbage,
    GarbageReason,
    cobs_decode,
    cobs_encode,
    encode_body,
    encode_frame,
    parse_frame,
)
from device.vl1.limits import ENCODED_MAX, PAYLOAD_MAX
from device.vl1.messages import Hello, HelloAck, decode_message
from tests.golden import vl1_vectors as v

NAMES = list(v.WIRE)
JUNK = b"\x55\xff\x12DEVICE OUT OF SERVICE\r\nAT\r"


def decoded(*parts: bytes) -> list[Frame | Garbage]:
    decoder = Decoder()
    return [item for part in parts for item in decoder.feed(part)]


def wire(body: bytes) -> bytes:
    return b"\x00" + cobs_encode(body) + b"\x00"


def with_crc(head: bytes) -> bytes:
    return head + zlib.crc32(head).to_bytes(4, "little")


class TestVectors:
    @pytest.mark.parametrize("name", NAMES)
    def test_encodes(self, name: str) -> None:
        assert encode_frame(v.FRAMES[name]).hex() == v.WIRE[name]

    @pytest.mark.parametrize("name", NAMES)
    def test_whole(self, name: str) -> None:
        assert decoded(bytes.fromhex(v.WIRE[name])) == [v.FRAMES[name]]

    @pytest.mark.parametrize("name", NAMES)
    def test_byte_by_byte(self, name: str) -> None:
        assert decoded(*(bytes((b,)) for b in bytes.fromhex(v.WIRE[name]))) == [v.FRAMES[name]]

    @pytest.mark.parametrize("name", NAMES)
    def test_with_junk_around(self, name: str) -> None:
        before, frame, after = decoded(JUNK + bytes.fromhex(v.WIRE[name]) + JUNK + b"\x00")
        assert frame == v.FRAMES[name]
        for garbage in (before, after):
            assert isinstance(garbage, Garbage)
            assert garbage.size == len(JUNK)

    @pytest.mark.parametrize("name", NAMES)
    def test_without_the_leading_zero_and_back_to_back(self, name: str) -> None:
        data = bytes.fromhex(v.WIRE[name])[1:]
        assert decoded(data + data + data) == [v.FRAMES[name]] * 3

    def test_bodies(self) -> None:
        assert encode_body(v.FRAMES["PING"]).hex() == "1500efbe070382774d75"
        assert encode_body(v.FRAMES["ACK"]).hex() == "1300efbe000946eb800c"
        assert encode_body(v.FRAMES["RESET"]).hex() == "170000000000809311af"

    def test_what_they_say(self) -> None:
        def payload(name: str) -> bytes:
            (frame,) = decoded(bytes.fromhex(v.WIRE[name]))
            assert isinstance(frame, Frame)
            return frame.payload

        assert Hello.parse(payload("HELLO")) == v.HELLO
        assert HelloAck.parse(payload("HELLO_ACK")) == v.HELLO_ACK
        assert decode_message(payload("TAP")) == v.TAP
        assert decode_message(payload("TAP_KEPT")) == v.TAP_KEPT
        assert decode_message(payload("VERDICT")) == v.VERDICT


class TestCobs:
    @pytest.mark.parametrize("length", [0, 1, 2, 252, 253, 254, 255, 507, 508, 509, 762, 1034])
    @pytest.mark.parametrize("shape", ["ones", "zeros", "zero first", "zero last", "zero at 254"])
    def test_there_and_back(self, length: int, shape: str) -> None:
        data = bytearray(b"\x01" * length)
        if shape == "zeros":
            data = bytearray(length)
        elif shape == "zero first":
            data[:0] = b"\x00"
        elif shape == "zero last":
            data += b"\x00"
        elif length > 254 and shape == "zero at 254":
            data[254] = 0
        encoded = cobs_encode(bytes(data))
        assert 0 not in encoded
        assert cobs_decode(encoded) == bytes(data)
        assert len(encoded) <= len(data) + 1 + len(data) // 254

    @pytest.mark.parametrize("blocks", [1, 2, 4])
    def test_both_ways_to_end_a_block_of_254(self, blocks: int) -> None:
        data = bytes(range(1, 255)) * blocks
        without = cobs_encode(data)
        assert without == (b"\xff" + bytes(range(1, 255))) * blocks
        assert cobs_decode(without) == cobs_decode(without + b"\x01") == data
        assert cobs_decode(without + b"\x01\x01") == data + b"\x00"

    @pytest.mark.parametrize("blocks", [1, 2])
    def test_a_frame_with_such_a_body_in_both_ways(self, blocks: int) -> None:
        payload = next(
            candidate
            for n in range(1, 256)
            for candidate in (bytes((n,)) * (254 * blocks - 10),)
            if 0 not in encode_body(Frame(FrameType.DATA, 0x0101, 1, 1, candidate, retransmission=True))
        )
        frame = Frame(FrameType.DATA, 0x0101, 1, 1, payload, retransmission=True)
        plain = cobs_encode(encode_body(frame))
        assert plain[0] == 0xFF
        assert decoded(b"\x00" + plain + b"\x00", plain + b"\x01\x00") == [frame, frame]

    @pytest.mark.parametrize("encoded", ["02", "05010203", "ff01", "0103ff", "0100"])
    def test_damaged(self, encoded: str) -> None:
        assert cobs_decode(bytes.fromhex(encoded)) is None


class TestRefusal:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", GarbageReason.SHORT),
            (with_crc(bytes.fromhex("1500000000")), GarbageReason.SHORT),
            (encode_body(v.FRAMES["PING"])[:-1] + b"\x00", GarbageReason.CRC),
            (with_crc(bytes.fromhex("2500efbe0703")), GarbageReason.VERSION),
            (with_crc(bytes.fromhex("0500efbe0703")), GarbageReason.VERSION),
            (with_crc(bytes.fromhex("1800efbe0703")), GarbageReason.TYPE),
            (with_crc(bytes.fromhex("1f00efbe0703")), GarbageReason.TYPE),
            (with_crc(bytes.fromhex("1200efbe0703") + bytes(PAYLOAD_MAX + 1)), GarbageReason.PAYLOAD),
        ],
    )
    def test_reasons(self, body: bytes, reason: GarbageReason) -> None:
        encoded = cobs_encode(body)
        assert parse_frame(encoded) == Garbage(reason, len(encoded))

    def test_cobs(self) -> None:
        assert decoded(b"\x05\x01\x02\x00") == [Garbage(GarbageReason.COBS, 3)]

    @pytest.mark.parametrize("bit", range(8))
    def test_any_flipped_bit_is_noticed(self, bit: int) -> None:
        data = bytes.fromhex(v.WIRE["TAP"])
        for at in range(1, len(data) - 1):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            assert not any(isinstance(item, Frame) for item in decoded(bytes(damaged))), at

    def test_unknown_flags_are_ignored(self) -> None:
        (frame,) = decoded(wire(with_crc(bytes.fromhex("15ffefbe0703"))))
        assert frame == Frame(FrameType.PING, v.SESSION, 7, 3, retransmission=True)

    def test_empty_frames_are_passed_over(self) -> None:
        assert decoded(bytes(50) + bytes.fromhex(v.WIRE["PING"]) + bytes(50)) == [v.FRAMES["PING"]]

    def test_the_largest_frame_and_one_more(self) -> None:
        for payload in (bytes(PAYLOAD_MAX), b"\x01" * PAYLOAD_MAX):
            frame = Frame(FrameType.DATA, 1, payload=payload)
            assert decoded(encode_frame(frame)) == [frame]
        with pytest.raises(ValueError, match="at most 1024"):
            encode_frame(Frame(FrameType.DATA, 1, payload=bytes(PAYLOAD_MAX + 1)))

    def test_no_repr_shows_a_payload(self) -> None:
        shown = repr(v.FRAMES["TAP"]) + repr(decoded(JUNK + b"\x00"))
        assert "4761" not in shown
        assert "DEVICE" not in shown
        assert "payload" not in shown


class TestOversize:
    def test_dropped_up_to_the_next_zero(self) -> None:
        noise = b"\x7f" * (ENCODED_MAX + 1)
        assert decoded(noise + b"\x00" + bytes.fromhex(v.WIRE["PING"])) == [
            Garbage(GarbageReason.OVERSIZE, ENCODED_MAX),
            Garbage(GarbageReason.OVERSIZE, 1),
            v.FRAMES["PING"],
        ]

    def test_just_not_oversize(self) -> None:
        (garbage,) = decoded(b"\x7f" * ENCODED_MAX + b"\x00")
        assert garbage == Garbage(GarbageReason.COBS, ENCODED_MAX)

    def test_a_frame_swallowed_by_noise_is_not_found_inside_it(self) -> None:
        noise = b"\x7f" * 3000
        items = decoded(noise + bytes.fromhex(v.WIRE["PING"])[1:])
        assert not any(isinstance(item, Frame) for item in items)
        assert sum(item.size for item in items if isinstance(item, Garbage)) == 3000 + 11

    def test_memory_is_bounded_and_endless_noise_is_not_silent(self) -> None:
        decoder = Decoder()
        reported = 0
        for _ in range(500):
            reported += sum(item.size for item in decoder.feed(b"\x7f" * 777) if isinstance(item, Garbage))
            assert len(decoder._held) <= ENCODED_MAX
        assert 500 * 777 - reported <= ENCODED_MAX

    def test_reset_forgets_the_old_stream(self) -> None:
        decoder = Decoder()
        list(decoder.feed(b"\x7f" * 5000))
        decoder.reset()
        assert list(decoder.feed(bytes.fromhex(v.WIRE["PING"])[1:])) == [v.FRAMES["PING"]]


def test_feed_takes_all_in_even_if_nobody_looks() -> None:
    decoder = Decoder()
    decoder.feed(bytes.fromhex(v.WIRE["PING"])[:5])
    assert list(decoder.feed(bytes.fromhex(v.WIRE["PING"])[5:])) == [v.FRAMES["PING"]]


def test_time_is_linear_however_the_stream_is_cut() -> None:
    """Eight times the stream may take eight times as long, not sixty-four: 20 leaves room for a busy machine."""
    stream = (bytes.fromhex(v.WIRE["TAP"]) + b"\x7f" * 2000 + b"\x00") * 6

    def took(repeats: int) -> float:
        decoder = Decoder()
        start = time.process_time()
        for _ in range(repeats):
            for at in range(len(stream)):
                decoder.feed(stream[at : at + 1])
        return time.process_time() - start

    assert min(took(8) for _ in range(2)) < 20 * min(took(1) for _ in range(3))
