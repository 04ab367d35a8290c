"""VL1 frames: header, payload, CRC and COBS (links.md "Frame").

Bytes only: nothing here knows what a payload means, and no repr shows one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from device.vl1.limits import OVERHEAD, PAYLOAD_MAX, VERSION

_HEADER = 6
_CRC = 4
_RETRANSMISSION = 0x01
_BLOCK = 254  # COBS: the most data bytes behind one code byte


class FrameType(IntEnum):
    """The low nibble of the first byte."""

    HELLO = 0
    HELLO_ACK = 1
    DATA = 2
    ACK = 3
    NAK = 4
    PING = 5
    PONG = 6
    RESET = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``ack`` is the next ``seq`` its sender expects; ``seq`` counts in DATA only."""

    type: FrameType
    session: int = 0
    seq: int = 0
    ack: int = 0
    payload: bytes = field(default=b"", repr=False)
    retransmission: bool = False


class GarbageReason(StrEnum):
    """Why bytes were dropped."""

    COBS = "cobs"
    SHORT = "short"
    CRC = "crc"
    VERSION = "version"
    TYPE = "type"
    PAYLOAD = "payload"  # longer than PAYLOAD_MAX
    OVERSIZE = "oversize"  # no 00 within ENCODED_MAX bytes


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that were dropped: why, and how many as they stood on the wire. Never what they were."""

    reason: GarbageReason
    size: int


def encode_frame(frame: Frame) -> bytes:
    """The frame on the wire, with the leading and the closing 00. Raises ValueError beyond PAYLOAD_MAX."""
    return b"\x00" + cobs_encode(encode_body(frame)) + b"\x00"


def encode_body(frame: Frame) -> bytes:
    """Header, payload and CRC."""
    if len(frame.payload) > PAYLOAD_MAX:
        raise ValueError(f"a payload of {len(frame.payload)} bytes: at most {PAYLOAD_MAX}")
    flags = _RETRANSMISSION if frame.retransmission else 0
    head = bytes((VERSION << 4 | frame.type, flags))
    body = head + frame.session.to_bytes(2, "little") + bytes((frame.seq, frame.ack)) + frame.payload
    return body + zlib.crc32(body).to_bytes(_CRC, "little")


def parse_frame(encoded: bytes) -> Frame | Garbage:
    """What stood between two 00. Flags that are not known yet are ignored."""
    body = cobs_decode(encoded)
    if body is None:
        return Garbage(GarbageReason.COBS, len(encoded))
    if len(body) < OVERHEAD:
        return Garbage(GarbageReason.SHORT, len(encoded))
    # The CRC first: a damaged header may name any version.
    if zlib.crc32(body[:-_CRC]) != int.from_bytes(body[-_CRC:], "little"):
        return Garbage(GarbageReason.CRC, len(encoded))
    if body[0] >> 4 != VERSION:
        return Garbage(GarbageReason.VERSION, len(encoded))
    if body[0] & 0x0F > max(FrameType):
        return Garbage(GarbageReason.TYPE, len(encoded))
    if len(body) - OVERHEAD > PAYLOAD_MAX:
        return Garbage(GarbageReason.PAYLOAD, len(encoded))
    return Frame(
        type=FrameType(body[0] & 0x0F),
        session=int.from_bytes(body[2:4], "little"),
        seq=body[4],
        ack=body[5],
        payload=body[_HEADER:-_CRC],
        retransmission=bool(body[1] & _RETRANSMISSION),
    )


def cobs_encode(data: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing, without a trailing 01 behind a last block of 254."""
    out = bytearray()
    for part in data.split(b"\x00"):
        full, rest = divmod(len(part), _BLOCK)
        for at in range(0, full * _BLOCK, _BLOCK):
            out.append(_BLOCK + 1)
            out += part[at : at + _BLOCK]
        out.append(rest + 1)
        out += part[full * _BLOCK :]
    if full and not rest:
        del out[-1]
    return bytes(out)


def cobs_decode(encoded: bytes) -> bytes | None:
    """The data, None if a block runs over the end or a 00 stands inside. A trailing 01 is as good as none."""
    if 0 in encoded:
        return None
    out = bytearray()
    at = 0
    while at < len(encoded):
        end = at + encoded[at]
        if end > len(encoded):
            return None
        out += encoded[at + 1 : end]
        if encoded[at] <= _BLOCK and end < len(encoded):
            out.append(0)
        at = end
    return bytes(out)
