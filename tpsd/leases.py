"""The Protocol between the daemons that share a journal, and that journal: leases, and the work of who lost one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tpsd.asking import Judge as AskedJudge
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Outcome
from tpsd.domain.time import SECOND, Micros
from tpsd.doubts import Crashed

LEASE_US: Final = 25 * SECOND
"""How long a daemon's work is its own after it last said that it is there: more than twice a send's time-out."""

RENEW_US: Final = 5 * SECOND
"""How often it says so: four may be lost, and a lease never runs out under a daemon that is well."""

TAKE_OVER_US: Final = LEASE_US + RENEW_US
"""By then, microseconds after its last sign of life, others may claim what a dead daemon was to send."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another daemon; ``left_us``: how much of its lease is left by the database's clock, negative when it is over."""

    name: str
    life: int
    left_us: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """A lease renewed: what the database's clock said, who else is there, and who is gone since when by that clock.

    ``left``: those of the gone that gave their lease up themselves.
    """

    now: Micros
    others: Sequence[Neighbour]
    gone: Mapping[str, Micros]
    left: frozenset[str] = frozenset()


class Hold:
    """How long this daemon's work is still its own.

    ``schedule`` counts a machine's sleep; ``send_us``: how long a send may take.
    """

    def __init__(self, schedule: Callable[[], Micros], send_us: int) -> None:
        self._schedule = schedule
        self._send_us = send_us
        self._until = 0
        self.on_over: Callable[[], None] = lambda: None  # somebody wanted to send and may not: renew it

    def extend(self, asked_at: Micros) -> None:
        """The lease was renewed by a request that was made then."""
        self._until = max(self._until, asked_at + LEASE_US)

    def lasts(self) -> bool:
        """Whether a send that begins now ends before anybody else may begin the same one."""
        if self._schedule() + self._send_us <= self._until:
            return True
        self.on_over()
        return False


@dataclass(frozen=True, slots=True)
class Endings:
    """What becomes of attempts whose end nobody saw: a deferred one's, a realtime one's, an enquiry's.

    ``alone``: a realtime one's about which this daemon cannot ask TPS, since it lacks the certificate. ``enquire``
    None: it asks TPS about nothing, and leaves rows in doubt to those that can.
    """

    send: Callable[[Claimed], tuple[Outcome, Settlement]]
    asked: AskedJudge
    alone: AskedJudge
    enquire: Crashed | None


class Leases(Protocol):
    """A shared journal as its daemons see one another. Every call is one transaction, or several small ones."""

    @property
    def daemon(self) -> str:
        """This daemon's name."""

    @property
    def presides(self) -> bool:
        """Whether this daemon does what one does for all: the house, mails, the feed, journeys that nobody ends."""

    async def clock(self) -> Micros:
        """The database's clock."""

    async def describe(self, credentials: Mapping[str, str]) -> None:
        """Whom TPS sees behind each of this daemon's credentials: who sees the same may send what it cannot."""

    async def renew(self) -> Renewed:
        """Say that this daemon is there. Raises JournalError where others have declared it gone."""

    async def leave(self) -> None:
        """Give the lease up, with nothing under way: others go on at once with what is left, and this life is over."""

    async def declare_gone(self, neighbour: Neighbour) -> bool:
        """Its lease is over: it must start anew before it writes again. False where it is there after all."""

    async def take_over(self, now: Micros, endings: Endings) -> dict[str, int]:
        """Make the work of those who are gone this daemon's own, as far as it may send it; what was done, by name.

        What was being sent ends as after a crash. Of a realtime tap nothing is sent: it is asked about. What nobody
        can go on with is told of and ended, some of it once its daemon has been gone for a day.
        """
