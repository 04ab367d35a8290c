"""TAP, the message that matters: what a validator says about one card (links.md "Messages").

No repr and no error shows card data or the card token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device.tlv import Tlv, TlvError, encode, spans
from device.vl1.codes import MessageNumber, Oda, Shown, TapKind
from device.vl1.fields import FieldError, FieldList, Fields
from device.vl1.greeting import TapNumber
from device.vl1.limits import SERIAL_MAX, TOKEN_SIZE

TAP = 0xDF8A01
_TAPPED_AT = 0xDF8A02
_KIND = 0xDF8A03
_AMOUNT = 0xDF8A04
_CURRENCY = 0xDF8A05
_STOP = 0xDF8A06
_ODA = 0xDF8A07
_TOKEN = 0xDF8A08
_AGE = 0xDF8A09
_SHOWN = 0xDF8A0A
_WHERE = 0xFF8A10
_ROUTE = 0xDF8A11
_TRIP = 0xDF8A12
_VEHICLE = 0xDF8A13
_POSITION = 0xDF8A14

_OWN_FAMILIES = frozenset({0xDF8A, 0xFF8A})  # VL1's own fields, known or not; all else in a TAP is the card's


@dataclass(frozen=True, slots=True)
class Position:
    """Millionths of a degree, north and east positive. Without a fix it may be anything: not checked."""

    latitude: int
    longitude: int


@dataclass(frozen=True, slots=True)
class Where:
    """``FF8A10``: where the tap was made."""

    route: str | None = None
    trip: str | None = None
    vehicle: str | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class TapMessage:
    """TAP. Times in microseconds since 1970 UTC, amounts in minor units, currency as three digits.

    ``kind`` is a ``TapKind`` where known. ``age_ms`` is the time between tap and this sending. ``card`` holds
    the top-level TLVs that are not VL1's own, in order.
    """

    tap: TapNumber
    tapped_at: int | None = None
    kind: int = TapKind.LANE
    amount: int | None = None
    currency: str | None = None
    stop: str | None = None
    oda: Oda = Oda.NOT_DONE
    token: bytes | None = field(default=None, repr=False)
    age_ms: int | None = None
    shown: Shown = Shown.NOTHING
    where: Where = Where()
    card: tuple[Tlv, ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """Its payload; what is unknown, not done or not shown is left out. Raises FieldError."""
        fields = FieldList()
        fields.octets(TAP, self.tap.encode())
        fields.number(_TAPPED_AT, self.tapped_at, 8)
        fields.number(_KIND, self.kind, 1)
        fields.number(_AMOUNT, self.amount, 4)
        fields.digits(_CURRENCY, self.currency, 2)
        fields.text(_STOP, self.stop, SERIAL_MAX)
        fields.number(_ODA, self.oda or None, 1)
        fields.octets(_TOKEN, self.token, TOKEN_SIZE)
        fields.number(_AGE, self.age_ms, 4)
        fields.number(_SHOWN, self.shown or None, 1)
        fields.template(_WHERE, _encode_where(self.where))
        return bytes((MessageNumber.TAP,)) + encode((*fields.items, *self.card))

    @classmethod
    def parse(cls, items: tuple[Tlv, ...]) -> TapMessage:
        """From its TLVs. Raises FieldError; only the tap id must be there."""
        fields = Fields(items)
        number = fields.octets(TAP, 8)
        if number is None:
            raise FieldError(TAP, "is missing")
        return cls(
            tap=TapNumber.parse(number),
            tapped_at=fields.number(_TAPPED_AT, 8),
            kind=fields.number(_KIND, 1) or TapKind.LANE,
            amount=fields.number(_AMOUNT, 4),
            currency=fields.digits(_CURRENCY, 2, 3),
            stop=fields.text(_STOP, SERIAL_MAX),
            oda=Oda(fields.number_up_to(_ODA, max(Oda)) or Oda.NOT_DONE),
            token=fields.octets(_TOKEN, TOKEN_SIZE),
            age_ms=fields.number(_AGE, 4),
            shown=Shown(fields.number_up_to(_SHOWN, max(Shown)) or Shown.NOTHING),
            where=_parse_where(fields.children(_WHERE)),
            card=tuple(item for item in items if item.tag >> 8 not in _OWN_FAMILIES),
        )


def stable_payload(payload: bytes) -> bytes:
    """A TAP's payload without its outermost ``DF8A09`` and ``DF8A0A``, the rest byte for byte.

    These two may change between sendings of one tap; what is left is its identity (design 4). A payload whose
    outermost level cannot be read is returned as it is.
    """
    try:
        changing = [span for span in spans(payload[1:]) if span.tag in (_AGE, _SHOWN)]
    except TlvError:
        return payload
    stable, at = payload[:1], 1
    for span in changing:
        stable += payload[at : 1 + span.start]
        at = 1 + span.end
    return stable + payload[at:]


def with_age_and_shown(stored: bytes, age_ms: int | None, shown: Shown) -> bytes:
    """A stored TAP payload as one sending of it goes out; ``stable_payload`` takes both off again.

    ``age_ms`` is None where the validator's timer did not run all the time since the tap.
    """
    fields = FieldList()
    fields.number(_AGE, age_ms, 4)
    fields.number(_SHOWN, shown, 1)
    return stored + encode(fields.items)


def read_tap_number(payload: bytes) -> TapNumber | None:
    """The tap id of a payload that may be damaged elsewhere; None unless it is there once and whole."""
    found = []
    try:
        for span in spans(payload[1:]):
            if span.tag == TAP:
                found.append(payload[1 + span.value_at : 1 + span.end])
    except TlvError:
        pass  # what stood before the fault still counts
    return TapNumber.parse(found[0]) if len(found) == 1 and len(found[0]) == 8 else None


def _encode_where(where: Where) -> list[Tlv]:
    fields = FieldList()
    fields.text(_ROUTE, where.route, SERIAL_MAX)
    fields.text(_TRIP, where.trip, SERIAL_MAX)
    fields.text(_VEHICLE, where.vehicle, SERIAL_MAX)
    if where.position is not None:
        both = (where.position.latitude, where.position.longitude)
        fields.octets(_POSITION, b"".join(part.to_bytes(4, "big", signed=True) for part in both))
    return fields.items


def _parse_where(fields: Fields | None) -> Where:
    if fields is None:
        return Where()
    both = fields.octets(_POSITION, 8)
    return Where(
        route=fields.text(_ROUTE, SERIAL_MAX),
        trip=fields.text(_TRIP, SERIAL_MAX),
        vehicle=fields.text(_VEHICLE, SERIAL_MAX),
        position=None
        if both is None
        else Position(int.from_bytes(both[:4], "big", signed=True), int.from_bytes(both[4:], "big", signed=True)),
    )
