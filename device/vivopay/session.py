"""The daemon's end of a line with one reader: bytes and times in, events and bytes out (links.md part 2, "Cycle").

``states`` is the table of what happens when, ``inputs`` says what an item from the line is in it; here are what
follows from times and from what the owner wants, and the effects.
"""

from __future__ import annotations

from collections.abc import Iterable

from device.vivopay import commands
from device.vivopay.codes import ACTIVATE, Status
from device.vivopay.commands import TAP_AGAIN, Command, Transaction, UserInterface
from device.vivopay.decoder import Decoder, Item
from device.vivopay.events import Counters, DownReason, LostReason, ReaderEvent
from device.vivopay.exchange import Exchange
from device.vivopay.frames import Frame
from device.vivopay.garbage import Garbage
from device.vivopay.inputs import ANSWERING, FINAL, of_answer, of_garbage
from device.vivopay.limits import BAUDS, DECISION_SECONDS, PAUSE_SECONDS, REST_SECONDS
from device.vivopay.rates import Rates
from device.vivopay.states import DOWN, STARTING, Effect, Input, State, look_up
from device.vivopay.telling import Teller
from device.vivopay.wishes import Wishes

_COMMANDS: dict[Effect, Command] = {
    Effect.SAY_FIRST_CANCEL: commands.FIRST_CANCEL,
    Effect.SAY_CANCEL: commands.CANCEL,
    Effect.SAY_PING: commands.PING,
    Effect.SAY_LAST_PING: commands.PING,
    Effect.ASK_SERIAL: commands.GET_SERIAL,
    Effect.ASK_CONFIGURATION: commands.GET_CONFIGURATION,
    Effect.BURST_OFF: commands.BURST_OFF,
    Effect.POLL_ON_DEMAND: commands.POLL_ON_DEMAND,
}


class ReaderSession:
    """One reader on one line. All times are seconds of one monotonic clock; none may be before the last.

    ``baud`` is what the port is first opened at; ``probe`` are the rates to try when nobody answers there.
    ``tap_again`` is shown by itself after a card was seen and its data lost.
    """

    def __init__(self, *, baud: int, probe: tuple[int, ...] = BAUDS, tap_again: UserInterface = TAP_AGAIN) -> None:
        self.counters = Counters()
        self._state = State.CLOSED
        self._decoder = Decoder()
        self._exchange = Exchange(self.counters)
        self._teller = Teller(self.counters)
        self._rates = Rates(baud, probe)
        self._events_since: float | None = None  # events wait that no call has returned yet
        self._doubtful = False  # a command was unanswered, and only a ping was answered since
        self._shows_verdict = False  # and not a screen
        self._wishes = Wishes()
        self._tap_again = tap_again

    @property
    def state(self) -> State:
        """The row of the table it is in."""
        return self._state

    @property
    def baud(self) -> int:
        """The rate that the port should be at."""
        return self._rates.current

    @property
    def serial(self) -> str | None:
        """Of the reader that is up, None if none is."""
        return None if self._state in DOWN else self._teller.serial

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``, at the latest; None: not before something else happens."""
        times = (
            self._events_since,
            self._decoder.deadline,
            self._exchange.deadline,
            self._wishes.deadline(self._state),
        )
        return min((at for at in times if at is not None), default=None)

    def open(self, now: float) -> None:
        """The port was opened, or set to another rate, and its input flushed. A loss by it is told by the next call."""
        self._decoder.reset()
        self._exchange.reset()
        self._step(Input.OPENED, now)
        if self._teller.waits:
            self._events_since = now

    def receive(self, data: bytes, now: float) -> list[ReaderEvent]:
        """Bytes came in. Deadlines are not looked at: bytes that waited are heard before silence is judged."""
        self._hear(self._decoder.feed(data, now), now)
        return self._handed_over(now)

    def tick(self, now: float) -> list[ReaderEvent]:
        """Does what is due; harmless when nothing is."""
        self._hear(self._decoder.tick(now), now)
        due = self._exchange.deadline
        if due is not None and now >= due and not self._exchange.silent(now):
            self._step(self._unanswered(), now)
        overdue = self._wishes.overdue(self._state, now)
        if overdue is not None:
            self._step(overdue, now)
        return self._handed_over(now)

    def output(self) -> bytes:
        """The bytes to write now; ask after every other call."""
        return self._exchange.drain()

    def arm(self, transaction: Transaction, now: float) -> None:
        """From now on every card is asked for this; a transaction under way for something else is cancelled."""
        self._wishes.transaction = transaction
        self._go_on(now)

    def disarm(self, now: float) -> None:
        """No card is asked for any more. One that is being read may still become a tap."""
        self._wishes.transaction = None
        self._go_on(now)

    def show(self, screen: UserInterface, now: float) -> None:
        """Shows something once no transaction is under way and the last verdict was held; the latest wins."""
        self._wishes.screen = screen
        self._go_on(now)

    def note(self, ticket: int, shown: UserInterface, now: float) -> None:
        """Shows something while a tap waits for its verdict, which does not wait for this: a request to be patient."""
        if self._waits_for_verdict(ticket):
            self._wishes.note = shown
            self._go_on(now)

    def verdict(self, ticket: int, shown: UserInterface, now: float, *, hold: float = 0.0) -> None:
        """Ends a tap: shows this, and asks for the next card, or shows something else, ``hold`` seconds later.

        Dropped if no tap with that ticket waits: its reader is gone, or it was undecided for too long.
        """
        if not self._waits_for_verdict(ticket):
            self.counters.verdicts_late += 1
            return
        self._wishes.verdict, self._wishes.hold = shown, hold
        self._go_on(now)

    def _waits_for_verdict(self, ticket: int) -> bool:
        waits = self._state in (State.TAPPED, State.DECIDING, State.NOTING) and self._wishes.verdict is None
        return waits and ticket == self._teller.ticket

    def _hear(self, items: Iterable[Item], now: float) -> None:
        for item in items:
            if isinstance(item, Garbage):
                self.counters.add_garbage(item)
                self._teller.text(item.text or "", now)
                self._step(of_garbage(item), now)
            else:
                self.counters.frames_in += 1
                self._answer(item, now)

    def _answer(self, frame: Frame, now: float) -> None:
        asked = self._exchange.command
        if frame.code == Status.CRC and asked is not None:
            if not self._exchange.damaged(now):
                self._step(self._unanswered(), now)
            return
        given = of_answer(frame, asked)
        if given in ANSWERING or (given in FINAL and asked is not None and asked.command == ACTIVATE):
            self._exchange.answered()
        if given in (Input.REFUSED, Input.INVALID):
            self.counters.refused[f"{frame.command:02X}: {frame.code:02X}"] += 1
        self._step(given, now, frame)

    def _unanswered(self) -> Input:
        again = self._doubtful and self._state in STARTING - {State.CANCELLING, State.PINGING}
        return Input.HOPELESS if again else Input.UNANSWERED

    def _step(self, given: Input, now: float, frame: Frame | None = None) -> None:
        before = self._state
        self._state, effects = look_up(before, given)
        for effect in effects:
            command = _COMMANDS.get(effect) or self._wishes.take(effect, now)
            if command is not None:
                self._exchange.send(command, now)
            self._do(effect, given, now)
            self._tell(effect, before, frame, now)

    def _go_on(self, now: float) -> None:
        while (given := self._wishes.input(self._state, now)) is not None:
            self._step(given, now)

    def _do(self, effect: Effect, given: Input, now: float) -> None:
        """What only this end knows of."""
        match effect:
            case Effect.SAY_LAST_PING:
                self._doubtful = True
            case Effect.ACTIVATE:
                self.counters.transactions += 1
            case Effect.SHOW_VERDICT | Effect.SHOW_SCREEN:
                self._shows_verdict = effect is Effect.SHOW_VERDICT
            case Effect.PLAN_AGAIN:
                self._wishes.screen = self._wishes.screen or self._tap_again
            case Effect.PAUSE:
                self._wishes.wait(now + PAUSE_SECONDS)
            case Effect.REST:
                self._wishes.wait(now + REST_SECONDS)
            case Effect.COUNT:
                self.counters.interim += 1
            case Effect.DROP:
                self.counters.dropped[given.name.lower()] += 1

    def _tell(self, effect: Effect, before: State, frame: Frame | None, now: float) -> None:
        """What the owner hears of."""
        match effect:
            case Effect.KEEP_SERIAL if frame is not None:
                self._teller.name(frame)
            case Effect.TELL_UP:
                self._doubtful = False
                self._rates.heard()
                self._teller.up(self._rates.current)
            case Effect.TELL_DOWN:
                self._wishes.forget()
                reopened = self._state is State.CANCELLING
                self._teller.down(DownReason.REOPENED if reopened else DownReason.UNANSWERED)
            case Effect.ASK_BAUD:
                more = self._rates.turn()
                self._teller.port(self._rates.current, reopen=not more)
            case Effect.ASK_REOPEN:
                self._doubtful = False
                self._teller.port(self._rates.current, reopen=True)
            case Effect.TELL_FAULT if frame is not None:
                self._teller.fault(frame)
            case Effect.TELL_TAP if frame is not None:
                self._wishes.decide_until = now + DECISION_SECONDS
                self._teller.tap(frame.data)
            case Effect.TELL_LOST:
                self._teller.lost(_lost_reason(before))
            case Effect.TELL_FAILED if frame is not None:
                self._teller.failed(frame.data)
            case Effect.TELL_UNDECIDED:
                self._teller.undecided()
            case Effect.TELL_SHOWN if self._shows_verdict:
                self._teller.shown()

    def _handed_over(self, now: float) -> list[ReaderEvent]:
        self._go_on(now)
        self._events_since = None
        return self._teller.taken()


def _lost_reason(before: State) -> LostReason:
    if before is State.RESCUING:
        return LostReason.DAMAGED
    return LostReason.NOT_READY if before in DOWN else LostReason.UNASKED
