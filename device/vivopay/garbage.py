"""Bytes that are no frame: reported in pieces whose borders do not depend on how the stream was cut.

A piece ends where a frame begins, at RUN_MAX bytes, at 250 ms of silence, and, as long as all of it can be read,
at the end of a line: so a device that prints text instead of frames is heard.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from device.vivopay.limits import RUN_MAX

_PADDING = b"\x00"
_LINE_ENDS = b"\r\n"
_READABLE = re.compile(rb"[\x00\t\x20-\x7e]*")
_DIGITS = b"0123456789 -"  # what a card number is made of where people write it


class GarbageReason(StrEnum):
    """Why bytes were dropped."""

    NOISE = "noise"
    TEXT = "text"
    CRC = "crc"
    LENGTH = "length"  # above DATA_MAX
    CUT = "cut"  # silence inside a frame


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that were dropped: why, and how many as they stood on the wire.

    ``text`` is what they say where all of them can be read, else None. It may hold a card number, which is whole:
    no run of digits, blanks and hyphens is cut in two. ``command`` is the command of a damaged frame, where it
    had come so far. ``offset`` is where they began in the stream.
    """

    reason: GarbageReason
    size: int
    text: str | None = field(default=None, repr=False)
    command: int | None = None
    offset: int = field(default=0, compare=False)


class GarbageRun:
    """Collects dropped bytes, at most RUN_MAX of them, and hands each report to ``emit``."""

    def __init__(self, emit: Callable[[Garbage], None]) -> None:
        self._emit = emit
        self._held = bytearray()
        self._offset = 0  # of what is held
        self._readable = True
        self._reason = GarbageReason.NOISE
        self._command: int | None = None
        self.passed_over = 0  # bytes of padding and of line ends

    @property
    def is_open(self) -> bool:
        """Whether a report is still to come, or what comes next would be judged by what came before."""
        return bool(self._held) or not self._readable

    def add(self, data: bytes, offset: int) -> None:
        """Dropped bytes that stood at ``offset`` of the stream."""
        while data:
            taken = self._take_readable(data, offset) if self._readable else self._take(data, offset)
            data, offset = data[taken:], offset + taken

    def damaged(self, reason: GarbageReason, command: int | None) -> None:
        """What is added next are the bytes of a damaged frame."""
        if self._readable:
            self.close()  # what was said before it
        self._readable = False
        if self._reason is GarbageReason.NOISE:
            self._reason, self._command = reason, command

    def close(self) -> None:
        """Nothing more belongs to it."""
        if self._readable and not self._held:
            return
        size = len(self._held.rstrip(_PADDING))
        self.passed_over += len(self._held) - size
        if size:
            self._report(size)
        self.reset()

    def reset(self) -> None:
        """Forgets what is held."""
        self._held.clear()
        self._readable, self._reason, self._command = True, GarbageReason.NOISE, None

    def _take_readable(self, data: bytes, offset: int) -> int:
        if not self._held and (skipped := self._skip(data, _PADDING + _LINE_ENDS)):
            return skipped
        match = _READABLE.match(data)
        end = match.end() if match else 0
        taken = self._hold(data[:end], offset)
        if len(self._held) == RUN_MAX:
            self._cut()
        elif taken < len(data) and data[taken] in _LINE_ENDS:
            self.close()
        elif taken < len(data):
            self._readable = False
        return taken

    def _take(self, data: bytes, offset: int) -> int:
        if not self._held and (skipped := self._skip(data, _PADDING)):
            return skipped
        taken = self._hold(data, offset)
        if len(self._held) == RUN_MAX:
            self._report(RUN_MAX)
            self._held.clear()
        return taken

    def _skip(self, data: bytes, octets: bytes) -> int:
        skipped = len(data) - len(data.lstrip(octets))
        self.passed_over += skipped
        return skipped

    def _hold(self, data: bytes, offset: int) -> int:
        if not self._held:
            self._offset = offset
        part = data[: RUN_MAX - len(self._held)]
        self._held += part
        return len(part)

    def _cut(self) -> None:
        """A readable run is full: it ends before the digits at its end, if it can."""
        size = len(self._held.rstrip(_DIGITS))
        if size == 0:
            self._readable = False  # digits without end: no text, whatever follows them
            size = RUN_MAX
        self._report(size)
        del self._held[:size]
        self._offset += size

    def _report(self, size: int) -> None:
        text = self._text(size)
        reason = self._reason if text is None else GarbageReason.TEXT
        self._emit(Garbage(reason, size, text, self._command, self._offset))

    def _text(self, size: int) -> str | None:
        if not self._readable:
            return None
        said = bytes(self._held[:size]).strip(b"\x00\t ")
        return said.decode("ascii") if said and _PADDING not in said else None
