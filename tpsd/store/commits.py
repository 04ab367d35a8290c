"""The three commits of a tap (design 1) as plain work on a connection; the caller holds the transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from tpsd.core.canary import next_canary
from tpsd.core.candidate import Candidate, Decision, Effect, Facts, KnownTap
from tpsd.core.journeys import Input
from tpsd.core.notices import cause_key, open_episode
from tpsd.core.settlement import Settlement
from tpsd.core.taptime import received_less_age
from tpsd.domain.authorisation import AttemptReason, Claimed, Ladder, Progress, State, Tier
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import (
    Approved,
    Declined,
    NotSent,
    Outcome,
    TapRefused,
    TerminalRefused,
    TryAgain,
    Unknown,
)
from tpsd.domain.tap import Disposition, Shown, TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.ports import Decide, SettledLate, Taken
from tpsd.store import cards
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed

SetAside = Callable[[Connection, str], bool]

Ask = Callable[[Connection, Candidate, Decision], tuple[str, Claimed, Sealed | None]]
"""Writes the authorisation of a realtime tap and its attempt: its UUID, the claim, and what is still to be opened."""

ASKING = "asking"  # the reason of a tap that TPS is still being asked about

OUTCOME_NAMES: dict[type[Outcome], str] = {
    Approved: "approved",
    Declined: "declined",
    TapRefused: "tap_refused",
    TerminalRefused: "terminal_refused",
    TryAgain: "try_again",
    NotSent: "not_sent",
    Unknown: "unknown",
}


@dataclass(frozen=True, slots=True)
class SealedParts:
    """A candidate's body and card data, sealed before the transaction, with the body's keyed digest.

    Without a body where that waits for the time; without either where nothing is kept.
    """

    body: Sealed | None
    card: Sealed | None
    body_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a commit happens: the schedule clock and the journal's running time, both in microseconds."""

    at: Micros
    ran: int


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A claim as the transaction left it, its body still sealed; opened already where there is nothing sealed."""

    claimed: Claimed
    sealed: Sealed | None


# --- commit 1 ---------------------------------------------------------------------------------------------------


def take(
    connection: Connection,
    candidate: Candidate,
    decide: Decide,
    parts: SealedParts | None,
    stamp: Stamp,
    ask: Ask,
) -> tuple[Taken, ClaimedRow | None]:
    """Decide one tap with what the journal knows, and write tap, authorisation, sealed parts and notices.

    Where TPS is asked at once, the claim comes beside: commits 1 and 2 are one then.
    """
    facts = facts_of(connection, candidate)
    decision = decide(candidate, facts)
    if decision.known is not None:
        apply_repeat(connection, candidate, decision, parts, stamp)
        taken = Taken(
            decision.known,
            decision.told,
            new=False,
            noticed=bool(decision.notices),
            untimed=candidate.untimed and decision.effect is Effect.REVIVE,
            decision=decision,
        )
        return taken, None
    uuid, asked = None, None
    if decision.asking is not None:
        uuid, claimed, sealed = ask(connection, candidate, decision)
        asked = ClaimedRow(claimed, sealed)
    elif decision.state is not None:
        uuid = insert_authorisation(connection, candidate, decision, parts, stamp)
    version = cards.list_version(connection)
    number = insert_tap(connection, candidate, decision, uuid, version)
    insert_notices(connection, decision.notices, number, uuid, stamp.at)
    asking = decision.asking
    taken = Taken(
        number,
        decision.told,
        new=True,
        noticed=bool(decision.notices),
        untimed=candidate.untimed,
        asks_first=None if asking is None else asking.asks_first,
        follows=asking is not None and asking.step is Input.HAND,
        decision=decision,
        listed=facts.denied,
        list_version=version,
    )
    return taken, asked


def reject(
    connection: Connection,
    report: TapReport,
    lane: str,
    terminal: str,
    config_digest: str,
    digest: bytes,
    payload: Callable[[str], Sealed],
    stamp: Stamp,
    untrusted: str | None = None,
) -> Taken:
    """Keep a tap whose deciding failed: ``rejected``, ``internal``, its payload sealed, one alarm."""
    for known in _rows_of_identity(connection, report, digest):
        if known[1] == digest:
            connection.execute(Q["repeat_tap"], (int(report.shown), known[0]))
            return Taken(known[0], _known(known).told, new=False)
    told = Told(Verdict.TRY_AGAIN, "internal")
    connection.execute(
        Q["insert_tap"],
        (report.serial, *_numbers(report), digest, report.type_name, lane, lane, terminal, None, report.received_at,
         report.received_at, None, None, None, None, None, None, int(report.oda), int(report.shown),
         int(told.verdict), told.reason, None, Disposition.REJECTED.value, None, config_digest,
         cards.list_version(connection), untrusted, None, None, None, None),
    )  # fmt: skip
    number = connection.last_insert_rowid()
    insert_sealed(connection, f"tap:{number}", "payload", payload(f"tap:{number}"), stamp.ran)
    key = cause_key(NoticeKind.ALARM, "internal", terminal)
    alarm = NoticeDraft(NoticeKind.ALARM, key, "a tap could not be decided: see the log")
    insert_notices(connection, (alarm,), number, None, stamp.at)
    return Taken(number, told, new=True, noticed=True, untimed=untrusted is not None)


def _rows_of_identity(connection: Connection, report: TapReport, digest: bytes) -> list[tuple[Any, ...]]:
    boot, counter = _numbers(report)
    if boot is None:
        return list(connection.execute(Q["tap_unnamed"], (report.serial, digest)))
    return list(connection.execute(Q["taps_of_identity"], (report.serial, boot, counter)))


def _numbers(report: TapReport) -> tuple[int | None, int | None]:
    return (None, None) if report.tap_id is None else (report.tap_id.boot, report.tap_id.counter)


def facts_of(connection: Connection, candidate: Candidate) -> Facts:
    """What is known here when it arrives."""
    rows = _rows_of_identity(connection, candidate.report, candidate.digest)
    known = next((_known(row) for row in rows if row[1] == candidate.digest), None)
    held = None
    if candidate.draft is not None:
        held = connection.execute(Q["held_cause"], (candidate.terminal,)).get
    facts = Facts(known=known, clash=bool(rows) and known is None, held_cause=held)
    if known is None and candidate.asks_of_card:
        past, denied = cards.past(connection, candidate), cards.denied(connection, candidate)
        facts = replace(facts, card_past=past, denied=denied)
    if known is None and candidate.realtime and candidate.token is not None:
        facts = replace(
            facts,
            journey=cards.journey(connection, candidate.operator, candidate.token),
            under_way=cards.under_way(connection, candidate),
            doubtful=cards.doubtful(connection, candidate) if candidate.enquires else None,
        )
    return facts


def _known(row: tuple[Any, ...]) -> KnownTap:
    number, _, verdict, reason, disposition, unseen, shown, state, attempts, pruned, amount = row
    return KnownTap(
        number=number,
        told=None if verdict is None else Told(Verdict(verdict), reason, amount),
        disposition=None if disposition is None else Disposition(disposition),
        state=None if state is None else State(state),
        attempts=attempts or 0,
        unseen=bool(unseen),
        shown=Shown(shown),
        pruned=bool(pruned),
    )


def apply_repeat(
    connection: Connection,
    candidate: Candidate,
    decision: Decision,
    parts: SealedParts | None,
    stamp: Stamp,
) -> None:
    """Write what a tap that is known already changes."""
    number = decision.known
    connection.execute(Q["repeat_tap"], (int(candidate.report.shown), number))
    if connection.changes() == 0:  # pruned: nothing but the answer is left
        connection.execute(Q["repeat_pruned"], (int(candidate.report.shown), number))
        insert_notices(connection, decision.notices, None, None, stamp.at)
        return
    uuid: str | None = connection.execute(Q["uuid_of_tap"], (number,)).get
    match decision.effect:
        case Effect.CANCEL:
            connection.execute(Q["cancel_unsent"], (decision.cause, stamp.at, uuid))
            connection.execute(Q["erase"], (uuid,))
        case Effect.UNSEEN:
            connection.execute(Q["mark_unseen"], (number,))
        case Effect.REVIVE:
            uuid = insert_authorisation(connection, candidate, decision, parts, stamp)
            connection.execute(Q["revive_tap"], (uuid, decision.note, number))
        case Effect.NONE:
            pass
    insert_notices(connection, decision.notices, number, uuid, stamp.at)


def insert_authorisation(
    connection: Connection,
    candidate: Candidate,
    decision: Decision,
    parts: SealedParts | None,
    stamp: Stamp,
) -> str:
    """Write a deferred tap's authorisation and its sealed parts; its UUID."""
    draft, state = candidate.draft, decision.state
    if draft is None or parts is None or state is None:
        raise ValueError("an authorisation needs a draft and its sealed body")
    uuid = str(draft.uuid)
    pending = state is State.PENDING
    connection.execute(
        Q["insert_authorisation"],
        (uuid, draft.type, candidate.lane, candidate.terminal, state.value, decision.cause, draft.path,
         draft.credential, draft.amount, draft.currency, parts.body_digest,
         ladder_id(connection, candidate.ladder), stamp.at if pending else None, stamp.at,
         None if pending else stamp.ran, candidate.token),
    )  # fmt: skip
    if state is State.HELD and decision.cause is not None:
        begin_hold(connection, decision.cause, candidate.terminal, stamp.at)
    if parts.body is not None:
        insert_sealed(connection, uuid, "body", parts.body, stamp.ran)
    if parts.card is not None:
        insert_sealed(connection, uuid, "tap", parts.card, stamp.ran)
    return uuid


def begin_hold(connection: Connection, cause: str, terminal: str | None, now: Micros) -> None:
    """A cause holds rows from now on; new taps of ``terminal`` join them."""
    connection.execute(Q["begin_hold"], (cause, terminal, now, next_canary(cause, now)))


def insert_tap(
    connection: Connection, candidate: Candidate, decision: Decision, uuid: str | None, version: int | None
) -> int:
    """Write the tap; its number. ``version``: the deny list's by which it was judged."""
    report, told = candidate.report, decision.told
    verdict, reason = (None, ASKING) if told is None else (int(told.verdict), told.reason)
    connection.execute(
        Q["insert_tap"],
        (report.serial, *_numbers(report), candidate.digest, report.type_name, candidate.pass_group, candidate.lane,
         candidate.terminal, candidate.kind.value if candidate.kind else None, candidate.tapped_at, report.received_at,
         candidate.amount, candidate.currency, report.stop, json.dumps(report.where) if report.where else None,
         candidate.token, candidate.masked, int(report.oda), int(report.shown), verdict,
         reason, decision.note, decision.disposition.value if decision.disposition else None, uuid,
         candidate.config_digest, version, candidate.clock_life,
         json.dumps(dict(candidate.facts)) if candidate.facts else None,
         received_less_age(report) if candidate.realtime else None, candidate.zone, candidate.token_key),
    )  # fmt: skip
    return connection.last_insert_rowid()


def insert_sealed(connection: Connection, owner: str, purpose: str, sealed: Sealed, ran: int) -> None:
    """Sealed card data of an owner; ``ran`` is the journal's running time."""
    connection.execute(
        Q["insert_sealed"], (owner, purpose, sealed.epoch, sealed.wrapped_key, sealed.nonce, sealed.data, ran)
    )


def insert_notices(
    connection: Connection,
    drafts: tuple[NoticeDraft, ...],
    tap: int | None,
    uuid: str | None,
    now: Micros,
) -> None:
    """Write notices, and open the first window of a cause that has none."""
    for draft in drafts:
        connection.execute(Q["insert_notice"], (draft.kind.value, draft.cause, draft.detail, tap, uuid, now))
        episode = open_episode(draft, now)
        connection.execute(
            Q["open_episode"],
            (draft.kind.value, draft.cause, episode.step, episode.opened_at, episode.closes_at),
        )


LADDERS_KEPT = 16  # of those that were read or written last: a configuration has one, and reloads are rare


def ladder_id(connection: Connection, ladder: Ladder) -> int:
    """The row of these tiers, written when they are new."""
    tiers = _tiers(ladder)
    found = connection.execute(Q["ladder_id"], (tiers,)).get
    if found is None:
        connection.execute(Q["insert_ladder"], (tiers,))
        found = connection.execute(Q["ladder_id"], (tiers,)).get  # another daemon may have written it meanwhile
    return int(found)


@lru_cache(maxsize=LADDERS_KEPT)
def ladder_of(tiers: str) -> Ladder:
    """The tiers as the table ``ladder`` keeps them."""
    return tuple(Tier(tries, every_us) for tries, every_us in json.loads(tiers))


@lru_cache(maxsize=LADDERS_KEPT)
def _tiers(ladder: Ladder) -> str:
    return json.dumps([[tier.tries, tier.every_us] for tier in ladder])


# --- commit 2 ---------------------------------------------------------------------------------------------------


_CHARGED: Final = 7  # where "claim_due" has may_have_charged


def claim(
    connection: Connection,
    now: Micros,
    limit: int,
    created_by: Micros | None = None,
    set_aside: SetAside = lambda _connection, _uuid: False,
) -> list[ClaimedRow]:
    """Write the attempt number of every due row before a byte of it leaves; ``limit`` may be 0.

    ``set_aside`` sees those that may have charged, and says whether it moved them out of the way.
    """
    if not limit:
        return []
    query, bindings = ("claim_due", (now, limit)) if created_by is None else ("claim_old", (created_by, now, limit))
    found = list(connection.execute(Q[query], bindings))
    rows = [row for row in found if not (row[_CHARGED] and set_aside(connection, row[0]))]
    if rows:
        uuids = json.dumps([row[0] for row in rows])
        connection.execute(Q["mark_sending"], (uuids,))
        connection.execute(Q["insert_attempts"], (AttemptReason.LADDER.value, now, uuids))
    return [begun(row, AttemptReason.LADDER, now) for row in rows]


def begin_attempt(
    connection: Connection,
    row: tuple[Any, ...],
    reason: AttemptReason,
    now: Micros,
    cause: str | None = None,
) -> ClaimedRow:
    """Write the attempt of a row as ``canary_row`` read it, which was just marked as sending.

    A canary has its hold's ``cause``, and is counted apart from the ladder's sends.
    """
    connection.execute(Q["insert_attempt"], (reason.value, now, row[0]))
    return begun(row, reason, now, cause)


def begun(row: tuple[Any, ...], reason: AttemptReason, now: Micros, cause: str | None = None) -> ClaimedRow:
    """A row as it was read before its attempt was written, claimed."""
    uuid, terminal, path, credential, attempt, sends, fence, may_have_charged, tiers, amount, epoch, *box = row
    counted = sends if reason is AttemptReason.CANARY else sends + 1
    claimed = Claimed(
        uuid=UUID(uuid),
        number=attempt + 1,
        fence=fence + 1,
        reason=reason,
        terminal=terminal,
        path=path,
        credential=credential,
        body=b"",
        started_at=now,
        progress=Progress(counted, bool(may_have_charged), ladder_of(tiers)),
        cause=cause,
        amount=amount,
    )
    return ClaimedRow(claimed, None if epoch is None else Sealed(epoch, *box))


# --- commit 3 ---------------------------------------------------------------------------------------------------


def settle(
    connection: Connection,
    claimed: Claimed,
    outcome: Outcome,
    settlement: Settlement,
    stamp: Stamp,
) -> None:
    """Outcome, next state, notices, and the destruction of what may no longer be kept. Raises SettledLate."""
    uuid = str(claimed.uuid)
    if connection.execute(Q["fence_of"], (uuid,)).get != claimed.fence:
        raise SettledLate(f"{uuid} attempt {claimed.number}")
    connection.execute(Q["end_attempt"], (stamp.at, *ended(outcome), uuid, claimed.number))
    state = settlement.state
    if claimed.cause is not None and (state, settlement.cause) == (State.HELD, claimed.cause):
        connection.execute(Q["hold_again"], (int(settlement.may_have_charged), uuid))
    else:
        connection.execute(Q["settle"], (*settled(outcome, settlement, stamp), uuid))
    if state is State.HELD and settlement.cause is not None:
        begin_hold(connection, settlement.cause, claimed.terminal, stamp.at)
    if claimed.reason is AttemptReason.CANARY and state is State.PENDING:
        connection.execute(Q["ladder_anew"], (uuid,))
    if settlement.uncounted:
        connection.execute(Q["uncount_send"], (uuid,))
    if settlement.erase:
        connection.execute(Q["erase"], (uuid,))
    if settlement.notices:
        tap = connection.execute(Q["tap_of_uuid"], (uuid,)).get
        insert_notices(connection, settlement.notices, tap, uuid, stamp.at)


def ended(outcome: Outcome) -> tuple[str, str, int]:
    """An attempt's outcome, its cause, and whether it may have charged."""
    return OUTCOME_NAMES[type(outcome)], outcome.cause, int(not outcome.clean)


def settled(outcome: Outcome, settlement: Settlement, stamp: Stamp) -> tuple[Any, ...]:
    """What the query ``settle`` writes, in its order."""
    state = settlement.state
    return (
        state.value, settlement.cause, settlement.due, int(settlement.may_have_charged),
        stamp.at if state.is_final else None, stamp.ran if state.is_resting else None, settlement.approved_amount,
        outcome.cause.partition(".")[2] if outcome.cause.startswith("action.") else None, settlement.enquiry_due,
    )  # fmt: skip
