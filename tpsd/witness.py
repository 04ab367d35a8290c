"""What is told of each tap, attempt and mail while the daemon works; who listens is no business of those who work.

``metering`` counts; a witness hears the values themselves, card data among them, and must keep none of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from tpsd.asking import Answered
from tpsd.core.candidate import Candidate
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Exchange, Outcome
from tpsd.domain.tap import TapReport
from tpsd.domain.time import Micros
from tpsd.ports import Taken


class Witness(Protocol):
    """Called once an event, after its commit; must neither fail nor wait."""

    def took(self, candidate: Candidate, taken: Taken, now: Micros, *, can_take_pin: bool) -> None:
        """Commit 1 of a tap, new or known; ``now`` is the row's time, on the schedule clock."""

    def rejected(self, report: TapReport, lane: str, digest: bytes, taken: Taken, *, timed: bool) -> None:
        """A tap that could not be decided was kept. ``digest`` is its payload's, under the journal's key."""

    def sent(self, claimed: Claimed, exchange: Exchange, seconds: float) -> None:
        """One exchange about a transaction ended; its commit follows."""

    def settled(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, jitter: float | None) -> None:
        """Commit 3 of a deferred attempt. ``jitter``: the draw that delays the next one, where there was one."""

    def answered(self, claimed: Claimed, outcome: Outcome, answered: Answered) -> None:
        """Commit 3 of a realtime attempt."""

    def enquired(self, uuid: UUID, exchange: Exchange, seconds: float) -> None:
        """TPS was asked what became of a transaction."""

    def probed(self, host: str, exchange: Exchange) -> None:
        """A host that could not be reached was tried again."""

    def mailed(self, mail: MailRow) -> None:
        """The mail server took a mail."""

    def linked(self, lane: str, state: str, reason: str, serial: str | None) -> None:
        """A lane's link is in another state, or for another reason."""

    def ordered(self, order: str, subject: str, who: str, given: Mapping[str, object]) -> None:
        """Something is done by hand: what, to what, by whom, and what was given with it."""

    def freed(self, uuid: str, draw: float, new: str | None) -> None:
        """A row that rested is sent again, ``draw`` into the spread; ``new``: what was rebuilt in its place."""

    def attended(self, done: Mapping[str, int]) -> None:
        """Journeys that nobody ended were ended; what was done, by name."""


class Unwitnessed:
    """Keeps nothing."""

    def took(self, candidate: Candidate, taken: Taken, now: Micros, *, can_take_pin: bool) -> None:
        """Nothing."""

    def rejected(self, report: TapReport, lane: str, digest: bytes, taken: Taken, *, timed: bool) -> None:
        """Nothing."""

    def sent(self, claimed: Claimed, exchange: Exchange, seconds: float) -> None:
        """Nothing."""

    def settled(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, jitter: float | None) -> None:
        """Nothing."""

    def answered(self, claimed: Claimed, outcome: Outcome, answered: Answered) -> None:
        """Nothing."""

    def enquired(self, uuid: UUID, exchange: Exchange, seconds: float) -> None:
        """Nothing."""

    def probed(self, host: str, exchange: Exchange) -> None:
        """Nothing."""

    def mailed(self, mail: MailRow) -> None:
        """Nothing."""

    def linked(self, lane: str, state: str, reason: str, serial: str | None) -> None:
        """Nothing."""

    def ordered(self, order: str, subject: str, who: str, given: Mapping[str, object]) -> None:
        """Nothing."""

    def freed(self, uuid: str, draw: float, new: str | None) -> None:
        """Nothing."""

    def attended(self, done: Mapping[str, int]) -> None:
        """Nothing."""


UNWITNESSED = Unwitnessed()
