"""What a reader's session tells its owner, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from device.vivopay.garbage import Garbage, GarbageReason
from device.vivopay.tap import CardFailure, CardTap


class DownReason(StrEnum):
    """Why a reader is not there any more."""

    UNANSWERED = "unanswered"  # a command, in all its tries
    REOPENED = "reopened"  # our own port was opened anew


class LostReason(StrEnum):
    """Why a card that was seen is not a tap."""

    DAMAGED = "damaged"  # its answer was, and cannot be asked for again
    NOT_READY = "not ready"  # it came from a transaction of somebody before us
    UNASKED = "unasked"  # no transaction was under way


@dataclass(frozen=True, slots=True)
class ReaderUp:
    """A reader answers, polls on demand and takes transactions. ``baud`` is the rate it was found at."""

    serial: str
    baud: int


@dataclass(frozen=True, slots=True)
class ReaderChanged:
    """Another reader is on this line than before; ``ReaderUp`` of the new one follows."""

    before: str
    serial: str


@dataclass(frozen=True, slots=True)
class ReaderDown:
    """The reader is gone; a tap that waits for its verdict gets none."""

    reason: DownReason


@dataclass(frozen=True, slots=True)
class ReaderFault:
    """A reader refused what it must do. It is asked again in REST_SECONDS; ``what`` is for people."""

    what: str


@dataclass(frozen=True, slots=True)
class BaudWanted:
    """Nobody answers. The owner sets the port to ``baud`` bits/s and calls ``open``."""

    baud: int


@dataclass(frozen=True, slots=True)
class ReopenWanted:
    """Nobody answers at any rate, or not for long. The owner closes the port, opens it at ``baud``, calls ``open``."""

    baud: int


@dataclass(frozen=True, slots=True)
class CardTapped:
    """A card was read. The owner commits it, then calls ``verdict`` with the ticket; until then the reader waits.

    ``tap`` is None where the answer cannot be used, ``fault`` then says why. ``payload`` is the answer's data.
    """

    ticket: int
    payload: bytes = field(repr=False)
    tap: CardTap | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class TapLost:
    """A card was seen, its data is lost, and the reader has no memory of it: the passenger taps again."""

    reason: LostReason


@dataclass(frozen=True, slots=True)
class CardFailed:
    """The reader saw a card and could not finish with it."""

    failure: CardFailure


@dataclass(frozen=True, slots=True)
class Undecided:
    """No verdict came for that ticket within DECISION_SECONDS; the next card may come, a late verdict is dropped."""

    ticket: int


@dataclass(frozen=True, slots=True)
class VerdictShown:
    """The reader took the verdict of that ticket; one that refuses it, or does not answer, shows nothing."""

    ticket: int


@dataclass(frozen=True, slots=True)
class LineText:
    """The line says something that is no frame: a fault, not noise. Card numbers in it are not yet masked."""

    text: str = field(repr=False)


ReaderEvent: TypeAlias = (
    ReaderUp
    | ReaderChanged
    | ReaderDown
    | ReaderFault
    | BaudWanted
    | ReopenWanted
    | CardTapped
    | TapLost
    | CardFailed
    | Undecided
    | VerdictShown
    | LineText
)


@dataclass(slots=True)
class Counters:
    """Since the session was made; they only grow."""

    garbage: Counter[GarbageReason] = field(default_factory=Counter)
    garbage_bytes: int = 0
    frames_in: int = 0
    commands_out: int = 0
    retries: int = 0
    taps: int = 0
    lost: Counter[LostReason] = field(default_factory=Counter)
    failed: int = 0  # cards that could not be read
    interim: int = 0
    transactions: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by command and status
    dropped: Counter[str] = field(default_factory=Counter)  # good frames that had no place, by input
    texts: int = 0  # told or not
    verdicts_late: int = 0
    undecided: int = 0
    downs: int = 0

    def add_garbage(self, garbage: Garbage) -> None:
        """One run of dropped bytes."""
        self.garbage[garbage.reason] += 1
        self.garbage_bytes += garbage.size
