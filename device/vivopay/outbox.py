"""When the simulated reader's bytes leave it: at once, in halves, or one at a time."""

from __future__ import annotations

from collections import deque


class Outbox:
    """Bytes in order, each piece with the time it leaves."""

    def __init__(self) -> None:
        self._later: deque[tuple[float, bytes]] = deque()
        self._ready = bytearray()

    @property
    def deadline(self) -> float | None:
        """When the next piece leaves."""
        return self._later[0][0] if self._later else None

    def put(self, data: bytes, now: float, *, byte_seconds: float = 0.0, split_seconds: float = 0.0) -> None:
        """Bytes to leave behind all others; the first of them now if none waits."""
        at = max(now, self._later[-1][0]) if self._later else now
        for number, piece in enumerate(_pieces(data, byte_seconds, split_seconds)):
            self._later.append((at + number * (byte_seconds or split_seconds), piece))
        self.tick(now)

    def tick(self, now: float) -> None:
        """Lets go of what is due."""
        while self._later and self._later[0][0] <= now:
            self._ready += self._later.popleft()[1]

    def drain(self) -> bytes:
        """What has left; the next call returns only what came after."""
        data = bytes(self._ready)
        self._ready.clear()
        return data

    def reset(self) -> None:
        """Nothing leaves any more."""
        self._later.clear()
        self._ready.clear()


def _pieces(data: bytes, byte_seconds: float, split_seconds: float) -> list[bytes]:
    if byte_seconds:
        return [data[at : at + 1] for at in range(len(data))]
    half = len(data) // 2
    return [data[:half], data[half:]] if split_seconds else [data]
