"""Rows in doubt: set aside at claim, asked about, and where the answers lead (design 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from tpsd.asking import Answered, Follow
from tpsd.core.enquiry import NEXT_ENQUIRY_US, Conclusion, Finding, Heard
from tpsd.core.notices import cause_key
from tpsd.domain.authorisation import AttemptReason, Claimed, State
from tpsd.domain.doubt import Enquired
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Kind, Timing
from tpsd.domain.time import Micros, later
from tpsd.doubts import Crashed, Judge, nothing_follows
from tpsd.store import journeys, realtime
from tpsd.store.asked import SqlAsked
from tpsd.store.commits import OUTCOME_NAMES, Stamp, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.writer import Urgency, Writer

ASKED_ABOUT = frozenset({State.IN_DOUBT, State.PENDING})
ROWS_PER_COMMIT = 100  # about 4 ms of work, so that intake gets its turn


class SqlDoubts:
    """``doubts.Doubts`` on a journal's writer."""

    def __init__(self, writer: Writer, asked: SqlAsked, stamp: Callable[[Micros], Stamp]) -> None:
        self._writer = writer
        self._asked = asked
        self._stamp = stamp
        self.on_concluded: Callable[[str, State], None] = lambda _uuid, _state: None
        self.on_covered: Callable[[str, Answered], None] = lambda _uuid, _answered: None  # a tap by an earlier payment

    async def begin(self, now: Micros, enquires: bool, crashed: Crashed) -> dict[str, int]:
        """See ``doubts.Doubts``."""
        stamp = self._stamp(now)
        ended = await self._writer.write(
            lambda connection: end_left_open(
                connection, list(connection.execute(Q["enquiries_left_open"])), stamp, crashed
            )
        )
        begun = told = 0
        if enquires:
            begun = await self._writer.write(lambda connection: _begin(connection, now))
        else:
            while some := await self._writer.write(lambda connection: _tell(connection, now)):
                told += some
        return {"enquiries_ended_unknown": ended, "enquiries_begun": begun, "left_in_doubt": told}

    async def claim(self, now: Micros, limit: int) -> Sequence[Enquired]:
        """See ``doubts.Doubts``."""
        return await self._writer.write(lambda connection: _claim(connection, now, limit))

    async def claim_one(self, uuid: str, now: Micros) -> Enquired | None:
        """See ``doubts.Doubts``."""
        return await self._writer.write(lambda connection: _claim_one(connection, uuid, now), Urgency.INTAKE)

    async def conclude(
        self,
        enquired: Enquired,
        heard: Heard,
        conclusion: Conclusion,
        ended_at: Micros,
        follow: Follow = nothing_follows,
    ) -> bool:
        """See ``doubts.Doubts``."""
        stamp = self._stamp(ended_at)

        def work(connection: Connection) -> bool:
            held = _conclude(connection, enquired, heard, conclusion, stamp)
            if held and conclusion.gives_back is not None:
                self._asked.give_back(connection, str(enquired.uuid), conclusion.gives_back, follow, stamp)
            return held

        held = await self._writer.write(work)
        if held:
            self.on_concluded(str(enquired.uuid), conclusion.state)
        return held

    async def cover(
        self, enquired: Enquired, heard: Heard, conclusion: Conclusion, claimed: Claimed, ended_at: Micros
    ) -> Answered | None:
        """See ``doubts.Doubts``."""
        stamp = self._stamp(ended_at)

        def work(connection: Connection) -> Answered | None:
            if not realtime.can_be_covered(connection, claimed):
                _end_attempt(connection, enquired, heard, conclusion, stamp.at)
                connection.execute(Q["ask_soon"], (stamp.at, str(enquired.uuid), enquired.fence))
                return None
            if not _conclude(connection, enquired, heard, conclusion, stamp):
                return None
            return self._asked.cover(connection, claimed, str(enquired.uuid), stamp)

        answered = await self._writer.write(work, Urgency.INTAKE)
        if answered is not None:
            self.on_concluded(str(enquired.uuid), conclusion.state)
            self.on_covered(str(claimed.uuid), answered)
        return answered

    async def leave(self, enquired: Enquired, heard: Heard, ended_at: Micros) -> None:
        """See ``doubts.Doubts``."""
        as_it_is = Conclusion(enquired.state, enquired.cause)
        await self._writer.write(
            lambda connection: _end_attempt(connection, enquired, heard, as_it_is, ended_at), Urgency.INTAKE
        )

    async def control(self, since: Micros, until: Micros) -> UUID | None:
        """See ``doubts.Doubts``."""
        found = await self._writer.read(lambda connection: connection.execute(Q["control"], (since, until)).get)
        return None if found is None else UUID(found)

    async def next_due(self) -> Micros | None:
        """See ``doubts.Doubts``."""
        due = await self._writer.read(lambda connection: connection.execute(Q["next_enquiry"]).get)
        return None if due is None else Micros(due)


def set_aside(judge: Judge, stamp: Stamp) -> Callable[[Connection, str], bool]:
    """For ``commits.claim``: whether a due row that may have charged was put in doubt instead of being sent."""

    def work(connection: Connection, uuid: str) -> bool:
        since = connection.execute(Q["doubtful_since"], (uuid,)).get
        aside = None if since is None else judge(since)
        if aside is None:
            return False
        connection.execute(Q["set_aside"], (aside.state.value, aside.cause, stamp.ran, aside.enquiry_due, uuid))
        insert_notices(connection, aside.notices, connection.execute(Q["tap_of_uuid"], (uuid,)).get, uuid, stamp.at)
        return True

    return work


def _claim(connection: Connection, now: Micros, limit: int) -> list[Enquired]:
    claims = []
    for row in list(connection.execute(Q["enquiries_due"], (now, limit))):
        uuid, *before, attempt, fence, enquiries, body_kept, kind, amount = row
        connection.execute(Q["mark_enquiring"], (uuid,))
        connection.execute(Q["insert_attempt"], (AttemptReason.ENQUIRY.value, now, uuid))
        numbers = (attempt + 1, fence + 1, enquiries + 1)
        claims.append(_enquired(connection, (uuid, *before, *numbers, body_kept, kind, amount, now)))
    return claims


def _claim_one(connection: Connection, uuid: str, now: Micros) -> Enquired | None:
    connection.execute(Q["lock_authorisation"], (uuid,))  # first: what another began while we waited is then seen
    row = connection.execute(Q["enquired_one"], (uuid,)).get
    if row is None:
        return None
    _, *before, attempt, fence, enquiries, body_kept, kind, amount = row
    connection.execute(Q["mark_asked_beside"], (uuid,))
    connection.execute(Q["insert_attempt"], (AttemptReason.ENQUIRY.value, now, uuid))
    return _enquired(connection, (uuid, *before, attempt + 1, fence + 1, enquiries, body_kept, kind, amount, now))


def _enquired(connection: Connection, row: tuple[Any, ...]) -> Enquired:
    let_in = connection.execute(Q["shown_of"], (row[0],)).get
    uuid, terminal, timing, state, cause, number, fence, nth, body_kept, kind, amount, started_at = row
    return Enquired(
        uuid=UUID(uuid),
        number=number,
        fence=fence,
        state=State(state),
        timing=Timing(timing),
        cause=cause,
        terminal=terminal,
        nth=nth,
        body_kept=bool(body_kept),
        doubtful_since=connection.execute(Q["doubtful_since"], (uuid,)).get,
        started_at=started_at,
        kind=Kind(kind),
        amount=amount,
        tapped=let_in is not None,
        let_in=bool(let_in),
    )


def _conclude(connection: Connection, enquired: Enquired, heard: Heard, conclusion: Conclusion, stamp: Stamp) -> bool:
    uuid, cause, now = str(enquired.uuid), heard.outcome.cause, stamp.at
    _end_attempt(connection, enquired, heard, conclusion, now)
    if connection.execute(Q["is_enquired"], (uuid, enquired.fence, enquired.state.value)).get is None:
        return False
    state = conclusion.state
    if state.is_final:
        code = cause.removeprefix("action.") if cause.startswith("action.") else None
        connection.execute(
            Q["settle_by_enquiry"], (state.value, conclusion.cause, now, conclusion.approved_amount, code, uuid)
        )
    elif conclusion.released:
        connection.execute(Q["release_by_enquiry"], (now, uuid))
    else:
        connection.execute(Q["ask_again"], (conclusion.enquiry_due, uuid))
    if conclusion.erase:
        connection.execute(Q["erase"], (uuid,))
    if conclusion.notices:
        tap = connection.execute(Q["tap_of_uuid"], (uuid,)).get
        insert_notices(connection, conclusion.notices, tap, uuid, now)
    journeys.follow(connection, uuid, state, stamp)
    return True


def _end_attempt(connection: Connection, enquired: Enquired, heard: Heard, conclusion: Conclusion, now: Micros) -> None:
    connection.execute(
        Q["end_enquiry"],
        (now, _name(heard, conclusion), heard.outcome.cause, str(enquired.uuid), enquired.number),
    )


def _name(heard: Heard, conclusion: Conclusion) -> str:
    """The attempt's outcome. ``not_found`` only where it was believed: from there on the horizon counts anew."""
    if heard.finding is not Finding.NOT_FOUND:
        return OUTCOME_NAMES[type(heard.outcome)]
    return "not_found" if conclusion.counts else "unknown"


def end_left_open(connection: Connection, rows: Sequence[tuple[Any, ...]], stamp: Stamp, crashed: Crashed) -> int:
    """Conclude enquiries whose end nobody saw; how many."""
    now = stamp.at
    for *row, started_at in rows:
        enquired = _enquired(connection, (*row, min(started_at, now)))
        heard, conclusion = crashed(enquired)
        if enquired.state in ASKED_ABOUT:
            _conclude(connection, enquired, heard, conclusion, stamp)
        else:
            _end_attempt(connection, enquired, heard, conclusion, now)
    return len(rows)


def _begin(connection: Connection, now: Micros) -> int:
    latest = later(now, NEXT_ENQUIRY_US)
    connection.execute(Q["pull_enquiries"], (latest, latest))
    connection.execute(Q["begin_enquiries"], (now,))
    return connection.changes()


def _tell(connection: Connection, now: Micros) -> int:
    """Some rows that waited for an enquiry which nobody can make any more."""
    waiting = list(connection.execute(Q["enquiries_to_end"], (ROWS_PER_COMMIT,)))
    for uuid, state, cause in waiting:
        connection.execute(Q["ask_again"], (None, uuid))
        if state == State.IN_DOUBT.value:
            key = cause_key(NoticeKind.IN_DOUBT, cause or "unknown")
            words = "it waited for an enquiry, and the configuration no longer names an AFC API"
            tap = connection.execute(Q["tap_of_uuid"], (uuid,)).get
            insert_notices(connection, (NoticeDraft(NoticeKind.IN_DOUBT, key, words),), tap, uuid, now)
    return len(waiting)
