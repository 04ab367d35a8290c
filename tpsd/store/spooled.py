"""The journal of a gate that does not wait for its database (design 1 and 6): PostgreSQL, with a spool before it.

While anything waits in the spool every tap goes there, so that they are drained in their order; and nothing is claimed,
so that what was told is in the database before a byte of it is sent. TPS is asked about payments all the same: what is
asked, and what it answers, is kept where the tap is. A tap is the same candidate wherever it is put.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg

from tpsd.asking import Answered, Follow
from tpsd.asking import Judge as AskedJudge
from tpsd.core.candidate import Candidate, Decision
from tpsd.core.settlement import Settlement
from tpsd.core.spooling import OUT_OF_SERVICE, adopted, at_the_spool, can_be_asked
from tpsd.domain.authorisation import Claimed, State
from tpsd.domain.outcome import Outcome
from tpsd.domain.picture import SpoolFacts
from tpsd.domain.tap import Shown, TapReport
from tpsd.domain.time import SECOND, Micros
from tpsd.doubts import Judge, never_judged
from tpsd.errors import JournalUnavailableError, SealError
from tpsd.ports import Decide, Taken
from tpsd.store import housekeeping
from tpsd.store.asked_elsewhere import JOURNEY_SECONDS, AskedElsewhere
from tpsd.store.connection import Connection
from tpsd.store.draining import draining
from tpsd.store.faults import Faults
from tpsd.store.group import Work
from tpsd.store.lately import DOUBTS_MAX, Lately
from tpsd.store.postgres import PostgresJournal
from tpsd.store.queries import F
from tpsd.store.recalling import doubted, recalled
from tpsd.store.reconnecting import ReconnectingWriter, SlowError
from tpsd.store.spool import Spool
from tpsd.store.spooled_taps import Spooled
from tpsd.store.writer import Urgency

DRAINED_AT_ONCE: Final = 50  # taps: as many as a group commit takes in 10 ms, and a few hundred KB in memory

T = TypeVar("T")

Put = Callable[[], Coroutine[Any, Any, tuple[Taken, str | None]]]
"""A tap put into the spool, and the UUID of its row there."""


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
    asked: AskedElsewhere

    def _asking(self, operator: int) -> AskedElsewhere:
        return AskedElsewhere(self._writer, self._epochs, self.digest, self._stamp, operator)

    async def begin(self, spool: Spool, slow_seconds: float, drained_at_once: int = DRAINED_AT_ONCE) -> None:
        """From now on taps go to ``spool`` where the database takes longer. Raises JournalError; then close both."""
        self._spool = spool
        self._slow_seconds = slow_seconds
        self._drained_at_once = drained_at_once
        self._lately = Lately()
        self._enquired_first = set[str]()  # UUIDs that another transaction may pay for, which only the database knows
        self._tried = set(await spool.begin(self.journal_id))  # UUIDs whose COMMIT nobody knows of
        self.waiting = (await spool.waits()).count
        self._entering = 0
        self._puts: set[asyncio.Task[Taken]] = set()
        self._used_since: float | None = time.monotonic() if self.waiting else None
        self.stuck: str | None = None
        self._left_open = 0  # times that something was left open without a loss
        self._recovered = self.losses
        self._ran_ahead = 0
        self._be_sure()
        self._writer.on_connected = self._look_again
        self._after = 0  # the tap behind which the next drain begins
        self.on_wait: Callable[[], None] = lambda: None  # a tap waits to be drained
        self.asked.begin(self, self._commit_tap)
        self.doubts.on_concluded = self._concluded
        self.doubts.on_covered = self.heard
        await self._recall()

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
        uuid = str(candidate.draft.uuid) if candidate.realtime and candidate.draft is not None else None
        if uuid is None:
            return await self._take(candidate, decide, now)
        self._lately.begin(uuid, candidate)  # before anything is waited for: nobody else may end its attempt
        asked: str | None = None
        try:
            taken = await self._take(candidate, decide, now)
            asked = None if taken.asked is None else str(taken.asked.uuid)
        except asyncio.CancelledError:
            self._untold(candidate, uuid)
            raise
        finally:
            if asked != uuid:
                self._lately.end(uuid)
        return taken

    async def _take(self, candidate: Candidate, decide: Decide, now: Micros) -> Taken:
        tried = False
        if not self._goes_to_the_spool(realtime=candidate.realtime):
            try:
                taken = await super().take(candidate, decide, now)
            except JournalUnavailableError as exc:
                tried = self._doubt(candidate, exc)
            else:
                self._note(candidate, taken)
                return taken
        if (taken_before := self._known(candidate)) is not None:
            self.on_wait()  # who drains sees that the spool knows nothing of it that the database does not
            return taken_before
        try:
            taken = await self._spooling(candidate, partial(self._take_here, candidate, decide, now))
        except Exception:
            if tried and candidate.realtime and candidate.draft is not None:
                self._untold(candidate, str(candidate.draft.uuid))
            raise
        if taken.asked is not None and (candidate.draft is None or taken.asked.uuid != candidate.draft.uuid):
            return Taken(taken.number, None, new=False, decision=Decision(None, known=taken.number))  # adopted
        return taken

    def _known(self, candidate: Candidate) -> Taken | None:
        """Of a tap that comes again and changes nothing: it has its verdict, or waits for the same answer."""
        known, shown = self._lately.answer(candidate.report, candidate.digest), candidate.report.shown
        if known is None or shown not in (Shown.NOTHING, known.shown):
            return None
        if known.told is None and not self._lately.is_asked(known.uuid):
            return None
        return Taken(known.number, known.told, new=False, decision=Decision(known.told, known=known.number))

    async def _take_here(self, candidate: Candidate, decide: Decide, now: Micros) -> tuple[Taken, str | None]:
        """In the spool. What is remembered is looked at in the step that hands it over: it was drained in another."""
        if (taken_before := self._known(candidate)) is not None:
            return taken_before, None
        known = self._lately.answer(candidate.report, candidate.digest)
        if known is not None and (waits := self._adoptable(known.uuid)) is not None:
            shown = replace(waits.report, shown=candidate.report.shown)
            return await self._put_under_way(replace(waits, report=shown))
        judged = at_the_spool(decide, self._lately.remembers(candidate, known))
        taken, uuid = await self._spool.put(candidate, judged, now, self._body_digest(candidate))
        return taken if known is None or known.told is None else replace(taken, number=known.number), uuid

    def _note(self, candidate: Candidate, taken: Taken) -> None:
        """What the database has of it, for when that is away."""
        asked = None if taken.asked is None else str(taken.asked.uuid)
        if asked is not None:
            self._lately.begin(asked, candidate)  # a check-out's may be the one before
            if taken.asks_first is not None:
                self._enquired_first.add(asked)
            elif candidate.enquires:
                self._lately.resolve_all(candidate)
        if taken.told is None and not taken.new:
            known = self._lately.answer(candidate.report, candidate.digest)
            self._lately.show(None if known is None else known.uuid, candidate.report.shown)
        rode = taken.new and candidate.report.shown is not Shown.TURNED_AWAY
        self._lately.note(candidate, taken.number, taken.told, rode=rode, uuid=asked)

    def _untold(self, candidate: Candidate, uuid: str) -> None:
        """Nobody was told of a realtime tap whose row may be there: it is not asked under another UUID."""
        self._lately.note(candidate, 0, None, rode=False, uuid=uuid)
        self._leave_open()

    def _leave_open(self) -> None:
        """The database may have an attempt of which nobody will see the end: it is ended like one a crash left."""
        self._left_open += 1
        self.on_wait()

    def _body_digest(self, candidate: Candidate) -> bytes | None:
        """Under the journal's key: of a realtime tap no body is kept from which it could be made later."""
        body = None if candidate.draft is None or not candidate.realtime else candidate.draft.body
        return None if body is None else self.digest(body)

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
        put = partial(self._spool.put_rejected, report, lane, terminal, config_digest, digest, now, untrusted)

        async def putting() -> tuple[Taken, None]:
            return await put(), None

        return await self._spooling(None, putting)

    async def probe(self) -> None:
        """Whether a tap could be kept, wherever."""
        if not self._goes_to_the_spool(realtime=False):
            with suppress(JournalUnavailableError):
                return await super().probe()
        return await self._spool.probe()

    async def _commit_tap(self, work: Work[T], *, patient: bool = False) -> T:
        seconds = JOURNEY_SECONDS if patient else self._slow_seconds
        return await self._writer.write_within(work, seconds, Urgency.INTAKE)

    def _goes_to_the_spool(self, *, realtime: bool) -> bool:
        return self.holds_any or self._writer.away is not None or (realtime and not self.is_recovered)

    def _doubt(self, candidate: Candidate, exc: JournalUnavailableError) -> bool:
        """Whether its row may be in the database all the same."""
        if (isinstance(exc, SlowError) and not exc.tried) or candidate.draft is None:
            return False
        self._tried.add(str(candidate.draft.uuid))
        return True

    async def _spooling(self, candidate: Candidate | None, put: Put) -> Taken:
        """It is counted also where its lane ends meanwhile and nobody hears of it."""
        if candidate is not None and candidate.realtime:
            self._writer.unsure = True  # until it is forgotten here others leave alone what the database has of it
        self._entering += 1  # before anything is waited for: from here on nothing is claimed
        putting = asyncio.create_task(self._put(candidate, put), name="spooling")
        self._puts.add(putting)
        putting.add_done_callback(self._puts.discard)
        return await asyncio.shield(putting)

    async def _put(self, candidate: Candidate | None, put: Put) -> Taken:
        try:
            taken, uuid = await put()
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
        if candidate is None or not candidate.realtime or uuid is None:
            return taken
        if taken.told is None:  # its answer may find the row elsewhere, and here none
            self._lately.show(uuid, candidate.report.shown)
        if taken.new:
            return taken
        if taken.told is None:  # of a former life nobody hears an answer: its row is ended once it is drained
            waits = self._lately.is_asked(uuid) or self._writer.away is None
            return taken if waits else replace(taken, told=OUT_OF_SERVICE)
        return replace(taken, number=self.asked.handle(uuid)) if taken.told.verdict.accepts else taken

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

    # --- TPS's answers: see ``AskedElsewhere`` ---

    @property
    def holds_any(self) -> bool:
        """Whether a row may be in the spool."""
        return self.waiting > 0 or self._entering > 0

    async def spooled(
        self, claimed: Claimed, outcome: Outcome, judge: AskedJudge, follow: Follow, ended_at: Micros
    ) -> Answered | None:
        """Commit 3 in the spool, None where the row is not there. Raises SettledLate."""
        answered = await self._spool.answer(claimed, outcome, judge, follow, ended_at)
        self.on_wait()
        return answered

    def can_adopt(self, uuid: str) -> bool:
        """Whether what comes of a row of the database may be kept here: the answer needs nothing but the tap."""
        return self._adoptable(uuid) is not None

    def _adoptable(self, uuid: str | None) -> Candidate | None:
        candidate = None if uuid is None else self._lately.asked(uuid)
        if candidate is None or not can_be_asked(candidate) or uuid in self._enquired_first:
            return None
        return candidate

    async def adopt(self, uuid: str) -> None:
        """A row whose answer is under way, and which the database cannot be asked for, is in the spool from now on."""
        candidate = self._lately.asked(uuid)
        if candidate is not None:
            await self._spooling(candidate, partial(self._put_under_way, candidate))

    async def _put_under_way(self, candidate: Candidate) -> tuple[Taken, str | None]:
        return await self._spool.put(candidate, adopted, self._seen_at, self._body_digest(candidate))

    async def delivered_there(self, uuid: str) -> bool:
        """See ``Spool.delivered``."""
        return self.holds_any and await self._spool.delivered(uuid)

    def heard(self, uuid: str, answered: Answered | None) -> None:
        """TPS's answer is committed; None: another commit was first."""
        candidate = self._lately.end(uuid)
        self._enquired_first.discard(uuid)
        if candidate is None:
            return
        if answered is None:
            self._lately.doubt(uuid, candidate)  # what was made of it the database knows: see ``_resolve``
            return
        number, told = answered.tap, answered.told
        counted = number is not None and number < 0  # in the spool, and remembered from there
        rode = candidate.report.shown is not Shown.TURNED_AWAY and not counted
        self._lately.note(candidate, 0 if number is None else number, told, rode=rode)
        if answered.settlement.state is State.IN_DOUBT:
            self._lately.doubt(uuid, candidate)

    def _concluded(self, uuid: str, state: State) -> None:
        if state is not State.IN_DOUBT:
            self._lately.resolve(uuid)

    # --- after a lost connection ---

    @property
    def losses(self) -> int:
        """How many connections were lost, or lanes ended, that left something open."""
        return self._writer.losses + self._left_open

    @property
    def is_recovered(self) -> bool:
        """Whether there is a connection, and what the last loss left open was ended."""
        return self._writer.away is None and self._recovered == self.losses

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._writer.away is None

    async def recover(
        self,
        now: Micros,
        credentials: Collection[str],
        settle: Callable[[Claimed], tuple[Outcome, Settlement]],
        judge: AskedJudge,
        spared: Collection[str] = (),
    ) -> dict[str, int]:
        """What the spool knows better, and what this daemon is asking TPS, is nobody else's to end."""
        spared = frozenset(spared) | self._lately.under_way | await self._spool.uuids()
        done = await super().recover(now, credentials, settle, judge, spared)
        await self._recall()
        return done

    async def _recall(self) -> None:
        """Taps that TPS was asked about, and payments in doubt, are known also when the database is away again."""
        self._lately.recall(*await self._writer.read(recalled))

    async def _resolve(self) -> None:
        """What a person or a neighbour has found out is in doubt no more; what the database has yet to hear of is."""
        if self.holds_any or not self.is_recovered:
            return
        before = self._lately.doubts
        found = await self._writer.read(doubted)
        if len(found) < DOUBTS_MAX:
            for uuid in before.difference(uuid for uuid, _ in found):
                self._lately.resolve(uuid)

    def recovered(self, losses: int) -> None:
        """What so many losses had left open was ended."""
        self._recovered = losses
        self._be_sure()

    @property
    def unsure(self) -> bool:
        """Whether the database may hold a tap that was told by the spool, and does not say so. From any thread."""
        return self._writer.unsure

    def _be_sure(self) -> None:
        if not self.holds_any and self.is_recovered:
            self._writer.unsure = False

    # --- the drain ---

    async def drain(self, now: Micros) -> int:
        """Put some of what waits into the database, the oldest first; how many. Raises JournalUnavailableError.

        A surprise about one tap leaves that one where it is, and claims wait for it: see ``spool_facts``.
        """
        if not self.waiting:
            self._be_sure()
            return 0
        taps = await self._spool.first(self._drained_at_once, self._after)
        came = await asyncio.gather(
            *(self._writer.write(self._draining(tap, now)) for tap in taps), return_exceptions=True
        )
        there = [tap for tap, has_it in zip(taps, came, strict=True) if has_it is True]
        for tap in there:
            self._remember(tap, rode=False)  # first: what comes again once it is forgotten there is known here
            self._doubt_drained(tap)
        gone = await self._spool.forget(there)
        for tap in there:
            if tap.number in gone:
                self._forget(tap)
        if not self.waiting:
            self._used_since = None
        self._be_sure()
        self._judge(came, taps)
        return len(gone)

    def _draining(self, tap: Spooled, now: Micros) -> Callable[[Connection], bool]:
        stamp, under_way = self._stamp(Micros(min(tap.at, now))), self._lately.is_asked(tap.uuid)
        put = draining(tap, self._epochs.seal, self.digest, stamp, under_way=under_way)

        def work(connection: Connection) -> bool:
            self._alone_with(connection, tap.candidate.digest, tap.candidate.token)
            return put(connection)

        return work

    def _forget(self, tap: Spooled) -> None:
        self.waiting -= 1
        self._remember(tap, rode=tap.rode)
        if self._is_left_open(tap):
            self._leave_open()
        self._tried.difference_update({tap.tried, tap.uuid} - {None})

    def _remember(self, tap: Spooled, *, rode: bool) -> None:
        asked = None if tap.asked is None else tap.uuid
        number = tap.number if asked is None else self.asked.handle(asked)
        self._lately.note(tap.candidate, number, tap.told, rode=rode, uuid=asked)

    def _doubt_drained(self, tap: Spooled) -> None:
        """What may have been charged is known also when the database is away again, whichever life asked for it."""
        if tap.asked is None or tap.uuid is None:
            return
        if tap.asked.state is State.IN_DOUBT or self._is_left_open(tap):
            self._lately.doubt(tap.uuid, tap.candidate)

    def _is_left_open(self, tap: Spooled) -> bool:
        """Whether TPS was to be asked about it, and nobody does: by a former life, or by way of the database alone."""
        if tap.asked is None:
            return tap.candidate.realtime and not can_be_asked(tap.candidate)
        return tap.asked.state is State.SENDING and not self._lately.is_asked(tap.uuid)

    def _judge(self, came: Sequence[bool | BaseException], taps: Sequence[Spooled]) -> None:
        """What kept taps from being drained. Those behind one that is stuck, or waits for its answer, go on."""
        self._after, stuck = 0, None
        for error in came:
            if isinstance(error, bool):
                continue
            if isinstance(error, JournalUnavailableError):
                raise error
            if isinstance(error, asyncpg.UniqueViolationError):
                raise JournalUnavailableError("a former connection has just committed the same tap") from error
            if not isinstance(error, Exception):
                raise error
            stuck = type(error).__name__
        if not all(has_it is True for has_it in came) and len(taps) == self._drained_at_once:
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
        await self._resolve()
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
