"""The daemon's end of a VL1 session: the upper state table of links.md "Session"."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from device.vl1.arq import Overdue
from device.vl1.endpoint import Endpoint, Table
from device.vl1.events import LostReason
from device.vl1.frames import Frame, FrameType
from device.vl1.greeting import GreetingError, Hello, HelloAck
from device.vl1.limits import KNOCK_SECONDS, RESET_SPACING_SECONDS


class State(Enum):
    """Where the daemon stands with one validator."""

    CLOSED = "closed"  # the port was not opened yet
    GREETING = "greeting"
    UP = "up"


class Input(Enum):
    """What can happen to it."""

    OPENED = "the port was opened"
    KNOCK_DUE = "500 ms since the last RESET"
    HELLO = "HELLO"
    HELLO_REPEATED = "HELLO, same boot counter, no frame of this session yet"
    FRAME = "a frame of this session"
    FOREIGN = "a frame of another session"
    UNUSABLE = "a HELLO that cannot be read or used"
    STRAY = "HELLO_ACK"
    RESET = "RESET"
    SILENCE = "3 s without a frame of this session"
    UNANSWERED = "five tries unanswered"
    DISAGREEMENT = "a NAK for a frame never sent"


class Effect(Enum):
    """What it does then, in order."""

    KNOCK = "00 00 RESET"
    BEGIN = "a new session, HELLO_ACK, event session up"
    ANSWER_AGAIN = "the same HELLO_ACK"
    LOSE = "event session lost"
    TAKE = "deliver, acknowledge, repeat"
    DROP = "drop it, count it"
    SAY_RESET = "RESET, at most one per 500 ms"


DAEMON_TABLE: Table[State, Input, Effect] = {
    (State.CLOSED, Input.OPENED): (State.GREETING, (Effect.KNOCK,)),
    (State.GREETING, Input.OPENED): (State.GREETING, (Effect.KNOCK,)),
    (State.GREETING, Input.KNOCK_DUE): (State.GREETING, (Effect.KNOCK,)),
    (State.GREETING, Input.HELLO): (State.UP, (Effect.BEGIN,)),
    (State.GREETING, Input.FOREIGN): (State.GREETING, (Effect.DROP,)),
    (State.GREETING, Input.UNUSABLE): (State.GREETING, (Effect.DROP,)),
    (State.GREETING, Input.STRAY): (State.GREETING, (Effect.DROP,)),
    (State.GREETING, Input.RESET): (State.GREETING, (Effect.DROP,)),
    (State.UP, Input.OPENED): (State.GREETING, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.HELLO_REPEATED): (State.UP, (Effect.ANSWER_AGAIN,)),
    (State.UP, Input.HELLO): (State.UP, (Effect.LOSE, Effect.BEGIN)),
    (State.UP, Input.FRAME): (State.UP, (Effect.TAKE,)),
    (State.UP, Input.FOREIGN): (State.UP, (Effect.DROP, Effect.SAY_RESET)),
    (State.UP, Input.UNUSABLE): (State.UP, (Effect.DROP,)),
    (State.UP, Input.STRAY): (State.UP, (Effect.DROP,)),
    (State.UP, Input.RESET): (State.GREETING, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.SILENCE): (State.GREETING, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.UNANSWERED): (State.GREETING, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.DISAGREEMENT): (State.GREETING, (Effect.LOSE, Effect.KNOCK)),
}

LOST_REASON = {
    Input.OPENED: LostReason.REOPENED,
    Input.HELLO: LostReason.HELLO,
    Input.RESET: LostReason.RESET,
    Input.SILENCE: LostReason.SILENCE,
    Input.UNANSWERED: LostReason.UNANSWERED,
    Input.DISAGREEMENT: LostReason.DISAGREEMENT,
}


class DaemonSession(Endpoint[State, Input, Effect, Hello]):
    """One lane's end. ``hello_ack`` says what to answer to a HELLO; ``baud`` in bits/s."""

    def __init__(self, *, rng: random.Random, baud: int, hello_ack: Callable[[Hello], HelloAck]) -> None:
        super().__init__(DAEMON_TABLE, State.CLOSED, baud)
        self._rng = rng
        self._make_answer = hello_ack
        self._peer: tuple[str, int] | None = None  # serial and boot counter of this session's HELLO
        self._answer = b""
        self._reset_allowed_at = 0.0

    def open(self, now: float) -> None:
        """The port was opened, for the first time or again. A session lost by it is told by the next call."""
        self._reopen(Input.OPENED, now)

    def _named(self, frame: Frame) -> Input:
        match frame.type:
            case FrameType.HELLO:
                return self._named_hello(frame)
            case FrameType.HELLO_ACK:
                return Input.STRAY
            case FrameType.RESET:
                return Input.RESET
            case _ if self._link is None or frame.session != self._session:
                return Input.FOREIGN
            case _ if self._link.contradicts(frame):
                return Input.DISAGREEMENT
            case _:
                return Input.FRAME

    def _named_hello(self, frame: Frame) -> Input:
        try:
            hello = Hello.parse(frame.payload)
        except GreetingError:
            return Input.UNUSABLE
        if not hello.is_usable:
            return Input.UNUSABLE
        if self._link is None or self._link.heard or self._peer != (hello.serial, hello.boot):
            return Input.HELLO
        return Input.HELLO_REPEATED

    def _named_overdue(self, overdue: Overdue) -> Input:
        return Input.SILENCE if overdue is Overdue.SILENCE else Input.UNANSWERED

    def _named_knock(self) -> Input:
        return Input.KNOCK_DUE

    def _do(self, effect: Effect, given: Input, frame: Frame | None, now: float) -> None:
        match effect:
            case Effect.KNOCK:
                # A 00 of its own first: whatever half frame the line holds ends here.
                self._say_reset(now, lead=b"\x00")
                self._knock_at = now + KNOCK_SECONDS
            case Effect.BEGIN:
                self._answer_hello(frame, now)
            case Effect.ANSWER_AGAIN:
                self._wire.write(Frame(FrameType.HELLO_ACK, self._session, payload=self._answer), now)
            case Effect.LOSE:
                self._lose(LOST_REASON[given])
            case Effect.TAKE:
                self._take(frame, now)
            case Effect.DROP:
                self._drop(given)
            case Effect.SAY_RESET:
                if now >= self._reset_allowed_at:
                    self._say_reset(now)

    def _say_reset(self, now: float, lead: bytes = b"") -> None:
        self._wire.write(Frame(FrameType.RESET), now, lead=lead)
        self._reset_allowed_at = now + RESET_SPACING_SECONDS
        self.counters.knocks += 1

    def _answer_hello(self, frame: Frame | None, now: float) -> None:
        if frame is None:
            return
        hello = Hello.parse(frame.payload)
        session = self._session
        while session in (0, self._session):
            session = self._rng.randrange(1, 1 << 16)
        self._answer = self._make_answer(hello).encode()
        self._peer = (hello.serial, hello.boot)
        self._begin(hello, session, hello.largest_payload, now)
        self._wire.write(Frame(FrameType.HELLO_ACK, session, payload=self._answer), now)
