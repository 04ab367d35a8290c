"""A tap as the log has it, as a link would deliver it: with a stand-in card that decides what the card decided.

No number stands in: a log has none, and a made one could be somebody's. Token, masked number and payload digest come
from the log, through the fields in which a validator that makes its own tokens sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from device.tlv import Tlv
from tpsd.domain.card import CardToken, MaskedPan
from tpsd.domain.tap import Oda, Shown, TapReport
from tpsd.domain.time import micros_of
from tpsd.emv import tapdata
from tpsd.emv.reading import EXPIRY, PAN

_GOOD_UNTIL: Final = b"\x99\x12\x31"  # 5F24, YYMMDD: the last month that can be written
_EXPIRED: Final = b"\x00\x01\x31"
_NO_NUMBER: Final = b"\x00"  # too short for one: it is read as none
_STANDS_IN: Final = bytes(16)


def report_of(tap: Mapping[str, Any]) -> TapReport:
    """The report; its fingerprint is the payload's digest, so that repeats and clashes are what they were."""
    card = tap["card"]
    digest = bytes.fromhex(tap["digest"])
    tapped_at, token, masked = tap.get("tapped_at"), card.get("token"), card.get("masked")
    return TapReport(
        serial=tap["serial"],
        type_name=tap["type_name"],
        boot=tap.get("boot"),
        counter=tap.get("counter"),
        received_at=micros_of(tap["received_at"]),
        fingerprint=digest,
        payload=digest,
        kind=tap["code"],
        tapped_at=None if tapped_at is None else micros_of(tapped_at),
        age_ms=tap.get("age_ms"),
        amount=tap.get("amount"),
        currency=tap.get("currency"),
        stop=tap.get("stop"),
        where=tuple((name, text) for name, text in tap.get("where", ())),
        oda=Oda(tap.get("oda", 0)),
        token=None if token is None else CardToken(token),
        shown=Shown(tap.get("shown", 0)),
        card=stand_in(card),
        masked_pan=None if masked is None else MaskedPan(masked),
        fault=tap.get("fault"),
    )


def stand_in(card: Mapping[str, Any]) -> tuple[Tlv, ...]:
    """Tap data of the same mode, as good or as faulty, expired or not."""
    mode = card.get("mode")
    match card.get("fault"):
        case None:
            pass
        case "no_card_data":
            return ()
        case _:
            return (Tlv(tapdata.MODE, b"\x00\x00"),)
    if mode is None:
        return ()
    if mode == tapdata.CLEAR_MODE:
        return (Tlv(tapdata.MODE, b"\x00"), Tlv.template(tapdata.CLEAR, _clear(card.get("expired"))))
    needed = tapdata.NEEDED.get(mode, ())
    return tuple(Tlv(tag, bytes([mode]) if tag == tapdata.MODE else _STANDS_IN) for tag in
                 (tapdata.MODE, *needed, tapdata.CIPHERTEXT))  # fmt: skip


def _clear(expired: bool | None) -> tuple[Tlv, ...]:
    number = Tlv(PAN, _NO_NUMBER)
    if expired is None:
        return (number,)
    return (number, Tlv(EXPIRY, _EXPIRED if expired else _GOOD_UNTIL))
