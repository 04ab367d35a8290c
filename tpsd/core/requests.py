"""What a transaction request says, before any wire format: plain values, checked together.

It knows no JSON, no path and no Base64; ``tpsd.sfey.messages`` makes of it the bytes that every send carries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from tpsd.domain.card import CardToken
from tpsd.domain.money import Money
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros

VALIDATION_OK = "OK"  # sfey.md 2: TPS refuses any other status (code 59), so a tap that is not OK is not sent

_FOLLOWS_ANOTHER = frozenset({Kind.RETAIL_CHECK_OUT.value, Kind.RETAIL_REFUND.value})
_KNOWN = frozenset(kind.value for kind in Kind)


def follows_another(type_: str) -> bool:
    """Whether a transaction of this type names the one it follows: a check-out or a refund (sfey.md 2)."""
    return type_ in _FOLLOWS_ANOTHER


@dataclass(frozen=True, slots=True)
class TransactionRequest:
    """One transaction for TPS (sfey.md 2). Raises ValueError when its parts do not fit together.

    ``type`` is one of ``Kind``'s values. ``tapped_at`` is the tap's wall time; ``amount`` in minor units of
    ``currency`` (three digits). ``initial_uuid`` for a check-out (its check-in) and a refund, None otherwise.
    ``tag`` is the tap data as BER-TLV (sfey.md 3); empty only where no card started it: a check-out or refund by hand.
    """

    uuid: UUID
    company_id: int
    stock_location_id: int
    terminal_sn: str
    terminal_type: str
    validator_serial: str
    validator_type: str
    type: str
    tapped_at: Micros
    amount: int
    currency: str
    tag: bytes = field(default=b"", repr=False)
    initial_uuid: UUID | None = None
    validation_status: str = VALIDATION_OK
    pan_token: CardToken | None = None

    def __post_init__(self) -> None:
        if self.type not in _KNOWN:
            raise ValueError(f"{self.type!r} is not a transaction type; known: {', '.join(sorted(_KNOWN))}")
        if follows_another(self.type) != (self.initial_uuid is not None):
            wanted = "needs" if follows_another(self.type) else "cannot have"
            raise ValueError(f"{self.type} {wanted} the UUID of an initial transaction")
        for name in ("terminal_sn", "terminal_type", "validator_serial", "validator_type"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty")
        if not self.tag and not follows_another(self.type):
            raise ValueError("the tap data is empty: a card started this transaction (sfey.md 3)")
        Money(self.amount, self.currency)
