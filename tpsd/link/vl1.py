"""VL1 as a lane's device: TAP payloads become reports, verdicts become messages (links.md part 1)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from device.vl1.daemon import DaemonSession
from device.vl1.events import DaemonEvent, Delivered, Received, SessionLost, SessionUp
from device.vl1.messages import (
    Beeps,
    ConfigMessage,
    Hello,
    HelloAck,
    MessageError,
    MessageNumber,
    StatusMessage,
    StatusState,
    TapKeptMessage,
    TapMessage,
    TapNumber,
    VerdictMessage,
    Where,
    clipped,
    decode_message,
    stable_payload,
)
from tpsd.core.display import Display
from tpsd.domain.card import CardToken, mask_runs
from tpsd.domain.tap import Oda, Shown, TapReport, Told
from tpsd.domain.time import Micros
from tpsd.ports import DeviceDown, DeviceEvent, DeviceStatus, DeviceUp, TapArrived, VerdictTaken

TEXT_BYTES = 64  # DF8A23 and DF8A43
AMOUNT_MAX = 0xFFFF_FFFF  # DF8A26 has four bytes; the journal's amounts may be larger

_STATUS_WORDS = {
    StatusState.READY: "ready",
    StatusState.TAMPER: "tamper",
    StatusState.READER_FAULT: "reader fault",
    StatusState.OUT_OF_SERVICE: "out of service",
}


@dataclass(frozen=True, slots=True)
class AnswerTo:
    """Which tap of which session a verdict answers; without a number, the oldest whose id could not be read."""

    session: int
    number: TapNumber | None


class Vl1Device:
    """One lane's validator. ``language`` and ``idle_text`` are shown while nothing happens."""

    def __init__(self, *, rng: random.Random, baud: int, language: str, idle_text: str) -> None:
        self._session = DaemonSession(rng=rng, baud=baud, hello_ack=self._hello_ack)
        self._language = language
        self._idle_text = idle_text
        self._hello: Hello | None = None
        self._id = 0
        self._last_kept: dict[str, TapNumber] = {}  # by serial, for people only (links.md)
        self._last_hello: dict[str, TapNumber] = {}
        self._wall: Micros | None = None
        self._under_way: dict[int, AnswerTo] = {}  # by the link's ticket: verdicts not acknowledged yet

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return self._session.deadline

    @property
    def garbage(self) -> int:
        """Runs of bytes that were no frame, since the start."""
        return sum(self._session.counters.garbage.values())

    def open(self, now: float) -> None:
        """The port was opened."""
        self._session.open(now)

    def receive(self, data: bytes, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """Bytes came in."""
        self._wall = wall if trusted else None
        return self._translate(self._session.receive(data, now), wall)

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """A deadline passed."""
        self._wall = wall if trusted else None
        return self._translate(self._session.tick(now), wall)

    def output(self) -> bytes:
        """Bytes to write now."""
        return self._session.output()

    def tell(self, answer_to: object, told: Told, display: Display, now: float) -> None:
        """Send VERDICT; dropped when the session it belongs to is gone, since the tap comes again."""
        if not isinstance(answer_to, AnswerTo) or answer_to.session != self._id or self._hello is None:
            return
        if answer_to.number is not None:
            self._last_kept[self._hello.serial] = answer_to.number
        message = VerdictMessage(
            tap=answer_to.number,
            verdict=int(told.verdict),
            reason=told.reason,
            text=clipped(display.text, TEXT_BYTES),
            light=int(display.light),
            beeps=Beeps(display.beeps, display.long_beep),
            amount=display.amount if (display.amount or 0) <= AMOUNT_MAX else None,
            show_seconds=display.seconds,
        )
        self._under_way[self._session.send(message.encode(), now)] = answer_to

    def keep(self, answer_to: object, now: float) -> None:
        """Send TAP_KEPT; dropped as ``tell`` drops."""
        if not isinstance(answer_to, AnswerTo) or answer_to.session != self._id or answer_to.number is None:
            return
        self._session.send(TapKeptMessage(answer_to.number).encode(), now)

    def configure(self, lane_open: bool, wall: Micros | None, now: float, idle_text: str | None = None) -> None:
        """Send CONFIG."""
        message = ConfigMessage(
            lane_open, wall, self._language, clipped(idle_text or self._idle_text, TEXT_BYTES) or None
        )
        self._session.send(message.encode(), now)

    def _hello_ack(self, hello: Hello) -> HelloAck:
        return HelloAck(last_kept=self._last_kept.get(hello.serial), time_us=self._wall)

    def _translate(self, events: list[DaemonEvent], wall: Micros) -> list[DeviceEvent]:
        translated: list[DeviceEvent] = []
        for event in events:
            match event:
                case SessionUp(hello, session):
                    self._hello, self._id = hello, session
                    alarm = self._backwards(hello)
                    translated.append(
                        DeviceUp(hello.serial, hello.type_name, hello.firmware, alarm, hello.can_take_pin)
                    )
                case SessionLost(reason):
                    self._hello, self._id = None, 0
                    self._under_way.clear()
                    translated.append(DeviceDown(str(reason)))
                case Delivered(ticket) if ticket in self._under_way:
                    translated.append(VerdictTaken(self._under_way.pop(ticket)))
                case Received(payload) if self._hello is not None:
                    translated.extend(self._message(payload, self._hello, wall))
        return translated

    def _backwards(self, hello: Hello) -> str | None:
        now = TapNumber(hello.boot, hello.last_tap)
        before = self._last_hello.get(hello.serial)
        self._last_hello[hello.serial] = now
        if before is not None and (now.boot, now.counter) < (before.boot, before.counter):
            return f"its counters went back from {before.boot}/{before.counter} to {now.boot}/{now.counter}"
        return None

    def _message(self, payload: bytes, hello: Hello, wall: Micros) -> list[DeviceEvent]:
        try:
            message = decode_message(payload)
        except MessageError as exc:
            if exc.number != MessageNumber.TAP:
                return []  # an unknown or damaged message that is no tap: a later firmware's, and no money
            return [self._arrived(payload, hello, wall, exc.tap, None, exc.what)]
        match message:
            case TapMessage():
                return [self._arrived(payload, hello, wall, message.tap, message, None)]
            case StatusMessage(state, text):
                known = state in _STATUS_WORDS
                return [DeviceStatus(_STATUS_WORDS[StatusState(state)] if known else str(state), mask_runs(text or ""))]
            case _:
                return []

    def _arrived(
        self,
        payload: bytes,
        hello: Hello,
        wall: Micros,
        number: TapNumber | None,
        message: TapMessage | None,
        fault: str | None,
    ) -> TapArrived:
        report = TapReport(
            serial=hello.serial,
            type_name=hello.type_name,
            boot=None if number is None else number.boot,
            counter=None if number is None else number.counter,
            received_at=wall,
            fingerprint=stable_payload(payload),
            payload=payload,
            fault=fault,
        )
        return TapArrived(report if message is None else _with(report, message), AnswerTo(self._id, number))


def _with(report: TapReport, message: TapMessage) -> TapReport:
    return replace(
        report,
        kind=message.kind,
        tapped_at=None if message.tapped_at is None else Micros(message.tapped_at),
        age_ms=message.age_ms,
        amount=message.amount,
        currency=message.currency,
        stop=message.stop,
        where=_places(message.where),
        oda=Oda(message.oda),
        token=None if message.token is None else CardToken(message.token.hex()),
        shown=Shown(message.shown),
        card=message.card,
    )


def _places(where: Where) -> tuple[tuple[str, str], ...]:
    named = [("route", where.route), ("trip", where.trip), ("vehicle", where.vehicle)]
    if where.position is not None:
        named.append(("position", f"{where.position.latitude / 1e6:.6f},{where.position.longitude / 1e6:.6f}"))
    return tuple((name, value) for name, value in named if value is not None)
