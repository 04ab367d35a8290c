"""A spooled tap put into the database: entered, or laid over a row whose COMMIT nobody heard of. Safe to repeat.

Work on a connection; the caller holds the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tpsd.core.candidate import Candidate
from tpsd.core.intake import turned_away_late
from tpsd.core.spooling import UNCONFIRMED, Found, Upsert, can_be_asked, entered, repeated, upsert
from tpsd.domain.authorisation import Draft, State
from tpsd.store import commits
from tpsd.store.commits import SealedParts, Stamp
from tpsd.store.connection import Connection
from tpsd.store.draining_asked import Asking, cancel_asked, drain_asked, tell_once
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed
from tpsd.store.spooled_taps import Spooled


def draining(
    spooled: Spooled,
    seal: Callable[[str, str, bytes], Sealed],
    digest: Callable[[bytes], bytes],
    stamp: Stamp,
    *,
    under_way: bool = False,
) -> Callable[[Connection], bool]:
    """The work that puts a tap into a journal: ``seal`` and ``digest`` are that journal's, ``stamp`` the taking's.

    It says whether the journal has it now. ``under_way``: TPS's answer is waited for.
    """
    draft, card = spooled.candidate.draft, spooled.candidate.card
    parts = SealedParts(None, None, None)
    if draft is not None:
        owner, body = str(draft.uuid), draft.body
        parts = SealedParts(
            None if body is None else seal(owner, "body", body),
            None if card is None else seal(owner, "tap", card),
            spooled.body_digest if body is None else digest(body),
        )

    def payload(owner: str) -> Sealed:
        return seal(owner, "payload", spooled.payload or b"")

    def seal_body(draft: Draft) -> tuple[Sealed, bytes]:
        body = draft.body or b""
        return seal(str(draft.uuid), "body", body), digest(body)

    def work(connection: Connection) -> bool:
        if spooled.asked is not None and draft is not None:
            asking = Asking(spooled, spooled.asked, draft, under_way)
            return drain_asked(connection, _find(connection, spooled), asking, seal_body, stamp)
        _drain(connection, spooled, parts, payload, stamp)
        return True

    return work


def _drain(
    connection: Connection,
    spooled: Spooled,
    parts: SealedParts,
    payload: Callable[[str], Sealed],
    stamp: Stamp,
) -> None:
    found = _find(connection, spooled)
    if found is not None and found.ours:
        # Another may be giving its daemon up at this moment: what that makes of it is looked at, and not written over.
        connection.execute(Q["lock_authorisation"], (found.uuid,))
        found = _find(connection, spooled) or found
        _lay_over(connection, found, spooled, parts, stamp)
        return
    facts = commits.facts_of(connection, spooled.candidate)
    if facts.known is not None:
        decision = repeated(spooled.candidate, facts, spooled.decision)
        commits.apply_repeat(connection, spooled.candidate, decision, parts, stamp)
        return
    decision = entered(spooled.candidate, facts, spooled.decision)
    uuid = None
    if decision.state is not None:
        uuid = commits.insert_authorisation(connection, spooled.candidate, decision, parts, stamp)
    number = commits.insert_tap(connection, spooled.candidate, decision, uuid, spooled.list_version)
    if uuid is not None and spooled.cancelled is not None:
        _cancel(connection, uuid, spooled.cancelled, stamp)
    if spooled.payload is not None:
        owner = f"tap:{number}"
        commits.insert_sealed(connection, owner, "payload", payload(owner), stamp.ran)
    connection.execute(Q["spooled_repeats"], (spooled.repeats, number, spooled.repeats))
    commits.insert_notices(connection, decision.notices, number, uuid, stamp.at)


def _find(connection: Connection, spooled: Spooled) -> Found | None:
    candidate = spooled.candidate
    report = candidate.report
    if report.boot is None:
        row = connection.execute(Q["spooled_unnamed"], (report.serial, candidate.digest)).fetchone()
    else:
        name = (report.serial, report.boot, report.counter, candidate.digest)
        row = connection.execute(Q["spooled_row"], name).fetchone()
    if row is None:
        return None
    number, uuid, state, cause, attempts = row
    ours = uuid in (None, spooled.tried, _uuid(candidate))
    unconfirmed = state == State.IN_DOUBT.value and cause == UNCONFIRMED
    return Found(number, uuid, None if state is None else State(state), attempts, ours, unconfirmed)


def _uuid(candidate: Candidate) -> str | None:
    return None if candidate.draft is None else str(candidate.draft.uuid)


def _lay_over(connection: Connection, found: Found, spooled: Spooled, parts: SealedParts, stamp: Stamp) -> None:
    decision, candidate = spooled.decision, spooled.candidate
    if candidate.realtime and found.uuid is not None and not can_be_asked(candidate):
        return  # TPS was to be asked at once, and was not: its attempt is ended like one that a crash left
    step = upsert(found, decision, cancelled=spooled.cancelled is not None, realtime=candidate.realtime)
    uuid, notices = found.uuid, decision.notices
    match step:
        case Upsert.ENTER:
            facts = commits.facts_of(connection, candidate)
            decision = entered(candidate, replace(facts, clash=False), decision)
            uuid, notices = (
                commits.insert_authorisation(connection, candidate, decision, parts, stamp),
                decision.notices,
            )
            if spooled.cancelled is not None:
                _cancel(connection, uuid, spooled.cancelled, stamp)
        case Upsert.CANCEL if found.uuid is not None and candidate.realtime:
            cancel_asked(connection, found.uuid, _reason(spooled), stamp)
        case Upsert.CANCEL if found.uuid is not None:
            _cancel(connection, found.uuid, spooled.cancelled or _reason(spooled), stamp)
        case Upsert.RESUME:
            connection.execute(Q["spooled_resume"], (stamp.at, found.uuid, UNCONFIRMED))
        case Upsert.UNSEEN:
            connection.execute(Q["mark_unseen"], (found.number,))
            notices = (*notices, turned_away_late(candidate))
        case _:
            pass
    told, disposition = decision.told, decision.disposition
    if told is not None:
        connection.execute(
            Q["spooled_told"],
            (int(told.verdict), told.reason, decision.note, int(candidate.report.shown), spooled.list_version, uuid,
             None if uuid is not None or disposition is None else disposition.value, found.number),
        )  # fmt: skip
    connection.execute(Q["spooled_repeats"], (spooled.repeats, found.number, spooled.repeats))
    tell_once(connection, found.number, uuid, notices, stamp)


def _reason(spooled: Spooled) -> str:
    """Why nothing is charged, where the database had let in whom the spool turned away."""
    return "spool" if spooled.decision.told is None else spooled.decision.told.reason


def _cancel(connection: Connection, uuid: str, cause: str, stamp: Stamp) -> None:
    connection.execute(Q["spooled_cancel"], (cause, stamp.at, uuid))
    if connection.changes():
        connection.execute(Q["erase"], (uuid,))
