"""A request made from a kept tap under the configuration now in force: anew (design 2), or when the time is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from device.tlv import TlvError, decode
from tpsd.core.intake import LanePolicy, Setting
from tpsd.core.operations import Refusal
from tpsd.core.requests import TransactionRequest
from tpsd.domain.authorisation import Draft, Ladder
from tpsd.domain.card import CardToken
from tpsd.domain.time import Micros
from tpsd.emv import tapdata
from tpsd.emv.reading import card_token, read_card


@dataclass(frozen=True, slots=True)
class KeptTap:
    """What the journal keeps of a tap for this. ``card`` is the BER-TLV as it arrived; amounts in minor units."""

    uuid: str
    type: str  # Sfey's transactionType
    serial: str
    type_name: str
    lane: str
    tapped_at: Micros
    amount: int
    currency: str
    token: CardToken | None
    card: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The new transaction for the same tap. ``terminal`` is ``type:serial``."""

    old: str
    draft: Draft
    terminal: str
    token: CardToken | None
    ladder: Ladder
    card: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for a tap, and the card token that stands in it."""

    path: str
    body: bytes = field(repr=False)
    token: CardToken | None


def rebuild(kept: KeptTap, lane: LanePolicy | None, setting: Setting, uuid: UUID) -> Rebuilt | Refusal:
    """The request as intake would make it now. ``lane``: the lane of that name now in force, None for none."""
    if lane is None:
        return _NO_LANE
    terminal_sn, terminal_type = lane.terminal_sn or kept.serial, lane.terminal_type or kept.type_name
    made = request_of(kept, terminal_sn, terminal_type, setting, uuid)
    if isinstance(made, Refusal):
        return made
    draft = Draft(uuid, kept.type, made.path, made.body, lane.credential, kept.amount, kept.currency)
    return Rebuilt(kept.uuid, draft, f"{terminal_type}:{terminal_sn}", made.token, setting.ladder, kept.card)


def request_of(kept: KeptTap, terminal_sn: str, terminal_type: str, setting: Setting, uuid: UUID) -> Request | Refusal:
    """The request of a kept tap for a terminal, as intake would make it now."""
    try:
        data = tapdata.read(decode(kept.card))
    except TlvError:
        return _UNREADABLE
    if isinstance(data, tapdata.CardFault):
        return _UNREADABLE
    ttk = setting.keys.ttk_of(f"{terminal_type}:{terminal_sn}")
    if data.mode == tapdata.CLEAR_MODE and setting.production and ttk is None:
        return _CLEAR
    card = read_card(data.clear)
    token = card_token(setting.keys.salt, card.pan) if setting.keys.salt and card.pan else kept.token
    path, body = setting.serialise(
        TransactionRequest(
            uuid=uuid,
            company_id=setting.operator.company_id,
            stock_location_id=setting.operator.stock_location_id,
            terminal_sn=terminal_sn,
            terminal_type=terminal_type,
            validator_serial=kept.serial,
            validator_type=kept.type_name,
            type=kept.type,
            tapped_at=kept.tapped_at,
            amount=kept.amount,
            currency=kept.currency,
            pan_token=token,
            tag=tapdata.envelope(data, ttk),
        )
    )
    return Request(path, body, token)


_NO_LANE: Final = Refusal(
    "its lane is not in this daemon's configuration: put it back, order it at its own daemon, or leave out --rebuild"
)
_UNREADABLE: Final = Refusal("its kept card data cannot be read, so no new request can be made of it")
_CLEAR: Final = Refusal("its card data is clear, and production needs [keys] ttk_file to encrypt it")
