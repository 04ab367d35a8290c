"""An authorisation: one transaction UUID at TPS, its state and its attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from tpsd.domain.time import Micros


class State(Enum):
    """States of an authorisation (design 2)."""

    APPROVED = "approved"
    DECLINED = "declined"
    TAP_REFUSED = "tap_refused"
    FAILED = "failed"
    NOT_CHARGED = "not_charged"
    CLOSED = "closed"
    PENDING = "pending"
    SENDING = "sending"
    AWAITING_TAP = "awaiting_tap"
    HELD = "held"
    PERMANENTLY_FAILED = "permanently_failed"
    IN_DOUBT = "in_doubt"

    @property
    def is_final(self) -> bool:
        """No request may follow, and card data is gone."""
        return self in FINAL

    @property
    def is_resting(self) -> bool:
        """Waits for a person, a canary or an enquiry."""
        return self in RESTING


FINAL = frozenset({State.APPROVED, State.DECLINED, State.TAP_REFUSED, State.FAILED, State.NOT_CHARGED, State.CLOSED})
RESTING = frozenset({State.HELD, State.PERMANENTLY_FAILED, State.IN_DOUBT})
WORKING = frozenset({State.PENDING, State.SENDING, State.AWAITING_TAP})


class AttemptReason(Enum):
    """Why a request was sent."""

    LADDER = "ladder"
    CANARY = "canary"
    TAP = "tap"
    HAND = "hand"
    ENQUIRY = "enquiry"


@dataclass(frozen=True, slots=True)
class Tier:
    """``tries`` resends, each ``every_us`` microseconds after the start of the one before."""

    tries: int
    every_us: int


Ladder = tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """An authorisation about to be written in commit 1: the bytes that every send of it will carry.

    ``body`` None, and no path: they are made when the time is known.
    """

    uuid: UUID
    type: str  # Sfey's transactionType
    path: str
    body: bytes | None = field(repr=False)
    credential: str
    amount: int
    currency: str
    initial: str | None = None  # the UUID of the transaction it follows: a check-out's check-in, a refund's payment


@dataclass(frozen=True, slots=True)
class Progress:
    """What deciding the next step of an authorisation needs to know of its past.

    ``sends`` counts those of the present release on the ladder, this one included. ``may_have_charged`` speaks of
    all earlier attempts.
    """

    sends: int
    may_have_charged: bool
    ladder: Ladder


@dataclass(frozen=True, slots=True)
class Claimed:
    """One attempt whose number is committed: from here on its end is known or *unknown*, never forgotten."""

    uuid: UUID
    number: int
    fence: int
    reason: AttemptReason
    terminal: str  # type:serial, as causes name it
    path: str
    credential: str
    body: bytes = field(repr=False)
    started_at: Micros  # schedule clock
    progress: Progress
    cause: str | None = None  # a canary's: the one it is held for
    amount: int | None = None  # minor units that are asked for
    realtime: bool = False  # nothing of it goes on a ladder
