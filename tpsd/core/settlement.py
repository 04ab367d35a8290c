"""Where a deferred authorisation goes after an attempt: the values of commit 3 (design 1, 2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tpsd.core.codes import SYSTEM_CODES
from tpsd.core.notices import cause_at, cause_key
from tpsd.core.retry import next_due
from tpsd.domain.authorisation import Progress, State
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
from tpsd.domain.time import Micros

PARTLY: Final = "action.002"  # the one action code that approves less than was asked for
DIFFERS: Final = "amount_differs"
"""The cause of a row of which TPS approved another amount than was asked for."""

ALARM_CAUSES: Final = frozenset(f"system.{row.number}" for row in SYSTEM_CODES.values() if row.alarm)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What commit 3 writes.

    ``cause`` is the row's. ``due`` on the schedule clock, set exactly while the state is ``pending``.
    ``may_have_charged`` speaks of this attempt and all before it. ``approved_amount`` in minor units, where
    TPS said one. ``uncounted``: the attempt used no rung of the ladder. ``enquiry_due``: when TPS is asked about it
    (schedule clock, ``core.doubt``).
    """

    state: State
    cause: str | None
    due: Micros | None
    may_have_charged: bool
    notices: tuple[NoticeDraft, ...] = ()
    approved_amount: int | None = None
    uncounted: bool = False
    enquiry_due: Micros | None = None

    @property
    def erase(self) -> bool:
        """Whether body and wrapped key go in the same commit: exactly in final states (design 5)."""
        return self.state.is_final


def settle(
    progress: Progress,
    outcome: Outcome,
    *,
    started_at: Micros,
    ended_at: Micros,
    jitter_draw: float,
    jitter_share: float,
    terminal: str,
    asked: int | None = None,
) -> Settlement:
    """The next state of a deferred authorisation. Times are the attempt's, on the schedule clock.

    ``progress`` is as it stood when the attempt was claimed; ``terminal`` is ``type:serial``; ``asked`` is the
    request's amount in minor units, None where nobody compares; the other values are those of ``retry.next_due``,
    which names their limits.
    """
    due = None
    cause = outcome.cause
    match outcome:
        case Approved() if _differs(outcome, asked):
            state, cause = State.IN_DOUBT, DIFFERS
        case Approved():
            state = State.APPROVED
        case Declined():
            # Also after an unknown attempt: what TPS says of a repeat, it says of the transaction (design 2).
            state = State.DECLINED
        case TapRefused() | TerminalRefused() if progress.may_have_charged and is_4xx(outcome):
            state = State.IN_DOUBT
        case TapRefused():
            state = State.TAP_REFUSED
        case TerminalRefused():
            state, cause = State.HELD, cause_at(cause, terminal)
        case TryAgain() | NotSent() | Unknown():
            patience = outcome.retry_after if isinstance(outcome, TryAgain) else None
            ladder, sends = progress.ladder, progress.sends
            due = next_due(
                ladder,
                sends,
                started_at=started_at,
                ended_at=ended_at,
                jitter_draw=jitter_draw,
                jitter_share=jitter_share,
                retry_after=patience,
            )
            state = State.PERMANENTLY_FAILED if due is None else State.PENDING
        case _:
            raise TypeError(f"no settlement for {type(outcome).__name__}")
    charged = progress.may_have_charged or not outcome.clean
    return Settlement(
        state=state,
        cause=cause,
        due=due,
        may_have_charged=charged,
        notices=_notices(state, cause, outcome, charged, progress.sends),
        approved_amount=outcome.amount if isinstance(outcome, Approved) else None,
    )


def _differs(outcome: Approved, asked: int | None) -> bool:
    """Whether TPS approved another amount than asked; a part of it (002) is said as such, and is none."""
    if asked is None or outcome.amount is None:
        return False
    return outcome.amount > asked or (outcome.amount < asked and outcome.cause != PARTLY)


def is_4xx(outcome: Outcome) -> bool:
    """Whether an HTTP status of 400 to 499 is behind it."""
    return outcome.http is not None and outcome.http // 100 == 4


def _notices(state: State, cause: str, outcome: Outcome, charged: bool, sends: int) -> tuple[NoticeDraft, ...]:
    drafts = []
    if state in _TOLD:
        kind, words = _TOLD[state]
        doubt = "it may have been charged" if charged else "nothing was charged"
        drafts.append(NoticeDraft(kind, cause_key(kind, cause), f"{words.format(sends=sends)}; {doubt}"))
    if outcome.loud or outcome.cause in ALARM_CAUSES or cause == DIFFERS:
        key = cause_key(NoticeKind.ALARM, DIFFERS if cause == DIFFERS else outcome.cause)
        drafts.append(NoticeDraft(NoticeKind.ALARM, key, "TPS's answer needs an engineer's eye"))
    return tuple(drafts)


_TOLD: Final[dict[State, tuple[NoticeKind, str]]] = {
    State.PERMANENTLY_FAILED: (NoticeKind.PERMANENTLY_FAILED, "send {sends} was the ladder's last"),
    State.HELD: (NoticeKind.HELD, "not sent again by itself until the cause is mended"),
    State.TAP_REFUSED: (NoticeKind.TAP_REFUSED, "TPS refused this transaction, so it is not sent again"),
    State.IN_DOUBT: (NoticeKind.IN_DOUBT, "TPS's answer does not settle what was charged"),
}
