"""The journal of a gate that does not wait for its database (design 1 and 6): PostgreSQL, with a spool before it.

While anything waits in the spool every tap goes there, so that they are drained in their order; and nothing is claimed,
so that what was told is in the database before a byte of it is sent. A tap is the same candidate wherever it is put.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg

from tpsd.core.candidate import Candidate, Decision
from tpsd.core.spooling import at_the_spool
from tpsd.domain.authorisation import Claimed
from tpsd.domain.picture import SpoolFacts
from tpsd.domain.tap import Shown, TapReport
from tpsd.domain.time import SECOND, Micros
from tpsd.doubts import Judge, never_judged
from tpsd.errors import JournalUnavailableError, SealError
from tpsd.ports import Decide, Taken
from tpsd.store import housekeeping
from tpsd.store.connection import Connection
from tpsd.store.draining import draining
from tpsd.store.faults import Faults
from tpsd.store.group import Work
from tpsd.store.lately import Lately
from tpsd.store.postgres import PostgresJournal
from tpsd.store.queries import F
from tpsd.store.reconnecting import ReconnectingWriter, SlowError
from tpsd.store.spool import Spool, Spooled
from tpsd.store.writer import Urgency

REALTIME_SECONDS: Final = 2.0  # for commits 1 and 2 of a realtime tap, whose passenger waits for TPS's answer anyway
DRAINED_AT_ONCE: Final = 50  # taps: as many as a group commit takes in 10 ms, and a few hundred KB in memory

T = TypeVar("T")


def confirming(connect: Callable[[], Connection], faults: Faults) -> ReconnectingWriter:
    """A writer that tells other daemons, in each of its transactions, which taps they may take over.

    None of them may be one whose COMMIT nobody heard of: the spool may have told its passenger otherwise.
    """

    def begin(connection: Connection) -> None:
        if not writer.unsure:
            connection.execute(F["confirm_taps"])

    writer = ReconnectingWriter(connect, faults, begin)
    return writer


class SpooledJournal(PostgresJournal):
    """``ports.Journal`` on both. Made by ``open``, and given its spool by ``begin``."""

    TELLS_ELSEWHERE = True

    _writer: ReconnectingWriter
    _spool: Spool

    async def begin(self, spool: Spool, slow_seconds: float, drained_at_once: int = DRAINED_AT_ONCE) -> None:
        """From now on taps go to ``spool`` where the database takes longer. Raises JournalError; then close both."""
        self._spool = spool
        self._slow_seconds = slow_seconds
        self._drained_at_once = drained_at_once
        self._lately = Lately()
        self._tried = set(await spool.begin(self.journal_id))  # UUIDs whose COMMIT nobody knows of
        self.waiting = (await spool.waits()).count
        self._entering = 0
        self._puts: set[asyncio.Task[Taken]] = set()
        self._used_since: float | None = time.monotonic() if self.waiting else None
        self.stuck: str | None = None
        self._asked_unheard = 0
        self._recovered = self.losses
        self._ran_ahead = 0
        self._be_sure()
        self._writer.on_connected = self._look_again
        self._after = 0  # the tap behind which the next drain begins
        self.on_wait: Callable[[], None] = lambda: None  # a tap waits to be drained

    def _look_again(self, connection: Connection) -> None:
        """Before anything is written on a new connection: the house may have been another's, for days."""
        self._leases.lose()
        try:
            self._epochs.note(housekeeping.live_epochs(connection))
        except SealError as exc:
            raise JournalUnavailableError(f"the epoch keys cannot be read: {exc}") from exc

    def on_connection(self, heard: Callable[[], object]) -> None:
        """``heard`` is called in the writer's thread when the connection is lost, and when there is one again."""
        self._writer.on_change = heard

    # --- commit 1 ---

    async def take(self, candidate: Candidate, decide: Decide, now: Micros) -> Taken:
        """In the database where that answers in time and nothing waits before it, else in the spool."""
        if not self._goes_to_the_spool(realtime=candidate.realtime):
            try:
                taken = await super().take(candidate, decide, now)
            except JournalUnavailableError as exc:
                self._doubt(candidate, exc)
            else:
                rode = taken.new and candidate.report.shown is not Shown.TURNED_AWAY
                self._lately.note(candidate, taken.number, taken.told, rode=rode)
                return taken
        known = self._lately.answer(candidate.report, candidate.digest)
        if known is not None and candidate.report.shown in (Shown.NOTHING, known.shown):
            return Taken(known.number, known.told, new=False, decision=Decision(known.told, known=known.number))
        decided = at_the_spool(decide, None if known is None else known.told, self._lately.past(candidate))
        return await self._spooling(candidate, partial(self._spool.put, candidate, decided, now))

    async def reject(
        self,
        report: TapReport,
        lane: str,
        terminal: str,
        config_digest: str,
        now: Micros,
        untrusted: str | None = None,
    ) -> Taken:
        """Like every tap."""
        if not self._goes_to_the_spool(realtime=False):
            with suppress(JournalUnavailableError):
                return await super().reject(report, lane, terminal, config_digest, now, untrusted)
        digest = self.digest(report.fingerprint)
        return await self._spooling(
            None, partial(self._spool.put_rejected, report, lane, terminal, config_digest, digest, now, untrusted)
        )

    async def probe(self) -> None:
        """Whether a tap could be kept, wherever."""
        if not self._goes_to_the_spool(realtime=False):
            with suppress(JournalUnavailableError):
                return await super().probe()
        return await self._spool.probe()

    async def _commit_tap(self, work: Work[T], *, realtime: bool = False) -> T:
        seconds = REALTIME_SECONDS if realtime else self._slow_seconds
        return await self._writer.write_within(work, seconds, Urgency.INTAKE)

    def _goes_to_the_spool(self, *, realtime: bool) -> bool:
        waits = self.waiting > 0 or self._entering > 0
        return waits or self._writer.away is not None or (realtime and not self.is_recovered)

    def _doubt(self, candidate: Candidate, exc: JournalUnavailableError) -> None:
        never = isinstance(exc, SlowError) and not exc.tried
        if not never and candidate.draft is not None:
            self._tried.add(str(candidate.draft.uuid))
            if candidate.realtime and isinstance(exc, SlowError):
                self._asked_unheard += 1  # its attempt may stand, and nobody sends it

    async def _spooling(self, candidate: Candidate | None, put: Callable[[], Coroutine[Any, Any, Taken]]) -> Taken:
        """It is counted also where its lane ends meanwhile and nobody hears of it."""
        self._entering += 1  # before anything is waited for: from here on nothing is claimed
        putting = asyncio.create_task(self._put(candidate, put), name="spooling")
        self._puts.add(putting)
        putting.add_done_callback(self._puts.discard)
        return await asyncio.shield(putting)

    async def _put(self, candidate: Candidate | None, put: Callable[[], Coroutine[Any, Any, Taken]]) -> Taken:
        try:
            taken = await put()
        except BaseException:
            if candidate is not None and candidate.draft is not None:  # nobody was told; it comes again
                self._tried.discard(str(candidate.draft.uuid))
            raise
        finally:
            self._entering -= 1
        if taken.new:
            self.waiting += 1
            if self._used_since is None:
                self._used_since = time.monotonic()
        self.on_wait()
        return taken

    # --- commits 2 and 3 ---

    @property
    def may_claim(self) -> bool:
        """Not while what was told waits in the spool, nor before what a lost connection left open was ended."""
        return not self._goes_to_the_spool(realtime=True)

    async def claim(
        self, now: Micros, limit: int, created_by: Micros | None = None, judge: Judge = never_judged
    ) -> Sequence[Claimed]:
        """Nothing while the spool waits. A row whose tap went there meanwhile is put back unsent."""
        await self._put_back(now)
        if not self.may_claim:
            return []
        claims = await super().claim(now, limit, created_by, judge)
        if not self._tried:
            return claims
        too_soon = [claimed for claimed in claims if str(claimed.uuid) in self._tried]
        self._unsent += [(claimed, "spool") for claimed in too_soon]
        with suppress(JournalUnavailableError):
            await self._put_back(now)
        return [claimed for claimed in claims if claimed not in too_soon]

    # --- after a lost connection ---

    @property
    def losses(self) -> int:
        """How often something may have been left open: by a lost connection, or by a realtime tap nobody heard of."""
        return self._writer.losses + self._asked_unheard

    @property
    def is_recovered(self) -> bool:
        """Whether there is a connection, and what the last loss left open was ended."""
        return self._writer.away is None and self._recovered == self.losses

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._writer.away is None

    def recovered(self, losses: int) -> None:
        """What so many losses had left open was ended."""
        self._recovered = losses
        self._be_sure()

    @property
    def unsure(self) -> bool:
        """Whether the database may hold a tap that was told by the spool, and does not say so. From any thread."""
        return self._writer.unsure

    def _be_sure(self) -> None:
        if not self.waiting and not self._entering and self.is_recovered:
            self._writer.unsure = False

    # --- the drain ---

    async def drain(self, now: Micros) -> int:
        """Put some of what waits into the database, the oldest first; how many. Raises JournalUnavailableError.

        A surprise about one tap leaves that one where it is, and claims wait for it: see ``spool_facts``.
        """
        if not self.waiting:
            return 0
        taps = await self._spool.first(self._drained_at_once, self._after)
        came = await asyncio.gather(
            *(self._writer.write(self._draining(tap, now)) for tap in taps), return_exceptions=True
        )
        there = [tap for tap, error in zip(taps, came, strict=True) if error is None]
        gone = await self._spool.forget(there)
        for tap in there:
            if tap.number in gone:
                self._forget(tap)
        if not self.waiting:
            self._used_since = None
        self._be_sure()
        self._judge([error for error in came if error is not None], taps)
        return len(gone)

    def _draining(self, tap: Spooled, now: Micros) -> Callable[[Connection], None]:
        put = draining(tap, self._epochs.seal, self.digest, self._stamp(Micros(min(tap.at, now))))

        def work(connection: Connection) -> None:
            self._alone_with(connection, tap.candidate.digest, tap.candidate.token)
            put(connection)

        return work

    def _forget(self, tap: Spooled) -> None:
        candidate = tap.candidate
        self.waiting -= 1
        rode = tap.cancelled is None and candidate.report.shown is not Shown.TURNED_AWAY
        self._lately.note(candidate, tap.number, tap.decision.told, rode=rode)
        for uuid in (tap.tried, None if candidate.draft is None else str(candidate.draft.uuid)):
            if uuid is not None:
                self._tried.discard(uuid)

    def _judge(self, errors: Sequence[BaseException], taps: Sequence[Spooled]) -> None:
        """What kept taps from being drained. Those behind one that is stuck go on."""
        self._after, stuck = 0, None
        for error in errors:
            if isinstance(error, JournalUnavailableError):
                raise error
            if isinstance(error, asyncpg.UniqueViolationError):
                raise JournalUnavailableError("a former connection has just committed the same tap") from error
            if not isinstance(error, Exception):
                raise error
            stuck = type(error).__name__
        if stuck is not None and len(taps) == self._drained_at_once:
            self._after = taps[-1].number
        self.stuck = stuck

    # --- the house ---

    async def follow_list(self) -> int | None:
        """Let the spool's deny list become the database's; cards that changed, None where none could have.

        Raises JournalUnavailableError.
        """
        return await self._spool.follow_list(self._writer)

    async def keep_house(self, ran_us: int) -> dict[str, int]:
        """The spool's as well, also while the database is away."""
        ran_ahead, self._ran_ahead = self._ran_ahead, ran_us
        done = await self._spool.keep_house(ran_us - ran_ahead)
        here = await super().keep_house(ran_us)
        self._ran_ahead = 0
        return {name: count + here.get(name, 0) for name, count in done.items()} | {
            name: count for name, count in here.items() if name not in done
        }

    async def spool_facts(self, wall: Micros) -> SpoolFacts | None:
        """What waits, and since when the spool is in use."""
        waits = await self._spool.waits()
        away, now = self._writer.away, time.monotonic()
        began = [since for since in (self._used_since, None if away is None else away.since) if since is not None]
        return SpoolFacts(
            waits.count,
            None if waits.oldest is None else max(0.0, (wall - waits.oldest) / SECOND),
            now - min(began) if began else None,
            None if away is None else away.why,
            self.stuck,
        )

    async def close(self) -> None:
        """Both."""
        try:
            await super().close()
        finally:
            await self._spool.close()
