"""Two ends of a VL1 line in virtual time: a line that can lose, double, damage and delay, and a loop of events.

Nothing here waits: time jumps to the next arrival, deadline or action. A world that stands still while work is
due, or that runs hot without time passing, fails loudly.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from device.vl1.limits import BITS_PER_BYTE

FRAME = re.compile(rb"\x00*[^\x00]+\x00")
STEPS_AT_ONE_TIME_MAX = 500
OUTPUT_MAX_SEEN = 20_000


class End(Protocol):
    @property
    def deadline(self) -> float | None: ...
    def receive(self, data: bytes, now: float) -> Sequence[Any]: ...
    def tick(self, now: float) -> Sequence[Any]: ...
    def output(self) -> bytes: ...


@dataclass
class Faults:
    """Chances per frame and direction; ``late`` is in seconds. ``reorders``: a late frame is overtaken."""

    lose: float = 0.0
    double: float = 0.0
    damage: float = 0.0
    delay: float = 0.0
    late: float = 0.4
    reorders: bool = False


PERFECT = Faults()


@dataclass
class Line:
    """One direction at ``baud`` bits/s with 1 ms of latency. ``judge`` may replace chance: frame → arrival delays."""

    rng: random.Random
    faults: Faults = field(default_factory=Faults)
    baud: int = 115_200
    cut: bool = False
    chunked: bool = False
    judge: Callable[[bytes], Sequence[float]] | None = None
    free_at: float = 0.0
    last_arrival: float = 0.0

    def carry(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """What arrives, and when."""
        arrivals = []
        for frame in FRAME.findall(data):
            self.free_at = max(self.free_at, now) + len(frame) * BITS_PER_BYTE / self.baud
            if self.cut:
                continue
            for extra, bytes_ in self._fate(frame):
                at = self.free_at + 0.001 + extra
                if not (self.faults.reorders or self.judge):
                    at = self.last_arrival = max(at, self.last_arrival)
                arrivals.append((at, bytes_))
        return arrivals

    def _fate(self, frame: bytes) -> list[tuple[float, bytes]]:
        if self.judge is not None:
            return [(delay, frame) for delay in self.judge(frame)]
        rng, faults = self.rng, self.faults
        if rng.random() < faults.lose:
            return []
        if rng.random() < faults.damage:
            frame = self._damaged(frame)
        extra = rng.uniform(0, faults.late) if rng.random() < faults.delay else 0.0
        copies = [(extra, frame)]
        if rng.random() < faults.double:
            copies.append((extra + rng.uniform(0, faults.late), frame))
        return copies

    def _damaged(self, frame: bytes) -> bytes:
        data = bytearray(frame)
        at = self.rng.randrange(len(data))
        match self.rng.randrange(4):
            case 0:
                del data[at]
            case 1:
                data.insert(at, data[at])
            case 2:
                data[at] ^= 1 << self.rng.randrange(8)
            case _:
                data[at] = 0
        return bytes(data)


class World:
    """``ends`` by name, each writing into the line of its name towards the other one."""

    def __init__(self, seed: int, ends: dict[str, End], faults: Faults = PERFECT) -> None:
        assert len(ends) == 2
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.ends = ends
        self.lines = {name: Line(self.rng, faults) for name in ends}
        self.events: dict[str, list[tuple[float, Any]]] = {name: [] for name in ends}
        self.on_event: Callable[[str, Any], None] = lambda name, event: None
        self._order = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._spins = 0

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Does it then."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), action))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Does it so many seconds from now."""
        self.at(self.now + seconds, action)

    def other(self, name: str) -> str:
        return next(other for other in self.ends if other != name)

    def inject(self, name: str, data: bytes) -> None:
        """Bytes reach the end of that name, from nobody knows where."""
        self._deliver(name, data)

    def settle(self) -> None:
        """Carries what the ends have written since."""
        for name, end in self.ends.items():
            data = end.output()
            assert len(data) <= OUTPUT_MAX_SEEN
            for when, frame in self.lines[name].carry(data, self.now):
                for part in self._parts(self.lines[name], frame):
                    self.at(when, partial(self._deliver, self.other(name), part))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Runs so many seconds, or until it says so; returns whether it did."""
        end_at = self.now + seconds
        self.settle()
        while not until():
            due = self._next_due()
            if due is None or due > end_at:
                self.now = end_at
                return until()
            self._spin(due)
            self.now = max(self.now, due)
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
                self.settle()
            for name, end in self.ends.items():
                if end.deadline is not None and end.deadline <= self.now:
                    self._tell(name, end.tick(self.now))
            self.settle()
        return True

    def _parts(self, line: Line, frame: bytes) -> list[bytes]:
        if not line.chunked:
            return [frame]
        cut = self.rng.randrange(len(frame) + 1)
        return [frame[:cut], frame[cut:]]

    def _next_due(self) -> float | None:
        times = [end.deadline for end in self.ends.values() if end.deadline is not None]
        if self._queue:
            times.append(self._queue[0][0])
        return min(times, default=None)

    def _spin(self, due: float) -> None:
        self._spins = self._spins + 1 if due <= self.now else 0
        assert self._spins < STEPS_AT_ONE_TIME_MAX, "the world runs hot without time passing"

    def _deliver(self, name: str, data: bytes) -> None:
        self._tell(name, self.ends[name].receive(data, self.now))

    def _tell(self, name: str, events: Sequence[Any]) -> None:
        for event in events:
            self.events[name].append((self.now, event))
            self.on_event(name, event)
