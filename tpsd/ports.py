"""The Protocols between the loops (workers) and the parts that touch the world (adapters).

Nothing here knows SQLite, aiohttp, serial ports or SMTP; ``tpsd.app`` alone names the concrete parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tpsd.asking import Asked
from tpsd.asking import Judge as AskedJudge
from tpsd.core.candidate import Candidate, Decision, Facts
from tpsd.core.display import Display
from tpsd.core.notices import Totals
from tpsd.core.settlement import Settlement
from tpsd.core.trust import Judging
from tpsd.denylist import DenyList
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import Episode, MailDraft, MailRow, NoticeDraft, NoticeRow
from tpsd.domain.outcome import Exchange, Outcome
from tpsd.domain.tap import Kind, TapReport, Told
from tpsd.domain.time import Micros
from tpsd.domain.views import JournalTotals, TapFilter, TapRow, TapStory
from tpsd.doubts import Doubts, Judge, never_judged
from tpsd.outages import Outages


class Clock(Protocol):
    """Three clocks and one way to wait, handed in everywhere (design 7)."""

    def wall(self) -> Micros:
        """Wall time: for people, for taps' times, never for due times."""

    def schedule(self) -> Micros:
        """Wall time at process start plus the time since, a sleep included: it never steps within a life."""

    def monotonic(self) -> float:
        """Seconds, for measuring and for the link's timers."""

    @property
    def trusted(self) -> bool:
        """Whether the wall time is known; once it is, it stays so."""

    async def wait(self, wake: asyncio.Event, until: Micros | None) -> None:
        """Return when ``wake`` is set or the schedule clock reaches ``until``; None waits for ``wake`` alone."""


class Timepiece(Clock, Protocol):
    """A clock that may come to know the time while it runs. Until then its wall time is off by ``shift_us``."""

    @property
    def life(self) -> str:
        """The name of this process life, for what it stamps before the time is known."""

    @property
    def shift_us(self) -> int:
        """Microseconds to add to a wall time shown before the time was known; 0 until it is."""

    @property
    def offset_us(self) -> int:
        """Microseconds that the wall time is ahead of the system's; 0 until it is known."""

    def judging(self) -> Judging:
        """By which clock certificates are judged now."""

    def look(self) -> None:
        """Ask the system whether its clock is synchronised."""

    def adopt(self, date: Micros) -> None:
        """TPS said what time it is."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What commit 1 left: the tap's number, what the validator is told, whether it was new and left notices.

    ``kind`` None: it could not be read. ``told`` None: it is kept, and TPS is asked. ``asked``: that attempt, to be
    sent now; ``asks_first``: the UUID of a transaction in doubt that is enquired about before. ``untimed``: something
    of it waits until the time is known. ``follows``: beside ``asked``, a transaction that follows another waits.
    ``decision`` is why, where it was decided; ``listed``: a list denied the card; ``list_version``: the deny list's.
    """

    number: int
    told: Told | None
    new: bool
    noticed: bool = False
    untimed: bool = False
    asked: Claimed | None = None
    asks_first: str | None = None
    kind: Kind | None = None
    follows: bool = False
    decision: Decision | None = field(default=None, compare=False)
    listed: bool = field(default=False, compare=False)
    list_version: int | None = field(default=None, compare=False)


class SettledLate(Exception):  # noqa: N818 - the name of the event, raised across the port
    """The fence moved on or the row is final: nothing was changed."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What closing a window writes: a frozen mail or none, and the next window or none."""

    mail: MailDraft | None
    next_episode: Episode | None


Decide = Callable[[Candidate, Facts], Decision]
CloseWindow = Callable[[Episode, Sequence[NoticeRow], Totals], WindowPlan]


class TapReader(Protocol):
    """A journal's taps as people read them, with or without a daemon."""

    async def taps(self, which: TapFilter) -> Sequence[TapRow]:
        """Taps, newest first."""

    async def story(self, reference: str) -> TapStory:
        """One tap by number, beginning of a UUID, or ``VAL00042:3:17``. Raises NotFoundError."""


class Journal(TapReader, Protocol):
    """The store's contract; both engines pass one conformance suite (design 6).

    Every method that writes is one transaction, durable when it returns. Raises JournalUnavailableError when the
    commit could not be made: then nothing was written.
    """

    async def totals(self) -> JournalTotals:
        """The journal in numbers."""

    @property
    def denylist(self) -> DenyList:
        """The deny list; taps ask it in commit 1."""

    @property
    def asked(self) -> Asked:
        """Realtime taps and their journeys."""

    @property
    def doubts(self) -> Doubts:
        """The rows TPS is asked about."""

    @property
    def outages(self) -> Outages:
        """When TPS's host could not be reached, and how what waited is spread after that."""

    def digest(self, fingerprint: bytes) -> bytes:
        """The keyed digest (32 bytes) of a tap's payload or body, under the journal's own key."""

    async def take(self, candidate: Candidate, decide: Decide, now: Micros) -> Taken:
        """Commit 1. ``decide`` runs inside the transaction; what it raises comes out, and nothing was written.

        Of a realtime tap it is commit 2 as well.
        """

    async def reject(
        self,
        report: TapReport,
        lane: str,
        terminal: str,
        config_digest: str,
        now: Micros,
        untrusted: str | None = None,
    ) -> Taken:
        """Keep a tap that could not be decided: ``rejected``, reason ``internal``, its payload sealed, an alarm.

        ``untrusted``: the life whose clock stamped it before it knew the time.
        """

    async def claim(
        self, now: Micros, limit: int, created_by: Micros | None = None, judge: Judge = never_judged
    ) -> Sequence[Claimed]:
        """Commit 2: the due rows, oldest first, each with its attempt number written.

        ``created_by``: only rows made at or before it, None for all. Nothing is claimed while first sends that
        an outage kept waiting have yet to be given their due times; each call does a slice of that. ``judge`` may
        settle instead a row that may have charged, inside the transaction.
        """

    async def settle(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, ended_at: Micros) -> bool:
        """Commit 3; whether it wrote notices. Raises SettledLate when this claim no longer holds the row."""

    async def tell(self, notice: NoticeDraft, now: Micros) -> None:
        """A notice that is about no tap."""

    async def next_due(self) -> Micros | None:
        """When the earliest pending row is due (schedule clock)."""

    async def recover(
        self,
        now: Micros,
        credentials: Collection[str],
        settle: Callable[[Claimed], tuple[Outcome, Settlement]],
        judge: AskedJudge,
        spared: Collection[str] = (),
    ) -> dict[str, int]:
        """At start: ends attempts a crash left open, holds rows without a credential; what was done, by name.

        ``judge`` says what a realtime attempt's end means that nobody saw. ``spared``: UUIDs of attempts that are
        under way.
        """

    async def close_windows(self, now: Micros, close: CloseWindow) -> int:
        """Close every mail window that is over; the number of mails frozen."""

    async def mails_due(self, now: Micros, limit: int) -> Sequence[MailRow]:
        """Frozen mails that SMTP has not accepted and whose next try is due."""

    async def mail_accepted(self, mail: int, at: Micros) -> None:
        """SMTP took it."""

    async def mail_refused(self, mail: int, due: Micros, error: str) -> None:
        """SMTP did not take it; next try at ``due``. ``error`` in our own words."""

    async def next_mail(self) -> Micros | None:
        """When a window closes or a mail's next try is due, whichever is earlier."""

    async def probe(self) -> None:
        """Commit something small: how a lane that closed finds out that it may open again."""

    async def keep_house(self, ran_us: int) -> dict[str, int]:
        """Add ``ran_us`` of running time; rotate epochs, wrap rows anew, destroy keys, erase rested bodies."""

    async def close(self) -> None:
        """Stop the writer after what was submitted; further calls raise JournalError."""


class LinkLostError(Exception):
    """The port or the connection is gone; its text says how."""


class Transport(Protocol):
    """One open port: bytes both ways. ``wake`` given at opening is set whenever ``take`` has something to say."""

    def take(self) -> bytes:
        """What has arrived, maybe nothing. Raises LinkLostError once everything before the loss was taken."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the wire; dropped if the port is gone."""

    def set_rate(self, baud: int) -> None:
        """Go on at ``baud`` bits/s, dropping what waits both ways; a line that has no rate drops alone.

        Raises LinkLostError.
        """

    async def close(self) -> None:
        """Let go of the port."""


class Port(Protocol):
    """A place where a validator is, by a name that stays the same when the device comes back."""

    name: str

    async def open(self, wake: asyncio.Event) -> Transport:
        """Raises PortError."""


@dataclass(frozen=True, slots=True)
class DeviceUp:
    """A validator introduced itself. ``alarm`` says what is wrong with it, if anything: counters, another device."""

    serial: str
    type_name: str
    firmware: str
    alarm: str | None = None
    can_take_pin: bool = False


@dataclass(frozen=True, slots=True)
class DeviceDown:
    """The session ended; the port may still be there."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The validator said how it is: ``ready``, ``tamper``, ``reader fault``, ``out of service`` or a number."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class TapArrived:
    """A tap, understood or not. ``answer_to`` is the device's own handle for the reply.

    ``lacks`` names the tags that TPS may ask for and a reader did not give, for people.
    """

    report: TapReport
    answer_to: object
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class VerdictTaken:
    """The device's link has the verdict that was given with this handle."""

    answer_to: object


@dataclass(frozen=True, slots=True)
class CardMissed:
    """A card was seen and is no tap; its passenger was told to tap again. ``read``: its data was there, and is lost."""

    why: str
    read: bool = True


@dataclass(frozen=True, slots=True)
class PortWanted:
    """Nobody answers: set the port to ``baud``, or close it and open it ``anew`` at that; then call ``open``."""

    baud: int
    anew: bool = False


DeviceEvent = DeviceUp | DeviceDown | DeviceStatus | TapArrived | VerdictTaken | CardMissed | PortWanted


class Device(Protocol):
    """A validator protocol over a port, sans-IO: bytes and times in, events, bytes and a deadline out."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called, monotonic seconds."""

    @property
    def garbage(self) -> int:
        """Runs of bytes that were no frame, since the start."""

    def open(self, now: float) -> None:
        """The port was opened, or set to another rate."""

    def receive(self, data: bytes, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """Bytes came in; ``wall`` stamps taps, and is told to the validator where it is ``trusted``."""

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """A deadline passed."""

    def tell(self, answer_to: object, told: Told, display: Display, now: float) -> None:
        """Send the verdict."""

    def keep(self, answer_to: object, now: float) -> None:
        """Say that the tap is safe, and that its verdict follows."""

    def configure(self, lane_open: bool, wall: Micros | None, now: float, idle_text: str | None = None) -> None:
        """Say whether the lane is open, and the time where it is trusted. ``idle_text`` goes before the lane's name."""

    def output(self) -> bytes:
        """Bytes to write now."""


class Tps(Protocol):
    """The one way out to TPS. Never raises for network trouble: that is a value."""

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """Send these bytes to this path under this credential.

        ``within``: seconds for everything, the wait for a turn and a probe included, because somebody waits.
        """

    async def knock(self, credential: str) -> Exchange:
        """A harmless request on a fresh connection: can the host be reached?"""


class Postman(Protocol):
    """The one way out to SMTP."""

    async def send(self, mail: MailRow, date: Micros) -> None:
        """Deliver or raise MailError. ``date`` is the wall time for the Date header."""
