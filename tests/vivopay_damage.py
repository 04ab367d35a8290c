"""Streams of answers as a bad line makes them: some damaged, noise and padding between, the rest as it was sent."""

from __future__ import annotations

import random
from dataclasses import dataclass

from device.vivopay.decoder import Decoder, Item
from device.vivopay.frames import Frame, encode_answer
from device.vivopay.limits import SILENCE_SECONDS
from tests.golden.vivopay_frames import FRAMES

_ANSWERS = [frame for frame in FRAMES.values() if not frame.is_command]
_LENGTH = slice(12, 14)


@dataclass(frozen=True)
class Stream:
    """``intact`` are the frames that nothing happened to, in order."""

    data: bytes
    intact: tuple[Frame, ...]


def damaged_stream(rng: random.Random) -> Stream:
    """Two to eight frames, of which at least one is damaged."""
    wires, intact, bad = [], [], rng.randrange(8)
    for number in range(rng.randint(2, 8)):
        frame = _frame(rng)
        wire = encode_answer(frame.command, frame.code, frame.data)
        wires.append(_between(rng))
        if number == bad or rng.random() < 0.3:
            wires.append(_damaged(wire, rng))
        else:
            wires.append(wire)
            intact.append(frame)
    return Stream(b"".join(wires), tuple(intact))


def lost(stream: Stream, rng: random.Random) -> int:
    """How many intact frames do not come out of it, cut anywhere."""
    decoder = Decoder()
    found: list[Item] = []
    at, now = 0, 0.0
    while at < len(stream.data):
        step = rng.choice((1, 7, 64, 512, 4096))
        found += decoder.feed(stream.data[at : at + step], now)
        at += step
    found += decoder.tick(now + SILENCE_SECONDS)
    missing = list(stream.intact)
    for item in found:
        if isinstance(item, Frame) and item in missing:
            missing.remove(item)
    return len(missing)


def _frame(rng: random.Random) -> Frame:
    if rng.random() < 0.4:
        known = rng.choice(_ANSWERS)
        return Frame(known.command, known.code, bytes.fromhex(known.data))
    return Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.choice((0, 1, 15, 100, 500))))


def _between(rng: random.Random) -> bytes:
    return rng.choice((b"", b"", bytes(rng.randint(1, 64)), rng.randbytes(rng.randint(1, 20)), b"OUT OF SERVICE\r\n"))


def _damaged(wire: bytes, rng: random.Random) -> bytes:
    data = bytearray(wire)
    at = rng.randrange(len(data))
    # Not the last byte alone: where the next frame's first makes up for it, that one is the damaged frame.
    inside = min(at, len(data) - 2)
    match rng.randrange(6):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[_LENGTH] = rng.randrange(1 << 16).to_bytes(2, "big")
        case 2:
            del data[inside:]
        case 3:
            del data[: at + 1]
        case 4:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        case _:
            del data[inside]
    return bytes(data)
