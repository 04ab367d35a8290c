"""Which rows are not sent but asked about, and when: the horizon, and rows that enter doubt (design 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Outcome
from tpsd.domain.time import HOUR, MINUTE, Micros, later

HORIZON: Final = "horizon"
"""The cause of a row that was too old to be sent again."""

HORIZON_US: Final = 36 * HOUR
"""The configuration's default: the ladder with all its jitter, and half a day for an outage (design 4)."""

FIRST_ENQUIRY_US: Final = 1 * MINUTE
"""What TPS works on must have come to its end before it is asked (field.md)."""

REPEATED: Final = frozenset({"system.303", "action.913", "action.923"})
"""Answers to a resend by which TPS says that an earlier one arrived (sfey.md 4)."""


@dataclass(frozen=True, slots=True)
class DoubtPolicy:
    """``horizon_us``: how long TPS knows a UUID, in microseconds. ``enquires``: whether TPS can be asked."""

    horizon_us: int = HORIZON_US
    enquires: bool = False


def is_beyond_horizon(policy: DoubtPolicy, doubtful_since: Micros | None, now: Micros) -> bool:
    """Whether TPS may have forgotten a UUID, so that the same bytes could charge a second time."""
    return doubtful_since is not None and now - doubtful_since > policy.horizon_us


def judge_at_claim(policy: DoubtPolicy, doubtful_since: Micros | None, now: Micros) -> Settlement | None:
    """What becomes of a due row instead of a send; None: it may be sent.

    ``doubtful_since`` is the start of its first send that may have charged; both on the schedule clock.
    """
    if not is_beyond_horizon(policy, doubtful_since, now):
        return None
    words = f"first sent more than {policy.horizon_us / HOUR:g} h ago: TPS may take it for a new one"
    notice = NoticeDraft(NoticeKind.IN_DOUBT, cause_key(NoticeKind.IN_DOUBT, HORIZON), words)
    aside = Settlement(State.IN_DOUBT, HORIZON, None, may_have_charged=True, notices=(notice,))
    return _asked_first(aside, now) if policy.enquires else aside


def with_enquiry(
    policy: DoubtPolicy, settlement: Settlement, outcome: Outcome, *, number: int, ended_at: Micros
) -> Settlement:
    """The settlement of a send with the enquiry that follows it, if any. ``number`` is the attempt's, from 1."""
    if not policy.enquires:
        return settlement
    if settlement.state is State.IN_DOUBT:
        return _asked_first(settlement, ended_at)
    if settlement.due is not None and number > 1 and outcome.cause in REPEATED:
        # Before the next rung, which may be only a minute away, and late enough to find the earlier one done.
        wait = min(FIRST_ENQUIRY_US, (settlement.due - ended_at) // 2)
        return replace(settlement, enquiry_due=later(ended_at, wait))
    return settlement


def _asked_first(settlement: Settlement, now: Micros) -> Settlement:
    """TPS is asked before a person is told: most doubts end there, and a mail would ask for nothing."""
    told = tuple(notice for notice in settlement.notices if notice.kind is not NoticeKind.IN_DOUBT)
    return replace(settlement, notices=told, enquiry_due=later(now, FIRST_ENQUIRY_US))
