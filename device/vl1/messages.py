"""The messages that DATA frames carry: TAP, TAP_KEPT, VERDICT, STATUS, CONFIG (links.md "Messages").

A payload is one byte message number, then TLVs. Unknown tags are ignored. What a verdict or a kind means is
judged elsewhere: numbers that a later firmware may add to stay plain integers. No repr and no error shows
card data or the card token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from device.tlv import Tlv, TlvError, decode, encode
from device.vl1.codes import ACCEPTING, Light, MessageNumber, Oda, Shown, StatusState, TapKind, VerdictCode
from device.vl1.fields import FieldError, FieldList, Fields, clipped
from device.vl1.greeting import GreetingError, Hello, HelloAck, TapNumber
from device.vl1.limits import SERIAL_MAX, TEXT_MAX
from device.vl1.tap_message import (
    TAP,
    Position,
    TapMessage,
    Where,
    read_tap_number,
    stable_payload,
    with_age_and_shown,
)

__all__ = [
    "Beeps",
    "ConfigMessage",
    "GreetingError",
    "Hello",
    "HelloAck",
    "Light",
    "Message",
    "MessageError",
    "MessageNumber",
    "Oda",
    "Position",
    "Shown",
    "StatusMessage",
    "StatusState",
    "TapKeptMessage",
    "TapKind",
    "TapMessage",
    "TapNumber",
    "VerdictCode",
    "VerdictMessage",
    "Where",
    "clipped",
    "decode_message",
    "read_tap_number",
    "stable_payload",
    "with_age_and_shown",
]

_VERDICT, _REASON, _TEXT, _LIGHT = 0xDF8A21, 0xDF8A22, 0xDF8A23, 0xDF8A24
_BEEPS, _CHARGED, _SHOW_SECONDS = 0xDF8A25, 0xDF8A26, 0xDF8A27
_STATE, _STATE_TEXT, _UPTIME = 0xDF8A31, 0xDF8A32, 0xDF8A33
_TIME, _LANGUAGE, _IDLE_TEXT, _LANE_OPEN = 0xDF8A41, 0xDF8A42, 0xDF8A43, 0xDF8A44

T = TypeVar("T")

_LONG_BEEP = 0x80
_BEEP_COUNT = 0x0F


class MessageError(ValueError):
    """A DATA payload cannot be understood.

    ``number`` is its first byte, None if there is none; ``tap`` the tap id if that could be read; the text
    says what is wrong in our own words, naming tags and offsets, never values.
    """

    def __init__(self, what: str, number: int | None, tap: TapNumber | None = None) -> None:
        self.what = what
        self.number = number
        self.tap = tap
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class Beeps:
    """``DF8A25``: so many short ones, at most 15, and whether one long."""

    count: int = 0
    long: bool = False

    @property
    def octet(self) -> int:
        """As it stands on the wire."""
        return min(self.count, _BEEP_COUNT) | (_LONG_BEEP if self.long else 0)


@dataclass(frozen=True, slots=True)
class TapKeptMessage:
    """TAP_KEPT: committed, safe, not yet decided."""

    tap: TapNumber

    def encode(self) -> bytes:
        """Its payload."""
        return _payload(MessageNumber.TAP_KEPT, [Tlv(TAP, self.tap.encode())])

    @classmethod
    def parse(cls, items: tuple[Tlv, ...]) -> TapKeptMessage:
        """From its TLVs. Raises FieldError."""
        return cls(TapNumber.parse(_needed(TAP, Fields(items).octets(TAP, 8))))


@dataclass(frozen=True, slots=True)
class VerdictMessage:
    """VERDICT. ``verdict`` is a ``VerdictCode`` where known.

    Without ``tap`` it answers the oldest TAP of this session whose id could not be read. ``reason``: ASCII of
    at most 32, ``text``: at most 64 bytes with at most one newline (``clipped``), ``amount`` in minor units.
    """

    tap: TapNumber | None
    verdict: int
    reason: str | None = None
    text: str | None = None
    light: int | None = None
    beeps: Beeps | None = None
    amount: int | None = None
    show_seconds: int | None = None

    @property
    def accepts(self) -> bool:
        """Whether the passenger may travel on it."""
        return self.verdict in ACCEPTING

    def encode(self) -> bytes:
        """Its payload. Raises FieldError for what does not fit."""
        if self.reason is not None and not self.reason.isascii():
            raise FieldError(_REASON, "must be ASCII")
        fields = FieldList()
        fields.octets(TAP, None if self.tap is None else self.tap.encode())
        fields.number(_VERDICT, self.verdict, 1)
        fields.text(_REASON, self.reason, SERIAL_MAX)
        fields.text(_TEXT, self.text, TEXT_MAX, newlines=1)
        fields.number(_LIGHT, self.light, 1)
        fields.number(_BEEPS, None if self.beeps is None else self.beeps.octet, 1)
        fields.number(_CHARGED, self.amount, 4)
        fields.number(_SHOW_SECONDS, self.show_seconds, 1)
        return _payload(MessageNumber.VERDICT, fields.items)

    @classmethod
    def parse(cls, items: tuple[Tlv, ...]) -> VerdictMessage:
        """From its TLVs. Raises FieldError."""
        fields = Fields(items)
        tap, beeps = fields.octets(TAP, 8), fields.number(_BEEPS, 1)
        return cls(
            tap=None if tap is None else TapNumber.parse(tap),
            verdict=_needed(_VERDICT, fields.number(_VERDICT, 1)),
            reason=fields.text(_REASON, SERIAL_MAX),
            text=fields.text(_TEXT, TEXT_MAX, newlines=1),
            light=fields.number(_LIGHT, 1),
            beeps=None if beeps is None else Beeps(beeps & _BEEP_COUNT, bool(beeps & _LONG_BEEP)),
            amount=fields.number(_CHARGED, 4),
            show_seconds=fields.number(_SHOW_SECONDS, 1),
        )


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """STATUS. ``state`` is a ``StatusState`` where known; uptime in seconds."""

    state: int
    text: str | None = None
    uptime_seconds: int | None = None

    def encode(self) -> bytes:
        """Its payload. Raises FieldError for what does not fit."""
        fields = FieldList()
        fields.number(_STATE, self.state, 1)
        fields.text(_STATE_TEXT, self.text, TEXT_MAX)
        fields.number(_UPTIME, self.uptime_seconds, 4)
        return _payload(MessageNumber.STATUS, fields.items)

    @classmethod
    def parse(cls, items: tuple[Tlv, ...]) -> StatusMessage:
        """From its TLVs. Raises FieldError."""
        fields = Fields(items)
        return cls(
            state=_needed(_STATE, fields.number(_STATE, 1)),
            text=fields.text(_STATE_TEXT, TEXT_MAX),
            uptime_seconds=fields.number(_UPTIME, 4),
        )


@dataclass(frozen=True, slots=True)
class ConfigMessage:
    """CONFIG; None leaves a setting as it is. ``time_us`` only while the daemon's clock is trusted."""

    lane_open: bool | None = None
    time_us: int | None = None
    language: str | None = None
    idle_text: str | None = None

    def encode(self) -> bytes:
        """Its payload. Raises FieldError for what does not fit."""
        fields = FieldList()
        fields.number(_TIME, self.time_us, 8)
        fields.octets(_LANGUAGE, None if self.language is None else self.language.encode(), 2)
        fields.text(_IDLE_TEXT, self.idle_text, TEXT_MAX, newlines=1)
        fields.number(_LANE_OPEN, None if self.lane_open is None else int(self.lane_open), 1)
        return _payload(MessageNumber.CONFIG, fields.items)

    @classmethod
    def parse(cls, items: tuple[Tlv, ...]) -> ConfigMessage:
        """From its TLVs. Raises FieldError."""
        fields = Fields(items)
        fields.octets(_LANGUAGE, 2)  # two letters, no fewer
        lane_open = fields.number_up_to(_LANE_OPEN, 1)
        return cls(
            lane_open=None if lane_open is None else bool(lane_open),
            time_us=fields.number(_TIME, 8),
            language=fields.text(_LANGUAGE, 2),
            idle_text=fields.text(_IDLE_TEXT, TEXT_MAX, newlines=1),
        )


Message: TypeAlias = TapMessage | TapKeptMessage | VerdictMessage | StatusMessage | ConfigMessage

_PARSERS: Mapping[int, Callable[[tuple[Tlv, ...]], Message]] = MappingProxyType(
    {
        MessageNumber.TAP: TapMessage.parse,
        MessageNumber.TAP_KEPT: TapKeptMessage.parse,
        MessageNumber.VERDICT: VerdictMessage.parse,
        MessageNumber.STATUS: StatusMessage.parse,
        MessageNumber.CONFIG: ConfigMessage.parse,
    }
)


def decode_message(payload: bytes) -> Message:
    """The message in a DATA payload. Raises MessageError; its offsets count from behind the number."""
    if not payload:
        raise MessageError("an empty message", None)
    number = payload[0]
    if number not in _PARSERS:
        raise MessageError(f"message number {number:02X} is not known", number)
    try:
        return _PARSERS[number](decode(payload[1:]))
    except (TlvError, FieldError) as exc:
        raise MessageError(f"{MessageNumber(number).name}: {exc}", number, read_tap_number(payload)) from exc


def _payload(number: MessageNumber, items: list[Tlv]) -> bytes:
    return bytes((number,)) + encode(items)


def _needed(tag: int, value: T | None) -> T:
    if value is None:
        raise FieldError(tag, "is missing")
    return value
