"""TLV decoding against pyemv, which reads the same bytes into a dict."""

from __future__ import annotations

import random
import time

import pyemv.tlv

from device.tlv import decode, encode
from device.vl1.cards import CARDS, read
from tests.bench.measure import Figure, ratio, report

ROUND = 5_000


def run(runs: int) -> None:
    """Decodes a second of one tap's 20 card objects."""
    inner = read(CARDS[0], random.Random(1), amount=250, currency="978", tapped_at=1_790_000_000_000_000, counter=1)[1]
    data = encode(inner.children or ())
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(_rate(lambda: decode(data)))
        theirs.append(_rate(lambda: pyemv.tlv.decode(data)))
    subject = Figure("device.tlv.decode, 20 objects", "/s", tuple(ours))
    baseline = Figure("pyemv.tlv.decode, the same bytes", "/s", tuple(theirs))
    report("TLV", [subject, baseline], ratio("ours to pyemv", subject, baseline))


def _rate(work: object) -> float:
    began = time.perf_counter()
    for _ in range(ROUND):
        work()  # type: ignore[operator]
    return ROUND / (time.perf_counter() - began)
