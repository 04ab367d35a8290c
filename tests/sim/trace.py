"""What happened, line by line, and its digest: the same for the same seed in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields

from tests.sim.events import Committed, Event


class Trace:
    """``now`` gives the seconds since the beginning."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.lines: list[str] = []
        self._now = now
        self._digest = hashlib.sha256()

    def heard(self, event: Event) -> None:
        """Write one event down; commits are too many to be read."""
        if not isinstance(event, Committed):
            self.add(f"{type(event).__name__:12} {_told(event)}")

    def add(self, text: str) -> None:
        """Write one line down."""
        line = f"{self._now():13.6f} {text}"
        self.lines.append(line)
        self._digest.update(line.encode() + b"\n")

    @property
    def digest(self) -> str:
        """SHA-256 of all lines, in hex."""
        return self._digest.hexdigest()


def _told(event: Event) -> str:
    values = ((field.name, getattr(event, field.name)) for field in fields(event))
    return " ".join(f"{name}={_short(value)}" for name, value in values if value is not None)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:8]}…"
