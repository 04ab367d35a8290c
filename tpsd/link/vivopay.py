"""A ViVOpay reader as a lane's device: cards become reports, verdicts a text, a lamp and a sound (links.md part 2).

A reader has no memory and no counters: a tap is itself by its KSN or cryptogram, and what is lost before its commit
is tapped again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, assert_never

from device.vivopay import events as e
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.commands import TAP_AGAIN, Transaction, UserInterface
from device.vivopay.session import ReaderSession
from device.vivopay.tap import CardFailure
from tpsd.core.display import Display, Light
from tpsd.domain.card import MaskedPan, mask_runs
from tpsd.domain.tap import TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.ports import (
    CardMissed,
    DeviceDown,
    DeviceEvent,
    DeviceStatus,
    DeviceUp,
    PortWanted,
    TapArrived,
    VerdictTaken,
)

TYPE_NAME: Final = "NEO2"  # a reader says no type; TPS knows a terminal by one
ACCEPTED_SECONDS: Final = 0.8  # of a good verdict before the next card is asked for: people walk on through a gate
AGAIN_SECONDS: Final = 0.8  # of "tap again"

_TEXTS: Final[Mapping[Verdict, Text]] = MappingProxyType(
    {
        Verdict.ACCEPTED: Text.THANK_YOU,
        Verdict.DENIED: Text.FAIL,
        Verdict.TRY_AGAIN: Text.TRY_AGAIN,
        Verdict.INSERT_CARD: Text.USE_CHIP,
        Verdict.CHECKED_IN: Text.THANK_YOU,
        Verdict.CHECKED_OUT: Text.THANK_YOU,
        Verdict.CHECK_OUT_AGAIN: Text.TRY_AGAIN,
        Verdict.CHECK_OUT_FAILED: Text.FAIL,
        Verdict.ALREADY_TAPPED: Text.THANK_YOU,
        Verdict.OUT_OF_SERVICE: Text.FAIL,
    }
)

_LAMPS: Final[Mapping[Light, tuple[Led, bool]]] = MappingProxyType(
    {
        Light.OFF: (Led.ALL, False),
        Light.GREEN: (Led.LED_2, True),
        Light.RED: (Led.LED_3, True),
        Light.AMBER: (Led.LED_1, True),
    }
)
"""In the order of EMV Contactless Book A's second option: blue, yellow, green, red [assumed]."""

_PROCESSING: Final = UserInterface(Text.PROCESSING)
_CLOSED: Final = UserInterface(Text.WAIT)

_WHY_DOWN: Final = {
    e.DownReason.UNANSWERED: "the reader does not answer",
    e.DownReason.REOPENED: "the port was opened anew",
}


@dataclass(frozen=True, slots=True)
class AnswerTo:
    """Which tap of this session a verdict answers."""

    ticket: int


class VivopayDevice:
    """One lane's reader, which asks every card for ``transaction`` while the lane is open."""

    def __init__(self, *, baud: int, transaction: Transaction) -> None:
        self._session = ReaderSession(baud=baud)
        self._transaction = transaction
        self._baud = baud
        self._open = False
        self._undecided: int | None = None  # the ticket of a tap that is neither kept nor told
        self._unwell = False
        self._events: list[DeviceEvent] = []  # of calls that return none
        self._events_since = 0.0

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        times = (self._session.deadline, self._events_since if self._events else None)
        return min((at for at in times if at is not None), default=None)

    @property
    def garbage(self) -> int:
        """Runs of bytes that were no frame, since the start."""
        return sum(self._session.counters.garbage.values())

    def open(self, now: float) -> None:
        """The port was opened, or set to another rate."""
        self._session.open(now)

    def receive(self, data: bytes, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """Bytes came in."""
        return self._translate(self._session.receive(data, now), now, wall)

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """A deadline passed."""
        return self._translate(self._session.tick(now), now, wall)

    def output(self) -> bytes:
        """Bytes to write now."""
        return self._session.output()

    def tell(self, answer_to: object, told: Told, display: Display, now: float) -> None:
        """Show the verdict; dropped where its reader is gone or the tap waited too long."""
        if isinstance(answer_to, AnswerTo):
            hold = ACCEPTED_SECONDS if told.verdict.accepts else float(display.seconds)
            self._verdict(answer_to.ticket, shown(told.verdict, display), now, hold)

    def keep(self, answer_to: object, now: float) -> None:
        """Ask the passenger to be patient."""
        if isinstance(answer_to, AnswerTo):
            if self._undecided == answer_to.ticket:
                self._undecided = None
            self._session.note(answer_to.ticket, _PROCESSING, now)

    def configure(self, lane_open: bool, wall: Micros | None, now: float, idle_text: str | None = None) -> None:
        """Ask for cards, or for none. A tap that is not kept by then never is: its passenger taps again."""
        was_open, self._open = self._open, lane_open
        if lane_open:
            self._session.arm(self._transaction, now)
            return
        self._session.disarm(now)
        if self._undecided is not None:
            self._events.append(CardMissed("the lane closed before the tap was kept"))
            self._events_since = now
            self._verdict(self._undecided, TAP_AGAIN, now, AGAIN_SECONDS)
        if was_open:
            self._session.show(_CLOSED, now)

    def _verdict(self, ticket: int, screen: UserInterface, now: float, hold: float) -> None:
        if self._undecided == ticket:
            self._undecided = None
        self._session.verdict(ticket, screen, now, hold=hold)

    def _translate(self, events: list[e.ReaderEvent], now: float, wall: Micros) -> list[DeviceEvent]:
        translated, self._events = self._events, []
        for event in events:
            translated.extend(self._one(event, now, wall))
        return translated

    def _one(self, event: e.ReaderEvent, now: float, wall: Micros) -> list[DeviceEvent]:
        match event:
            case e.ReaderUp(serial, baud):
                return self._up(serial, baud)
            case e.ReaderChanged():
                pass  # the serial in DeviceUp says so, also of one that came while nobody looked
            case e.ReaderDown(reason):
                self._undecided = None
                return [DeviceDown(_WHY_DOWN[reason])]
            case e.ReaderFault(what):
                return self._ill(what)
            case e.LineText(text):
                return self._ill(f"the line says: {mask_runs(text)}")
            case e.BaudWanted(baud):
                return [PortWanted(baud)]
            case e.ReopenWanted(baud):
                return [PortWanted(baud, anew=True)]
            case e.CardTapped():
                return self._tapped(event, now, wall)
            case e.TapLost(reason):
                return self._lost(reason, now)
            case e.CardFailed(failure):
                self._session.show(TAP_AGAIN, now)
                return [CardMissed(_words(failure), read=False)]
            case e.Undecided():
                self._undecided = None
            case e.VerdictShown(ticket):
                return [VerdictTaken(AnswerTo(ticket))]
            case _:
                assert_never(event)
        return []

    def _up(self, serial: str, baud: int) -> list[DeviceEvent]:
        alarm = None
        if baud != self._baud:
            alarm = f"it answers at {baud} baud, the lane is set to {self._baud}"
        return [*self._well(), DeviceUp(serial, TYPE_NAME, "", alarm)]

    def _ill(self, what: str) -> list[DeviceEvent]:
        self._unwell = True
        return [DeviceStatus("reader fault", what)]

    def _well(self) -> list[DeviceEvent]:
        was, self._unwell = self._unwell, False
        return [DeviceStatus("ready", "")] if was else []

    def _tapped(self, event: e.CardTapped, now: float, wall: Micros) -> list[DeviceEvent]:
        if not self._open:  # it was faster than the cancel
            self._session.verdict(event.ticket, TAP_AGAIN, now, hold=AGAIN_SECONDS)
            return [*self._well(), CardMissed("the lane is closed")]
        self._undecided = event.ticket
        report = report_of(event, self._session.serial or "", wall)
        lacks = () if event.tap is None else event.tap.missing
        return [*self._well(), TapArrived(report, AnswerTo(event.ticket), " ".join(f"{tag:02X}" for tag in lacks))]

    def _lost(self, reason: e.LostReason, now: float) -> list[DeviceEvent]:
        if reason is e.LostReason.NOT_READY:  # of a damaged one the session says so itself
            self._session.show(TAP_AGAIN, now)
        return [CardMissed(f"its data is lost: {reason}")]


def report_of(event: e.CardTapped, serial: str, wall: Micros) -> TapReport:
    """A card as the reader gave it. It is live: a reader keeps none. Without a name of its own it is its payload."""
    tap = event.tap
    name = None if tap is None else tap.identity
    return TapReport(
        serial=serial,
        type_name=TYPE_NAME,
        boot=None,
        counter=None,
        received_at=wall,
        fingerprint=serial.encode() + b"\x00" + (event.payload if name is None else name),
        payload=event.payload,
        age_ms=0,
        card=() if tap is None else tap.card,
        masked_pan=None if tap is None or tap.masked_pan is None else MaskedPan(tap.masked_pan),
        fault=event.fault,
    )


def shown(verdict: Verdict, display: Display) -> UserInterface:
    """A verdict in what a reader has: its own words, lamps and sounds."""
    led, lit = _LAMPS[display.light]
    beep = Beep.LONG_2 if display.long_beep else Beep(min(display.beeps, Beep.SHORT_4))
    return UserInterface(_TEXTS[verdict], beep, led, lit)


def _words(failure: CardFailure) -> str:
    """For people; the numbers are the NEO 2 guide's and the card's own."""
    if failure.error is None:
        return "the card could not be read"
    status = f", status word {failure.status_word:04X}" if failure.status_word else ""
    return f"the card could not be read: error {failure.error:02X}{status}"
