"""What is wrong with a running daemon, from one picture of it: the table behind ``/healthz``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.core.retry import JITTER_SHARE_MAX, span
from tpsd.domain.picture import Picture
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros, later

LADDER_MARGIN_US: Final = 10 * MINUTE
"""A last send waits for its place in the queue and for its answer; earlier is no fault."""

MAIL_STUCK_US: Final = HOUR
"""The longest pause between two tries at SMTP: a mail that is older has failed for good reasons."""


LIST_OLD_SECONDS: Final = HOUR / SECOND
"""A debt that was paid lets its card ride within an hour; polls go every few minutes."""


SPOOL_OLD_SECONDS: Final = 10.0
"""A database that was slow for a moment has taken its taps within a second; ten are trouble."""

APART_US: Final = 2 * SECOND
"""Clocks that a time server sets are closer by far; due times and leases of daemons that share a journal rely on it."""

GONE_TOLD_US: Final = DAY
"""A daemon that does not come back within a day was taken away for good."""


class Check(Enum):
    """What is looked at, in the order of the page."""

    LANES = "lanes"
    JOURNAL = "journal"
    PENDING = "oldest_pending"
    MAIL = "mail"
    UPLINK = "uplink"
    CLOCK = "clock"
    DENY_LIST = "deny_list"
    PREFLIGHT = "preflight"
    TAP_LOG = "tap_log"
    SPOOL = "spool"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Health:
    """Reasons by check; healthy where there is none. They name lanes, hosts and ages, never a tap.

    ``clock_offset_seconds`` is nobody's fault: how far the time that is believed is ahead of the system's.
    """

    reasons: tuple[tuple[Check, str], ...]
    clock_offset_seconds: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons

    def holds(self, check: Check) -> bool:
        """Whether one check found nothing."""
        return all(found is not check for found, _ in self.reasons)


def judge(picture: Picture) -> Health:
    """All reasons, check by check."""
    reasons = tuple((check, reason) for check, rule in RULES.items() for reason in rule(picture))
    return Health(reasons, picture.clock_offset_seconds)


def _lanes(picture: Picture) -> Iterator[str]:
    for lane in picture.lanes:
        if lane.state != "ready" or lane.reason:
            reason = f": {lane.reason}" if lane.reason else ""
            yield f"lane {lane.name} is {lane.state}{reason}"


def _journal(picture: Picture) -> Iterator[str]:
    if picture.journal_trouble is not None:
        yield picture.journal_trouble


def _pending(picture: Picture) -> Iterator[str]:
    if picture.figures is None:
        return
    late = [
        rung.oldest_unreleased
        for rung in picture.figures.rungs
        if rung.oldest_unreleased is not None
        and later(rung.oldest_unreleased, span(rung.ladder, JITTER_SHARE_MAX) + LADDER_MARGIN_US) < picture.at
    ]
    if late:
        yield f"the oldest pending tap waits for {_hours(picture.at, min(late))}, longer than its ladder"


def _mail(picture: Picture) -> Iterator[str]:
    figures = picture.figures
    if figures is None or figures.oldest_mail is None or picture.at - figures.oldest_mail <= MAIL_STUCK_US:
        return
    mails = "1 mail is" if figures.mails_waiting == 1 else f"{figures.mails_waiting} mails are"
    yield f"{mails} not accepted by SMTP, the oldest for {_hours(picture.at, figures.oldest_mail)}"


def _uplink(picture: Picture) -> Iterator[str]:
    for uplink in picture.uplinks:
        if not uplink.up:
            yield f"{uplink.host} cannot be reached for {uplink.seconds:.0f} s ({uplink.cause or 'no cause known'})"


def _clock(picture: Picture) -> Iterator[str]:
    if not picture.clock_trusted:
        yield "the clock is not trusted"


def _deny_list(picture: Picture) -> Iterator[str]:
    feed = picture.feed
    if feed is None:
        return
    if feed.waited_seconds > LIST_OLD_SECONDS:
        cause = f" ({feed.cause})" if feed.cause else ""
        yield f"TPS has not completed the deny list for {feed.waited_seconds * SECOND / HOUR:.1f} h{cause}"
    if feed.stale:
        aged = "of unknown age" if feed.age_seconds is None else "too old"
        lanes = ", ".join(lane.name for lane in picture.lanes if lane.turns_away_when_stale)
        yield f"the deny list is {aged}" + (f": turned away at {lanes}" if lanes else "")
    if feed.waits:
        yield "a new deny list waits for 'tpsd denylist accept'"


def _preflight(picture: Picture) -> Iterator[str]:
    yield from picture.preflight


def _tap_log(picture: Picture) -> Iterator[str]:
    log = picture.taplog
    if log is not None and log.trouble is not None:
        yield f"the tap log loses lines, {log.lost} so far ({log.trouble}); taps are safe, replay will lack these"


def _spool(picture: Picture) -> Iterator[str]:
    spool = picture.spool
    if spool is None:
        return
    if spool.away is not None:
        yield f"the database is away ({spool.away}): taps go to the spool, which holds {spool.waiting}"
    elif spool.oldest_seconds is not None and spool.oldest_seconds > SPOOL_OLD_SECONDS:
        yield f"{spool.waiting} taps wait in the spool, the oldest for {spool.oldest_seconds:.0f} s"
    if spool.stuck is not None:
        yield f"a tap of the spool cannot be drained ({spool.stuck}), and nothing is sent before it: look at the log"


def _fleet(picture: Picture) -> Iterator[str]:
    fleet = picture.fleet
    if fleet is None:
        return
    if abs(fleet.apart_us) > APART_US:
        ahead = "ahead of" if fleet.apart_us > 0 else "behind"
        yield (
            f"this machine's clock is {abs(fleet.apart_us) / SECOND:.1f} s {ahead} the database's: "
            "have one time server set both"
        )
    for name, since_us in sorted(fleet.gone.items()):
        if since_us <= GONE_TOLD_US:
            since = f"{since_us / SECOND:.0f} s" if since_us < 2 * MINUTE else f"{since_us / MINUTE:.0f} min"
            yield f"daemon {name} gives no sign of life for {since}; the others go on with what it left due"


RULES: Final[dict[Check, Callable[[Picture], Iterator[str]]]] = {
    Check.LANES: _lanes,
    Check.JOURNAL: _journal,
    Check.PENDING: _pending,
    Check.MAIL: _mail,
    Check.UPLINK: _uplink,
    Check.CLOCK: _clock,
    Check.DENY_LIST: _deny_list,
    Check.PREFLIGHT: _preflight,
    Check.TAP_LOG: _tap_log,
    Check.SPOOL: _spool,
    Check.FLEET: _fleet,
}


def _hours(now: Micros, since: Micros) -> str:
    return f"{(now - since) / HOUR:.1f} h"
