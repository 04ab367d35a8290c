"""What happens in a world, as checkers and the trace see it. TPS's own entries (``sfey.ledger``) are events too."""

from __future__ import annotations

from dataclasses import dataclass

from device.vl1.greeting import TapNumber
from tpsd.domain.feed import Page
from tpsd.sfey.ledger import Charge, Reply, Request, Violation, Visit


@dataclass(frozen=True, slots=True)
class TapMade:
    """A card was held to a validator; its amount names it everywhere."""

    serial: str
    number: TapNumber
    amount: int


@dataclass(frozen=True, slots=True)
class TapShown:
    """A validator that got no verdict in time decided by itself."""

    serial: str
    number: TapNumber
    let_in: bool


@dataclass(frozen=True, slots=True)
class VerdictTold:
    """A validator was told a verdict; not ``first`` where it had one already."""

    serial: str
    number: TapNumber
    code: int
    reason: str | None
    first: bool


@dataclass(frozen=True, slots=True)
class LaneTold:
    """CONFIG came to a validator."""

    serial: str
    is_open: bool | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The daemon gave a request to the network. ``carded``: a card started it."""

    life: int
    uuid: str
    credential: str
    carded: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What the daemon heard of it. ``clean``: money cannot have moved in it."""

    life: int
    uuid: str
    exchange: str
    clean: bool


@dataclass(frozen=True, slots=True)
class MailTaken:
    """SMTP took a mail; not ``answered`` where the daemon did not hear so."""

    life: int
    message_id: str
    subject: str
    answered: bool


@dataclass(frozen=True, slots=True)
class Fed:
    """The daemon was given a page of the deny list."""

    life: int
    asked_with: str | None
    token: str | None
    page: Page


@dataclass(frozen=True, slots=True)
class Committed:
    """The journal wrote something."""

    life: int


@dataclass(frozen=True, slots=True)
class Born:
    """A daemon begins to work."""

    life: int


@dataclass(frozen=True, slots=True)
class Died:
    """A daemon is no more. ``how``: killed, stopped, or why it ended by itself."""

    life: int
    how: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Something of the plan begins or ends."""

    what: str


@dataclass(frozen=True, slots=True)
class Logged:
    """The daemon said so in its log."""

    life: int
    level: str
    text: str


Event = (
    TapMade
    | TapShown
    | VerdictTold
    | LaneTold
    | Sent
    | Heard
    | MailTaken
    | Fed
    | Committed
    | Born
    | Died
    | Happened
    | Logged
    | Request
    | Charge
    | Reply
    | Violation
    | Visit
)
