"""Requests byte for byte as sfey.md 2 prints them; answers read whatever they hold."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from tests.sfey_requests import TAP
from tpsd.domain.card import CardToken
from tpsd.domain.outcome import Answer
from tpsd.sfey.messages import RETRY_AFTER_MAX_SECONDS, enquiry, read_answer, read_date, transaction
from tpsd.sfey.wire import DEVICE_V1, override

GOLDEN_PATH = "/device-api/v1/transaction/VAL00042/type/GATE-X1"
GOLDEN_BODY = (
    b'{"transactionUuid":"0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01","companyId":1001,"stockLocationId":42,'
    b'"validatorData":{"serialNumber":"VAL00042","typeName":"GATE-X1"},'
    b'"transactionData":{"transactionType":"MTT","transactionTime":"2026-11-23T08:15:30.123Z","amount":250,'
    b'"currencyCodeNum":"978","validationStatus":"OK",'
    b'"tag":"3/+EAQEA//+EBhBaCEdhc5ABAQEZXyQDKBIxnzYCACo="}}'
)


def test_golden_request() -> None:
    assert transaction(DEVICE_V1, TAP) == (GOLDEN_PATH, GOLDEN_BODY)


def test_optional_fields_stand_where_the_contract_puts_them() -> None:
    token = CardToken("0622241201382a45912fb22828b3f7db5153cf2072722a73ded22623ea79abc9")
    check_out = replace(TAP, type="RETAIL_CHECK_OUT", initial_uuid=UUID(int=7), pan_token=token)
    _, body = transaction(DEVICE_V1, check_out)
    data = json.loads(body)["transactionData"]
    assert list(data) == [
        "transactionType",
        "transactionTime",
        "amount",
        "currencyCodeNum",
        "initialTransactionUuid",
        "validationStatus",
        "panToken",
        "tag",
    ]
    assert data["initialTransactionUuid"] == "00000000-0000-0000-0000-000000000007"
    assert data["panToken"] == token


@pytest.mark.parametrize(
    ("serial", "segment"),
    [("a/../b", "a%2F..%2Fb"), ("..", "%2E%2E"), (".", "%2E"), ("é ?#%", "%C3%A9%20%3F%23%25"), ("V.1", "V.1")],
)
def test_a_serial_number_stays_one_segment_of_the_path(serial: str, segment: str) -> None:
    path, _ = transaction(DEVICE_V1, replace(TAP, terminal_sn=serial))
    assert path == f"/device-api/v1/transaction/{segment}/type/GATE-X1"


def test_text_is_utf_8_and_not_escaped() -> None:
    _, body = transaction(DEVICE_V1, replace(TAP, validator_serial="é"))
    assert '"serialNumber":"é"'.encode() in body


def test_formats_of_the_profile() -> None:
    token = CardToken("ab" * 32)
    other = override(DEVICE_V1, {"format.time": "iso_seconds", "format.ids": "string", "format.pan_token": "upper"})
    body = json.loads(transaction(other, replace(TAP, pan_token=token))[1])
    assert (body["companyId"], body["stockLocationId"]) == ("1001", "42")
    assert body["transactionData"]["transactionTime"] == "2026-11-23T08:15:30Z"
    assert body["transactionData"]["panToken"] == "AB" * 32
    millis = override(DEVICE_V1, {"format.time": "epoch_millis"})
    assert json.loads(transaction(millis, TAP)[1])["transactionData"]["transactionTime"] == 1_795_421_730_123


def test_enquiry_path() -> None:
    assert enquiry(DEVICE_V1, 1001, TAP.uuid) == f"/company/1001/transaction/{TAP.uuid}"


def result(**fields: object) -> bytes:
    return json.dumps({"transactionResultData": fields}).encode()


@pytest.mark.parametrize(
    ("http", "body", "answer"),
    [
        (200, result(approved=True, actionCode="000"), Answer(200, True, "000")),
        (200, result(approved=True, actionCode="002", amount=125), Answer(200, True, "002", amount=125)),
        (200, result(approved=False, actionCode=116), Answer(200, False, "116")),
        (200, result(approved=True, actionCode=0), Answer(200, True, "000")),
        (400, b'{"systemCode": 60}', Answer(400, system_code=60)),
        (400, b'{"systemCode": "303"}', Answer(400, system_code=303)),
        (200, b"\xef\xbb\xbf" + result(approved=True), Answer(200, True)),
        (500, b"{}", Answer(500)),
    ],
)
def test_answers(http: int, body: bytes, answer: Answer) -> None:
    assert read_answer(http, {}, body) == answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("approved", "true"),
        ("approved", 1),
        ("approved", None),
        ("approved", [True]),
        ("actionCode", "00"),
        ("actionCode", "0000"),
        ("actionCode", "N00"),
        ("actionCode", "٠٠٠"),
        ("actionCode", True),
        ("actionCode", -1),
        ("actionCode", 1000),
        ("actionCode", 0.0),
        ("actionCode", {"code": "000"}),
        ("amount", "250"),
        ("amount", True),
        ("amount", -1),
        ("amount", 10**12),
        ("amount", 10**400),
    ],
)
def test_a_field_of_a_wrong_type_is_absent(field: str, value: object) -> None:
    assert read_answer(200, {}, result(**{field: value})) == Answer(200)


@pytest.mark.parametrize("value", [True, -1, "", "6O", "٦٠", 6.0, None, 10**6, "9" * 5000, [60]])
def test_a_system_code_of_a_wrong_type_is_absent(value: object) -> None:
    assert read_answer(400, {}, json.dumps({"systemCode": value}).encode()) == Answer(400)


@pytest.mark.parametrize("value", ["[]", "null", '"x"', "3"])
def test_result_data_that_is_no_object_says_nothing(value: str) -> None:
    assert read_answer(200, {}, f'{{"transactionResultData": {value}}}'.encode()) == Answer(200)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"approved"',
        b"null",
        b'{"transactionResultData": {"approved": tru',
        b'{"transactionResultData": {"approved": true}} trailing',
        '{"systemCode": 60}'.encode("utf-16"),
        b'{"x": "\xff"}',
        b'{"x":' * 50_000,
        b"[" * 65_000,
        b'{"systemCode": 60, "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_what_is_not_a_json_object_is_unreadable(body: bytes) -> None:
    assert read_answer(502, {}, body) == Answer(502, readable=False)


def test_unknown_fields_do_not_matter_however_strange() -> None:
    body = b'{"a": 1e999, "b": NaN, "c": ' + b"9" * 20_000 + b', "d": 1, "d": 2, "systemCode": 35}'
    assert read_answer(400, {}, body) == Answer(400, system_code=35)


@pytest.mark.parametrize(
    "body",
    [
        b'{"transactionResultData": {"approved": true, "approved": false}}',
        b'{"transactionResultData": {"approved": true, "approved": 1}}',
        b'{"systemCode": 303, "systemCode": 60}',
        b'{"systemCode": 303, "systemCode": 60, "systemCode": 60}',
        b'{"transactionResultData": {"approved": true}, "transactionResultData": {"approved": false}}',
    ],
)
def test_a_field_with_two_values_makes_the_answer_unreadable(body: bytes) -> None:
    assert read_answer(200, {}, body) == Answer(200, readable=False)


def test_a_field_said_twice_alike_is_read() -> None:
    assert read_answer(200, {}, b'{"systemCode": 60, "systemCode": 60}') == Answer(200, system_code=60)


def test_other_places_for_the_results() -> None:
    other = override(DEVICE_V1, {"result.approved": "ok", "result.system_code": "error.code"})
    assert read_answer(400, {}, b'{"ok": false, "error": {"code": 9}}', other) == Answer(400, False, system_code=9)


DATE = "Mon, 23 Nov 2026 08:15:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"retry-after": " 0 "}, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 08:17:30 GMT", "Date": DATE}, 120),
        ({"Retry-After": "Mon, 23 Nov 2026 08:10:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 08:17:30 GMT"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 08:17:30 GMT", "Date": "soon"}, None),
        ({"Retry-After": "Fri, 23 Nov 2096 08:17:30 GMT", "Date": DATE}, RETRY_AFTER_MAX_SECONDS),
        ({"Retry-After": "9" * 5000}, RETRY_AFTER_MAX_SECONDS),
        ({"Retry-After": "99999999"}, RETRY_AFTER_MAX_SECONDS),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Mon, 99 Nov 2026 99:99:99 GMT", "Date": DATE}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: int | None) -> None:
    assert read_answer(503, headers, b"").retry_after == seconds


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (DATE, 1_795_421_730_000_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Monday, 23-Nov-26 08:15:30 GMT", 1_795_421_730_000_000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_date(text: str, micros: int | None) -> None:
    assert read_date({"date": text}) == micros
