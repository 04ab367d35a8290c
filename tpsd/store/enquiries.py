"""Rows in doubt: set aside at claim, asked about, and where the answers lead (design 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import apsw

from tpsd.core.enquiry import NEXT_ENQUIRY_US, Conclusion, Finding, Heard
from tpsd.core.notices import cause_key
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.doubt import Enquired
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Timing
from tpsd.domain.time import Micros, later
from tpsd.doubts import Crashed, Judge
from tpsd.store.commits import OUTCOME_NAMES, Q, Stamp, insert_notices
from tpsd.store.writer import Writer

ASKED_ABOUT = frozenset({State.IN_DOUBT, State.PENDING})
ROWS_PER_COMMIT = 100  # about 4 ms of work, so that intake gets its turn


class SqliteDoubts:
    """``doubts.Doubts`` on a journal's writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def begin(self, now: Micros, enquires: bool, crashed: Crashed) -> dict[str, int]:
        """See ``doubts.Doubts``."""
        ended = await self._writer.write(lambda connection: _end_open(connection, now, crashed))
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

    async def conclude(self, enquired: Enquired, heard: Heard, conclusion: Conclusion, ended_at: Micros) -> bool:
        """See ``doubts.Doubts``."""
        work = partial(_conclude, enquired=enquired, heard=heard, conclusion=conclusion, now=ended_at)
        return await self._writer.write(work)

    async def control(self, since: Micros, until: Micros) -> UUID | None:
        """See ``doubts.Doubts``."""
        found = await self._writer.read(lambda connection: connection.execute(Q["control"], (since, until)).get)
        return None if found is None else UUID(found)

    async def next_due(self) -> Micros | None:
        """See ``doubts.Doubts``."""
        due = await self._writer.read(lambda connection: connection.execute(Q["next_enquiry"]).get)
        return None if due is None else Micros(due)


def set_aside(judge: Judge, stamp: Stamp) -> Callable[[apsw.Connection, str], bool]:
    """For ``commits.claim``: whether a due row that may have charged was put in doubt instead of being sent."""

    def work(connection: apsw.Connection, uuid: str) -> bool:
        since = connection.execute(Q["doubtful_since"], (uuid,)).get
        aside = None if since is None else judge(since)
        if aside is None:
            return False
        connection.execute(Q["set_aside"], (aside.state.value, aside.cause, stamp.ran, aside.enquiry_due, uuid))
        insert_notices(connection, aside.notices, connection.execute(Q["tap_of_uuid"], (uuid,)).get, uuid, stamp.at)
        return True

    return work


def _claim(connection: apsw.Connection, now: Micros, limit: int) -> list[Enquired]:
    claims = []
    for row in list(connection.execute(Q["enquiries_due"], (now, limit))):
        uuid, terminal, timing, state, cause, attempt, fence, enquiries, body_kept = row
        connection.execute(Q["mark_enquiring"], (uuid,))
        connection.execute(Q["insert_attempt"], (AttemptReason.ENQUIRY.value, now, uuid))
        claims.append(
            _enquired(
                connection,
                (uuid, terminal, timing, state, cause, attempt + 1, fence + 1, enquiries + 1, body_kept, now),
            )
        )
    return claims


def _enquired(connection: apsw.Connection, row: tuple[Any, ...]) -> Enquired:
    uuid, terminal, timing, state, cause, number, fence, nth, body_kept, started_at = row
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
    )


def _conclude(
    connection: apsw.Connection, enquired: Enquired, heard: Heard, conclusion: Conclusion, now: Micros
) -> bool:
    uuid, cause = str(enquired.uuid), heard.outcome.cause
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
    return True


def _end_attempt(
    connection: apsw.Connection, enquired: Enquired, heard: Heard, conclusion: Conclusion, now: Micros
) -> None:
    connection.execute(
        Q["end_enquiry"],
        (now, _name(heard, conclusion), heard.outcome.cause, str(enquired.uuid), enquired.number),
    )


def _name(heard: Heard, conclusion: Conclusion) -> str:
    """The attempt's outcome. ``not_found`` only where it was believed: from there on the horizon counts anew."""
    if heard.finding is not Finding.NOT_FOUND:
        return OUTCOME_NAMES[type(heard.outcome)]
    return "not_found" if conclusion.counts else "unknown"


def _end_open(connection: apsw.Connection, now: Micros, crashed: Crashed) -> int:
    ended = 0
    for *row, started_at in list(connection.execute(Q["enquiries_left_open"])):
        enquired = _enquired(connection, (*row, min(started_at, now)))
        heard, conclusion = crashed(enquired)
        if enquired.state in ASKED_ABOUT:
            _conclude(connection, enquired, heard, conclusion, now)
        else:
            _end_attempt(connection, enquired, heard, conclusion, now)
        ended += 1
    return ended


def _begin(connection: apsw.Connection, now: Micros) -> int:
    latest = later(now, NEXT_ENQUIRY_US)
    connection.execute(Q["pull_enquiries"], (latest, latest))
    connection.execute(Q["begin_enquiries"], (now,))
    return connection.changes()


def _tell(connection: apsw.Connection, now: Micros) -> int:
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
