"""A bad line between two descriptors: whole frames are lost, doubled, or damaged in one byte, by a seeded chance."""

from __future__ import annotations

import asyncio
import os
import random
import re
import socket
from dataclasses import dataclass, field

FRAME = re.compile(rb"\x00*[^\x00]+\x00")
READ_BYTES = 4096


@dataclass(slots=True)
class Direction:
    """What came from one end and is not yet a frame; how many were carried, and how many came to harm."""

    rest: bytearray = field(default_factory=bytearray)
    carried: int = 0
    harmed: int = 0


class LossyWire:
    """Carries between a pty's master and a socket whose other end, ``far``, the validator speaks on."""

    def __init__(self, master: int, seed: int, harm: float) -> None:
        self._rng = random.Random(seed)
        self._harm = harm
        self._near, self._far = socket.socketpair()
        self._ends = (master, self._near.fileno())
        self.directions = (Direction(), Direction())
        for end in (self._near, self._far):
            end.setblocking(False)

    @property
    def far(self) -> int:
        """The validator's end."""
        return self._far.fileno()

    def start(self) -> None:
        """Begin to carry."""
        loop = asyncio.get_running_loop()
        for end, other, direction in zip(self._ends, reversed(self._ends), self.directions, strict=True):
            loop.add_reader(end, self._carry, end, other, direction)

    def stop(self) -> None:
        """Cut both ends."""
        loop = asyncio.get_running_loop()
        for end in self._ends:
            loop.remove_reader(end)
        self._near.close()
        self._far.close()

    def _carry(self, end: int, other: int, direction: Direction) -> None:
        direction.rest += os.read(end, READ_BYTES)
        used = 0
        for found in FRAME.finditer(direction.rest):
            used = found.end()
            direction.carried += 1
            for frame in self._fate(found[0], direction):
                assert os.write(other, frame) == len(frame)
        del direction.rest[:used]

    def _fate(self, frame: bytes, direction: Direction) -> list[bytes]:
        if self._rng.random() >= self._harm:
            return [frame]
        direction.harmed += 1
        match self._rng.randrange(3):
            case 0:
                return []
            case 1:
                return [frame, frame]
            case _:
                damaged = bytearray(frame)
                damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
                return [bytes(damaged)]
