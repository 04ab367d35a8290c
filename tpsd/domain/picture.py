"""The daemon as health, metrics and one screen see it: numbers and states of one moment, no rows, no card data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tpsd.domain.authorisation import Ladder
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class RungCount:
    """Pending rows that have made so many ``sends`` of one ladder. Times on the schedule clock.

    ``oldest`` is when the oldest was taken; ``oldest_unreleased`` looks only at rows nobody has released: a release
    starts the ladder anew. ``unsealed``: rows whose body waits until the clock is trusted.
    """

    ladder: Ladder
    sends: int
    count: int
    next_due: Micros
    oldest: Micros
    oldest_unreleased: Micros | None
    unsealed: int = 0


@dataclass(frozen=True, slots=True)
class RestCount:
    """Rows that rest under one cause, and since when the oldest was taken (schedule clock)."""

    state: str
    cause: str
    count: int
    oldest: Micros


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """What the journal counts without reading everything. Times on the schedule clock.

    ``oldest_pending`` looks at rows that wait, are being sent, or await a tap.
    """

    rungs: tuple[RungCount, ...]
    resting: tuple[RestCount, ...]
    sending: int
    oldest_pending: Micros | None
    mails_waiting: int
    oldest_mail: Micros | None


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """A lane: ``ready`` with no reason is the only good state."""

    name: str
    alias: str
    state: str
    reason: str
    internal_errors: int
    noise: int
    cards_lost: int = 0
    cards_unread: int = 0
    turns_away_when_stale: bool = False  # passengers, some or all, while the deny list is too old


@dataclass(frozen=True, slots=True)
class UplinkFacts:
    """A host that taps go to. ``seconds`` in this state; ``cause`` where it is down."""

    host: str
    up: bool
    seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The daemons that share a journal. ``gone``: who gave no sign of life, and for how many microseconds it is known.

    ``presides``: this one does what one does for all. ``apart_us``: this machine's clock less the database's.
    """

    daemon: str
    presides: bool
    others: tuple[str, ...]
    gone: Mapping[str, int]
    apart_us: int


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """The deny list's feed. ``age_seconds`` since TPS said that the list is complete, None where that is not known;
    ``waited_seconds``: the same, or since the start. ``cause``: why the last poll failed, if it did. A new list of
    ``coming`` cards may wait for a person.
    """

    age_seconds: float | None
    waited_seconds: float
    max_age_seconds: float
    cause: str
    tokens: int
    coming: int | None
    waits: bool

    @property
    def stale(self) -> bool:
        """Whether it is too old to be relied on."""
        return self.age_seconds is None or self.age_seconds > self.max_age_seconds


@dataclass(frozen=True, slots=True)
class TapLogFacts:
    """The tap log: lines of this life. ``trouble``: why lines are being lost at present, None while they are kept."""

    written: int
    lost: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class SpoolFacts:
    """Taps told here that the database has yet to take. Seconds; ``oldest_seconds`` None: none waits.

    ``in_use_seconds`` since the first of them, or since the connection was lost; None where neither is so.
    ``away``: why there is no connection, None where there is one. ``stuck``: why a tap does not drain.
    """

    waiting: int
    oldest_seconds: float | None
    in_use_seconds: float | None
    away: str | None
    stuck: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment, on the schedule clock. ``figures`` None: nothing has been counted yet.

    ``journal_trouble`` in our own words, None while it answers and commits succeed. ``clock_offset_seconds``:
    how far the time that is believed is ahead of the system's. ``feed``, ``taplog`` and ``spool`` None: they are off.
    ``preflight``: what is wrong with lanes that opened all the same, in our own words. ``fleet`` None: the journal is
    this daemon's alone.
    """

    at: Micros
    lanes: tuple[LaneFacts, ...]
    figures: JournalFigures | None
    journal_trouble: str | None
    uplinks: tuple[UplinkFacts, ...]
    clock_trusted: bool
    in_flight: int
    clock_offset_seconds: float = 0.0
    feed: FeedFacts | None = None
    preflight: tuple[str, ...] = ()
    taplog: TapLogFacts | None = None
    spool: SpoolFacts | None = None
    fleet: FleetFacts | None = None
