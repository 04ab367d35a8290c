"""Checks of frames: what a validator must be able to read, and what it must drop."""

from __future__ import annotations

import zlib

from device.tlv import Tlv, encode
from device.vl1.codes import MessageNumber
from device.vl1.conformance.bench import Bench, Failed, Script, Unprepared
from device.vl1.conformance.steps import (
    ANSWER_SECONDS,
    QUIET_SECONDS,
    acknowledges,
    expect,
    heard,
    never,
    pinged,
    up,
    within,
)
from device.vl1.frames import Frame, FrameType, cobs_encode, encode_body, encode_frame
from device.vl1.limits import ENCODED_MAX, PAYLOAD_MAX

_UNKNOWN_TAG = 0xDF8A7E  # VL1's own family, without a meaning so far
_BLOCK = 254  # COBS: the most data bytes behind one code byte
_SEARCH_MAX = 4096  # fillings: one in fifty has no 00 in its CRC's four bytes


def leading_00_optional(bench: Bench) -> Script[None]:
    """A PING whose 00 in front is left out, right behind another frame."""
    yield from up(bench)
    ping = encode_frame(bench.frame(FrameType.PING))
    bench.write(ping + ping[1:])
    for which in ("with", "without"):
        yield from expect(bench, within(bench, FrameType.PONG), ANSWER_SECONDS, f"no PONG to a PING {which} leading 00")


def empty_frames_ignored(bench: Bench) -> Script[None]:
    """A run of 00 between two frames."""
    yield from up(bench)
    bench.write(bytes(40))
    yield from pinged(bench, "no PONG after a run of 00 bytes")


def half_frame_ends_at_00(bench: Bench) -> Script[None]:
    """Half a PING, then a whole one."""
    yield from up(bench)
    bench.write(encode_frame(bench.frame(FrameType.PING))[:6])
    yield from heard(bench, lambda _: False, 0.05)
    yield from pinged(bench, "no PONG to the frame behind half a frame")


def pieces_are_one_frame(bench: Bench) -> Script[None]:
    """A PING in two pieces with a pause between."""
    yield from up(bench)
    whole = encode_frame(bench.frame(FrameType.PING))
    bench.silent = True
    bench.write(whole[:5])
    yield from heard(bench, lambda _: False, 0.2)
    bench.write(whole[5:])
    yield from expect(bench, within(bench, FrameType.PONG), ANSWER_SECONDS, "no PONG to a PING in two pieces")


def cobs_both_endings(bench: Bench) -> Script[None]:
    """DATA whose last COBS block is full, without and with the trailing 01."""
    yield from up(bench)
    for trailing in (b"", b"\x01"):
        frame = _ending_in_a_full_block(bench)
        bench.write(b"\x00" + cobs_encode(encode_body(frame)) + trailing + b"\x00")
        ending = "with" if trailing else "without"
        wanted = acknowledges(bench, frame.seq)
        yield from expect(bench, wanted, ANSWER_SECONDS, f"no ACK of a full COBS block {ending} a trailing 01")
        bench.seq += 1


def bad_crc_dropped(bench: Bench) -> Script[None]:
    """A PING whose CRC is wrong in one bit."""
    yield from up(bench)
    body = bytearray(encode_body(bench.frame(FrameType.PING)))
    body[-1] ^= 0x10
    yield from _dropped(bench, bytes(body), "answers a frame whose CRC is wrong")


def other_version_dropped(bench: Bench) -> Script[None]:
    """A PING of version 2 with a good CRC."""
    yield from up(bench)
    body = bytearray(encode_body(bench.frame(FrameType.PING))[:-4])
    body[0] = body[0] & 0x0F | 0x20
    crc = zlib.crc32(body).to_bytes(4, "little")
    yield from _dropped(bench, bytes(body) + crc, "answers a frame of another version")


def oversize_dropped(bench: Bench) -> Script[None]:
    """More bytes than any frame has without a 00, which end like a good PING; then a good one."""
    yield from up(bench)
    ping = cobs_encode(encode_body(bench.frame(FrameType.PING)))
    bench.write(b"\x00" + b"\xff" * (ENCODED_MAX + 20) + ping + b"\x00")
    yield from never(bench, within(bench, FrameType.PONG), QUIET_SECONDS, "answers the end of a frame that is too long")
    yield from pinged(bench, "no PONG to the frame behind one that is too long")


def largest_taken(bench: Bench) -> Script[None]:
    """DATA of the largest payload that its HELLO says it takes."""
    hello = yield from up(bench)
    size = min(hello.largest_payload, PAYLOAD_MAX)
    # Number, tag of three bytes and length of three: what is left is the value.
    bench.say(FrameType.DATA, payload=_config(bytes(size - 7)))
    yield from expect(bench, acknowledges(bench, bench.seq), ANSWER_SECONDS, f"no ACK of a payload of {size} bytes")


def unknown_is_ignored(bench: Bench) -> Script[None]:
    """A message of unknown number and one with an unknown tag: both are received, neither ends the session."""
    yield from up(bench)
    for payload, what in ((b"\x7f" + _field(b"\x00"), "an unknown message"), (_config(b"\x00"), "an unknown tag")):
        bench.say(FrameType.DATA, payload=payload)
        yield from expect(bench, acknowledges(bench, bench.seq), ANSWER_SECONDS, f"no ACK of {what}")
        bench.seq += 1
        yield from pinged(bench, f"no PONG after {what}")


def own_frames_are_whole(bench: Bench) -> Script[None]:
    """Every frame it sent since the start was well-formed; judged last."""
    yield from up(bench)
    if bench.garbage:
        found = ", ".join(f"{count} times {reason}" for reason, count in sorted(bench.garbage.items()))
        raise Failed(f"it sent what is no frame: {found}")


def _dropped(bench: Bench, body: bytes, otherwise: str) -> Script[None]:
    bench.write(b"\x00" + cobs_encode(body) + b"\x00")
    yield from never(bench, within(bench, FrameType.PONG), QUIET_SECONDS, otherwise)
    yield from pinged(bench, "no PONG to the good frame behind it")


def _config(value: bytes) -> bytes:
    return bytes((MessageNumber.CONFIG,)) + _field(value)


def _field(value: bytes) -> bytes:
    return encode([Tlv(_UNKNOWN_TAG, value)])


def _ending_in_a_full_block(bench: Bench) -> Frame:
    """CONFIG with a field nobody knows, whose body ends in exactly 254 bytes that are not 00."""
    for filling in range(_SEARCH_MAX):
        first = filling.to_bytes(2, "big").replace(b"\x00", b"\xff")
        frame = bench.frame(FrameType.DATA, payload=_config(b"\x00" + first + b"\x55" * (_BLOCK - 4 - 2)))
        if 0 not in encode_body(frame)[-_BLOCK:]:
            return frame
    raise Unprepared("no filling was found")
