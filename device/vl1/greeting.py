"""The payloads that begin a session: HELLO and HELLO_ACK (links.md "Messages")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from device.tlv import TlvError, decode, encode
from device.vl1.fields import FieldError, FieldList, Fields
from device.vl1.limits import PAYLOAD_MAX, PAYLOAD_MIN, SERIAL_MAX, VERSION

_VERSIONS = 0xDF8A51
_PAYLOAD = 0xDF8A52
_SERIAL = 0xDF8A53
_TYPE_NAME = 0xDF8A54
_FIRMWARE = 0xDF8A55
_BOOT = 0xDF8A56
_LAST_TAP = 0xDF8A57
_LAST_KEPT = 0xDF8A58
_TIME = 0xDF8A41
_CAPABILITIES = 0xDF8A59

_CAN_TAKE_PIN = 0x01


class TapNumber(NamedTuple):
    """A validator's own number for a tap, ``DF8A01``; unique only together with the validator's serial."""

    boot: int
    counter: int

    @classmethod
    def parse(cls, value: bytes) -> TapNumber:
        """From its eight bytes."""
        return cls(int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big"))

    def encode(self) -> bytes:
        """Boot counter and tap counter, four bytes each, big-endian."""
        return self.boot.to_bytes(4, "big") + self.counter.to_bytes(4, "big")

    def __str__(self) -> str:
        return f"{self.boot}/{self.counter}"


class GreetingError(ValueError):
    """A HELLO or HELLO_ACK cannot be understood; the text says why, without values."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a validator says of itself. ``last_tap`` is the counter of the newest tap it has made."""

    serial: str
    boot: int
    last_tap: int
    type_name: str = ""
    firmware: str = ""
    versions: tuple[int, int] = (VERSION, VERSION)  # lowest and highest it speaks
    largest_payload: int = PAYLOAD_MAX  # bytes
    can_take_pin: bool = False  # it can ask for the card to be inserted, or for a PIN

    @property
    def is_usable(self) -> bool:
        """Whether it speaks the version spoken here, and takes every message that is sent down."""
        return self.versions[0] <= VERSION <= self.versions[1] and self.largest_payload >= PAYLOAD_MIN

    def encode(self) -> bytes:
        """Its payload. Raises FieldError for what does not fit."""
        fields = FieldList()
        fields.octets(_VERSIONS, bytes(self.versions), 2)
        fields.number(_PAYLOAD, self.largest_payload, 2)
        fields.text(_SERIAL, self.serial, SERIAL_MAX)
        fields.text(_TYPE_NAME, self.type_name, SERIAL_MAX)
        fields.text(_FIRMWARE, self.firmware, SERIAL_MAX)
        fields.number(_BOOT, self.boot, 4)
        fields.number(_LAST_TAP, self.last_tap, 4)
        fields.number(_CAPABILITIES, _CAN_TAKE_PIN if self.can_take_pin else None, 1)
        return encode(fields.items)

    @classmethod
    def parse(cls, payload: bytes) -> Hello:
        """Raises GreetingError. Versions, serial and both counters must be there."""
        try:
            fields = Fields(decode(payload))
            versions = fields.octets(_VERSIONS, 2)
            serial = fields.text(_SERIAL, SERIAL_MAX)
            boot, last_tap = fields.number(_BOOT, 4), fields.number(_LAST_TAP, 4)
            largest, capabilities = fields.number(_PAYLOAD, 2), fields.octets(_CAPABILITIES)
            if versions is None or not serial or boot is None or last_tap is None:
                raise GreetingError("HELLO lacks its versions, its serial or a counter")
            return cls(
                serial=serial,
                boot=boot,
                last_tap=last_tap,
                type_name=fields.text(_TYPE_NAME, SERIAL_MAX) or "",
                firmware=fields.text(_FIRMWARE, SERIAL_MAX) or "",
                versions=(versions[0], versions[1]),
                largest_payload=PAYLOAD_MAX if largest is None else largest,
                can_take_pin=bool((capabilities or b"\x00")[-1] & _CAN_TAKE_PIN),
            )
        except (TlvError, FieldError) as exc:
            raise GreetingError(f"HELLO: {exc}") from exc


@dataclass(frozen=True, slots=True)
class HelloAck:
    """A daemon's answer. ``last_kept`` is for people: a validator never drops a tap because of it.

    ``time_us`` is the daemon's wall time in microseconds since 1970 UTC, None while it is not trusted.
    """

    last_kept: TapNumber | None = None
    time_us: int | None = None
    version: int = VERSION

    def encode(self) -> bytes:
        """Its payload. Raises FieldError for what does not fit."""
        fields = FieldList()
        fields.number(_VERSIONS, self.version, 1)
        fields.octets(_LAST_KEPT, None if self.last_kept is None else self.last_kept.encode(), 8)
        fields.number(_TIME, self.time_us, 8)
        return encode(fields.items)

    @classmethod
    def parse(cls, payload: bytes) -> HelloAck:
        """Raises GreetingError. The version must be there."""
        try:
            fields = Fields(decode(payload))
            version = fields.number(_VERSIONS, 1)
            last_kept = fields.octets(_LAST_KEPT, 8)
            if version is None:
                raise GreetingError("HELLO_ACK lacks its version")
            return cls(
                last_kept=None if last_kept is None else TapNumber.parse(last_kept),
                time_us=fields.number(_TIME, 8),
                version=version,
            )
        except (TlvError, FieldError) as exc:
            raise GreetingError(f"HELLO_ACK: {exc}") from exc
