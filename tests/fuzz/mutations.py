"""Inputs that are nearly right: kept ones with something flipped, cut, put in, repeated or taken from another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

EDITS_MAX = 6
PIECE_MAX = 24  # bytes


def flip(data: bytearray, at: int, piece: bytes) -> None:
    """One bit of a byte."""
    if at < len(data):
        data[at] ^= 1 << len(piece) % 8


def put_in(data: bytearray, at: int, piece: bytes) -> None:
    """Bytes before a byte."""
    data[at:at] = piece


def replace(data: bytearray, at: int, piece: bytes) -> None:
    """Bytes over others."""
    data[at : at + len(piece)] = piece


def cut(data: bytearray, at: int, piece: bytes) -> None:
    """Some bytes away."""
    del data[at : at + len(piece)]


def repeat(data: bytearray, at: int, piece: bytes) -> None:
    """Some bytes twice."""
    data[at:at] = data[at : at + len(piece)]


def end(data: bytearray, at: int, piece: bytes) -> None:
    """Nothing behind a byte."""
    del piece
    del data[at:]


EDITS: tuple[Callable[[bytearray, int, bytes], None], ...] = (flip, put_in, replace, cut, repeat, end)


@st.composite
def mutated(draw: Any, kept: Sequence[bytes], limit: int) -> bytes:
    """At most ``limit`` bytes, made of a kept input by a few edits."""
    data = bytearray(draw(st.sampled_from(kept)))
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        at = draw(st.integers(0, len(data)))
        other = draw(st.sampled_from(kept))
        start = draw(st.integers(0, len(other)))
        piece = draw(st.binary(min_size=1, max_size=PIECE_MAX) | st.just(other[start : start + PIECE_MAX]))
        draw(st.sampled_from(EDITS))(data, at, piece)
    return bytes(data[:limit])
