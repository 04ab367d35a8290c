"""Captured bytes as frames and what stands between them, each with its place: for people who look at a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from device.vl1.decoder import Decoder
from device.vl1.frames import Frame, Garbage, parse_frame


@dataclass(frozen=True, slots=True)
class Listed:
    """What stands at ``offset`` for ``size`` bytes, its 00 bytes not counted.

    ``closed`` is False for what the end of the capture cuts: a frame there lacks only its 00, garbage may be more.
    """

    offset: int
    size: int
    found: Frame | Garbage
    closed: bool = True


def listed(data: bytes) -> Iterator[Listed]:
    """Everything in ``data`` in order; what the decoder of a lane would make of it."""
    decoder = Decoder()
    start = reported = 0  # of the run since the last 00
    for at, octet in enumerate(data):
        for found in decoder.feed(bytes((octet,))):
            size = found.size if isinstance(found, Garbage) else at - start
            yield Listed(start + reported, size, found)
            reported += size
        if octet == 0:
            start, reported = at + 1, 0
    left = data[start + reported :]
    if left:
        yield Listed(start + reported, len(left), parse_frame(left), closed=False)
