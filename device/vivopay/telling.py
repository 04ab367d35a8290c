"""What a session tells its owner: events made, counted and held until a call returns them."""

from __future__ import annotations

from device.vivopay.codes import Status, words_of
from device.vivopay.commands import parse_serial
from device.vivopay.events import (
    BaudWanted,
    CardFailed,
    CardTapped,
    Counters,
    DownReason,
    LineText,
    LostReason,
    ReaderChanged,
    ReaderDown,
    ReaderEvent,
    ReaderFault,
    ReaderUp,
    ReopenWanted,
    TapLost,
    Undecided,
    VerdictShown,
)
from device.vivopay.frames import Frame
from device.vivopay.limits import TEXT_MIN, TEXT_WINDOW_SECONDS, TEXTS_MAX
from device.vivopay.tap import CardTap, TapError, read_failure, read_tap


class Teller:
    """Of one session; it knows which reader was last up, and which tap was the last."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._events: list[ReaderEvent] = []
        self._named = ""  # what 12-01 said
        self.serial: str | None = None  # of the reader that was last up
        self.ticket = 0  # of the newest tap
        self._texts: list[float] = []  # when the last ones were told

    def taken(self) -> list[ReaderEvent]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def waits(self) -> bool:
        """Whether there are events that no call has returned yet."""
        return bool(self._events)

    def name(self, frame: Frame) -> None:
        """The answer to 12-01; told when the reader is up."""
        self._named = parse_serial(frame.data) or ""

    def up(self, baud: int) -> None:
        """The reader is ready, found at that rate."""
        if self.serial is not None and self.serial != self._named:
            self._events.append(ReaderChanged(self.serial, self._named))
        self.serial = self._named
        self._events.append(ReaderUp(self._named, baud))

    def down(self, reason: DownReason) -> None:
        """It is not any more."""
        self._counters.downs += 1
        self._events.append(ReaderDown(reason))

    def port(self, baud: int, *, reopen: bool) -> None:
        """The owner has to do something with the port."""
        self._events.append(ReopenWanted(baud) if reopen else BaudWanted(baud))

    def fault(self, frame: Frame) -> None:
        """An answer that leaves the reader of no use."""
        said = "answered nothing that can be used" if frame.code == Status.OK else words_of(frame.code)
        self._events.append(ReaderFault(f"command {frame.command:02X}: {said}"))

    def tap(self, data: bytes) -> None:
        """A card was read."""
        self.ticket += 1
        self._counters.taps += 1
        tap: CardTap | None = None
        fault = None
        try:
            tap = read_tap(data)
        except TapError as exc:
            fault = str(exc)
        self._events.append(CardTapped(self.ticket, data, tap, fault))

    def lost(self, reason: LostReason) -> None:
        """A card was seen, its data is lost."""
        self._counters.lost[reason] += 1
        self._events.append(TapLost(reason))

    def failed(self, data: bytes) -> None:
        """A card was seen and could not be read."""
        self._counters.failed += 1
        self._events.append(CardFailed(read_failure(data)))

    def undecided(self) -> None:
        """The newest tap got no verdict in time."""
        self._counters.undecided += 1
        self._events.append(Undecided(self.ticket))

    def shown(self) -> None:
        """The reader took the newest tap's verdict."""
        self._events.append(VerdictShown(self.ticket))

    def text(self, text: str, now: float) -> None:
        """The line said something. Short ones are noise, and of many only the first are told."""
        if len(text) < TEXT_MIN:
            return
        self._counters.texts += 1
        self._texts = [at for at in self._texts if now - at < TEXT_WINDOW_SECONDS]
        if len(self._texts) < TEXTS_MAX:
            self._texts.append(now)
            self._events.append(LineText(text))
