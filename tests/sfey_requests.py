"""One transaction request, shared by the tests of the adapter to Sfey."""

from dataclasses import replace
from uuid import UUID

from device.tlv import Tlv, encode
from tpsd.core.requests import TransactionRequest
from tpsd.domain.time import Micros
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

CARD = encode([Tlv(0x5A, bytes.fromhex("4761739001010119")), Tlv(0x5F24, bytes.fromhex("281231"))])
TAPPED_AT = Micros(1_795_421_730_123_456)  # 2026-11-23T08:15:30.123456Z

TAP = TransactionRequest(
    uuid=UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01"),
    company_id=1001,
    stock_location_id=42,
    terminal_sn="VAL00042",
    terminal_type="GATE-X1",
    validator_serial="VAL00042",
    validator_type="GATE-X1",
    type="MTT",
    tapped_at=TAPPED_AT,
    amount=250,
    currency="978",
    tag=encode([Tlv(0xDFFF8401, b"\x00"), Tlv(0xFFFF8406, CARD), Tlv(0x9F36, b"\x00\x2a")]),
)


def numbered(number: int, *, amount: int = 250) -> tuple[str, str, bytes]:
    """The UUID, path and body of the ``number``-th of many requests, each tapped a second later."""
    uuid = UUID(int=number)
    request = replace(TAP, uuid=uuid, amount=amount, tapped_at=Micros(TAPPED_AT + number * 1_000_000))
    return str(uuid), *transaction(DEVICE_V1, request)
