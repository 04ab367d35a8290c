"""ViVOpay frames: header, command, code, length, data and CRC (links.md part 2, "Frame").

Bytes only: nothing here knows what the data means, and no repr shows it.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass, field
from enum import Enum

from device.vivopay.limits import DATA_MAX

HEADER = b"ViVOtech2\x00"
HEAD_SIZE = 14  # bytes before the data
CRC_SIZE = 2
_CRC_INIT = 0xFFFF  # CRC-16/IBM-3740

_HIGH_FIRST_COMMANDS = frozenset({(0x2C, 0x02), (0x2C, 0x0E), (0x0A, 0x02), (0x90, 0x07)})
_HIGH_FIRST_FAMILY = 0x0B  # with every sub-command


class CrcOrder(Enum):
    """In which order the two bytes of the CRC stand."""

    LOW_FIRST = "low byte first"
    HIGH_FIRST = "high byte first"
    EITHER = "either"  # they are equal


class Side(Enum):
    """Whose frames are looked for."""

    ANSWERS = "answers"
    COMMANDS = "commands"
    BOTH = "both"


# Looking up an enumeration's member costs as much as a comparison, and every frame asks for some.
_LOW_FIRST, _HIGH_FIRST, _EITHER = CrcOrder
_ANSWERS, _, _BOTH = Side


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``code`` is a command's sub-command, or an answer's status: an answer does not repeat the former.

    ``offset`` is where its header began in the stream.
    """

    command: int
    code: int
    data: bytes = field(default=b"", repr=False)
    crc: CrcOrder = field(default=CrcOrder.HIGH_FIRST, compare=False)
    offset: int = field(default=0, compare=False)


def checksum(data: bytes) -> int:
    """The CRC over everything before it."""
    return crc_hqx(data, _CRC_INIT)


def order_of(command: int, sub: int) -> CrcOrder:
    """How a command has its CRC: pass-through and maintenance commands are the exceptions."""
    exceptional = command == _HIGH_FIRST_FAMILY or (command, sub) in _HIGH_FIRST_COMMANDS
    return CrcOrder.HIGH_FIRST if exceptional else CrcOrder.LOW_FIRST


def encode_command(command: int, sub: int, data: bytes = b"") -> bytes:
    """A command on the wire. Raises ValueError beyond DATA_MAX."""
    return _encode(command, sub, data, order_of(command, sub))


def encode_answer(command: int, status: int, data: bytes = b"") -> bytes:
    """An answer on the wire. Raises ValueError beyond DATA_MAX."""
    return _encode(command, status, data, CrcOrder.HIGH_FIRST)


def found_order(crc: int, high: int, low: int) -> CrcOrder | None:
    """How the two bytes behind a frame are its CRC, ``high`` before ``low`` on the wire; None: they are not."""
    if crc == high << 8 | low:
        return _EITHER if high == low else _HIGH_FIRST
    return _LOW_FIRST if crc == low << 8 | high else None


def is_from(side: Side, order: CrcOrder, command: int, code: int) -> bool:
    """Whether a frame with that order of CRC can be one of that side."""
    if side is _ANSWERS:
        return order is not _LOW_FIRST
    return side is _BOTH or order is _EITHER or order is order_of(command, code)


def _encode(command: int, code: int, data: bytes, order: CrcOrder) -> bytes:
    if len(data) > DATA_MAX:
        raise ValueError(f"{len(data)} bytes of data: at most {DATA_MAX}")
    body = HEADER + bytes((command, code)) + len(data).to_bytes(2, "big") + data
    return body + checksum(body).to_bytes(CRC_SIZE, "little" if order is CrcOrder.LOW_FIRST else "big")
