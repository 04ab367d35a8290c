"""A validator's memory of taps: each stays until its VERDICT; this says which one to send next, and when.

The rules are those of links.md "Session": live taps before stored ones, at most one stored tap without its
VERDICT at a time, every 2 s a tap that is under way, everything again after each new session, oldest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from device.vl1.codes import Shown
from device.vl1.greeting import TapNumber
from device.vl1.limits import STORED_TAP_SECONDS
from device.vl1.tap_message import with_age_and_shown

TAPS_MAX = 100_000  # taps: four days of a busy gate are 130,000 (field.md), of which most are answered at once


class MemoryFullError(RuntimeError):
    """There is no room for another tap: a real validator closes here."""


@dataclass(frozen=True, slots=True)
class KeptTap:
    """A tap not yet answered, as it outlives a power cut."""

    number: TapNumber
    payload: bytes = field(repr=False)
    shown: Shown = Shown.NOTHING


@dataclass(frozen=True, slots=True)
class ValidatorState:
    """What a validator holds in flash: enough to go on after a power cut."""

    boot: int = 1
    last_tap: int = 0
    taps: tuple[KeptTap, ...] = ()


@dataclass(slots=True)
class StoredTap:
    """One tap as the validator holds it. Times are seconds of its monotonic timer."""

    number: TapNumber
    payload: bytes = field(repr=False)  # without age and shown; these bytes never change
    made_at: float | None  # None: made before the timer last started
    decide_at: float | None = None  # when it decides by itself; None: decided, or never does
    shown: Shown = Shown.NOTHING
    told: Shown | None = None  # what the daemon's link last acknowledged of it in this session
    sent_at: float | None = None  # in this session
    live: bool = False  # made in this session
    readable: bool = True  # whether a daemon can read its id

    def outgoing(self, now: float) -> bytes:
        """The payload of a sending made now."""
        age_ms = None if self.made_at is None else round((now - self.made_at) * 1000)
        return with_age_and_shown(self.payload, age_ms, self.shown)

    @property
    def repeat_at(self) -> float | None:
        """When to send it again; None: not sent in this session."""
        if self.sent_at is None:
            return None
        news = self.told is not None and self.told is not self.shown
        return self.sent_at if news else self.sent_at + STORED_TAP_SECONDS


class TapMemory:
    """The taps not yet answered. Looking at it costs as much as there are taps under way, not as are stored."""

    def __init__(self, taps: Iterable[StoredTap] = ()) -> None:
        self._taps: dict[TapNumber, StoredTap] = {tap.number: tap for tap in taps}
        self._live: deque[TapNumber] = deque()
        self._stored: deque[TapNumber] = deque()
        self._under_way: dict[TapNumber, StoredTap] = {}
        self._undecided: dict[TapNumber, StoredTap] = {}
        self.begin_session()

    def __len__(self) -> int:
        return len(self._taps)

    @property
    def taps(self) -> tuple[StoredTap, ...]:
        """All of them, oldest first."""
        return tuple(self._taps.values())

    @property
    def repeat_at(self) -> float | None:
        """When the next tap under way is to be sent again."""
        times = (tap.repeat_at for tap in self._under_way.values())
        return min((at for at in times if at is not None), default=None)

    @property
    def decide_at(self) -> float | None:
        """When the validator must decide a tap by itself."""
        times = (tap.decide_at for tap in self._undecided.values())
        return min((at for at in times if at is not None), default=None)

    def add(self, tap: StoredTap) -> None:
        """A tap was made. Raises MemoryFullError."""
        if len(self._taps) >= TAPS_MAX:
            raise MemoryFullError(f"{TAPS_MAX} taps wait for their verdicts")
        if tap.number in self._taps:
            raise ValueError(f"tap {tap.number} waits for its verdict already")
        self._taps[tap.number] = tap
        (self._live if tap.live else self._stored).append(tap.number)
        if tap.decide_at is not None:
            self._undecided[tap.number] = tap

    def begin_session(self) -> None:
        """Everything is to be sent again, oldest first."""
        self._live.clear()
        self._under_way.clear()
        self._stored = deque(self._taps)
        for tap in self._taps.values():
            tap.sent_at, tap.told, tap.live = None, None, False

    def get(self, number: TapNumber) -> StoredTap | None:
        """The tap of that number, if it is not answered yet."""
        return self._taps.get(number)

    def oldest_unreadable(self) -> StoredTap | None:
        """The oldest tap under way whose id a daemon cannot read."""
        return next((tap for tap in self._under_way.values() if not tap.readable), None)

    def next_to_send(self, now: float) -> StoredTap | None:
        """The tap whose turn it is, None if none is due."""
        live = self._first(self._live)
        if live is not None:
            return live
        for tap in self._under_way.values():
            if tap.repeat_at is not None and tap.repeat_at <= now:
                return tap
        if any(not tap.live for tap in self._under_way.values()):
            return None
        return self._first(self._stored)

    def sent(self, tap: StoredTap, now: float) -> None:
        """The tap was given to the link."""
        for waiting in (self._live, self._stored):
            if waiting and waiting[0] == tap.number:
                waiting.popleft()
        tap.sent_at, tap.told = now, None
        self._under_way[tap.number] = tap

    def due_decisions(self, now: float) -> tuple[StoredTap, ...]:
        """The taps that the validator must decide by itself now."""
        due = (tap for tap in self._undecided.values() if tap.decide_at is not None and tap.decide_at <= now)
        return tuple(due)

    def decide(self, tap: StoredTap, shown: Shown) -> None:
        """The validator decided by itself."""
        tap.shown, tap.decide_at = shown, None
        self._undecided.pop(tap.number, None)

    def answered(self, tap: StoredTap) -> None:
        """The tap has its VERDICT and goes."""
        for index in (self._taps, self._under_way, self._undecided):
            index.pop(tap.number, None)

    def _first(self, waiting: deque[TapNumber]) -> StoredTap | None:
        while waiting and waiting[0] not in self._taps:
            waiting.popleft()  # answered before its turn
        return self._taps[waiting[0]] if waiting else None
