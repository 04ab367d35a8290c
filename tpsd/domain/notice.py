"""Notices: rows written in the same commit as the state they tell of; mails are made from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tpsd.domain.time import Micros


class NoticeKind(Enum):
    """What an operator is told of. ``alarm`` is for contradictions and clashes that need an engineer."""

    PERMANENTLY_FAILED = "permanently_failed"
    HELD = "held"
    TAP_REFUSED = "tap_refused"
    IN_DOUBT = "in_doubt"
    UNSEEN = "unseen"
    ALARM = "alarm"
    OUTAGE = "outage"
    BODY_GOES = "body_goes"
    JOURNEY = "journey"


@dataclass(frozen=True, slots=True)
class NoticeDraft:
    """One row to write. ``cause`` is the key under which mails are gathered: ``held/system.41@GATE-X1:VAL00042``."""

    kind: NoticeKind
    cause: str
    detail: str = ""  # our own words, never card data or answer text


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice with what its mail lists of it. ``tapped_at`` wall clock; ``created_at`` schedule clock."""

    id: int
    kind: NoticeKind
    cause: str
    detail: str
    created_at: Micros
    tap: int | None
    tap_id: str | None
    uuid: str | None
    lane: str | None
    tapped_at: Micros | None
    amount: int | None
    currency: str | None
    masked: str | None
    attempts: int
    last_cause: str | None
    may_have_charged: bool
    state: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """A cause that lasts: its present window and its totals so far.

    ``step`` counts the windows since it began: 0 is the first. ``listed`` and ``amount_sum`` total the notices
    already mailed; ``mails`` the mails already made. Times on the schedule clock.
    """

    kind: NoticeKind
    cause: str
    step: int
    opened_at: Micros
    closes_at: Micros
    mails: int
    listed: int
    amount_sum: int


@dataclass(frozen=True, slots=True)
class MailDraft:
    """A mail frozen at the moment its window closed; a resend is this text under this Message-ID."""

    message_id: str
    subject: str
    text: str
    created_at: Micros


@dataclass(frozen=True, slots=True)
class MailRow:
    """A frozen mail that SMTP has not accepted yet. ``tries`` so far; ``due`` on the schedule clock."""

    id: int
    message_id: str
    subject: str
    text: str
    created_at: Micros
    tries: int
    due: Micros
