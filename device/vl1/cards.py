"""Scheme test cards for the simulated validator: what a contactless kernel would hand over for each.

Every number is a test number that the schemes or their acquirers publish; none belongs to anybody. The tags are
those of the mass-transit list in sfey.md 3. Cryptograms and unpredictable numbers come from a random source that
is handed in: they are no real cryptograms, and nothing here could make one.
"""

from __future__ import annotations

import random
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime

from device.tlv import Tlv

MODE = 0xDFFF8401
CLEAR_CARD_DATA = 0xFFFF8406


@dataclass(frozen=True, slots=True)
class SimulatedCard:
    """One test card. ``expiry`` is YYMM as on track 2, ``aid`` the application it answers with."""

    name: str
    pan: str = field(repr=False)
    aid: str
    expiry: str = "3112"
    service_code: str = "201"
    sequence: int = 1

    @property
    def track2(self) -> bytes:
        """Track 2 equivalent data (EMV Book 3, tag 57), padded with F to whole bytes."""
        digits = f"{self.pan}D{self.expiry}{self.service_code}0000000000"
        return bytes.fromhex(digits + "F" * (len(digits) % 2))

    @property
    def expiry_date(self) -> bytes:
        """Tag 5F24: YYMMDD, the last day of the month."""
        year, month = 2000 + int(self.expiry[:2]), int(self.expiry[2:])
        return bytes.fromhex(f"{self.expiry}{monthrange(year, month)[1]:02}")


_VISA = "A0000000031010"
_MASTERCARD = "A0000000041010"
_MAESTRO = "A0000000043060"
_AMEX = "A000000025010801"
_DISCOVER = "A0000001523010"
_JCB = "A0000000651010"

CARDS = (
    SimulatedCard("visa", "4761739001010119", _VISA),
    SimulatedCard("visa-2", "4111111111111111", _VISA),
    SimulatedCard("visa-3", "4012888888881881", _VISA),
    SimulatedCard("mastercard", "5413330089010012", _MASTERCARD),
    SimulatedCard("mastercard-2", "5555555555554444", _MASTERCARD),
    SimulatedCard("mastercard-3", "5105105105105100", _MASTERCARD),
    SimulatedCard("maestro", "6759649826438453", _MAESTRO),
    SimulatedCard("amex", "378282246310005", _AMEX),
    SimulatedCard("discover", "6011111111111117", _DISCOVER),
    SimulatedCard("jcb", "3530111333300000", _JCB),
)
"""Good until December 2031."""

INDEBTED = SimulatedCard("visa-indebted", "4242424242424242", _VISA)
"""For a deny list: no simulated passenger carries it by chance."""

EXPIRED = SimulatedCard("visa-expired", "4761739001010119", _VISA, expiry="2212")


def read(
    card: SimulatedCard,
    rng: random.Random,
    *,
    amount: int,
    currency: str,
    tapped_at: int,
    counter: int,
    country: str = "0208",
) -> tuple[Tlv, ...]:
    """What the reader makes of one tap, as mode 00 of sfey.md 3: DFFF8401 and everything else in FFFF8406.

    ``amount`` in minor units; ``currency`` (three digits) and ``country`` by ISO 4217 and 3166; ``tapped_at`` in
    microseconds since 1970 UTC; ``counter`` is the card's own, tag 9F36.
    """
    date = datetime.fromtimestamp(tapped_at // 1_000_000, UTC).strftime("%y%m%d")
    parts = {
        0x57: card.track2,
        0x5A: bytes.fromhex(card.pan + "F" * (len(card.pan) % 2)),
        0x5F24: card.expiry_date,
        0x5F34: bytes((card.sequence,)),
        0x82: bytes.fromhex("2000"),
        0x84: bytes.fromhex(card.aid),
        0x95: bytes(5),
        0x9A: bytes.fromhex(date),
        0x9C: bytes(1),
        0x9F02: bytes.fromhex(f"{amount:012}"),
        0x9F03: bytes(6),
        0x9F10: bytes.fromhex("06011203A00000"),
        0x9F1A: bytes.fromhex(country.zfill(4)),
        0x5F2A: bytes.fromhex(currency.zfill(4)),
        0x9F26: rng.randbytes(8),
        0x9F27: bytes.fromhex("80"),
        0x9F33: bytes.fromhex("0008C8"),
        0x9F34: bytes.fromhex("1F0302"),
        0x9F36: counter.to_bytes(2, "big"),
        0x9F37: rng.randbytes(4),
    }
    clear = Tlv.template(CLEAR_CARD_DATA, (Tlv(tag, value) for tag, value in parts.items()))
    return (Tlv(MODE, b"\x00"), clear)
