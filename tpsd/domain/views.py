"""Rows as people read them: what the command line, the admin socket and mails show. No card data beyond the mask."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class TapRow:
    """One tap with the present state of its authorisation, if it has one. Times in wall-clock microseconds."""

    number: int
    tap_id: str | None
    lane: str
    terminal: str
    kind: str | None
    tapped_at: Micros
    received_at: Micros
    amount: int | None
    currency: str | None
    masked: str | None
    verdict: int | None
    reason: str
    disposition: str | None
    repeats: int
    unseen: bool
    uuid: str | None
    state: str | None
    cause: str | None
    attempts: int
    due: Micros | None
    may_have_charged: bool


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One send and what came of it. Times on the schedule clock."""

    number: int
    release: int
    reason: str
    started_at: Micros
    ended_at: Micros | None
    outcome: str | None
    cause: str | None
    may_have_charged: bool


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A notice about a tap, and whether its mail was accepted by SMTP."""

    kind: str
    cause: str
    created_at: Micros
    message_id: str | None
    mailed_at: Micros | None


@dataclass(frozen=True, slots=True)
class TapStory:
    """Everything the journal knows of one tap that may be shown. ``body_kept``: card data still stands sealed.

    From ``delivered`` on None where it does not apply. ``delivered``: whether the validator's link took an accepting
    realtime verdict. ``journey`` with its state; ``follows``: the UUID of the transaction that this one follows.
    """

    tap: TapRow
    token: str | None
    stop: str | None
    config_digest: str
    path: str | None
    credential: str | None
    body_kept: bool
    attempts: tuple[AttemptRow, ...]
    notices: tuple[NoticeLine, ...]
    list_version: int | None = None  # the deny list's, when the tap was decided
    token_key: str | None = None  # the version of the key of its token; None: the validator's token, or none
    delivered: str | None = None
    zone: str | None = None
    approved_amount: int | None = None
    follows: str | None = None
    journey: int | None = None
    journey_state: str | None = None


@dataclass(frozen=True, slots=True)
class JourneyRow:
    """A journey with its check-in's tap and its latest check-out. ``opened_at`` wall clock; amounts in minor units."""

    id: int
    state: str
    lane: str
    zone: str | None
    opened_at: Micros
    ended_at: Micros | None
    tries: int
    held: int
    currency: str
    check_in: str
    tap: int | None
    masked: str | None
    check_out: str | None
    check_out_state: str | None
    check_out_amount: int | None
    token_key: str | None  # the version of the token key that it is known under


@dataclass(frozen=True, slots=True)
class TapFilter:
    """Which taps to list; None = any. Newest first.

    ``state`` is an authorisation's state, a disposition, or ``unseen``: what the passenger was shown is not what was
    charged, or nobody knows.
    """

    lane: str | None = None
    state: str | None = None
    cause: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class JournalTotals:
    """The journal on one screen. Keys are the journal's own words; ``oldest_pending`` on the schedule clock."""

    taps: int
    verdicts: dict[str, int]
    dispositions: dict[str, int]
    states: dict[str, int]
    sends: int
    oldest_pending: Micros | None
    next_due: Micros | None
    mails_waiting: int
    mails_accepted: int
