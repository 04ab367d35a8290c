"""Realtime taps as rows: asked in commit 1, answered in commit 3, covered by an earlier payment (design 1 to 4).

Work on a connection; the caller holds the transaction. Requests that can never go a second time are not kept: of
them only the digest stays. A check-out's is, sealed, until it is settled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from tpsd.asking import Answered, Follow, Judge
from tpsd.core.answering import Ending, Waiting, accepted
from tpsd.core.candidate import Candidate, Decision
from tpsd.core.following import Original, giving_back
from tpsd.core.journeys import Input
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Claimed, Draft, Progress, State
from tpsd.domain.journey import Journey, JourneyState
from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import Kind, Shown, Told
from tpsd.domain.time import Micros
from tpsd.ports import SettledLate
from tpsd.store import journeys
from tpsd.store.commits import (
    OUTCOME_NAMES,
    SealedParts,
    Stamp,
    insert_notices,
    insert_sealed,
    ladder_id,
    ladder_of,
)
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed

PAID_BEFORE: Final = "paid_before"  # the cause of an authorisation that an earlier one makes needless

SealBody = Callable[[Draft], tuple[Sealed, bytes]]
"""A draft's body sealed, and its keyed digest."""


def ask(
    connection: Connection,
    candidate: Candidate,
    decision: Decision,
    parts: SealedParts | None,
    seal: SealBody,
    stamp: Stamp,
) -> tuple[str, Claimed, Sealed | None]:
    """For ``commits.take``: write what is asked, and the attempt, before a byte of it leaves."""
    asking, journey = decision.asking, candidate.journey
    if asking is None:
        raise ValueError("nothing is asked")
    if asking.same_as is not None:
        uuid, claimed, sealed = _ask_same(connection, candidate, asking.same_as, stamp)
    else:
        uuid, claimed = _ask_new(connection, candidate, parts, stamp)
        sealed = None
    if journey is not None and asking.step is Input.CHECK_OUT:
        journeys.begin_try(connection, journey, uuid)
    elif journey is not None and asking.step is Input.HAND and candidate.closing is not None:
        place = (candidate.lane, candidate.terminal)  # its path and credential are this lane's
        insert_follower(connection, place, candidate.closing, seal(candidate.closing), stamp)
        journeys.begin_by_hand(connection, journey, str(candidate.closing.uuid))
    return uuid, claimed, sealed


def _ask_new(
    connection: Connection, candidate: Candidate, parts: SealedParts | None, stamp: Stamp
) -> tuple[str, Claimed]:
    draft = candidate.draft
    if draft is None or draft.body is None or parts is None:
        raise ValueError("a realtime tap needs its request")
    uuid = str(draft.uuid)
    place, ladder = (candidate.lane, candidate.terminal), ladder_id(connection, candidate.ladder)
    insert_asked(connection, draft, place, parts.body_digest, ladder, stamp.at, candidate.token)
    if parts.body is not None:
        insert_sealed(connection, uuid, "body", parts.body, stamp.ran)
    connection.execute(Q["insert_attempt"], (AttemptReason.TAP.value, stamp.at, uuid))
    return uuid, claimed_first(draft, candidate.terminal, AttemptReason.TAP, stamp.at)


def insert_asked(
    connection: Connection,
    draft: Draft,
    place: tuple[str, str],
    digest: bytes | None,
    ladder: int,
    now: Micros,
    token: str | None,
) -> None:
    """An authorisation that is sent at once; ``place`` is its lane and its terminal."""
    connection.execute(
        Q["insert_asked"],
        (str(draft.uuid), draft.type, *place, draft.path, draft.credential, draft.amount, draft.currency, digest,
         ladder, now, token, draft.initial),
    )  # fmt: skip


def claimed_first(draft: Draft, terminal: str, reason: AttemptReason, now: Micros) -> Claimed:
    """The first attempt of what ``insert_asked`` wrote."""
    return Claimed(
        uuid=draft.uuid,
        number=1,
        fence=1,
        reason=reason,
        terminal=terminal,
        path=draft.path,
        credential=draft.credential,
        body=draft.body or b"",
        started_at=now,
        progress=Progress(1, False, ()),
        amount=draft.amount,
        realtime=True,
    )


def _ask_same(
    connection: Connection, candidate: Candidate, uuid: str, stamp: Stamp
) -> tuple[str, Claimed, Sealed | None]:
    attempt, fence, path, credential, amount, may_have_charged, tiers, epoch, *box = connection.execute(
        Q["awaited"], (uuid,)
    ).get
    connection.execute(Q["ask_same"], (uuid,))
    connection.execute(Q["insert_attempt"], (AttemptReason.TAP.value, stamp.at, uuid))
    claimed = Claimed(
        uuid=UUID(uuid),
        number=attempt + 1,
        fence=fence + 1,
        reason=AttemptReason.TAP,
        terminal=candidate.terminal,
        path=path,
        credential=credential,
        body=b"",
        started_at=stamp.at,
        progress=Progress(attempt + 1, bool(may_have_charged), ladder_of(tiers)),
        amount=amount,
        realtime=True,
    )
    return uuid, claimed, None if epoch is None else Sealed(epoch, *box)


def answer(
    connection: Connection,
    claimed: Claimed,
    outcome: Outcome,
    judge: Judge,
    follow: Follow,
    seal: SealBody,
    operator: int,
    stamp: Stamp,
) -> Answered:
    """Commit 3: outcome, verdict, journey, what is given back, notices. Raises SettledLate when another was first."""
    uuid = str(claimed.uuid)
    if connection.execute(Q["fence_of"], (uuid,)).get != claimed.fence:
        raise SettledLate(f"{uuid} attempt {claimed.number}")
    waiting = _waiting(connection, claimed)
    ending = judge(waiting)
    _end_attempt(connection, claimed, OUTCOME_NAMES[type(outcome)], outcome.cause, stamp, charged=not outcome.clean)
    _settle(connection, uuid, ending, stamp, outcome.cause)
    tap = _decide_tap(connection, uuid, ending)
    noticed = bool(ending.settlement.notices)
    if ending.opens:
        _open_journey(connection, uuid, operator, tap)
    if ending.journey is not None and waiting.journey is not None:
        noticed |= journeys.move(connection, waiting.journey, ending.journey, stamp)
    elif waiting.journey is None:
        noticed |= journeys.follow(connection, uuid, ending.settlement.state, stamp)
    if ending.gives_back is not None:
        give_back(connection, uuid, ending.gives_back, follow, seal, stamp)
    number = None if tap is None else tap[0]
    told_of = number if number is not None else connection.execute(Q["tap_of_uuid"], (uuid,)).get
    insert_notices(connection, ending.settlement.notices, told_of, uuid, stamp.at)
    return Answered(ending.settlement, ending.told, number, noticed, follows=ending.gives_back is not None)


def can_be_covered(connection: Connection, claimed: Claimed) -> bool:
    """Whether the tap still waits, and its passenger was not turned away meanwhile: they would pay for nothing."""
    if connection.execute(Q["fence_of"], (str(claimed.uuid),)).get != claimed.fence:
        return False
    return _waiting(connection, claimed).shown is not Shown.TURNED_AWAY


def cover(connection: Connection, claimed: Claimed, paid: str, operator: int, stamp: Stamp) -> Answered:
    """The tap is paid by an earlier transaction that was found approved."""
    uuid = str(claimed.uuid)
    _end_attempt(connection, claimed, "not_sent", PAID_BEFORE, stamp, charged=False)
    connection.execute(Q["covered"], (stamp.at, paid, uuid))
    connection.execute(Q["erase"], (uuid,))
    tap = connection.execute(Q["undecided"], (uuid,)).get
    original = original_of(connection, paid)
    told = accepted(original.kind, original.charged, PAID_BEFORE)
    if tap is not None:
        connection.execute(Q["cover_tap"], (paid, int(told.verdict), told.reason, tap[0]))
    if original.kind is Kind.RETAIL_CHECK_IN:
        _open_journey(connection, paid, operator, tap)
    return Answered(_COVERED, told, None if tap is None else tap[0])


def give_back(connection: Connection, uuid: str, amount: int, follow: Follow, seal: SealBody, stamp: Stamp) -> None:
    """What was approved is given back, on the ladder: its refund or release must arrive however long that takes."""
    original = original_of(connection, uuid)
    draft = follow(original, *giving_back(original, amount))
    insert_follower(connection, (original.lane, original.terminal), draft, seal(draft), stamp)


def insert_follower(
    connection: Connection, place: tuple[str, str], draft: Draft, sealed: tuple[Sealed, bytes], stamp: Stamp
) -> None:
    """A transaction that follows another, on that one's ladder, due now; ``place`` is its lane and its terminal."""
    body, digest = sealed
    uuid = str(draft.uuid)
    ladder = connection.execute(Q["ladder_of_authorisation"], (draft.initial,)).get
    connection.execute(
        Q["insert_follower"],
        (uuid, draft.type, *place, draft.path, draft.credential, draft.amount, draft.currency,
         digest, ladder, stamp.at, stamp.at, draft.initial),
    )  # fmt: skip
    insert_sealed(connection, uuid, "body", body, stamp.ran)


def original_of(connection: Connection, uuid: str) -> Original:
    """A transaction as one that follows it needs it."""
    (found, kind, state, lane, terminal, serial, type_name, credential, amount, charged, currency, settled_at,
     journey) = connection.execute(Q["original"], (uuid,)).get  # fmt: skip
    return Original(
        uuid=found,
        kind=Kind(kind),
        state=State(state),
        lane=lane,
        terminal=terminal,
        serial=serial,
        type_name=type_name,
        credential=credential,
        amount=amount,
        charged=charged,
        currency=currency,
        settled_at=settled_at,
        journey=journey,
    )


def attend(connection: Connection, expired: Micros, enquires: bool, stamp: Stamp, limit: int) -> int:
    """Some journeys that nobody ended in time."""
    found = [number for (number,) in connection.execute(Q["overdue_journeys"], (expired, limit))]
    ended = 0
    for number in found:
        journey = journeys.by_number(connection, number)
        if journey is not None and _is_overdue(journey):
            journeys.move(connection, journey, Input.OVERDUE, stamp, enquires)
            ended += 1
    return ended


def _is_overdue(journey: Journey) -> bool:
    """Whether nobody ends it, now that it is locked: since it was found another daemon may have begun to."""
    under_way = journey.last is not None and journey.last.state is State.SENDING
    return journey.state in (JourneyState.OPEN, JourneyState.CHECKING_OUT) and not under_way


def _waiting(connection: Connection, claimed: Claimed) -> Waiting:
    uuid = str(claimed.uuid)
    kind, amount, terminal, may_have_charged, unclear, shown = connection.execute(
        Q["waiting"], (uuid, claimed.number)
    ).get
    return Waiting(
        uuid=uuid,
        kind=Kind(kind),
        amount=amount,
        terminal=terminal,
        tapped=claimed.reason is AttemptReason.TAP,
        may_have_charged=bool(may_have_charged),
        unclear=bool(unclear),
        shown=Shown.NOTHING if shown is None else Shown(shown),
        journey=journeys.of_check_out(connection, uuid),
    )


def _end_attempt(
    connection: Connection, claimed: Claimed, outcome: str, cause: str, stamp: Stamp, *, charged: bool
) -> None:
    connection.execute(Q["end_attempt"], (stamp.at, outcome, cause, int(charged), str(claimed.uuid), claimed.number))


def _settle(connection: Connection, uuid: str, ending: Ending, stamp: Stamp, cause: str) -> None:
    settlement, state = ending.settlement, ending.settlement.state
    connection.execute(
        Q["settle"],
        (state.value, settlement.cause, None, int(settlement.may_have_charged), stamp.at if state.is_final else None,
         stamp.ran if state.is_resting else None, settlement.approved_amount,
         cause.partition(".")[2] if cause.startswith("action.") else None, settlement.enquiry_due, uuid),
    )  # fmt: skip
    if state is not State.AWAITING_TAP:
        connection.execute(Q["erase"], (uuid,))


def _decide_tap(connection: Connection, uuid: str, ending: Ending) -> tuple[Any, ...] | None:
    tap: tuple[Any, ...] | None = connection.execute(Q["undecided"], (uuid,)).get
    if tap is not None and ending.told is not None:
        told: Told = ending.told
        delivered = 0 if told.verdict.accepts else None
        connection.execute(Q["decide_tap"], (int(told.verdict), told.reason, int(ending.unseen), delivered, tap[0]))
    return tap


def _open_journey(connection: Connection, check_in: str, operator: int, tap: tuple[Any, ...] | None) -> None:
    if tap is None:
        return
    _, opened_at, zone, token, token_key, lane = tap
    journeys.open_one(connection, operator, (token, token_key), check_in, opened_at, (zone, lane))


_COVERED: Final = Settlement(State.NOT_CHARGED, PAID_BEFORE, None, may_have_charged=False)
