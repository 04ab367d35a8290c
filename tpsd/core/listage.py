"""How old TPS's deny list is, and what a lane does once it is too old.

An age that is not known is too old: a clock that was set back, or was never set, makes no list fresh.
"""

from __future__ import annotations

from typing import Final

from tpsd.core.notices import cause_key
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import HOUR, MINUTE, Micros

STALE: Final = "list_stale"
"""The reason of a tap that the list's age turned away, and the note on one that came in all the same."""

TOO_OLD: Final = Told(Verdict.DENIED, STALE)

TELL_AFTER_US: Final = 10 * MINUTE
"""A vehicle that comes out of its depot has the new list within a poll or two: until then its age is no news."""


def age(whole_at: Micros | None, completed: Micros | None, wall: Micros | None, schedule: Micros) -> int | None:
    """Microseconds since TPS last said that the list is complete; None where that is not known.

    ``completed`` in this life, on the schedule clock, which never steps; ``whole_at`` in any life, on the wall clock.
    ``wall`` now; None while the time is not known.
    """
    if completed is not None:
        return max(schedule - completed, 0)
    if whole_at is None or wall is None or whole_at > wall:
        return None
    return wall - whole_at


def is_stale(age_us: int | None, most_us: int) -> bool:
    """Whether a list of this age may no longer be relied on."""
    return age_us is None or age_us > most_us


def turns_away(accepts_below: int | None, amount: int | None) -> bool:
    """Whether a stale list turns a tap away at a lane that lets in below an amount, in minor units; None: any."""
    return accepts_below is not None and (amount is None or amount >= accepts_below)


def stale_notice(age_us: int | None, most_us: int, cause: str) -> NoticeDraft:
    """What an operator is told once it lasts. ``cause``: why the last poll failed, if it did."""
    failed = f"; the last poll failed: {cause}" if cause else ""
    since = "TPS has not been heard to complete it" if age_us is None else f"TPS completed it {hours(age_us)} ago"
    words = f"{since}, more than {hours(most_us)} are too old{failed}; lanes go by their stale_list"
    return NoticeDraft(NoticeKind.OUTAGE, cause_key(NoticeKind.OUTAGE, "feed.stale"), words)


def fresh_notice() -> NoticeDraft:
    """What an operator who was told is told at the end."""
    words = "TPS has completed the deny list again; lanes let in whom it does not name"
    return NoticeDraft(NoticeKind.OUTAGE, cause_key(NoticeKind.OUTAGE, "feed.fresh"), words)


def hours(us: int) -> str:
    """For people."""
    return f"{us / HOUR:.1f} h"
