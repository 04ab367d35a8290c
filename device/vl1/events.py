"""What a session tells its owner, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Generic, TypeAlias, TypeVar

from device.vl1.frames import Garbage, GarbageReason
from device.vl1.greeting import Hello, HelloAck

GreetingT = TypeVar("GreetingT")


class LostReason(StrEnum):
    """Why a session ended."""

    RESET = "reset"  # the other end said so
    SILENCE = "silence"
    UNANSWERED = "unanswered"
    DISAGREEMENT = "disagreement"  # a NAK for a frame that was never sent
    HELLO = "hello"  # the other end began anew
    REOPENED = "reopened"  # our own port was opened anew


@dataclass(frozen=True, slots=True)
class SessionUp(Generic[GreetingT]):
    """A session began. ``hello`` is what the other end said: a Hello at the daemon, else a HelloAck."""

    hello: GreetingT
    session: int


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The session ended. ``dropped``: the tickets not reported Delivered; they may or may not have arrived."""

    reason: LostReason
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """One DATA payload, once per session and in order; ``retransmitted`` is what its frame said."""

    payload: bytes = field(repr=False)
    retransmitted: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other end's link has the payload of this ticket. It says nothing of what becomes of it there."""

    ticket: int


LinkEvent: TypeAlias = Received | Delivered
Event: TypeAlias = SessionUp[GreetingT] | SessionLost | LinkEvent
DaemonEvent: TypeAlias = Event[Hello]
ValidatorEvent: TypeAlias = Event[HelloAck]


@dataclass(slots=True)
class Counters:
    """Since the endpoint was made; they only grow."""

    garbage: Counter[GarbageReason] = field(default_factory=Counter)
    garbage_bytes: int = 0
    frames_in: int = 0
    frames_out: int = 0
    output_dropped: int = 0  # frames: the port did not take what was there
    delivered: int = 0  # DATA given to the owner
    repeats_in: int = 0  # DATA that had been delivered already
    retransmissions: int = 0
    naks_in: int = 0
    naks_out: int = 0
    knocks: int = 0  # RESETs of a daemon, HELLOs of a validator
    sessions: int = 0
    lost: Counter[LostReason] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)  # good frames that had no place, by input
    sends_dropped: int = 0  # no session, or the queue was full

    def add_garbage(self, garbage: Garbage) -> None:
        """One run of dropped bytes."""
        self.garbage[garbage.reason] += 1
        self.garbage_bytes += garbage.size


class IllegalInputError(RuntimeError):
    """A state machine was given an input that its table does not have for its state: a fault of ours."""

    def __init__(self, state: Enum, given: Enum) -> None:
        super().__init__(f"{state} has no rule for {given}")
