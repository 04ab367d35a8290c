"""The bytes that wait to be written, and when the last of them should have left the line."""

from __future__ import annotations

from device.vl1.events import Counters
from device.vl1.frames import Frame, encode_frame
from device.vl1.limits import BITS_PER_BYTE, OUTPUT_MAX


class Wire:
    """The way out of one port at ``baud`` bits per second. Holds at most OUTPUT_MAX bytes."""

    def __init__(self, baud: int, counters: Counters) -> None:
        if baud <= 0:
            raise ValueError("baud must be above 0")
        self._byte_seconds = BITS_PER_BYTE / baud
        self._counters = counters
        self._waiting = bytearray()
        self.free_at = 0.0  # when the line will have carried everything given so far

    def write(self, frame: Frame, now: float, *, lead: bytes = b"") -> float:
        """Queues a frame behind ``lead``; returns when its last byte should have left the line.

        A frame for which there is no room is dropped and counted, as if the line had lost it: what matters is
        repeated.
        """
        data = lead + encode_frame(frame)
        if len(self._waiting) + len(data) > OUTPUT_MAX:
            self._counters.output_dropped += 1
            return max(self.free_at, now)
        self._waiting += data
        self._counters.frames_out += 1
        self.free_at = max(self.free_at, now) + len(data) * self._byte_seconds
        return self.free_at

    def drain(self) -> bytes:
        """What is to be written now; the next call returns only what came after."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def reset(self, now: float) -> None:
        """The port was opened anew: what waited is gone with the old one."""
        self._waiting.clear()
        self.free_at = now
