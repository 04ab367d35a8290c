"""The deny list's contract between the store and those who change it; taps ask it inside commit 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tpsd.core.feed import Take
from tpsd.domain.audit import AuditDraft
from tpsd.domain.denial import DenyChange, DenyTotals
from tpsd.domain.feed import FeedState, Foreign, Kept, Loss, Parameters, ParameterState, RawPage
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros


class DenyList(Protocol):
    """Tokens by source. Every change is one commit with its audit row. Raises JournalUnavailableError.

    A whole list is filled into a generation of its own, some of it a commit, and takes effect by ``go_live`` alone.
    """

    async def add(self, tokens: Sequence[bytes], audit: AuditDraft) -> DenyChange:
        """Enter single tokens by hand, in force at once; those that are there already change nothing."""

    async def remove(self, tokens: Sequence[bytes], source: str | None, audit: AuditDraft) -> DenyChange:
        """Strike single tokens from the lists in force: one source's, or all."""

    async def begin(self, source: str, at: Micros) -> int:
        """Begin a list; its generation's number. ``at`` on the wall clock."""

    async def fill(self, generation: int, tokens: bytes) -> None:
        """Put tokens into it, 32 bytes each, duplicates allowed; fastest when sorted. Raises RefusedError once over."""

    async def go_live(self, generation: int, replace: bool, audit: AuditDraft) -> DenyChange:
        """Let it take effect, beside the source's former lists or instead of them. Raises RefusedError once over."""

    async def abandon(self, generation: int) -> None:
        """Give it up; nothing of it ever takes effect."""

    async def totals(self) -> DenyTotals:
        """The lists in force."""

    async def tidy(self, slices: int) -> int:
        """Remove what no longer counts and join what belongs together; entries moved, 0 when all is tidy."""


class ParameterStore(Protocol):
    """Stop list and EMV parameters as TPS feeds them. Raises JournalUnavailableError."""

    async def state(self, kind: Parameters, terminal: str = "") -> ParameterState:
        """How far a type has come, where a terminal has its own that of the terminal."""

    async def states(self) -> list[ParameterState]:
        """Of every type and terminal that was heard of."""

    async def keep(
        self, kind: Parameters, page: RawPage, at: Micros, *, anew: bool, timed: bool, terminal: str = ""
    ) -> ParameterState:
        """A page and its token, in one commit. Raises RefusedError where there would be too many records.

        ``anew``: it was asked for from the beginning, and begins another list. ``at`` on the wall clock, which knows
        the time if ``timed``.
        """


class DenyFeed(Protocol):
    """The list of source ``BY_FEED`` as TPS feeds it. Raises JournalUnavailableError."""

    async def state(self) -> FeedState:
        """How far it has come."""

    async def keep(self, take: Take, foreign: Sequence[Foreign], at: Micros, *, timed: bool = True) -> Kept:
        """A page and its token, in one commit. Raises RefusedError where the list would become too long.

        After a flush entries go into a shadow, which denies at once and replaces the list by ``flip`` alone; what is
        struck is struck from both. ``at`` on the wall clock; not ``timed``: that does not know the time, and the list
        gets no age from it.
        """

    async def loss(self) -> Loss | None:
        """What a flip would do; None where there is nothing to flip to."""

    async def flip(self, at: Micros, audit: AuditDraft | None) -> DenyChange:
        """Let the shadow replace the list. Raises RefusedError where no whole one is there."""

    async def tell_of_age(self, notice: NoticeDraft, now: Micros, *, stale: bool) -> bool:
        """Write the word that the list is too old, or no longer; whether this is news and it was written.

        ``now`` on the schedule clock.
        """

    async def hold(self, loss: Loss, at: Micros, now: Micros) -> bool:
        """Let it wait for a person; whether this is news, and an alarm was written. ``now`` on the schedule clock."""
