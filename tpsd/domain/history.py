"""Everything the journal keeps of one tap that may be told, and the story that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tpsd.domain.audit import AuditRow
from tpsd.domain.authorisation import Ladder, State
from tpsd.domain.receipt import Recorded
from tpsd.domain.tap import Shown, Timing
from tpsd.domain.time import Micros
from tpsd.domain.views import AttemptRow


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction that the tap had, with its attempts. Amounts in minor units.

    ``due`` and ``enquiry_due`` in true time; ``body_waits``: its request is made when the clock is trusted;
    ``ran_rested``: the journal's running time when it came to rest.
    """

    uuid: str
    kind: str
    timing: Timing
    state: State
    cause: str | None
    amount: int
    currency: str
    approved: int | None
    may_have_charged: bool
    credential: str
    settled_at: Micros | None
    release: int
    sends: int
    ladder: Ladder
    due: Micros | None
    body_waits: bool
    enquiries: int
    enquiry_due: Micros | None
    replaced_by: str | None
    follows: str | None
    ran_rested: int | None
    attempts: tuple[AttemptRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Mailing:
    """A notice and how far its mail is. ``closes_at``: when a mail is made of it; ``due``: SMTP's next try."""

    kind: str
    cause: str
    detail: str
    created_at: Micros
    closes_at: Micros | None = None
    message_id: str | None = None
    due: Micros | None = None
    tries: int = 0
    mailed_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Card data that still stands sealed: ``body``, ``tap`` or ``payload``, since when by running time."""

    purpose: str
    ran_sealed: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a terminal's taps are held. ``canary_due`` None: no canary goes by itself."""

    since: Micros
    canary_due: Micros | None


@dataclass(frozen=True, slots=True)
class CardPast:
    """A card's other taps, as far as they are kept whole: when it was first let in, and when TPS last approved one."""

    first_at: Micros | None = None
    approved_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class History:
    """One tap as the journal has it. ``taps``: the numbers of all that share its transaction, itself among them.

    ``transactions``: its own last, before it those it took the place of. ``ran``: the journal's running time.
    ``unreachable_since``: TPS's host cannot be reached. ``delivered``: as the journal writes it, see ``store``.
    """

    recorded: Recorded
    terminal: str
    received_at: Micros
    repeats: int
    shown: Shown
    unseen: bool
    delivered: int | None
    note: str | None
    list_version: int | None
    config_digest: str
    place: str | None = None
    taps: tuple[int, ...] = ()
    transactions: tuple[Transaction, ...] = ()
    mailings: tuple[Mailing, ...] = ()
    orders: tuple[AuditRow, ...] = ()
    boxes: tuple[Box, ...] = ()
    ran: int = 0
    hold: Hold | None = None
    unreachable_since: Micros | None = None
    card: CardPast = CardPast()
    token_key: str | None = None  # the version of the key that the card's token was made under

    @property
    def transaction(self) -> Transaction | None:
        """The tap's own, as it stands now."""
        return next((one for one in self.transactions if one.uuid == self.recorded.uuid), None)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long card data of rows at rest is kept, and final rows whole: microseconds of running time."""

    failed_us: int
    held_us: int
    retention_us: int


class EventKind(Enum):
    """What an event of a story tells of."""

    TAPPED = "tapped"
    RECEIVED = "received"
    DECIDED = "decided"
    SHOWN = "shown"
    REPEATED = "repeated"
    SENT = "sent"
    ANSWERED = "answered"
    ASKED = "asked"
    FOUND = "found"
    ORDERED = "ordered"
    TOLD = "told"
    JOURNEY = "journey"
    FOLLOWED = "followed"
    STANDS = "stands"
    NEXT = "next"
    KEPT = "kept"


Fact = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, or stands so now. ``text``: a sentence or two; ``facts``: what they are made of.

    ``at`` on the wall clock, None where the journal keeps no time of it.
    """

    kind: EventKind
    at: Micros | None
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
