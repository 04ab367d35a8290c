"""Requests that follow another transaction and need no card: a refund, a check-out by hand, a release (design 3 and 4).

What they carry beside the first one's UUID is assumed: everything of a request but the tap data and the card token.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tpsd.core.candidate import Setting
from tpsd.core.notices import cause_key
from tpsd.core.requests import TransactionRequest
from tpsd.domain.authorisation import Draft, State
from tpsd.domain.journey import Journey
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class Original:
    """The transaction that another one follows. Amounts in minor units of ``currency``.

    ``terminal`` is ``type:serial``; ``charged`` what TPS approved; ``journey`` the one that it began, if any.
    ``settled_at``: when TPS approved it, on the wall clock.
    """

    uuid: str
    kind: Kind
    state: State
    lane: str
    terminal: str
    serial: str
    type_name: str
    credential: str
    amount: int
    charged: int
    currency: str
    settled_at: Micros | None = None
    journey: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Under which terminal, validator and credential a request goes."""

    terminal_sn: str
    terminal_type: str
    serial: str
    type_name: str
    credential: str


def follow(original: Original, kind: Kind, amount: int, at: Micros, uuid: UUID, setting: Setting) -> Draft:
    """The request of ``kind`` that follows ``original``, made ``at`` (wall clock), under the same terminal."""
    terminal_type, _, terminal_sn = original.terminal.partition(":")
    type_name = original.type_name or terminal_type
    place = Place(terminal_sn, terminal_type, original.serial, type_name, original.credential)
    return _following(original.uuid, kind, amount, original.currency, at, uuid, place, setting)


def closing(journey: Journey, uuid: UUID, place: Place, setting: Setting) -> Draft:
    """The check-out that ends a journey whose passenger checks in anew: all that the check-in holds is charged."""
    kind, at = Kind.RETAIL_CHECK_OUT, journey.opened_at
    return _following(journey.check_in, kind, journey.held, journey.currency, at, uuid, place, setting)


def _following(
    initial: str, kind: Kind, amount: int, currency: str, at: Micros, uuid: UUID, place: Place, setting: Setting
) -> Draft:
    path, body = setting.serialise(
        TransactionRequest(
            uuid=uuid,
            company_id=setting.operator.company_id,
            stock_location_id=setting.operator.stock_location_id,
            terminal_sn=place.terminal_sn,
            terminal_type=place.terminal_type,
            validator_serial=place.serial,
            validator_type=place.type_name,
            type=kind.value,
            tapped_at=at,
            amount=amount,
            currency=currency,
            initial_uuid=UUID(initial),
        )
    )
    return Draft(uuid, kind.value, path, body, place.credential, amount, currency, initial)


def not_given_back(terminal: str) -> NoticeDraft:
    """What the operator hears when TPS declines a refund or release that nobody ordered."""
    key = cause_key(NoticeKind.UNSEEN, "not_given_back", terminal)
    return NoticeDraft(NoticeKind.UNSEEN, key, "TPS declined to give back what a passenger paid who was turned away")


def giving_back(original: Original, amount: int) -> tuple[Kind, int]:
    """How an approved amount is given back: what a check-in holds is released by a check-out of nothing [assumed]."""
    if original.kind is Kind.RETAIL_CHECK_IN:
        return Kind.RETAIL_CHECK_OUT, 0
    return Kind.RETAIL_REFUND, amount
