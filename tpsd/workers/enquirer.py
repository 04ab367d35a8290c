"""The enquirer: asks TPS about rows in doubt and writes what follows. The rules are in ``core.enquiry``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import structlog

from tpsd.asking import Answered, Follow
from tpsd.core.doubt import DoubtPolicy, is_beyond_horizon
from tpsd.core.enquiry import CONTROL_US, Conclusion, Finding, Heard, conclude, needs_control, read
from tpsd.domain.authorisation import Claimed
from tpsd.domain.doubt import Enquired
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import Exchange, NoAnswer, NotSent, Outcome, Unknown
from tpsd.domain.time import Micros, later
from tpsd.doubts import Ask, Doubts, nothing_follows
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock
from tpsd.workers.journal_watch import JournalWatch

AT_ONCE = 4  # enquiries in flight: a few rows are in doubt, and TPS's capacity belongs to the taps
RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again; the answer waits in memory meanwhile

log = structlog.get_logger("tpsd.enquirer")


@dataclass(frozen=True, slots=True)
class Heed:
    """Who is told, and who is asked.

    ``noticed``: notices were written. ``released``: a row is due on the ladder again. ``may_ask`` is False while
    TPS cannot be reached: an enquiry into an outage would only use one up; who ends the outage sets ``wake``.
    """

    noticed: Callable[[], None]
    released: Callable[[], None]
    may_ask: Callable[[], bool] = lambda: True


class Enquirer:
    """One daemon's enquiries."""

    def __init__(self, doubts: Doubts, ask: Ask, clock: Clock, policy: DoubtPolicy, heed: Heed) -> None:
        self._doubts = doubts
        self._ask = ask
        self._clock = clock
        self._policy = policy
        self._heed = heed
        self._stopping = False
        self.wake = asyncio.Event()
        self.busy = False
        self.follow: Follow = nothing_follows
        self.gives_back = False  # what is found charged though its passenger was turned away
        self._watch = JournalWatch(log, clock)

    async def run(self) -> None:
        """Until ``stop``; enquiries under way are finished."""
        while not self._stopping:
            self.wake.clear()
            self.busy = True
            try:
                await self._round()
                until = await self._doubts.next_due() if self._heed.may_ask() else None
            except JournalUnavailableError as exc:
                self._watch.failed("enquiries_not_claimed", exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self.busy = False
            await self._clock.wait(self.wake, until)

    def stop(self) -> None:
        """Begin no more enquiries."""
        self._stopping = True
        self.wake.set()

    async def _round(self) -> None:
        while not self._stopping and self._heed.may_ask():
            claims = await self._doubts.claim(self._clock.schedule(), AT_ONCE)
            if claims:
                self._watch.works()
            async with asyncio.TaskGroup() as enquiries:
                for enquired in claims:
                    enquiries.create_task(self.enquire(enquired), name=f"enquiry {enquired.uuid}")
            if len(claims) < AT_ONCE:
                return

    async def enquire(self, enquired: Enquired) -> Conclusion:
        """One enquiry from its claim to its commit."""
        heard = _read(enquired, await self._ask(enquired.uuid))
        believed = needs_control(enquired, heard) and await self._is_believed(enquired)
        ended_at = self._clock.schedule()
        conclusion = conclude(enquired, heard, believed=believed, ended_at=ended_at, gives_back=self.gives_back)
        held = await self._write(enquired, heard, conclusion, ended_at)
        log.info(
            "enquiry",
            uuid=str(enquired.uuid),
            nth=enquired.nth,
            cause=heard.outcome.cause,
            found=heard.finding.value,
            state=conclusion.state.value if held else None,
        )
        if held:
            self._tell(conclusion)
        return conclusion

    async def first(self, uuid: str, claimed: Claimed, seconds: float) -> Answered | Outcome | None:
        """Ask about an earlier one of the same card, lane and amount, before ``claimed`` is sent (design 4).

        Found approved it pays for this tap; found declined, this tap may be sent (None). Anything else: it may not,
        since both could be charged.
        """
        enquired = await self._doubts.claim_one(uuid, self._clock.schedule())
        if enquired is None:
            return _IN_DOUBT
        try:
            async with asyncio.timeout(max(seconds, 0)):
                heard = _read(enquired, await self._ask(enquired.uuid))
        except TimeoutError:
            heard = read(NoAnswer("timeout"))
        ended_at = self._clock.schedule()
        log.info("enquiry_first", uuid=uuid, cause=heard.outcome.cause, found=heard.finding.value)
        conclusion = conclude(enquired, heard, believed=False, ended_at=ended_at)
        match heard.finding:
            case Finding.APPROVED:
                alarms = tuple(notice for notice in conclusion.notices if notice.kind is NoticeKind.ALARM)
                paid = replace(conclusion, notices=alarms)  # nobody is left turned away and charged
                answered = await self._doubts.cover(enquired, heard, paid, claimed, ended_at)
                if answered is None:
                    self.wake.set()  # it is due again
                    return _IN_DOUBT
                log.info("paid_before", uuid=str(claimed.uuid), by=uuid)
                self._tell(paid)
                return answered
            case Finding.DECLINED:
                if not await self._write(enquired, heard, conclusion, ended_at):
                    return _IN_DOUBT
                self._tell(conclusion)
                return None
            case _:
                await self._doubts.leave(enquired, heard, ended_at)
                return _IN_DOUBT

    def _tell(self, conclusion: Conclusion) -> None:
        if conclusion.notices or conclusion.counts:  # what it decided may be a journey's end too, which is told of
            self._heed.noticed()
        if conclusion.released or conclusion.gives_back is not None:
            self._heed.released()

    async def _is_believed(self, enquired: Enquired) -> bool:
        """Whether an enquiry finds what is known to be there: a wrong path says 404 too.

        Beyond the horizon TPS may have forgotten the transaction itself; then it must also remember one that old.
        """
        now = self._clock.schedule()
        spans = [(later(now, -CONTROL_US), now)]
        if enquired.doubtful_since is not None and is_beyond_horizon(self._policy, enquired.doubtful_since, now):
            spans.append((Micros(0), enquired.doubtful_since))
        for since, until in spans:
            known = await self._control(since, until)
            if known is None:
                log.info("enquiry_without_control", uuid=str(enquired.uuid))
                return False
            if read(await self._ask(known)).finding is not Finding.APPROVED:
                log.error("enquiry_control_failed", uuid=str(enquired.uuid), control=str(known))
                return False
        return True

    async def _control(self, since: Micros, until: Micros) -> UUID | None:
        while True:
            try:
                return await self._doubts.control(since, until)
            except JournalUnavailableError as exc:
                self._watch.failed("control_not_read", exc)
                await asyncio.sleep(RETRY_SECONDS)

    async def _write(self, enquired: Enquired, heard: Heard, conclusion: Conclusion, ended_at: Micros) -> bool:
        while True:
            try:
                return await self._doubts.conclude(enquired, heard, conclusion, ended_at, self.follow)
            except JournalUnavailableError as exc:
                self._watch.failed("enquiry_not_written", exc, uuid=str(enquired.uuid))
                await asyncio.sleep(RETRY_SECONDS)


_IN_DOUBT: Final = NotSent("in_doubt", clean=True)
"""Why a tap is not sent: an earlier one of the same card, lane and amount may have been charged."""


def conclude_crashed(enquired: Enquired, now: Micros) -> tuple[Heard, Conclusion]:
    """What is written of an enquiry whose end nobody saw, because the process died in it."""
    heard = read(NoAnswer("crash"))
    return heard, conclude(enquired, heard, believed=False, ended_at=now)


def _read(enquired: Enquired, exchange: Exchange) -> Heard:
    """A surprise in reading one answer makes that enquiry unclear, and nothing else (design 1)."""
    try:
        return read(exchange)
    except Exception as exc:
        log.error("answer_undecidable", uuid=str(enquired.uuid), error=type(exc).__name__)
        return Heard(Finding.UNCLEAR, Unknown("deciding", clean=False, loud=True))
