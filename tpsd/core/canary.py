"""Canaries (design 2): where TPS's application never judged a held tap, one goes now and then to see whether it would.

A canary is counted apart from the rungs. It settles by its own outcome once TPS's application spoke; anything
less leaves it held, and no longer clean if money may have moved.
"""

from __future__ import annotations

from typing import Final

from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Progress, State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import Approved, Declined, Outcome
from tpsd.domain.time import MINUTE, Micros, later

CANARY_EVERY_US: Final = 15 * MINUTE
"""Often enough that a mended proxy or certificate costs minutes, rare enough that a wrong path is no storm."""

_NEVER_JUDGED: Final = ("http.", "tls.")
_SPOKEN: Final = ("action.", "system.")


def next_canary(cause: str, now: Micros) -> Micros | None:
    """When the next canary of a held cause goes (schedule clock); None where only a person can mend it."""
    return later(now, CANARY_EVERY_US) if cause.startswith(_NEVER_JUDGED) else None


def judged(outcome: Outcome) -> bool:
    """Whether TPS's application spoke: an action or system code, or its plain yes or no."""
    # A contradiction is one between ``approved`` and an action code, so there was one.
    return (
        isinstance(outcome, Approved | Declined)
        or outcome.cause.startswith(_SPOKEN)
        or outcome.cause == "contradiction"
    )


def settle_canary(
    progress: Progress,
    outcome: Outcome,
    *,
    cause: str,
    started_at: Micros,
    ended_at: Micros,
    jitter_draw: float,
    jitter_share: float,
    terminal: str,
    asked: int | None = None,
) -> Settlement:
    """What becomes of the canary's own row; the arguments are those of ``settle``, ``cause`` the held row's.

    ``pending`` means a ladder anew, the canary not counted on it: its first send is due one rung later.
    """
    own = settle(
        Progress(1, progress.may_have_charged, progress.ladder),
        outcome,
        started_at=started_at,
        ended_at=ended_at,
        jitter_draw=jitter_draw,
        jitter_share=jitter_share,
        terminal=terminal,
        asked=asked,
    )
    if judged(outcome):
        return own
    alarms = tuple(draft for draft in own.notices if draft.kind is NoticeKind.ALARM)
    return Settlement(State.HELD, cause, None, own.may_have_charged, notices=alarms)
