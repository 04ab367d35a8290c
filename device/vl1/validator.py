"""The validator's end of a VL1 session: the lower state table of links.md "Session"."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from device.vl1.arq import Overdue
from device.vl1.endpoint import Endpoint, Table
from device.vl1.events import LostReason
from device.vl1.frames import Frame, FrameType
from device.vl1.greeting import GreetingError, Hello, HelloAck
from device.vl1.limits import KNOCK_SECONDS, PAYLOAD_MAX, VERSION


class State(Enum):
    """Where the validator stands with its daemon."""

    CLOSED = "closed"  # the port was not opened yet
    IDLE = "idle"
    UP = "up"


class Input(Enum):
    """What can happen to it."""

    OPENED = "the port was opened"
    KNOCK_DUE = "500 ms since the last HELLO"
    HELLO_ACK = "HELLO_ACK of a session that is not the one it has"
    HELLO_ACK_REPEATED = "HELLO_ACK of this session"
    FRAME = "a frame of this session"
    FOREIGN = "a frame of another session"
    UNUSABLE = "a HELLO_ACK that cannot be read or used"
    STRAY = "HELLO"
    RESET = "RESET"
    SILENCE = "3 s without a frame of this session"
    UNANSWERED = "five tries unanswered"
    DISAGREEMENT = "a NAK for a frame never sent"


class Effect(Enum):
    """What it does then, in order."""

    KNOCK = "HELLO"
    BEGIN = "takes the session, event session up"
    LOSE = "event session lost"
    TAKE = "deliver, acknowledge, repeat"
    DROP = "drop it, count it"


VALIDATOR_TABLE: Table[State, Input, Effect] = {
    (State.CLOSED, Input.OPENED): (State.IDLE, (Effect.KNOCK,)),
    (State.IDLE, Input.OPENED): (State.IDLE, (Effect.KNOCK,)),
    (State.IDLE, Input.KNOCK_DUE): (State.IDLE, (Effect.KNOCK,)),
    (State.IDLE, Input.HELLO_ACK): (State.UP, (Effect.BEGIN,)),
    (State.IDLE, Input.FOREIGN): (State.IDLE, (Effect.DROP,)),
    (State.IDLE, Input.UNUSABLE): (State.IDLE, (Effect.DROP,)),
    (State.IDLE, Input.STRAY): (State.IDLE, (Effect.DROP,)),
    (State.IDLE, Input.RESET): (State.IDLE, (Effect.DROP,)),
    (State.UP, Input.OPENED): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.HELLO_ACK_REPEATED): (State.UP, (Effect.DROP,)),
    (State.UP, Input.HELLO_ACK): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.FRAME): (State.UP, (Effect.TAKE,)),
    (State.UP, Input.FOREIGN): (State.UP, (Effect.DROP,)),
    (State.UP, Input.UNUSABLE): (State.UP, (Effect.DROP,)),
    (State.UP, Input.STRAY): (State.UP, (Effect.DROP,)),
    (State.UP, Input.RESET): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.SILENCE): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.UNANSWERED): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
    (State.UP, Input.DISAGREEMENT): (State.IDLE, (Effect.LOSE, Effect.KNOCK)),
}

LOST_REASON = {
    Input.OPENED: LostReason.REOPENED,
    Input.HELLO_ACK: LostReason.HELLO,
    Input.RESET: LostReason.RESET,
    Input.SILENCE: LostReason.SILENCE,
    Input.UNANSWERED: LostReason.UNANSWERED,
    Input.DISAGREEMENT: LostReason.DISAGREEMENT,
}


class ValidatorSession(Endpoint[State, Input, Effect, HelloAck]):
    """A validator's end. ``hello`` says what it is now, asked at each HELLO; ``baud`` in bits/s."""

    def __init__(self, *, baud: int, hello: Callable[[], Hello]) -> None:
        super().__init__(VALIDATOR_TABLE, State.CLOSED, baud)
        self._hello = hello

    def open(self, now: float) -> None:
        """The port was opened, for the first time or again. A session lost by it is told by the next call."""
        self._reopen(Input.OPENED, now)

    def _named(self, frame: Frame) -> Input:
        match frame.type:
            case FrameType.HELLO_ACK:
                return self._named_answer(frame)
            case FrameType.HELLO:
                return Input.STRAY
            case FrameType.RESET:
                return Input.RESET
            case _ if self._link is None or frame.session != self._session:
                return Input.FOREIGN
            case _ if self._link.contradicts(frame):
                return Input.DISAGREEMENT
            case _:
                return Input.FRAME

    def _named_answer(self, frame: Frame) -> Input:
        if self._link is not None and frame.session == self._session:
            return Input.HELLO_ACK_REPEATED
        try:
            answer = HelloAck.parse(frame.payload)
        except GreetingError:
            return Input.UNUSABLE
        usable = answer.version == VERSION and frame.session != 0
        return Input.HELLO_ACK if usable else Input.UNUSABLE

    def _named_overdue(self, overdue: Overdue) -> Input:
        return Input.SILENCE if overdue is Overdue.SILENCE else Input.UNANSWERED

    def _named_knock(self) -> Input:
        return Input.KNOCK_DUE

    def _do(self, effect: Effect, given: Input, frame: Frame | None, now: float) -> None:
        match effect:
            case Effect.KNOCK:
                self._wire.write(Frame(FrameType.HELLO, payload=self._hello().encode()), now)
                self.counters.knocks += 1
                self._knock_at = now + KNOCK_SECONDS
            case Effect.BEGIN:
                if frame is not None:
                    self._begin(HelloAck.parse(frame.payload), frame.session, PAYLOAD_MAX, now)
            case Effect.LOSE:
                self._lose(LOST_REASON[given])
            case Effect.TAKE:
                self._take(frame, now)
            case Effect.DROP:
                self._drop(given)
