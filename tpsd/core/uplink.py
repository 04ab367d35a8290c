"""Whether TPS's host can be reached at all, and what taps do while it cannot (design 2, "not sent").

One machine a host: TCP and DNS trouble is the host's, while TLS trouble is a credential's and says nothing here
(sfey.md 4). Times are on the schedule clock, in microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Claimed, State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection, NotSent, Outcome
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros, iso_millis, later

PROBE_FIRST_US: Final = 5 * SECOND
PROBE_LONGEST_US: Final = 60 * SECOND
"""A tunnel is over in seconds; a host that is gone for hours costs one connection a minute."""

TELL_AFTER_US: Final = 30 * MINUTE
"""A shorter outage mends itself before a person could have looked."""

SPREAD_AFTER_US: Final = 30 * SECOND
"""A shorter outage is one vehicle's tunnel: no fleet comes back with it, and its taps need not wait."""

SPREAD_LONGEST_US: Final = 1 * HOUR
"""What a configuration may ask for: beyond it a spread would itself be an outage."""

HOST_TROUBLE: Final = frozenset({"connect", "connect_timeout", "dns"})
"""The causes of ``sfey.faults`` that are the host's."""

LEASE: Final = "lease"
"""The cause of a send that was not begun because the daemon's lease might have ended before it."""

CREDENTIAL_TROUBLE: Final = frozenset({"tls", "tls.client", "tls.server", "probe"})
"""Causes behind which TCP has already connected: the host can be reached."""

assert PROBE_LONGEST_US < TELL_AFTER_US  # 60 s < 30 min: the mail tells of an outage that a probe has just confirmed
assert not HOST_TROUBLE & CREDENTIAL_TROUBLE


class Link(Enum):
    """How the host is."""

    UP = "up"
    DOWN = "down"  # nobody was told
    TOLD = "told"  # still down, and the operator has been told


class Input(Enum):
    """What can happen to it."""

    TROUBLE = "no connection could be made"
    REACHED = "a connection was made"
    LASTED = "it has been down for long"


class Effect(Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    BEGIN = "stop claiming, probe, keep when it began"
    PROBE = "probe again later"
    TELL = "tell the operator"
    END = "spread what waited, claim again; tell the operator if the beginning was told"


TABLE: Final[Mapping[tuple[Link, Input], tuple[Link, Effect]]] = {
    (Link.UP, Input.REACHED): (Link.UP, Effect.NOTHING),
    (Link.UP, Input.TROUBLE): (Link.DOWN, Effect.BEGIN),
    (Link.DOWN, Input.TROUBLE): (Link.DOWN, Effect.PROBE),
    (Link.DOWN, Input.LASTED): (Link.TOLD, Effect.TELL),
    (Link.DOWN, Input.REACHED): (Link.UP, Effect.END),
    (Link.TOLD, Input.TROUBLE): (Link.TOLD, Effect.PROBE),
    (Link.TOLD, Input.REACHED): (Link.UP, Effect.END),
}
"""What is not here cannot happen, and ``step`` raises."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The host's state and since when. While it is down, ``probes`` have failed and one is due at ``probe_due``."""

    link: Link
    since: Micros
    probes: int = 0
    probe_due: Micros | None = None

    @property
    def is_up(self) -> bool:
        """Whether taps may be claimed."""
        return self.link is Link.UP


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage as the journal keeps it, so that a restart neither forgets it nor tells of it twice."""

    since: Micros
    told: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """How the first sends are spread after an outage. ``seed`` is drawn once an outage."""

    over_us: int
    seed: bytes


def remembered(outage: Outage, now: Micros) -> Standing:
    """The standing at a start that finds an outage unfinished: probed at once, before any tap is risked."""
    link = Link.TOLD if outage.told else Link.DOWN
    return Standing(link, Micros(min(outage.since, now)), 0, now)


def evidence(exchange: Exchange, *, fresh: bool = False) -> Input | None:
    """What an exchange shows of the host; None for nothing.

    ``fresh``: it was on a connection of its own. On a kept one silence shows nothing: a network that was cut
    looks the same as a TPS that is slow.
    """
    match exchange:
        case Answer():
            return Input.REACHED
        case NoAnswer():
            return Input.REACHED if fresh else None
        case NoConnection(cause) | CredentialRefused(cause) if cause in CREDENTIAL_TROUBLE:
            return Input.REACHED
        case NoConnection(cause) if cause in HOST_TROUBLE:
            return Input.TROUBLE
        case _:
            return None


def step(standing: Standing, given: Input, now: Micros) -> tuple[Standing, Effect]:
    """The next standing and what is to be done. Raises ValueError for an input that cannot happen there."""
    try:
        link, effect = TABLE[standing.link, given]
    except KeyError:
        raise ValueError(f"{given.name} cannot happen to a host that is {standing.link.value}") from None
    match effect:
        case Effect.BEGIN:
            return Standing(link, now, 0, later(now, PROBE_FIRST_US)), effect
        case Effect.PROBE:
            probes = standing.probes + 1
            return replace(standing, probes=probes, probe_due=later(now, probe_pause(probes))), effect
        case Effect.TELL:
            return replace(standing, link=link), effect
        case Effect.END:
            return Standing(link, now), effect
        case Effect.NOTHING:
            return standing, effect


def probe_pause(failed: int) -> int:
    """Microseconds to the next probe after ``failed`` of them: 5 s, doubling to 60 s."""
    return min(PROBE_FIRST_US << min(failed, 8), PROBE_LONGEST_US)


def has_lasted(standing: Standing, now: Micros) -> bool:
    """Whether the operator is to be told now."""
    return standing.link is Link.DOWN and now >= standing.since + TELL_AFTER_US


def next_look(standing: Standing) -> Micros | None:
    """When something is due by the clock; None while the host is up."""
    if standing.probe_due is None or standing.link is not Link.DOWN:
        return standing.probe_due
    return min(standing.probe_due, later(standing.since, TELL_AFTER_US))


def claimable_before(standing: Standing, hold_us: int | None, now: Micros) -> Micros | None:
    """Only rows made before this may be claimed; None for no such limit.

    ``hold_us``: how long a tap may wait for the host without using its rungs; None where it may not.
    """
    if standing.is_up or hold_us is None:
        return None
    return later(now, -hold_us)


def is_not_ours(outcome: Outcome) -> bool:
    """Whether nothing was tried because the work may be another daemon's by now."""
    return isinstance(outcome, NotSent) and outcome.cause == LEASE


def goes_back(outcome: Outcome, reason: AttemptReason) -> bool:
    """Whether an attempt that may wait goes back to its rung: the host was not there, so nothing was tried."""
    on_the_ladder = reason in (AttemptReason.LADDER, AttemptReason.HAND)
    return on_the_ladder and isinstance(outcome, NotSent) and outcome.cause in HOST_TROUBLE


def put_back(claimed: Claimed, outcome: Outcome) -> Settlement:
    """The row as it was before the claim: due as it was, the rung unused."""
    return Settlement(
        state=State.PENDING,
        cause=outcome.cause,
        due=claimed.started_at,
        may_have_charged=claimed.progress.may_have_charged,
        uncounted=True,
    )


def is_spread(outage: Outage, now: Micros) -> bool:
    """Whether the end of this outage is one that a fleet may share."""
    return now - outage.since > SPREAD_AFTER_US


def spread_due(spread: Spread, terminal: str, ended_at: Micros, place: int) -> Micros:
    """When a first send that waited is due: the terminal's own offset after the end, in the order of ``place``.

    Always later than ``ended_at``, which is how a row that was given its time is told from one that was not.
    """
    draw = int.from_bytes(hashlib.sha256(spread.seed + terminal.encode()).digest()[:8], "big")
    offset = draw * spread.over_us >> 64
    return later(ended_at, 1 + offset + place)


def unreachable(host: str, outage: Outage, waiting: int) -> NoticeDraft:
    """The word at half an hour."""
    key = cause_key(NoticeKind.OUTAGE, "unreachable", host)
    since = f"{iso_millis(outage.since)[:19]}Z"
    return NoticeDraft(NoticeKind.OUTAGE, key, f"not reachable since {since}; {_taps(waiting)}")


def reachable(host: str, outage: Outage, waiting: int, now: Micros) -> NoticeDraft:
    """The word at the end of an outage that was told."""
    key = cause_key(NoticeKind.OUTAGE, "reachable", host)
    since, lasted = f"{iso_millis(outage.since)[:19]}Z", _duration(now - outage.since)
    return NoticeDraft(NoticeKind.OUTAGE, key, f"reachable again after {lasted} (since {since}); {_taps(waiting)}")


def _taps(waiting: int) -> str:
    return "1 tap waits" if waiting == 1 else f"{waiting} taps wait"


def _duration(us: int) -> str:
    hours, minutes = us // HOUR, us % HOUR // MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
