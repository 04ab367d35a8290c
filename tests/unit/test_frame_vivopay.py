"""``tpsd frame --protocol vivopay``: any frame as command or answer, its TLVs masked, and the garbage between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA
from device.vivopay.frames import encode_answer, encode_command
from tests.golden.tlv_samples import S09
from tests.golden.vivopay_frames import FRAMES, Published
from tpsd.cli import app

PAN = "4761739001010119"
TRACK2 = "4999999999999999D15092FFFFFFFFFFFFFF0F"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["frame", *arguments, "--protocol", "vivopay"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def answer(data: bytes) -> dict[str, Any]:
    code, out = run(data.hex(), "--json")
    assert code == 0
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, dict)
    assert found["protocol"] == "vivopay"
    return found


def only(data: bytes) -> dict[str, Any]:
    found = answer(data)
    assert found["garbage"] == []
    [frame] = found["frames"]
    assert isinstance(frame, dict)
    return frame


@pytest.mark.parametrize("published", FRAMES.values(), ids=list(FRAMES))
def test_published_frames(published: Published) -> None:
    frame = only(published.octets)
    code = f"{published.code:02X}"
    assert frame["command"] == f"{published.command:02X}"
    assert frame["length"] == len(bytes.fromhex(published.data))
    assert (frame["offset"], frame["size"], frame["error"]) == (0, len(published.octets), None)
    if published.is_command:
        assert (frame["type"], frame["sub_command"], frame["status"]) == ("command", code, None)
        assert frame["crc_order"] == "low byte first"
    else:
        assert (frame["type"], frame["sub_command"], frame["status"]) == ("answer", None, code)
        assert frame["crc_order"] == "high byte first"


@pytest.mark.parametrize(
    ("name", "called", "fields"),
    [
        ("ping", "ping", {}),
        ("poll on demand", "set poll mode", {"data": "01"}),
        ("serial number", "get serial number", {"serial": "630Z000001"}),
        ("activate", "activate transaction", {"seconds": 30}),
        ("light sensor", None, {"data": "E101"}),
        (
            "encrypted Mastercard",
            "activate transaction",
            {"attribution": "E1", "tap_data_mode": "03", "missing": ["5F2A"]},
        ),
    ],
)
def test_what_they_say(name: str, called: str | None, fields: dict[str, Any]) -> None:
    frame = only(FRAMES[name].octets)
    assert (frame["name"], frame["fields"]) == (called, fields)


def test_the_objects_of_a_tap_are_masked() -> None:
    code, out = run(FRAMES["plain Visa"].octets.hex(), "--json")
    frame = json.loads(out)["frames"][0]
    values = {item["tag"]: item["value"] for item in frame["tlvs"]}
    assert code == 0
    assert values["57"] == "499999******9999"
    assert values["9F36"] == "028F"
    for shown in (out, run(FRAMES["plain Visa"].octets.hex())[1]):
        assert TRACK2 not in shown
        assert "4999999999999999" not in shown


def test_marked_lengths_keep_their_forms() -> None:
    frame = only(FRAMES["encrypted Mastercard"].octets)
    record = next(item for item in frame["tlvs"] if item["tag"] == "FF8105")
    assert [item["form"] for item in record["children"] if item["tag"] in ("57", "5A")] == ["masked", "encrypted"] * 2


@pytest.mark.parametrize(
    ("data", "kind", "fields"),
    [
        (encode_command(0x2C, 0x02, b"\x01"), "command or answer", {"data": "01"}),
        (encode_command(0x0B, 0x77), "command or answer", {}),
        (encode_command(0x01, 0x02, b"\x04\x01\x00\x01"), "command", {"text": 4, "beep": 1, "led": 0, "led_state": 1}),
        (encode_answer(0x02, 0x08), "answer", {}),
        (
            encode_answer(0x02, 0x0A, bytes.fromhex("01FFEE1F0424698505")),
            "answer",
            {"attribution": "01", "error_code": "24", "status_word": "6985", "rf_state": "05"},
        ),
        (
            encode_answer(0x02, 0x0A, bytes.fromhex("01FFEE1F0424000005")),
            "answer",
            {"attribution": "01", "error_code": "24", "status_word": "0000", "rf_state": "05"},
        ),
        (
            encode_answer(0x02, 0x23, b"\x01\x9f\x36\x00"),
            "answer",
            {"attribution": "01", "fault": "neither 57 nor 5A is there"},
        ),
        (encode_answer(0x77, 0x00, PAN.encode()), "answer", {"data": "[hidden 16 bytes]"}),
    ],
)
def test_any_other_frame(data: bytes, kind: str, fields: dict[str, Any]) -> None:
    frame = only(data)
    assert (frame["type"], frame["fields"]) == (kind, fields)


def test_a_configuration_has_its_objects() -> None:
    assert len(only(encode_answer(0x03, 0x00, S09))["tlvs"]) == 47
    frame = only(encode_command(0x04, 0x00, bytes.fromhex("DFEE7E0100")))
    assert [(item["tag"], item["name"], item["value"]) for item in frame["tlvs"]] == [("DFEE7E", "Burst mode", "00")]


def test_objects_that_cannot_be_read_say_where() -> None:
    frame = only(encode_answer(0x02, 0x23, PLAIN_VISA[:40]))
    assert frame["error"] == "tag 57 at offset 21: the length says more than is left"
    assert frame["tlvs"] == []


def test_garbage_has_its_place_its_reason_and_its_text_masked() -> None:
    damaged = bytearray(FRAMES["plain Visa"].octets)
    damaged[-1] ^= 1
    ping = FRAMES["ping"].octets
    found = answer(b"\x80" + ping + f"CARD {PAN}\r\n".encode() + bytes(9) + damaged + ping)
    assert [frame["offset"] for frame in found["frames"]] == [1, 1 + 16 + 23 + 9 + len(damaged)]
    assert found["garbage"] == [
        {"offset": 0, "size": 1, "reason": "noise", "command": None, "text": None},
        {"offset": 17, "size": 21, "reason": "text", "command": None, "text": "CARD 476173******0119"},
        {"offset": 49, "size": len(damaged), "reason": "crc", "command": "02", "text": None},
    ]


def test_the_table_has_everything_in_order() -> None:
    data = FRAMES["ping"].octets + b"OUT OF SERVICE\r\n" + encode_answer(0x02, 0x23, ENCRYPTED_MASTERCARD)
    code, out = run(data.hex() + encode_answer(0x77, 0x00, bytes(20)).hex())
    assert code == 0
    assert out.index("ping") < out.index("OUT OF SERVICE") < out.index("request") < out.index("hidden 20")


def test_what_the_end_cuts_is_garbage() -> None:
    assert answer(FRAMES["activate"].octets[:-1])["garbage"][0]["reason"] == "cut"
    assert answer(b"") == {"protocol": "vivopay", "frames": [], "garbage": []}
