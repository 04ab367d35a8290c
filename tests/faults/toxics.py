"""What can befall bytes on their way, in toxiproxy's words: each a value, and at work on one direction of a connection.

No socket and no clock are known here: a parcel comes in with the time it left at, parcels go out with the times they
arrive at.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

BURST_SECONDS = 0.02  # of a throttled line in one piece: small enough to trickle, large enough to be few timers
TLS_RECORD_HEADER = 5  # bytes: type, version, length (RFC 8446 5.1)


class End(Enum):
    """How a connection ends, on both its sides."""

    CLOSE = "close"  # FIN, after what was written
    RESET = "reset"  # RST, whatever was written


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes, or the connection's end. ``at`` in seconds of any one monotonic clock."""

    at: float
    data: bytes = b""
    end: End | None = None


Carry = Callable[[Parcel], Iterator[Parcel]]


class Toxic(Protocol):
    """A value that can be put on any number of connections."""

    def begin(self, rng: random.Random) -> Carry:
        """At work on one direction of one connection, from the next parcel on."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Everything later by ``seconds``, more or less ``jitter``; the order stays."""

    seconds: float
    jitter: float = 0.0

    def begin(self, rng: random.Random) -> Carry:
        def carry(parcel: Parcel) -> Iterator[Parcel]:
            yield replace(parcel, at=parcel.at + self.seconds + rng.uniform(-self.jitter, self.jitter))

        return carry


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Nothing arrives any more, not even an end; toxiproxy's ``timeout``. With ``closes_after`` seconds it closes."""

    closes_after: float | None = None

    def begin(self, rng: random.Random) -> Carry:
        del rng
        waited = False

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            nonlocal waited
            if self.closes_after is not None and not waited:
                waited = True
                yield Parcel(parcel.at + self.closes_after, end=End.CLOSE)

        return carry


@dataclass(frozen=True, slots=True)
class Reset:
    """The next byte does not arrive: the connection is reset, ``seconds`` later."""

    seconds: float = 0.0

    def begin(self, rng: random.Random) -> Carry:
        del rng

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            yield Parcel(parcel.at + self.seconds, end=End.RESET)

        return carry


@dataclass(frozen=True, slots=True)
class SlowClose:
    """Bytes pass, and a close comes ``seconds`` later than it was made."""

    seconds: float

    def begin(self, rng: random.Random) -> Carry:
        del rng

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            yield replace(parcel, at=parcel.at + self.seconds) if parcel.end is End.CLOSE else parcel

        return carry


@dataclass(frozen=True, slots=True)
class LimitData:
    """After ``count`` bytes the connection closes; the rest is lost."""

    count: int

    def begin(self, rng: random.Random) -> Carry:
        del rng
        left = self.count

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            nonlocal left
            passed, left = parcel.data[: max(left, 0)], left - len(parcel.data)
            if passed:
                yield replace(parcel, data=passed)
            if left < 0:
                yield Parcel(parcel.at, end=End.CLOSE)
            elif parcel.end is not None:
                yield parcel

        return carry


@dataclass(frozen=True, slots=True)
class Slicer:
    """Pieces of ``size`` bytes, more or less ``variation``, with ``pause`` seconds between them."""

    size: int
    pause: float
    variation: int = 0

    def begin(self, rng: random.Random) -> Carry:
        def carry(parcel: Parcel) -> Iterator[Parcel]:
            at, start = parcel.at, 0
            while start < len(parcel.data):
                size = max(1, self.size + rng.randint(-self.variation, self.variation))
                yield Parcel(at, parcel.data[start : start + size])
                at, start = at + self.pause, start + size
            if parcel.end is not None:
                yield replace(parcel, at=at)

        return carry


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """So many bytes a second and no more; what waits is kept."""

    bytes_per_second: float

    def begin(self, rng: random.Random) -> Carry:
        del rng
        burst, free_at = max(1, int(self.bytes_per_second * BURST_SECONDS)), 0.0

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            nonlocal free_at
            for start in range(0, len(parcel.data), burst):
                piece = parcel.data[start : start + burst]
                free_at = max(free_at, parcel.at) + len(piece) / self.bytes_per_second
                yield Parcel(free_at, piece)
            if parcel.end is not None:
                yield replace(parcel, at=max(free_at, parcel.at))

        return carry


@dataclass(frozen=True, slots=True)
class PastFirstRecord:
    """The first TLS record passes unharmed (a client's Hello); what comes behind it meets ``then``."""

    then: tuple[Toxic, ...]

    def begin(self, rng: random.Random) -> Carry:
        harm = chained(self.then, rng)
        head = bytearray()
        left: int | None = None

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            nonlocal left
            if left is None:
                head.extend(parcel.data)
                if len(head) >= TLS_RECORD_HEADER:
                    left = TLS_RECORD_HEADER + int.from_bytes(head[3:5], "big") - len(head) + len(parcel.data)
            spared = parcel.data if left is None else parcel.data[:left]
            rest = parcel.data[len(spared) :]
            if left is not None:
                left -= len(spared)
            if spared:
                yield Parcel(parcel.at, spared)
            if rest or parcel.end is not None:
                yield from harm(replace(parcel, data=rest))

        return carry


@dataclass(frozen=True, slots=True)
class AtWord:
    """What comes passes unharmed until ``word`` is in it for the ``count``-th time; that piece meets ``then`` first.

    ``on_met`` is told of each connection in which it was.
    """

    word: bytes
    count: int
    then: tuple[Toxic, ...]
    on_met: Callable[[], object]

    def begin(self, rng: random.Random) -> Carry:
        harm = chained(self.then, rng)
        left = self.count

        def carry(parcel: Parcel) -> Iterator[Parcel]:
            nonlocal left
            if left > 0 and self.word in parcel.data:
                left -= 1
                if left == 0:
                    self.on_met()
            if left > 0:
                yield parcel
            else:
                yield from harm(parcel)

        return carry


def chained(toxics: tuple[Toxic, ...], rng: random.Random) -> Carry:
    """All of them at work, one behind the other."""
    stages = [toxic.begin(rng) for toxic in toxics]

    def carry(parcel: Parcel) -> Iterator[Parcel]:
        parcels = [parcel]
        for stage in stages:
            parcels = [out for one in parcels for out in stage(one)]
        yield from parcels

    return carry
