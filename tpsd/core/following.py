"""Requests that follow another transaction and need no card: a refund, a check-out by hand, a release (design 3 and 4).

What they carry beside the first one's UUID is assumed: everything of a request but the tap data and the card token.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tpsd.core.candidate import Setting
from tpsd.core.requests import TransactionRequest
from tpsd.domain.authorisation import Draft, State
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


def follow(original: Original, kind: Kind, amount: int, at: Micros, uuid: UUID, setting: Setting) -> Draft:
    """The request of ``kind`` that follows ``original``, made ``at`` (wall clock), under the same terminal."""
    terminal_type, _, terminal_sn = original.terminal.partition(":")
    path, body = setting.serialise(
        TransactionRequest(
            uuid=uuid,
            company_id=setting.operator.company_id,
            stock_location_id=setting.operator.stock_location_id,
            terminal_sn=terminal_sn,
            terminal_type=terminal_type,
            validator_serial=original.serial,
            validator_type=original.type_name or terminal_type,
            type=kind.value,
            tapped_at=at,
            amount=amount,
            currency=original.currency,
            initial_uuid=UUID(original.uuid),
        )
    )
    return Draft(uuid, kind.value, path, body, original.credential, amount, original.currency, original.uuid)


def giving_back(original: Original, amount: int) -> tuple[Kind, int]:
    """How an approved amount is given back: what a check-in holds is released by a check-out of nothing [assumed]."""
    if original.kind is Kind.RETAIL_CHECK_IN:
        return Kind.RETAIL_CHECK_OUT, 0
    return Kind.RETAIL_REFUND, amount
