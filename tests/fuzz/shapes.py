"""Inputs of any size in the shapes that would cost a careless reader most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from device.tlv import Limits, decode
from device.vl1.decoder import Decoder
from device.vl1.frames import Frame, FrameType, encode_frame
from device.vl1.messages import MessageError, decode_message, stable_payload
from tests import configurations
from tpsd.config import load
from tpsd.errors import ConfigError
from tpsd.sfey.messages import read_answer

READ_BYTES: Final = 4096  # what a port gives at once
WIDE: Final = Limits(depth=8, count=1 << 30, size=1 << 30)  # so that the limits do not hide how the work grows


@dataclass(frozen=True, slots=True)
class Shape:
    """``read`` does the work on ``make(size)``, an input of about so many bytes beyond what every input has.

    ``size`` is one at which the work can be measured, and an eighth of it too. ``flat``: nothing of it may be kept.
    """

    read: Callable[[bytes], object]
    make: Callable[[int], bytes]
    size: int
    flat: bool = False


def _frames(data: bytes) -> int:
    """Taken as a line gives them, and not kept."""
    decoder, count = Decoder(), 0
    for at in range(0, len(data), READ_BYTES):
        count += sum(1 for _ in decoder.feed(data[at : at + READ_BYTES]))
    return count


def _objects(data: bytes) -> object:
    return decode(data, limits=WIDE)


def _message(data: bytes) -> object:
    try:
        return decode_message(data), stable_payload(data)
    except MessageError as exc:
        return exc


def _answer(data: bytes) -> object:
    return read_answer(200, {}, data)


def _dated(data: bytes) -> object:
    return read_answer(200, {"Date": data.decode(), "Retry-After": data.decode()}, b"")


def _configuration(data: bytes) -> object:
    path = Path(_folder().name) / "tpsd.toml"
    path.write_bytes(data)
    try:
        return load(path)
    except ConfigError as exc:
        return exc


def _repeated(unit: bytes, before: bytes = b"", behind: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * max(1, size // len(unit)) + behind


def _numbered(line: str, separator: str = "", before: str = "", behind: str = "") -> Callable[[int], bytes]:
    """``line`` again and again, ``#`` in it a number."""

    def lines(size: int) -> Iterator[str]:
        left, number = size, 0
        while left > 0:
            yield (text := line.replace("#", str(number)))
            left, number = left - len(text) - len(separator), number + 1

    return lambda size: (before + separator.join(lines(size)) + behind).encode()


def _twice_within_twice(size: int) -> bytes:
    text = "0"
    while 2 * len(text) < size:
        text = f'{{"a":{text},"a":{text}}}'
    return text.encode()


@cache
def _good() -> str:
    return configurations.write(Path(_folder().name), configurations.values(Path("/var/lib/tpsd"))).read_text()


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tpsd-shapes-")


_FRAME: Final = encode_frame(Frame(FrameType.DATA, payload=bytes(range(256)) * 4))
_TAP: Final = bytes.fromhex("01df8a01080000000300000011")
_LANE: Final = '[[lanes]]\nname = "g#"\nport = "/dev/x#"\nfare = 1\n'


def _beside_good(more: Callable[[int], bytes], *, first: bool = False) -> Callable[[int], bytes]:
    """Before or behind a good configuration's own lines."""
    return lambda size: more(size) + _good().encode() if first else _good().encode() + more(size)


SHAPES: Final[Mapping[str, Shape]] = {
    "decoder: zeros": Shape(_frames, bytes, 1 << 17, flat=True),
    "decoder: no zero": Shape(_frames, _repeated(b"\x7f"), 1 << 21, flat=True),
    "decoder: one byte between zeros": Shape(_frames, _repeated(b"\x01\x00"), 1 << 15, flat=True),
    "decoder: blocks of one": Shape(_frames, _repeated(b"\x01" * 99 + b"\x00"), 1 << 16, flat=True),
    "decoder: full frames": Shape(_frames, _repeated(_FRAME), 1 << 19, flat=True),
    "tlv: empty objects": Shape(_objects, _repeated(b"\x82\x00"), 1 << 15),
    "tlv: padding": Shape(_objects, bytes, 1 << 17),
    "tlv: empty templates": Shape(_objects, _repeated(b"\xe1\x00"), 1 << 15),
    "tlv: eight deep": Shape(_objects, _repeated(bytes.fromhex("e10fe10de10be109e107e105e1039c0100")), 1 << 15),
    "tlv: long values": Shape(_objects, _repeated(b"\x5a\x82\x01\x00" + bytes(256)), 1 << 21),
    "tlv: long lengths": Shape(_objects, _repeated(b"\x5a\x84\x00\x00\x00\x01\x00"), 1 << 16),
    "message: unknown fields": Shape(_message, _repeated(b"\x9f\x36\x01\x00", _TAP), 1024),
    "message: ages": Shape(_message, _repeated(b"\xdf\x8a\x09\x00", _TAP), 1024),
    "message: ids": Shape(_message, _repeated(_TAP[1:], _TAP), 1024),
    "message: padding": Shape(_message, _repeated(b"\x00", _TAP), 1024),
    "answer: digits": Shape(_answer, _repeated(b"9", b'{"systemCode":', b"}"), 65_000),
    "answer: digits of a fraction": Shape(_answer, _repeated(b"9", b'{"systemCode":0.', b"}"), 65_000),
    "answer: an array": Shape(_answer, _repeated(b"[],", b'{"a":[', b"0]}"), 65_000),
    "answer: many fields": Shape(_answer, _numbered('"f#":0', ",", "{", "}"), 65_000),
    "answer: one field many times": Shape(_answer, _repeated(b'"a":0,', b"{", b'"a":0}'), 65_000),
    "answer: one field, other values": Shape(_answer, _numbered('"a":#', ",", "{", "}"), 65_000),
    "answer: twice within twice": Shape(_answer, _twice_within_twice, 65_000),
    "answer: escapes": Shape(_answer, _repeated(b"\\u0041", b'{"a":"', b'"}'), 65_000),
    "answer: blanks": Shape(_answer, _repeated(b" ", b"{", b"}"), 65_000),
    "answer: a long date": Shape(_dated, _repeated(b"1 ", b"Mon, "), 8190),
    "answer: a date in brackets": Shape(_dated, _repeated(b"(", b"Mon, 23 Nov 2026 08:15:30 "), 8190),
    "configuration: lanes": Shape(_configuration, _beside_good(_numbered(_LANE)), 12_288),
    "configuration: unknown keys": Shape(_configuration, _beside_good(_numbered("k# = 1\n"), first=True), 12_288),
    "configuration: unknown tables": Shape(_configuration, _beside_good(_numbered("[t#]\n")), 12_288),
    "configuration: a long name": Shape(_configuration, _repeated(b"a", b"", b" = 1\n"), 1 << 17),
    "configuration: blank lines": Shape(_configuration, _beside_good(_repeated(b"\n")), 1 << 17),
    "configuration: a long text": Shape(_configuration, _beside_good(_repeated(b"a", b'x = "', b'"\n')), 1 << 17),
}
