"""A whole VL1 validator, without a card reader: taps are made by a call, everything else is the real protocol.

It never loses a tap: what has no VERDICT survives session loss and ``reboot``. It owns no port and no clock.
"""

from __future__ import annotations

from device.tlv import Tlv
from device.vl1.codes import Oda, Shown, TapKind
from device.vl1.events import Counters, Delivered, Received, SessionLost, SessionUp, ValidatorEvent
from device.vl1.greeting import Hello, TapNumber
from device.vl1.messages import (
    ConfigMessage,
    MessageError,
    StatusMessage,
    TapKeptMessage,
    VerdictMessage,
    decode_message,
)
from device.vl1.simulator_events import (
    ConfigReceived,
    Misunderstood,
    SimulatorEvent,
    StrayVerdict,
    TapDecided,
    TapKept,
    TapVerdict,
)
from device.vl1.tap_memory import KeptTap, StoredTap, TapMemory, ValidatorState
from device.vl1.tap_message import TapMessage, Where, read_tap_number, stable_payload
from device.vl1.validator import State, ValidatorSession

LIMIT_SECONDS = 0.5  # a gate's patience (links.md): what a passenger waits for before stepping back
KEPT_LIMIT_SECONDS = 15.0  # after TAP_KEPT: TPS is being asked, which may take 10 s (field.md)
assert LIMIT_SECONDS < KEPT_LIMIT_SECONDS


NEW = ValidatorState()


class SimulatedValidator:
    """One validator on one line of ``baud`` bits/s. All times are seconds of one monotonic clock.

    ``limit_seconds`` after a tap without VERDICT (``kept_limit_seconds`` once TAP_KEPT came) it does by itself
    what ``when_late`` says and tells the daemon so; None: it waits for ever.
    """

    def __init__(
        self,
        *,
        serial: str,
        type_name: str = "GATE-X1",
        firmware: str = "1.4.2",
        state: ValidatorState = NEW,
        baud: int = 115_200,
        limit_seconds: float | None = LIMIT_SECONDS,
        kept_limit_seconds: float = KEPT_LIMIT_SECONDS,
        when_late: Shown = Shown.LET_IN,
        can_take_pin: bool = False,
    ) -> None:
        self.serial = serial
        self.type_name = type_name
        self.firmware = firmware
        self.lane_open: bool | None = None  # what CONFIG last said
        self._limit = limit_seconds
        self._kept_limit = kept_limit_seconds
        self._when_late = when_late
        self._can_take_pin = can_take_pin
        self._baud = baud
        self._start(state)

    @property
    def counters(self) -> Counters:
        """Of the link, since the last boot."""
        return self._session.counters

    @property
    def boot(self) -> int:
        """The boot counter."""
        return self._boot

    @property
    def is_up(self) -> bool:
        """Whether it has a session."""
        return self._session.state is State.UP

    @property
    def waiting(self) -> int:
        """Taps without a VERDICT."""
        return len(self._memory)

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``, at the latest; None before ``open``."""
        repeat_at = self._memory.repeat_at if self._may_send else None
        times = (self._session.deadline, self._memory.decide_at, repeat_at)
        return min((at for at in times if at is not None), default=None)

    def state(self) -> ValidatorState:
        """What it would still know after a power cut now."""
        kept = (KeptTap(tap.number, tap.payload, tap.shown) for tap in self._memory.taps)
        return ValidatorState(self._boot, self._last_tap, tuple(kept))

    def open(self, now: float) -> None:
        """The line is there, for the first time or again."""
        self._session.open(now)

    def reboot(self, now: float) -> None:
        """Power off and on: the memory of taps survives, the session and the timer do not."""
        state = self.state()
        self._start(ValidatorState(state.boot + 1, state.last_tap, state.taps))
        self._session.open(now)

    def receive(self, data: bytes, now: float) -> list[SimulatorEvent]:
        """Bytes came in."""
        events = self._heard(self._session.receive(data, now), now)
        self._send_taps(now)
        return events

    def tick(self, now: float) -> list[SimulatorEvent]:
        """Does what is due; harmless when nothing is."""
        events = self._heard(self._session.tick(now), now)
        for tap in self._memory.due_decisions(now):
            self._memory.decide(tap, self._when_late)
            events.append(TapDecided(tap.number, self._when_late))
        self._send_taps(now)
        return events

    def output(self) -> bytes:
        """The bytes to write now; ask after every other call."""
        return self._session.output()

    def tap(
        self,
        now: float,
        *,
        card: tuple[Tlv, ...],
        tapped_at: int | None,
        kind: int = TapKind.MTT,
        amount: int | None = None,
        currency: str | None = None,
        stop: str | None = None,
        oda: Oda = Oda.NOT_DONE,
        token: bytes | None = None,
        where: Where | None = None,
    ) -> TapNumber:
        """A card was read. ``tapped_at`` in microseconds since 1970 UTC; the rest as in ``TapMessage``."""
        number = TapNumber(self._boot, self._last_tap + 1)
        message = TapMessage(
            tap=number,
            tapped_at=tapped_at,
            kind=kind,
            amount=amount,
            currency=currency,
            stop=stop,
            oda=oda,
            token=token,
            where=where or Where(),
            card=card,
        )
        return self.tap_payload(message.encode(), now)

    def tap_payload(self, payload: bytes, now: float) -> TapNumber:
        """A tap with any payload, for what a faulty validator might send; returns the number it goes under here.

        A VERDICT without a tap id answers the oldest of those whose id cannot be read.
        """
        self._last_tap += 1
        own = TapNumber(self._boot, self._last_tap)
        said = read_tap_number(payload)
        tap = StoredTap(
            number=own if said is None else said,
            payload=stable_payload(payload),
            made_at=now,
            decide_at=None if self._limit is None else now + self._limit,
            live=self.is_up,
            readable=said is not None,
        )
        self._memory.add(tap)
        self._send_taps(now)
        return tap.number

    def status(self, status: StatusMessage, now: float) -> None:
        """Says how it is; lost without a session."""
        self._session.send(status.encode(), now)

    def _start(self, state: ValidatorState) -> None:
        self._boot = state.boot
        self._last_tap = state.last_tap
        self.lane_open = None
        self._session = ValidatorSession(baud=self._baud, hello=self._hello)
        self._memory = TapMemory(_restored(tap) for tap in state.taps)
        self._in_link: tuple[int, StoredTap, Shown] | None = None

    def _hello(self) -> Hello:
        return Hello(
            serial=self.serial,
            boot=self._boot,
            last_tap=self._last_tap,
            type_name=self.type_name,
            firmware=self.firmware,
            can_take_pin=self._can_take_pin,
        )

    @property
    def _may_send(self) -> bool:
        # One tap in the link at a time, so that a live one never queues behind stored ones.
        return self.is_up and self._session.pending == 0

    def _send_taps(self, now: float) -> None:
        if not self._may_send:
            return
        tap = self._memory.next_to_send(now)
        if tap is None:
            return
        ticket = self._session.send(tap.outgoing(now), now)
        self._memory.sent(tap, now)
        self._in_link = (ticket, tap, tap.shown)

    def _heard(self, events: list[ValidatorEvent], now: float) -> list[SimulatorEvent]:
        told: list[SimulatorEvent] = []
        for event in events:
            match event:
                case SessionUp():
                    self._memory.begin_session()
                    told.append(event)
                case SessionLost():
                    self._in_link = None
                    told.append(event)
                case Delivered(ticket):
                    self._delivered(ticket)
                case Received(payload):
                    told += self._message(payload, now)
        return told

    def _delivered(self, ticket: int) -> None:
        if self._in_link is not None and self._in_link[0] == ticket:
            _, tap, shown = self._in_link
            tap.told = shown
            self._in_link = None

    def _message(self, payload: bytes, now: float) -> list[SimulatorEvent]:
        try:
            message = decode_message(payload)
        except MessageError as exc:
            return [Misunderstood(exc.what)]
        match message:
            case VerdictMessage():
                return self._verdict(message, now)
            case TapKeptMessage(number):
                return self._kept(number)
            case ConfigMessage():
                if message.lane_open is not None:
                    self.lane_open = message.lane_open
                return [ConfigReceived(message)]
            case _:
                return [Misunderstood(f"{type(message).__name__} goes up, not down")]

    def _verdict(self, verdict: VerdictMessage, now: float) -> list[SimulatorEvent]:
        tap = self._memory.oldest_unreadable() if verdict.tap is None else self._memory.get(verdict.tap)
        if tap is None:
            return [StrayVerdict(verdict)]
        contradicted = tap.shown is not Shown.NOTHING and verdict.accepts != (tap.shown is Shown.LET_IN)
        if contradicted and tap.told is not tap.shown:
            # The daemon decided before it heard what the passenger was shown: it must hear it.
            return []
        self._memory.answered(tap)
        waited = None if tap.made_at is None else now - tap.made_at
        return [TapVerdict(tap.number, verdict, waited, tap.shown)]

    def _kept(self, number: TapNumber) -> list[SimulatorEvent]:
        tap = self._memory.get(number)
        if tap is not None and tap.decide_at is not None and tap.made_at is not None:
            tap.decide_at = tap.made_at + self._kept_limit
        return [TapKept(number)]


def _restored(tap: KeptTap) -> StoredTap:
    """Its passenger is gone: nothing is left to decide."""
    readable = read_tap_number(tap.payload) is not None
    return StoredTap(tap.number, tap.payload, made_at=None, shown=tap.shown, readable=readable)
