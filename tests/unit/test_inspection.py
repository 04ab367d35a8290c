"""The simulated TPS refuses what the contract forbids, with the contract's code."""

import base64
import json
from dataclasses import replace
from uuid import UUID

import pytest

from device.tlv import Tlv, encode
from tests.sfey_requests import CARD, TAP, TAPPED_AT
from tpsd.domain.time import Micros
from tpsd.sfey.fates import Asked
from tpsd.sfey.inspection import inspect
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1, nest, override, pick

GOOD: dict[str, object] = json.loads(transaction(DEVICE_V1, TAP)[1])


BY_HAND = replace(TAP, type="RETAIL_REFUND", initial_uuid=UUID(int=7), tag=b"")


def changed(place: str, value: object, good: dict[str, object] = GOOD) -> bytes:
    places = {path: pick(good, path) for path in DEVICE_V1.fields.values() if pick(good, path) is not None}
    return json.dumps(nest([*{**places, place: value}.items()])).encode()


def tagged(*items: Tlv) -> bytes:
    return changed("transactionData.tag", base64.b64encode(encode(items)).decode())


def mode(number: int) -> Tlv:
    return Tlv(0xDFFF8401, bytes([number]))


CIPHERTEXT, KEY_ID, STAMP, KSN = (
    Tlv(0xDFFF8405, bytes(16)),
    Tlv(0xDFFF8402, b"\x01"),
    Tlv(0xDFFF8403, bytes(4)),
    Tlv(0xDFFF8404, bytes(10)),
)


def test_a_good_request() -> None:
    finding = inspect(DEVICE_V1, transaction(DEVICE_V1, TAP)[1])
    cut = Micros(TAPPED_AT // 1000 * 1000)
    assert finding.system_code is None
    tag = base64.b64encode(TAP.tag).decode()
    assert finding.asked == Asked(str(TAP.uuid), "VAL00042", cut, 250, "MTT", tag=tag)


@pytest.mark.parametrize("form", ["iso_seconds", "epoch_millis"])
def test_times_in_the_other_formats(form: str) -> None:
    profile = override(DEVICE_V1, {"format.time": form})
    finding = inspect(profile, transaction(profile, TAP)[1])
    assert finding.asked is not None
    assert finding.asked.tapped_at // 1_000_000 == TAPPED_AT // 1_000_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 60_000])
def test_what_is_no_json_object(body: bytes) -> None:
    finding = inspect(DEVICE_V1, body)
    assert (finding.uuid, finding.system_code) == (None, 9)


@pytest.mark.parametrize(
    "place", [place for name, place in DEVICE_V1.fields.items() if name not in ("initial_uuid", "pan_token")]
)
def test_every_field_is_required(place: str) -> None:
    assert inspect(DEVICE_V1, changed(place, None)).system_code == 35


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("transactionUuid", "0C7F3F6E-55F4-4F6B-9DF2-3A1F5B1D7A01", 35),
        ("transactionUuid", "x", 35),
        ("transactionData.amount", "250", 35),
        ("transactionData.amount", True, 35),
        ("transactionData.amount", -1, 35),
        ("transactionData.transactionTime", "2026-11-23T08:15:30.123", 35),
        ("transactionData.transactionTime", "today", 35),
        ("transactionData.transactionType", "OTHER", 35),
        ("validatorData.serialNumber", "", 35),
        ("transactionData.validationStatus", "FAILED", 59),
        ("transactionData.tag", "3_-EAQEA", 35),
        ("transactionData.tag", "not base64!", 35),
        ("transactionData.tag", "", 35),
        ("transactionData.tag", base64.b64encode(b"\x5a\x08\x47").decode(), 12),
    ],
)
def test_wrong_values(place: str, value: object, code: int) -> None:
    assert inspect(DEVICE_V1, changed(place, value)).system_code == code


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ((mode(0), Tlv(0xFFFF8406, CARD)), None),
        ((Tlv(0xDFFF8406, CARD), mode(0)), None),
        ((mode(0),), 12),
        ((Tlv(0xFFFF8406, CARD),), 60),
        ((mode(5), Tlv(0xFFFF8406, CARD)), 60),
        ((Tlv(0xDFFF8401, b""), Tlv(0xFFFF8406, CARD)), 60),
        ((mode(1), KEY_ID, CIPHERTEXT), None),
        ((mode(1), CIPHERTEXT), 60),
        ((mode(1), KEY_ID, Tlv(0xDFFF8405, b"")), 60),
        ((mode(2), KEY_ID, STAMP, CIPHERTEXT), None),
        ((mode(2), KEY_ID, CIPHERTEXT), 60),
        ((mode(3), KSN, CIPHERTEXT), None),
        ((mode(3), KEY_ID, CIPHERTEXT), 60),
        ((mode(4), KSN, CIPHERTEXT), None),
        ((mode(4), KSN), 60),
    ],
)
def test_the_tags_of_each_mode(items: tuple[Tlv, ...], code: int | None) -> None:
    assert inspect(DEVICE_V1, tagged(*items)).system_code == code


@pytest.mark.parametrize("kind", ["RETAIL_REFUND", "RETAIL_CHECK_OUT"])
def test_what_follows_another_transaction_needs_no_card(kind: str) -> None:
    body = transaction(DEVICE_V1, replace(BY_HAND, type=kind))[1]
    assert b'"tag"' not in body
    finding = inspect(DEVICE_V1, body)
    assert finding.system_code is None
    assert finding.asked is not None
    assert finding.asked.type == kind


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("transactionData.initialTransactionUuid", None, 35),
        ("transactionData.initialTransactionUuid", "x", 35),
        ("transactionData.transactionType", "RETAIL_PAYMENT", 35),
        ("transactionData.transactionType", "RETAIL_CHECK_IN", 35),
        ("transactionData.transactionType", "MTT", 35),
        ("transactionData.tag", "", 35),
        ("transactionData.tag", base64.b64encode(b"\x5a\x08\x47").decode(), 12),
    ],
)
def test_nothing_else_goes_without_a_card(place: str, value: object, code: int) -> None:
    good = json.loads(transaction(DEVICE_V1, BY_HAND)[1])
    assert inspect(DEVICE_V1, changed(place, value, good)).system_code == code
