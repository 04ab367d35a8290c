"""The journey's state machine: one table that can be printed (design 3). What is not in it raises."""

from __future__ import annotations

from enum import Enum
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.domain.journey import TRIES_MAX, JourneyState
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import HOUR

EXPIRES_AFTER_US: Final = 18 * HOUR
"""The configuration's default: longer than any service day, so that only a forgotten check-out is left."""


class Input(Enum):
    """What can happen to a journey."""

    CHECK_OUT = "a tap checks out"
    APPROVED = "a check-out is approved, or found to be"
    FAILED = "a try failed, and it was not the third"
    LAST_FAILED = "the third try failed"
    OVERDUE = "nobody ended it in time"
    HAND = "a check-out by hand begins"
    HAND_FAILED = "the check-out by hand came to a clean no, or to an answered failure"


class Effect(Enum):
    """What is done then, in order."""

    SEND = "send its check-out"
    END = "note when it ended"
    GIVE_UP = "erase the body that waits for a tap; what may have charged is in doubt"
    TELL = "tell the operator"


State = JourneyState

TABLE: Final[dict[tuple[State, Input], tuple[State, tuple[Effect, ...]]]] = {
    (State.OPEN, Input.CHECK_OUT): (State.CHECKING_OUT, (Effect.SEND,)),
    (State.OPEN, Input.OVERDUE): (State.EXPIRED, (Effect.END, Effect.TELL)),
    (State.OPEN, Input.HAND): (State.BY_HAND, (Effect.SEND,)),
    (State.CHECKING_OUT, Input.CHECK_OUT): (State.CHECKING_OUT, (Effect.SEND,)),
    (State.CHECKING_OUT, Input.APPROVED): (State.CLOSED, (Effect.END,)),
    (State.CHECKING_OUT, Input.FAILED): (State.CHECKING_OUT, ()),
    (State.CHECKING_OUT, Input.LAST_FAILED): (State.ENDED_UNPAID, (Effect.END, Effect.TELL)),
    (State.CHECKING_OUT, Input.OVERDUE): (State.EXPIRED, (Effect.GIVE_UP, Effect.END, Effect.TELL)),
    (State.CHECKING_OUT, Input.HAND): (State.BY_HAND, (Effect.SEND,)),
    (State.ENDED_UNPAID, Input.APPROVED): (State.CLOSED, (Effect.END,)),
    (State.ENDED_UNPAID, Input.HAND): (State.BY_HAND, (Effect.SEND,)),
    (State.BY_HAND, Input.APPROVED): (State.CLOSED, (Effect.END,)),
    (State.BY_HAND, Input.HAND_FAILED): (State.ENDED_UNPAID, (Effect.END, Effect.TELL)),
    (State.EXPIRED, Input.APPROVED): (State.CLOSED, (Effect.END,)),
    (State.EXPIRED, Input.HAND): (State.BY_HAND, (Effect.SEND,)),
}


class IllegalStepError(RuntimeError):
    """A journey was given an input that its table does not have for its state: a fault of ours."""

    def __init__(self, state: JourneyState, given: Input) -> None:
        super().__init__(f"a journey that is {state.value} has no rule for: {given.value}")


def step(state: JourneyState, given: Input) -> tuple[JourneyState, tuple[Effect, ...]]:
    """The next state and what to do. Raises IllegalStepError for what the table does not have."""
    if (state, given) not in TABLE:
        raise IllegalStepError(state, given)
    return TABLE[state, given]


def failed(tries: int) -> Input:
    """The input that a failed try is, counting it."""
    return Input.FAILED if tries < TRIES_MAX else Input.LAST_FAILED


def told(journey: int, state: JourneyState) -> NoticeDraft:
    """What the operator hears of a journey that ended without a payment."""
    key = cause_key(NoticeKind.JOURNEY, state.value)
    return NoticeDraft(NoticeKind.JOURNEY, key, f"journey {journey}: {_WORDS[state]}")


_WORDS: Final = {
    State.ENDED_UNPAID: "it ended unpaid; send its check-out by hand: tpsd checkout",
    State.EXPIRED: "nobody checked out in time; send its check-out by hand: tpsd checkout",
}
