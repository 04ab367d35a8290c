"""What a start does before anything else: it ends what a crash left open and mends what a former clock said.

Work on a connection; the caller holds the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from tpsd.core.canary import CANARY_EVERY_US
from tpsd.core.notices import cause_key
from tpsd.core.retry import next_due
from tpsd.core.settlement import Settlement
from tpsd.core.uplink import SPREAD_LONGEST_US
from tpsd.domain.authorisation import AttemptReason, Claimed, Ladder, Progress
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import Timing
from tpsd.domain.time import HOUR, Micros
from tpsd.store import journeys
from tpsd.store.commits import Stamp, begin_hold, insert_notices, ladder_of, settle
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

LATEST_WINDOW = HOUR  # microseconds: the longest mail window (core.notices)
LATEST_MAIL_TRY = HOUR  # microseconds: the longest pause between two tries at SMTP


def recover(
    connection: Connection,
    stamp: Stamp,
    credentials: Collection[str],
    decide: Callable[[Claimed], tuple[Outcome, Settlement]],
    end_asked: Callable[[Connection, Claimed], None],
    spared: Collection[str] = (),
) -> dict[str, int]:
    """End the attempts a crash left open, hold rows whose credential is gone, pull in due times of a former clock.

    ``spared``: UUIDs of attempts that are somebody's.
    """
    now = stamp.at
    rows = [row for row in connection.execute(Q["left_open"]) if row[0] not in spared]
    ended = end_left_open(connection, rows, stamp, decide, end_asked)
    names = json.dumps(sorted(credentials))
    held = _hold_without_credential(connection, stamp, names)
    connection.execute(Q["free_with_credential"], (now, names))
    freed = connection.changes()
    connection.execute(Q["end_empty_hold"], ("no_credential",))
    return {
        "attempts_ended_unknown": ended,
        "held_without_credential": held,
        "freed_with_credential": freed,
        "due_times_pulled": _pull_due_times(connection, now),
    }


def end_left_open(
    connection: Connection,
    rows: Sequence[tuple[Any, ...]],
    stamp: Stamp,
    decide: Callable[[Claimed], tuple[Outcome, Settlement]],
    end_asked: Callable[[Connection, Claimed], None],
) -> int:
    """End attempts whose end nobody saw, as ``left_open`` and its like read them; how many."""
    for row in rows:
        claimed = _claimed(row, stamp.at)
        if claimed.realtime:
            end_asked(connection, claimed)
            continue
        outcome, settlement = decide(claimed)
        settle(connection, claimed, outcome, settlement, stamp)
        journeys.follow(connection, str(claimed.uuid), settlement.state, stamp)
    return len(rows)


def _claimed(row: tuple[Any, ...], now: Micros) -> Claimed:
    (uuid, terminal, path, credential, attempt, sends, fence, may_have_charged, tiers, started_at, why, cause, timing,
     amount) = row  # fmt: skip
    reason = AttemptReason(why)
    return Claimed(
        uuid=UUID(uuid),
        number=attempt,
        fence=fence,
        reason=reason,
        terminal=terminal,
        path=path,
        credential=credential,
        body=b"",
        started_at=min(started_at, now),
        progress=Progress(sends, bool(may_have_charged), ladder_of(tiers)),
        cause=cause if reason is AttemptReason.CANARY else None,
        amount=amount,
        realtime=timing == Timing.REALTIME.value,
    )


def _hold_without_credential(connection: Connection, stamp: Stamp, names: str) -> int:
    lone = [uuid for (uuid,) in connection.execute(Q["without_credential"], (names,))]
    connection.execute(Q["hold_without_credential"], (stamp.ran, names))
    if lone:
        begin_hold(connection, "no_credential", None, stamp.at)
    draft = NoticeDraft(
        NoticeKind.HELD,
        cause_key(NoticeKind.HELD, "no_credential"),
        "its credential left the configuration: put it back, and restart",
    )
    for uuid in lone:
        tap = connection.execute(Q["tap_of_uuid"], (uuid,)).get
        insert_notices(connection, (draft,), tap, uuid, stamp.at)
    return len(lone)


def _pull_due_times(connection: Connection, now: Micros) -> int:
    connection.execute(Q["pull_first_sends"], {"now": now, "latest": now + SPREAD_LONGEST_US})
    pulled = connection.changes()
    for ladder, tiers, sends in list(connection.execute(Q["pending_rungs"], (now,))):
        if sends == 0:
            continue
        latest = _next_rung(ladder_of(tiers), sends, now)
        connection.execute(Q["pull_due"], (latest, ladder, sends, latest))
        pulled += connection.changes()
    connection.execute(Q["pull_canaries"], (now + CANARY_EVERY_US, now + CANARY_EVERY_US))
    connection.execute(Q["pull_windows"], (now + LATEST_WINDOW, now + LATEST_WINDOW))
    connection.execute(Q["pull_mails"], (now + LATEST_MAIL_TRY, now + LATEST_MAIL_TRY))
    return pulled


def _next_rung(ladder: Ladder, sends: int, now: Micros) -> Micros:
    due = next_due(ladder, sends, started_at=now, ended_at=now, jitter_draw=0.0, jitter_share=0.0)
    return now if due is None else due
