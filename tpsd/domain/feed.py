"""What TPS's update feed says of the deny list, page by page, and how far we have come with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tpsd.domain.time import Micros


class Action(Enum):
    """What a record does (sfey.md 6)."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    FLUSH = "flush"  # the whole list comes anew


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the deny list. ``token``: the card's, 32 bytes; None for a flush alone."""

    action: Action
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record of a type that we do not know. ``raw``: its JSON, cut; None where it may be a key or a card number."""

    type: str
    raw: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One readable answer. ``token``: where the next request resumes, None where none came."""

    records: tuple[Record, ...]
    complete: bool
    token: str | None = field(default=None, repr=False)
    foreign: tuple[Foreign, ...] = ()


@dataclass(frozen=True, slots=True)
class BadPage:
    """An answer against the contract; nothing of it counts. ``cause``: ``page.json``, ``page.size`` …"""

    cause: str


@dataclass(frozen=True, slots=True)
class NoPage:
    """TPS could not be asked, or could not answer now. ``cause``: ``connect``, ``http.503`` …

    ``retry_after``: seconds that it wants to be left alone, where it said so.
    """

    cause: str
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """TPS, or something before it, will not give us the list. ``cause``: ``http.403``, ``tls.client`` …"""

    cause: str


Heard = Page | BadPage | NoPage | Denial


class Parameters(Enum):
    """Record types beside the deny list that are kept as they come: their fields are not public (sfey.md 6)."""

    STOP_LIST = "stop_list"
    EMV_PARAMETER = "emv_parameter"

    @property
    def of_terminals(self) -> bool:
        """Each terminal asks for its own; of the others there is one list a company."""
        return self is Parameters.EMV_PARAMETER


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One of them. ``raw``: its JSON; None where it may hold a card number."""

    action: Action
    raw: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RawPage:
    """One readable answer about them. ``token`` as in ``Page``."""

    records: tuple[RawRecord, ...]
    complete: bool
    token: str | None = field(default=None, repr=False)


RawHeard = RawPage | BadPage | NoPage | Denial


@dataclass(frozen=True, slots=True)
class ParameterState:
    """How far one type has come: ``version`` counts the pages that changed it, ``records`` are in force.

    ``terminal``: ``TYPE:SERIAL`` of the one it was given for, empty for all.

    ``whole_at``: when TPS last said that there is no more, wall clock. ``coming``: records of a new list, None where
    none comes.
    """

    kind: Parameters
    version: int = 0
    records: int = 0
    token: str | None = field(default=None, repr=False)
    whole_at: Micros | None = None
    coming: int | None = None
    terminal: str = ""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far a feed has come. Times on the wall clock.

    ``tokens`` are in force; ``shadow`` of a new list are in force too, None where none is coming. ``whole``: TPS
    said that the new list is complete. ``waits_since``: for a person, because ``loses`` of the old are not in it.
    ``whole_at``: when TPS last said that there is no more, and the time was known. ``stale_told``: an operator knows
    that the list is too old.
    """

    token: str | None = field(default=None, repr=False)
    heard_at: Micros | None = None
    whole_at: Micros | None = None
    tokens: int = 0
    shadow: int | None = None
    whole: bool = False
    waits_since: Micros | None = None
    loses: int = 0
    ignored: int = 0
    stale_told: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What a page changed: entries that came and went, and the deny list's version from then on."""

    inserted: int
    deleted: int
    version: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What a flip would do: of ``before`` entries ``lost`` are not in the new list of ``after``."""

    before: int
    lost: int
    after: int
