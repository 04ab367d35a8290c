"""From a stream of bytes to frames. Wherever the stream is cut, the same comes out."""

from __future__ import annotations

from collections.abc import Iterator

from device.vl1.frames import Frame, Garbage, GarbageReason, parse_frame
from device.vl1.limits import ENCODED_MAX


class Decoder:
    """Cuts a stream at its 00 bytes; holds at most ENCODED_MAX bytes and takes time linear in the input."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._run = 0  # bytes since the last 00
        self._dropped = 0  # of those, reported as dropped

    def feed(self, data: bytes) -> Iterator[Frame | Garbage]:
        """All of ``data`` is taken in before this returns. Empty frames are passed over.

        A run of more than ENCODED_MAX bytes is dropped up to its 00, and reported every ENCODED_MAX bytes, so
        that a line on which no 00 ever comes is not a silent one.
        """
        found: list[Frame | Garbage] = []
        *closed, rest = bytes(data).split(b"\x00")
        for part in closed:
            self._take(part, found)
            self._close(found)
        self._take(rest, found)
        return iter(found)

    def reset(self) -> None:
        """Forgets what was held: the port was opened anew."""
        self._held.clear()
        self._run = self._dropped = 0

    def _take(self, part: bytes, found: list[Frame | Garbage]) -> None:
        self._run += len(part)
        if self._run <= ENCODED_MAX:
            self._held += part
            return
        self._held.clear()
        while self._run - self._dropped > ENCODED_MAX:
            found.append(Garbage(GarbageReason.OVERSIZE, ENCODED_MAX))
            self._dropped += ENCODED_MAX

    def _close(self, found: list[Frame | Garbage]) -> None:
        if self._run > ENCODED_MAX:
            found.append(Garbage(GarbageReason.OVERSIZE, self._run - self._dropped))
        elif self._run:
            found.append(parse_frame(bytes(self._held)))
        self.reset()
