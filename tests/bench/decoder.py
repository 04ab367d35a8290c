"""The ViVOpay decoder against the CRC alone, and how many intact frames it loses in 20,000 damaged streams."""

from __future__ import annotations

import random
import time
from binascii import crc_hqx
from collections.abc import Callable
from functools import partial

from device.vivopay.decoder import Decoder
from device.vivopay.frames import encode_answer
from device.vivopay.limits import OVERHEAD
from tests.bench.measure import Figure, ratio, report
from tests.vivopay_damage import damaged_stream, lost

FRAMES = 4_000
FRAME_BYTES = 500
READ_BYTES = 4_096  # what a port gives at once
STREAMS = 20_000


def run(runs: int) -> None:
    """Decodes frames of 500 bytes, whole, in a port's reads and in tens of bytes; then damaged streams."""
    rng = random.Random(500)
    wires = [encode_answer(0x02, 0x23, rng.randbytes(FRAME_BYTES - OVERHEAD)) for _ in range(FRAMES)]
    stream = b"".join(wires)
    figures = [
        _figure(f"frames of {FRAME_BYTES} bytes in reads of {step}", runs, stream, partial(_decode, stream, step))
        for step in (READ_BYTES, 64)
    ]
    baseline = _figure(
        "the CRC alone, the same frames", runs, stream, lambda: [crc_hqx(wire, 0xFFFF) for wire in wires]
    )
    began = time.perf_counter()
    intact = missing = 0
    for _ in range(STREAMS):
        damaged = damaged_stream(rng)
        intact += len(damaged.intact)
        missing += lost(damaged, rng)
    took = time.perf_counter() - began
    report(
        "ViVOpay decoder",
        [*figures, baseline],
        ratio("ours to the CRC's", figures[0], baseline),
        f"  {STREAMS:,} damaged streams, {intact:,} intact frames in them: {missing} lost, {took:.1f} s",
    )


def _figure(name: str, runs: int, stream: bytes, work: Callable[[], object]) -> Figure:
    rounds = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        rounds.append(len(stream) / (time.perf_counter() - began) / 1e6)
    return Figure(name, "MB/s", tuple(rounds))


def _decode(stream: bytes, step: int) -> None:
    decoder = Decoder()
    found = sum(1 for at in range(0, len(stream), step) for _ in decoder.feed(stream[at : at + step], 0.0))
    assert found == FRAMES
