"""Taps, lanes and configurations for the tests of intake. Scheme test cards only."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from device.tlv import Tlv
from tpsd.core.intake import Candidate, CardKeys, Decision, LanePolicy, Operator, Setting, prepare
from tpsd.core.requests import TransactionRequest
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.tap import Kind, TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.emv.tapdata import Ttk
from tpsd.ports import Taken

VISA = "4761739001010119"
TOKEN = "0a" * 32
UUID_1 = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01")
TERMINAL = "GATE-X1:VAL00042"


def at(*moment: int, micros: int = 0) -> Micros:
    seconds = int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]
    return Micros(seconds * 1_000_000 + micros)


NOW = at(2026, 11, 23, 8, 15, 30)


def card(expiry: str = "3112") -> tuple[Tlv, ...]:
    inner = (Tlv(0x57, bytes.fromhex(f"{VISA}D{expiry}2011758928889")), Tlv(0x9F36, b"\x00\x2a"))
    return (Tlv(0xDFFF8401, b"\x00"), Tlv.template(0xFFFF8406, inner))


ENCRYPTED = (Tlv(0xDFFF8401, b"\x04"), Tlv(0xDFFF8404, bytes(12)), Tlv(0xDFFF8405, bytes(32)), Tlv(0x9F36, b"\x00\x2a"))

LANE = LanePolicy("gate-1", frozenset({Kind.MTT}), Kind.MTT, 250, 1000, True, "common")


def report(**fields: Any) -> TapReport:
    values: dict[str, Any] = {
        "serial": "VAL00042",
        "type_name": "GATE-X1",
        "boot": 3,
        "counter": 17,
        "received_at": NOW,
        "tapped_at": NOW,
        "fingerprint": b"stable",
        "payload": b"payload",
        "card": card(),
    }
    return TapReport(**(values | fields))


def digest(content: bytes) -> bytes:
    return b"digest of " + content


class Requests:
    """Stands where the wire format is made, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[TransactionRequest] = []

    def serialise(self, request: TransactionRequest) -> tuple[str, bytes]:
        self.seen.append(request)
        return "/path", b"body " + request.uuid.bytes


def setting(requests: Requests | None = None, **fields: Any) -> Setting:
    values: dict[str, Any] = {
        "operator": Operator(1001, 42, "978"),
        "keys": CardKeys(bytes(range(32))),
        "ladder": DEFAULT_LADDER,
        "production": False,
        "config_digest": "c0ffee",
        "serialise": (requests or Requests()).serialise,
        "digest": digest,
    }
    return Setting(**(values | fields))


def prepared(lane: dict[str, Any] | None = None, configured: dict[str, Any] | None = None, **fields: Any) -> Candidate:
    return prepare(report(**fields), replace(LANE, **(lane or {})), setting(**(configured or {})), UUID_1)


def told_of(of: Decision | Taken) -> Told:
    """What the validator is told, where that is known at once."""
    assert of.told is not None
    return of.told


OK = Told(Verdict.ACCEPTED, "ok")


def denied(reason: str) -> Told:
    return Told(Verdict.DENIED, reason)


def try_again(reason: str) -> Told:
    return Told(Verdict.TRY_AGAIN, reason)


PRODUCTION = {"production": True}
TTK = {"keys": CardKeys(bytes(32), Ttk("01", bytes(16)))}
