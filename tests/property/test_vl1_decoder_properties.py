"""Wherever a VL1 stream is cut, the same comes out; whatever it holds, nothing breaks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.vl1.decoder import Decoder
from device.vl1.frames import Frame, FrameType, Garbage, cobs_decode, cobs_encode, encode_frame
from device.vl1.limits import ENCODED_MAX

frames = st.builds(
    Frame,
    type=st.sampled_from(FrameType),
    session=st.integers(0, 0xFFFF),
    seq=st.integers(0, 255),
    ack=st.integers(0, 255),
    payload=st.binary(max_size=600) | st.integers(0, 1024).map(lambda n: b"\x01" * n),
    retransmission=st.booleans(),
)
noise = st.binary(max_size=60) | st.integers(0, 2600).map(lambda n: b"\x7f" * n)
streams = st.lists(frames.map(encode_frame) | noise, max_size=6).map(b"".join)


def fed(parts: list[bytes]) -> list[Frame | Garbage]:
    decoder = Decoder()
    return [item for part in parts for item in decoder.feed(part)]


@given(streams, st.lists(st.integers(0, 6000), max_size=12))
def test_cutting_the_stream_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[a:b] for a, b in pairwise(places)]
    assert fed(parts) == fed([stream])
    assert fed([bytes((b,)) for b in stream]) == fed([stream])


@given(st.lists(frames, max_size=6))
def test_every_frame_comes_back(items: list[Frame]) -> None:
    assert fed([b"".join(map(encode_frame, items))]) == items


@given(streams)
def test_every_byte_is_a_frame_garbage_a_zero_or_still_held(stream: bytes) -> None:
    decoder = Decoder()
    items = list(decoder.feed(stream + b"\x00"))
    frames_size = sum(len(encode_frame(item)) - 2 for item in items if isinstance(item, Frame))
    garbage_size = sum(item.size for item in items if isinstance(item, Garbage))
    extra = (len(stream) - stream.count(0)) - frames_size - garbage_size
    # A trailing 01 behind a block of 254 is the one byte that a frame may have had and its encoding has not.
    assert 0 <= extra <= sum(isinstance(item, Frame) for item in items)
    assert all(0 < item.size <= ENCODED_MAX for item in items if isinstance(item, Garbage))


@given(st.binary(max_size=1200))
def test_cobs_there_and_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@given(st.binary(max_size=400))
def test_cobs_takes_any_bytes(data: bytes) -> None:
    decoded = cobs_decode(data)
    assert decoded is None or len(decoded) < max(len(data), 1)
