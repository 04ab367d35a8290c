"""Which mail is made of notices: one per cause and window, and an all-clear when a cause that lasted is over.

A cause's key is ``kind/cause``, with ``@terminal`` behind it where the terminal is part of the cause:
``tap_refused/system.60``, ``held/system.41@GATE-X1:VAL00042``, ``alarm/contradiction``. It is unique over all
kinds and made of ASCII letters, digits and ``._:@/-``, so that it can stand in a subject and in a command.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tpsd.domain.notice import Episode, NoticeDraft, NoticeKind, NoticeRow
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros, later

WINDOWS: Final = (1 * MINUTE, 10 * MINUTE, 60 * MINUTE)
"""How long notices of a cause are gathered: soon at first, then one mail an hour. The last one repeats."""

LISTED_MAX: Final = 50
"""Rows a mail lists before it only totals: what a person still reads, far below any server's size limit."""

MAILS_BEFORE_ALL_CLEAR: Final = 2
"""One failed tap is one mail and no second; a cause that was mailed twice has lasted, so its end is news."""

MAIL_RETRY_FIRST_US: Final = 5 * SECOND
MAIL_RETRY_MAX_US: Final = 1 * HOUR
"""A mail server that is restarting costs seconds; one that is gone is asked once an hour until it is back."""

CAUSE_CHARACTERS_MAX: Final = 128
"""A kind, a code and a terminal's type and serial (32 characters each, links.md) fit."""


@dataclass(frozen=True, slots=True)
class Totals:
    """All notices of a window: how many, and the sum of their amounts in minor units by currency."""

    count: int
    sums: tuple[tuple[str, int], ...]

    @property
    def amount(self) -> int:
        """Minor units over all currencies; an operator has one."""
        return sum(amount for _, amount in self.sums)


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """What closing a window comes to.

    ``mail``: the rows to list, at most LISTED_MAX, None when no failure is to be mailed. ``totals``: of all
    its notices. ``all_clear``: mail the episode's totals instead. ``next_episode``: None when it is over.
    """

    mail: tuple[NoticeRow, ...] | None
    totals: Totals
    all_clear: bool
    next_episode: Episode | None


def cause_key(kind: NoticeKind, cause: str, terminal: str | None = None) -> str:
    """The key under which mails are gathered; see the module."""
    return _ascii(f"{kind.value}/{cause_at(cause, terminal)}")


def cause_at(cause: str, terminal: str | None) -> str:
    """A row's cause, with the terminal where it is part of it. Characters a key cannot hold become ``-``."""
    return _ascii(cause if terminal is None else f"{cause}@{re.sub('[@/]', '-', terminal)}")


def open_episode(notice: NoticeDraft | NoticeRow, now: Micros) -> Episode:
    """The first window of a cause, opened by its first notice."""
    return Episode(
        kind=notice.kind,
        cause=notice.cause,
        step=0,
        opened_at=now,
        closes_at=later(now, WINDOWS[0]),
        mails=0,
        listed=0,
        amount_sum=0,
    )


def close_window(
    episode: Episode, notices_in_window: Sequence[NoticeRow], now: Micros, totals: Totals | None = None
) -> WindowClosed:
    """Close the present window of an episode. ``now`` on the schedule clock, not before ``closes_at``.

    ``totals`` spares reading every notice of a large window: then ``notices_in_window`` may be its first
    LISTED_MAX.
    """
    whole = total(notices_in_window) if totals is None else totals
    if whole.count == 0:
        lasted = episode.mails >= MAILS_BEFORE_ALL_CLEAR and episode.kind is not NoticeKind.OUTAGE  # says its own end
        return WindowClosed(None, whole, lasted, None)
    step = episode.step + 1
    following = Episode(
        kind=episode.kind,
        cause=episode.cause,
        step=step,
        opened_at=now,
        closes_at=later(now, WINDOWS[min(step, len(WINDOWS) - 1)]),
        mails=episode.mails + 1,
        listed=episode.listed + whole.count,
        amount_sum=episode.amount_sum + whole.amount,
    )
    return WindowClosed(tuple(notices_in_window[:LISTED_MAX]), whole, False, following)


def total(notices: Sequence[NoticeRow]) -> Totals:
    """Count and sums of notices; those without an amount count and add nothing."""
    sums: Counter[str] = Counter()
    for row in notices:
        if row.amount is not None and row.currency is not None:
            sums[row.currency] += row.amount
    return totals(len(notices), sums)


def totals(count: int, sums: Mapping[str, int]) -> Totals:
    """Totals in a fixed order, from a count and sums by currency."""
    return Totals(count, tuple(sorted(sums.items())))


def mail_retry_due(tries: int, now: Micros) -> Micros:
    """When a mail is tried again after its ``tries``-th failure (from 1): 5 s, doubling up to an hour."""
    doublings = min(max(tries, 1) - 1, 16)  # 5 s · 2^16 is far above the hour, and the number stays small
    return later(now, min(MAIL_RETRY_FIRST_US << doublings, MAIL_RETRY_MAX_US))


def _ascii(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._:@/-]", "-", text)[:CAUSE_CHARACTERS_MAX]
