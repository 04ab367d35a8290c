"""Wherever a ViVOpay stream is cut, the same comes out; whatever happens to a frame, its neighbours are found."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.vivopay.decoder import Decoder, Item
from device.vivopay.frames import HEADER, Frame, Side, encode_answer, encode_command
from device.vivopay.garbage import Garbage
from device.vivopay.limits import OVERHEAD, RUN_MAX, SILENCE_SECONDS
from tests.golden.vivopay_frames import FRAMES
from tests.vivopay_damage import damaged_stream, lost

octet = st.integers(0, 255)
data = st.binary(max_size=300) | st.integers(0, 900).map(bytes)
answers = st.builds(encode_answer, octet, octet, data)
wires = answers | st.builds(encode_command, octet, octet, data) | st.sampled_from([f.octets for f in FRAMES.values()])
noise = (
    st.binary(max_size=40)
    | st.integers(0, 600).map(bytes)
    | st.integers(1, 9).map(lambda size: HEADER[:size])
    | st.integers(0, 0x1010).map(lambda size: HEADER + b"\x02\x23" + size.to_bytes(2, "big"))
    | st.text(st.sampled_from("AT 0123456789-\r\n\x00x"), max_size=400).map(str.encode)
)
streams = st.lists(wires | noise | wires.map(lambda wire: wire[:-3]), max_size=6).map(b"".join)
Whole = list[tuple[Item, int]]


def fed(parts: list[bytes], side: Side) -> Whole:
    decoder = Decoder(side)
    items = [item for part in parts for item in decoder.feed(part, 0.0)]
    items += decoder.tick(SILENCE_SECONDS)
    return [(item, item.offset) for item in items]


@given(streams, st.lists(st.integers(0, 3000), max_size=12), st.sampled_from(Side))
def test_cutting_the_stream_changes_nothing(stream: bytes, cuts: list[int], side: Side) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    whole = fed([stream], side)
    assert fed([stream[a:b] for a, b in pairwise(places)], side) == whole
    assert fed([bytes((b,)) for b in stream], side) == whole


@given(st.lists(st.tuples(streams, st.booleans()), max_size=4), st.lists(st.integers(0, 3000), max_size=6))
def test_nor_does_it_with_silence_between(parts: list[tuple[bytes, bool]], cuts: list[int]) -> None:
    def run(whole: bool) -> Whole:
        decoder, now = Decoder(), 0.0
        items: list[Item] = []
        for part, silence in parts:
            places = sorted({0, len(part), *(() if whole else (cut for cut in cuts if cut < len(part)))})
            for a, b in pairwise(places):
                items += decoder.feed(part[a:b], now)
            now += SILENCE_SECONDS if silence else SILENCE_SECONDS / 2
            items += decoder.tick(now)
        return [(item, item.offset) for item in items]

    assert run(whole=True) == run(whole=False)


@given(st.lists(answers, max_size=6))
def test_every_frame_comes_back(sent: list[bytes]) -> None:
    found = [item for item, _ in fed([b"".join(sent)], Side.ANSWERS)]
    assert [encode_answer(f.command, f.code, f.data) for f in found if isinstance(f, Frame)] == sent
    assert len(found) == len(sent)


@given(streams)
def test_every_byte_is_a_frame_s_garbage_or_passed_over(stream: bytes) -> None:
    decoder = Decoder()
    items = [*decoder.feed(stream, 0.0), *decoder.tick(SILENCE_SECONDS)]
    sizes = [item.size if isinstance(item, Garbage) else OVERHEAD + len(item.data) for item in items]
    assert sum(sizes) + decoder.passed_over == len(stream)
    assert all(0 < item.size <= RUN_MAX for item in items if isinstance(item, Garbage))
    ends = [item.offset + size for item, size in zip(items, sizes, strict=True)]
    assert all(end <= item.offset for end, item in zip(ends, items[1:], strict=False))


@given(streams)
def test_text_is_what_stands_there(stream: bytes) -> None:
    for item, offset in fed([stream], Side.BOTH):
        if isinstance(item, Garbage) and item.text is not None:
            assert stream[offset : offset + item.size].strip(b"\x00\t ") == item.text.encode()


def test_no_intact_frame_is_lost_in_20000_damaged_streams() -> None:
    rng = random.Random(20_000)
    assert sum(lost(damaged_stream(rng), rng) for _ in range(20_000)) == 0
