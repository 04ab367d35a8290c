"""A realtime tap of the spool put into the database, in whatever state it is: entered, or laid over. Safe to repeat.

Work on a connection; the caller holds the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tpsd.core.candidate import Candidate
from tpsd.core.intake import clash, turned_away_late
from tpsd.core.notices import cause_key
from tpsd.core.spooling import Found, Over, over
from tpsd.domain.authorisation import AttemptReason, Draft, State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Shown
from tpsd.store import commits, realtime
from tpsd.store.commits import Stamp
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed
from tpsd.store.spooled_taps import Asked, Spooled

LET_IN: Final = "let_in"  # why nothing is given back

Seal = Callable[[Draft], tuple[Sealed, bytes]]
"""A request that must go later, sealed for the database, and its keyed digest."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A spooled tap that TPS was asked about. ``under_way``: this daemon still waits for the answer."""

    spooled: Spooled
    asked: Asked
    draft: Draft
    under_way: bool

    @property
    def uuid(self) -> str:
        """Its transaction's."""
        return str(self.draft.uuid)

    @property
    def candidate(self) -> Candidate:
        """As it came."""
        return self.spooled.candidate


def drain_asked(connection: Connection, found: Found | None, asking: Asking, seal: Seal, stamp: Stamp) -> bool:
    """Whether the database has it now; else others ended it, and its answer must come to the spool first."""
    asked, uuid = asking.asked, asking.uuid
    value = connection.execute(Q["spooled_asked"], (uuid,)).get
    before = None if value is None else State(value)
    step = over(before or State.SENDING, asked.state, under_way=asking.under_way)
    if step is Over.WAIT:
        return False
    if before is None:
        _enter(connection, asking, stamp)
    if step is Over.SETTLE:
        _settle(connection, uuid, asked, stamp)
    if connection.execute(Q["spooled_follower"], (uuid,)).get is None:
        for one in asked.followers:
            made = replace(stamp, at=one.created_at)
            realtime.insert_follower(connection, one.place, one.draft, seal(one.draft), made)
    number, notices = _tap(connection, found, asking, is_new=before is None)
    if number is not None:
        denied_there_charged = step is Over.LEAVE and before is State.APPROVED and _is_turned_away(asking)
        if denied_there_charged and asked.state is not State.APPROVED:
            notices = (*notices, turned_away_late(asking.candidate))
            connection.execute(Q["mark_unseen"], (number,))
        if step is Over.LEAVE and before is State.APPROVED and not _is_turned_away(asking):
            notices = (*notices, *_take_back(connection, number, asking, stamp))
        _show(connection, number, found, asking)
    tell_once(connection, number if found is None else found.number, uuid, notices, stamp)
    return True


def cancel_asked(connection: Connection, uuid: str, cause: str, stamp: Stamp) -> None:
    """Of a tap whose COMMIT nobody heard of nothing was sent, and then the spool turned its passenger away."""
    connection.execute(Q["end_attempt"], (stamp.at, "not_sent", cause, 0, uuid, 1))
    ended = (State.NOT_CHARGED.value, cause, None, 0, stamp.at, None, None, None, None, uuid)
    connection.execute(Q["settle"], ended)


def _enter(connection: Connection, asking: Asking, stamp: Stamp) -> None:
    candidate, asked = asking.candidate, asking.asked
    place, ladder = (candidate.lane, candidate.terminal), commits.ladder_id(connection, candidate.ladder)
    digest = asking.spooled.body_digest
    realtime.insert_asked(connection, asking.draft, place, digest, ladder, asked.created_at, candidate.token)
    connection.execute(Q["insert_attempt"], (AttemptReason.TAP.value, asked.started_at, asking.uuid))


def _settle(connection: Connection, uuid: str, asked: Asked, stamp: Stamp) -> None:
    ended = (asked.ended_at, asked.outcome, asked.outcome_cause, int(not asked.clean), uuid, 1)
    connection.execute(Q["end_attempt"], ended)
    state = asked.state
    connection.execute(
        Q["settle"],
        (state.value, asked.cause, None, int(asked.may_have_charged), asked.settled_at,
         stamp.ran if state.is_resting else None, asked.approved_amount, asked.action_code, asked.enquiry_due, uuid),
    )  # fmt: skip


def _tap(
    connection: Connection, found: Found | None, asking: Asking, *, is_new: bool
) -> tuple[int | None, tuple[NoticeDraft, ...]]:
    """Its row is there; the number, None where its name is another transaction's. With what is told of it."""
    candidate, notices = asking.candidate, asking.spooled.decision.notices
    if found is not None and found.ours:
        return found.number, notices
    facts = commits.facts_of(connection, candidate)
    if facts.known is not None:
        return None, (*notices, _asked_twice(candidate)) if is_new else ()
    if facts.clash:
        notices = (*notices, clash(candidate))
    spooled = asking.spooled
    return commits.insert_tap(connection, candidate, spooled.decision, asking.uuid, spooled.list_version), notices


def _show(connection: Connection, number: int, found: Found | None, asking: Asking) -> None:
    """What the passenger was told and shown; what the database says of one whose answer is to come stands."""
    spooled, asked, shown = asking.spooled, asking.asked, int(asking.candidate.report.shown)
    told, note = spooled.decision.told, spooled.decision.note
    if told is not None or (found is not None and found.uuid is None):
        verdict = (None, commits.ASKING) if told is None else (int(told.verdict), told.reason)
        version = spooled.list_version
        connection.execute(Q["spooled_told"], (*verdict, note, shown, version, asking.uuid, None, number))
    connection.execute(Q["spooled_shown"], (shown, note, int(asked.unseen), asked.delivered, number))
    connection.execute(Q["spooled_repeats"], (spooled.repeats, number, spooled.repeats))


def _take_back(connection: Connection, number: int, asking: Asking, stamp: Stamp) -> tuple[NoticeDraft, ...]:
    """Others found it approved, and gave back what a passenger rode on: undone where unsent, else a person is told."""
    told = asking.spooled.decision.told
    given = [uuid for (uuid,) in connection.execute(Q["spooled_given_back"], (number,))] if told is not None else []
    gone = False
    for uuid in given:
        connection.execute(Q["cancel_unsent"], (LET_IN, stamp.at, uuid))
        if connection.changes():
            connection.execute(Q["erase"], (uuid,))
        else:
            gone = True
    if not gone:
        return ()
    key = cause_key(NoticeKind.UNSEEN, LET_IN, asking.candidate.terminal)
    words = "the passenger was let in, and other daemons, which could not know it, had the fare given back"
    return (NoticeDraft(NoticeKind.UNSEEN, key, words),)


def tell_once(
    connection: Connection, number: int | None, uuid: str | None, notices: tuple[NoticeDraft, ...], stamp: Stamp
) -> None:
    """Those of a tap that the database does not have yet; ``number``: None where it has no row of its own."""
    news = [
        draft
        for draft in notices
        if number is None or connection.execute(Q["notice_of_tap"], (number, draft.kind.value, draft.cause)).get is None
    ]
    commits.insert_notices(connection, tuple(news), number, uuid, stamp.at)


def _is_turned_away(asking: Asking) -> bool:
    told = asking.spooled.decision.told
    if told is None:  # it came again with that while its answer was on its way to the database
        return asking.candidate.report.shown is Shown.TURNED_AWAY
    return not told.verdict.accepts


def _asked_twice(candidate: Candidate) -> NoticeDraft:
    key = cause_key(NoticeKind.ALARM, "asked_twice", candidate.terminal)
    words = f"tap {candidate.report.tap_id} has two transactions: compare both with TPS's books"
    return NoticeDraft(NoticeKind.ALARM, key, words)
