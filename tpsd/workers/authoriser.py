"""The authoriser: sends what somebody waits for, and commits the first of answer and time-out. Rules are in ``core``.

Its tasks belong to nobody's lane: a lane that a reload ends, or an operator who hangs up, cuts no payment short.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog

from tpsd.asking import Answered
from tpsd.core.answering import Ending, Policy, Waiting, settle
from tpsd.core.candidate import Setting
from tpsd.core.following import Original, follow
from tpsd.core.outcomes import classify
from tpsd.domain.authorisation import Claimed, Draft
from tpsd.domain.outcome import NoConnection, NotSent, Outcome, Unknown
from tpsd.domain.tap import Kind
from tpsd.errors import JournalUnavailableError
from tpsd.metering import UNMETERED, Meter
from tpsd.ports import Clock, Journal, SettledLate, Tps
from tpsd.uuids import Drawn, Uuids
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.giving_up import Patience
from tpsd.workers.journal_watch import JournalWatch

RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again; the outcome waits in memory meanwhile
SPARE_SECONDS = 1.0  # so much shorter than the lane's time a send is, so that its answer is committed in time
COMMIT_SECONDS = 2.0  # that a journal may take for an answer beyond the lane's time: a disk that flushes for others too

log = structlog.get_logger("tpsd.authoriser")

First = Callable[[str, Claimed, float], Awaitable[Answered | Outcome | None]]
"""Asks TPS about an earlier transaction (UUID) within some seconds, before a tap is sent: the tap is answered by it, or
may not be sent for this outcome, or None: it may be sent.
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """``patience`` seconds until the verdict must be out, None where nobody stands at a lane.

    ``send_away`` tells whoever does that nothing can be decided, where by then no answer could be kept; None: they wait
    for it.
    """

    policy: Policy
    patience: float | None = None
    send_away: Callable[[], None] | None = field(default=None, compare=False)


class Authoriser:
    """One daemon's realtime sends. ``setting`` is in force until a reload puts in another."""

    def __init__(
        self,
        journal: Journal,
        tps: Tps,
        clock: Clock,
        rng: random.Random,
        setting: Setting,
        send_seconds: float,
        *,
        on_notice: Callable[[], None],
        on_doubt: Callable[[], None],
        on_follower: Callable[[], None],
        ask_first: First | None = None,
    ) -> None:
        self._journal = journal
        self._tps = tps
        self._clock = clock
        self._send_seconds = send_seconds
        self._on_notice = on_notice
        self._on_doubt = on_doubt
        self._on_follower = on_follower
        self._ask_first = ask_first
        self._tasks: set[asyncio.Task[Answered | None]] = set()
        self._uuids: dict[asyncio.Task[Answered | None], str] = {}
        self.enquiring = 0  # asking about an earlier transaction before they send
        self._watch = JournalWatch(log, clock)
        self.setting = setting
        self.meter: Meter = UNMETERED
        self.witness: Witness = UNWITNESSED
        self.on_answered: Callable[[str, UUID, str], None] = lambda _cause, _uuid, _terminal: None
        self.uuids: Uuids = Drawn(rng)

    @property
    def in_flight(self) -> int:
        """Authorisations somebody waits for at this moment."""
        return len(self._tasks)

    @property
    def under_way(self) -> frozenset[str]:
        """Their UUIDs."""
        return frozenset(self._uuids.values())

    def begin(self, claimed: Claimed, terms: Terms, asks_first: str | None = None) -> asyncio.Task[Answered | None]:
        """Send it now. The task's result is what was committed, None where another commit was first."""
        patience = Patience()
        work = self._authorise(claimed, terms, asks_first, patience)
        task = asyncio.create_task(work, name=f"authorise {claimed.uuid}")
        if terms.patience is not None and terms.send_away is not None:
            seconds = terms.patience + COMMIT_SECONDS
            timer = asyncio.get_running_loop().call_later(
                seconds, self._send_away, str(claimed.uuid), terms.send_away, patience, task
            )
            task.add_done_callback(lambda _: timer.cancel())
        self._tasks.add(task)
        self._uuids[task] = str(claimed.uuid)
        task.add_done_callback(self._ended)
        return task

    def _send_away(
        self, uuid: str, send_away: Callable[[], None], patience: Patience, task: asyncio.Task[Answered | None]
    ) -> None:
        if task.done():
            return
        if patience.end():
            log.error("passenger_sent_away", uuid=uuid)
            send_away()
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(RETRY_SECONDS, self._send_away, uuid, send_away, patience, task)

    def _ended(self, task: asyncio.Task[Answered | None]) -> None:
        self._tasks.discard(task)
        del self._uuids[task]

    async def drain(self, seconds: float) -> bool:
        """Let what is under way end, and whether all did; what has not ends as unknown at the next start."""
        if not self._tasks:
            return True
        _, cut = await asyncio.wait(self._tasks, timeout=seconds)
        for task in cut:
            log.error("authorisation_cut", task=task.get_name())
            task.cancel()
        return not cut

    def follow(self, original: Original, kind: Kind, amount: int) -> Draft:
        """The request that follows a transaction, under the configuration now in force."""
        uuid = self.uuids.of_follower(original, kind)
        return follow(original, kind, amount, self._clock.wall(), uuid, self.setting)

    async def _authorise(
        self, claimed: Claimed, terms: Terms, asks_first: str | None, patience: Patience
    ) -> Answered | None:
        answered = await self._ask(claimed, terms, asks_first, patience)
        # Who was sent away is told nothing else; their row says what they were told, or that they were not shown it.
        return replace(answered, told=None) if answered is not None and patience.is_over else answered

    async def _ask(self, claimed: Claimed, terms: Terms, asks_first: str | None, patience: Patience) -> Answered | None:
        """Until committed. The send goes on when the lane's time is up, so that a late answer is at least logged."""
        began = self._clock.monotonic()
        sending = asyncio.create_task(self._send(claimed, terms, asks_first, began), name=f"send {claimed.uuid}")
        try:
            await asyncio.wait({sending}, timeout=terms.patience)
            if sending.done():
                came = sending.result()
                return came if isinstance(came, Answered) else await self._commit(claimed, came, terms.policy, patience)
            answered = await self._commit(claimed, Unknown("timeout", clean=False), terms.policy, patience)
            late = await sending
            if isinstance(late, Answered):
                return late
            log.error("answer_late", uuid=str(claimed.uuid), cause=late.cause)
            return answered
        finally:
            sending.cancel()

    async def _send(self, claimed: Claimed, terms: Terms, asks_first: str | None, began: float) -> Answered | Outcome:
        if asks_first is not None and self._ask_first is not None:
            self.enquiring += 1
            try:
                found = await self._ask_first(asks_first, claimed, self._left(terms, began))
            except JournalUnavailableError as exc:
                self._watch.failed("not_asked_first", exc, uuid=asks_first)
                return NotSent("in_doubt", clean=True)
            finally:
                self.enquiring -= 1
            if found is not None:
                return found
        if not claimed.body:
            return classify(NoConnection("seal"))
        within = self._left(terms, began)
        if within <= 0:
            return classify(NoConnection("busy"))
        posted = self._clock.monotonic()
        exchange = await self._tps.post(claimed.credential, claimed.path, claimed.body, within=within)
        self.witness.sent(claimed, exchange, self._clock.monotonic() - posted)
        try:
            return classify(exchange)
        except Exception as exc:  # a surprise in reading one answer makes that attempt unknown (design 1)
            log.error("answer_undecidable", uuid=str(claimed.uuid), error=type(exc).__name__)
            return Unknown("deciding", clean=False, loud=True)

    def _left(self, terms: Terms, began: float) -> float:
        if terms.patience is None:
            return self._send_seconds
        return min(self._send_seconds, began + terms.patience - SPARE_SECONDS - self._clock.monotonic())

    async def _commit(self, claimed: Claimed, outcome: Outcome, policy: Policy, patience: Patience) -> Answered | None:
        """Until it is written; a surprise in deciding makes the attempt unknown, a second one leaves it to a start."""
        try:
            return await self._write(claimed, outcome, policy, patience)
        except Exception as exc:
            log.error("answer_undecidable", uuid=str(claimed.uuid), error=type(exc).__name__)
        try:
            return await self._write(claimed, Unknown("deciding", clean=False, loud=True), policy, patience)
        except Exception as exc:
            log.error("answer_unwritten", uuid=str(claimed.uuid), error=type(exc).__name__)
            return None

    async def _write(self, claimed: Claimed, outcome: Outcome, policy: Policy, patience: Patience) -> Answered | None:
        ended_at = self._clock.schedule()

        def judge(waiting: Waiting) -> Ending:
            return settle(patience.judge(waiting), outcome, policy, number=claimed.number, ended_at=ended_at)

        while True:
            try:
                answered = await self._journal.asked.answer(claimed, outcome, judge, self.follow, ended_at)
                break
            except SettledLate:
                log.error("settled_late", uuid=str(claimed.uuid), attempt=claimed.number, cause=outcome.cause)
                return None
            except JournalUnavailableError as exc:
                patience.judge_again()
                self._watch.failed("answer_not_written", exc, uuid=str(claimed.uuid))
                await asyncio.sleep(RETRY_SECONDS)
        self._watch.works()
        self.meter.settled(outcome)
        self.on_answered(outcome.cause, claimed.uuid, claimed.terminal)
        self.witness.answered(claimed, outcome, answered)
        self._tell(claimed, outcome, answered)
        return answered

    def _tell(self, claimed: Claimed, outcome: Outcome, answered: Answered) -> None:
        log.info(
            "authorised",
            uuid=str(claimed.uuid),
            number=claimed.number,
            cause=outcome.cause,
            state=answered.settlement.state.value,
        )
        if answered.noticed:
            self._on_notice()
        if answered.settlement.enquiry_due is not None:
            self._on_doubt()
        if answered.follows:
            self._on_follower()


def terms_of(
    policy: Policy,
    *,
    partial_accepted: bool,
    can_take_pin: bool,
    patience: float,
    send_away: Callable[[], None] | None = None,
) -> Terms:
    """A lane's terms under the daemon's policy."""
    policy = replace(policy, partial_accepted=partial_accepted, can_take_pin=can_take_pin)
    return Terms(policy, patience, send_away)
