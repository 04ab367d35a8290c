"""A journey: what stands between a check-in and its check-out (design 3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.domain.authorisation import State
from tpsd.domain.card import CardToken
from tpsd.domain.time import Micros

TRIES_MAX: Final = 3
"""Check-out tries a passenger has before the period is over for them (Sfey's page, section on retail)."""


class JourneyState(Enum):
    """The values are the journal's."""

    OPEN = "open"
    CHECKING_OUT = "checking_out"
    ENDED_UNPAID = "ended_unpaid"
    BY_HAND = "by_hand"
    CLOSED = "closed"
    EXPIRED = "expired"

    @property
    def travels(self) -> bool:
        """The passenger may still end it by a tap; at most one such journey a card and operator."""
        return self in (JourneyState.OPEN, JourneyState.CHECKING_OUT)


@dataclass(frozen=True, slots=True)
class LastTry:
    """The latest check-out's authorisation.

    ``unclear``: an attempt of it ended unknown or in progress; ``enquired``: TPS is still going to be asked about it.
    """

    uuid: str
    state: State
    amount: int
    may_have_charged: bool
    unclear: bool = False
    enquired: bool = False


@dataclass(frozen=True, slots=True)
class Journey:
    """One row, with its latest check-out. ``opened_at``: when the check-in was tapped, by our own wall clock.

    ``zone`` is the check-in's, ``held`` what the check-in holds in minor units of ``currency``.
    """

    id: int
    token: CardToken
    state: JourneyState
    check_in: str
    tries: int
    opened_at: Micros
    zone: str | None
    held: int
    currency: str
    last: LastTry | None = None
