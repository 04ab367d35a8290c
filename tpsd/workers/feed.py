"""The feed's loop: asks TPS for the deny list until there is no more, and again later. Rules are in ``core.feed``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from tpsd.core.feed import NOBODY, alarm, asks_with, judge, pause, turn_of, waits
from tpsd.core.listage import TELL_AFTER_US, age, fresh_notice, is_stale, stale_notice
from tpsd.core.trouble import Trouble
from tpsd.denylist import DenyFeed
from tpsd.domain.feed import BadPage, Denial, FeedState, Heard, NoPage, Page
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.picture import FeedFacts
from tpsd.domain.time import MINUTE, SECOND, Micros, later
from tpsd.errors import JournalUnavailableError, RefusedError
from tpsd.ports import Clock
from tpsd.workers.journal_watch import JournalWatch

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again

LOOK_US = MINUTE  # how often a daemon looks at the list that another one keeps

log = structlog.get_logger("tpsd.feed")

Ask = Callable[[str | None, int], Awaitable[Heard]]
"""One page after a token, under the terminal whose turn it is."""

Tell = Callable[[NoticeDraft, Micros], Awaitable[None]]
"""Keep a notice, at a time of the schedule clock."""


@dataclass(slots=True)
class Round:
    """What one poll has done so far."""

    seen: set[str]
    pages: int = 0
    inserted: int = 0
    deleted: int = 0
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """``poll_us`` between two polls; a list older than ``max_age_us`` is stale. Microseconds."""

    poll_us: int
    max_age_us: int


class Feed:
    """One daemon's feed. ``on_notice`` hears that one was written."""

    def __init__(
        self,
        feed: DenyFeed,
        ask: Ask,
        clock: Clock,
        rng: random.Random,
        pace: Pace,
        tell: Tell,
        on_notice: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._ask = ask
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._tell = tell
        self._on_notice = on_notice
        self._watch = JournalWatch(log, clock)
        self._trouble = Trouble()
        self._failures = 0
        self._refusals = 0
        self._denials = 0
        self._untold: NoticeDraft | None = None
        self._state = FeedState()
        self._began_at = clock.schedule()
        self._completed: Micros | None = None  # in this life, on the schedule clock
        self._stale_since: Micros | None = None  # seen in this life, on the schedule clock
        self._cause = ""  # why the last poll failed
        self.busy = False
        self.wake = asyncio.Event()
        self.may_ask: Callable[[], bool] = lambda: True  # of daemons that share a list one asks for all
        self.beside: Callable[[], Awaitable[None]] | None = None  # what else is asked for after a poll that went well

    async def begin(self) -> None:
        """Learn how old the list is, before a tap asks. Raises JournalUnavailableError."""
        self._state = await self._feed.state()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.wake.clear()
            self.busy = True
            try:
                wait_us = await self._poll()
            except JournalUnavailableError as exc:
                self._watch.failed("feed_journal", exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self.busy = False
            await self._clock.wait(self.wake, later(self._clock.schedule(), wait_us))

    def look(self) -> None:
        """Ask at once."""
        self.wake.set()

    def terminal_is_known(self) -> None:
        """A validator has said who it is."""
        if self._cause == NOBODY.cause:
            self.wake.set()

    def is_stale(self) -> bool:
        """Whether the list is too old to be relied on, or of unknown age."""
        return is_stale(self._age(), self._pace.max_age_us)

    def facts(self) -> FeedFacts:
        """How it is now, as of its last request."""
        state, age_us = self._state, self._age()
        return FeedFacts(
            age_seconds=None if age_us is None else age_us / SECOND,
            waited_seconds=(self._clock.schedule() - self._began_at if age_us is None else age_us) / SECOND,
            max_age_seconds=self._pace.max_age_us / SECOND,
            cause=self._cause,
            tokens=state.tokens,
            coming=state.shadow,
            waits=state.waits_since is not None,
        )

    def _age(self) -> int | None:
        wall = self._clock.wall() if self._clock.trusted else None
        return age(self._state.whole_at, self._completed, wall, self._clock.schedule())

    async def _poll(self) -> int:
        """Ask until TPS has no more, or until that is of no use; microseconds to wait then."""
        if self._untold is not None:
            await self._say(self._untold)
        poll = Round(set())
        self._state = await self._feed.state()
        if not self.may_ask():
            await self._tell_of_age()
            if self.beside is not None:
                await self.beside()
            return LOOK_US
        if self._state.whole and self._state.waits_since is None:
            await self._turn(poll)  # a life before ended between the last page and the flip
        heard: Heard
        while True:
            heard = await self._page(poll)
            if not isinstance(heard, Page) or heard.complete:
                break
        if isinstance(heard, Page) and self._state.whole:
            await self._turn(poll)
        self._report(poll)
        await self._count(heard)
        await self._tell_of_age()
        if isinstance(heard, Page) and self.beside is not None:
            await self.beside()
        return pause(heard, self._failures, self._pace.poll_us, self._rng.random())

    async def _page(self, poll: Round) -> Heard:
        asked_with = asks_with(self._state.token, self._refusals)
        heard = await self._ask(asked_with, turn_of(self._denials))
        if not isinstance(heard, Page):
            return heard
        listed = bool(self._state.tokens or self._state.shadow)
        take = judge(heard, asked_with, poll.seen, listed=listed)
        if isinstance(take, BadPage):
            return take
        try:
            kept = await self._feed.keep(take, heard.foreign, self._clock.wall(), timed=self._clock.trusted)
        except RefusedError:
            return BadPage("list.length")
        if take.done:
            self._completed = self._clock.schedule()
        self._watch.works()
        self._refusals = 0
        poll.pages += 1
        poll.inserted += kept.inserted
        poll.deleted += kept.deleted
        if take.token is not None:
            poll.seen.add(take.token)
        if heard.foreign:
            log.warning("feed_records_ignored", records=len(heard.foreign))
        self._state = await self._feed.state()
        return heard

    async def _turn(self, poll: Round) -> None:
        """Let a whole new list replace the old one, or have it wait."""
        loss = await self._feed.loss()
        if loss is None:
            return
        if waits(loss):
            if await self._feed.hold(loss, self._clock.wall(), self._clock.schedule()):
                log.error("deny_list_waits", before=loss.before, lost=loss.lost, after=loss.after)
                self._on_notice()
        else:
            await self._feed.flip(self._clock.wall(), None)
            poll.deleted += loss.lost
            poll.replaced = True
        self._state = await self._feed.state()

    def _report(self, poll: Round) -> None:
        if poll.inserted or poll.deleted or poll.replaced:
            log.info(
                "deny_list_fed",
                pages=poll.pages,
                inserted=poll.inserted,
                deleted=poll.deleted,
                replaced=poll.replaced,
                tokens=self._state.tokens,
                coming=self._state.shadow,
            )

    async def _count(self, heard: Heard) -> None:
        now = self._clock.monotonic()
        match heard:
            case NoPage(cause) if heard == NOBODY:
                self._cause = cause
            case Page():
                self._failures, self._denials, self._cause = 0, 0, ""
                if (times := self._trouble.over(now)) is not None:
                    log.info("feed_goes_again", times=times)
            case BadPage(cause) | Denial(cause) | NoPage(cause):
                self._failures += 1
                self._refusals += not isinstance(heard, NoPage)
                self._denials += isinstance(heard, Denial)
                self._cause = cause
                if (times := self._trouble.happened(now, cause)) is not None:
                    log.error("feed_failed", cause=cause, times=times)
                    if not isinstance(heard, NoPage):
                        await self._say(alarm(heard))

    async def _tell_of_age(self) -> None:
        now, age_us = self._clock.schedule(), self._age()
        if not is_stale(age_us, self._pace.max_age_us):
            self._stale_since = None
            if self._state.stale_told:
                await self._say_of_age(fresh_notice(), stale=False)
            return
        if self._stale_since is None:
            self._stale_since = now
        if now - self._stale_since >= TELL_AFTER_US and not self._state.stale_told:
            await self._say_of_age(stale_notice(age_us, self._pace.max_age_us, self._cause), stale=True)

    async def _say_of_age(self, notice: NoticeDraft, *, stale: bool) -> None:
        if await self._feed.tell_of_age(notice, self._clock.schedule(), stale=stale):
            log.warning("deny_list_too_old" if stale else "deny_list_fresh")
            self._on_notice()
        self._state = await self._feed.state()

    async def _say(self, notice: NoticeDraft) -> None:
        self._untold = notice  # over a journal that cannot commit just now
        await self._tell(notice, self._clock.schedule())
        self._untold = None
        self._on_notice()
