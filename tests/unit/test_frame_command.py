"""``tpsd frame``: captured bytes as frames with their fields, and the garbage between them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from device.vl1.decoder import Decoder
from device.vl1.frames import Frame, FrameType, Garbage, GarbageReason, encode_frame
from device.vl1.limits import ENCODED_MAX
from device.vl1.listing import Listed, listed
from device.vl1.messages import StatusMessage
from tests.golden.vl1_vectors import WIRE
from tpsd.cli import app

PAN = "4761739001010119"


def run(*arguments: str, given: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["frame", *arguments], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def answer(data: bytes | str) -> dict[str, Any]:
    code, out = run(data if isinstance(data, str) else data.hex(), "--protocol", "vl1", "--json")
    assert code == 0
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("name", "kind", "message", "fields"),
    [
        ("PING", "PING", None, {}),
        ("ACK", "ACK", None, {}),
        ("RESET", "RESET", None, {}),
        ("NAK", "NAK", None, {"reason": 1}),
        ("TAP_KEPT", "DATA", "TAP_KEPT", {"tap": "3/17"}),
    ],
)
def test_published_frames(name: str, kind: str, message: str | None, fields: dict[str, Any]) -> None:
    found = answer(WIRE[name])
    [frame] = found["frames"]
    assert found["garbage"] == []
    assert (frame["type"], frame["message"], frame["fields"], frame["error"]) == (kind, message, fields, None)
    assert (frame["offset"], frame["closed"]) == (1, True)
    assert frame["session"] == ("0000" if kind == "RESET" else "BEEF")


def test_a_greeting_and_a_verdict_have_their_fields() -> None:
    [frame] = answer(WIRE["HELLO"])["frames"]
    assert frame["fields"]["serial"] == "VAL00042"
    assert (frame["fields"]["boot"], frame["fields"]["last_tap"]) == (3, 17)
    [frame] = answer(WIRE["VERDICT"])["frames"]
    assert (frame["fields"]["verdict"], frame["fields"]["text"]) == (1, "Good trip")
    assert frame["fields"]["beeps"] == {"count": 1, "long": False}
    assert [item["tag"] for item in frame["tlvs"]] == ["DF8A01", "DF8A21", "DF8A23", "DF8A24", "DF8A25"]


def test_a_tap_is_shown_without_its_card() -> None:
    code, out = run(WIRE["TAP"], "--json")
    [frame] = json.loads(out)["frames"]
    assert (code, frame["message"], frame["fields"]["tap"]) == (0, "TAP", "3/17")
    assert frame["fields"]["tapped_at"] == 1_790_000_000_123_456
    assert "card" not in frame["fields"]
    assert "token" not in frame["fields"]
    for shown in (out, run(WIRE["TAP"])[1]):
        assert "4761739001010010" not in shown
        assert "11223344aabbccdd" in shown.lower() or shown is not out


def test_garbage_between_frames_has_its_place() -> None:
    noise, damaged = bytes.fromhex("ff01"), bytearray(bytes.fromhex(WIRE["TAP_KEPT"]))
    damaged[12] ^= 1
    ping = bytes.fromhex(WIRE["PING"])
    found = answer(ping + noise + ping + bytes(damaged) + ping + b"AT\r")
    assert [frame["offset"] for frame in found["frames"]] == [1, 16, 29 + len(damaged)]
    assert [(one["offset"], one["size"], one["reason"]) for one in found["garbage"]] == [
        (13, 2, "cobs"),
        (29, len(damaged) - 2, "crc"),
        (41 + len(damaged), 3, "unfinished"),
    ]


def test_a_frame_that_lacks_only_its_end() -> None:
    [frame] = answer(bytes.fromhex(WIRE["ACK"])[:-1])["frames"]
    assert (frame["type"], frame["closed"]) == ("ACK", False)


def test_what_cannot_be_understood_says_why() -> None:
    bad = encode_frame(Frame(FrameType.DATA, 1, payload=b"\x01\xdf\x8a\x01\x02\x00\x00"))
    unknown = encode_frame(Frame(FrameType.DATA, 1, payload=b"\x63\x9f\x36\x02\x00\x01"))
    cut = encode_frame(Frame(FrameType.DATA, 1, payload=b"\x01\x5a\x09\x47"))
    one, other, last = answer(bad + unknown + cut)["frames"]
    assert (one["message"], one["error"]) == ("TAP", "TAP: DF8A01 must have 8 bytes, has 2")
    assert [item["tag"] for item in one["tlvs"]] == ["DF8A01"]
    assert (other["message"], other["error"]) == ("63", "message number 63 is not known")
    assert (last["tlvs"], "offset 1" in last["error"]) == ([], True)


def test_a_card_number_in_a_text_is_masked() -> None:
    status = encode_frame(Frame(FrameType.DATA, 1, payload=StatusMessage(1, f"card {PAN}").encode()))
    code, out = run(status.hex(), "--json")
    assert code == 0
    assert json.loads(out)["frames"][0]["fields"]["text"] == "card 476173******0119"
    for shown in (out, run(status.hex())[1]):
        assert PAN not in shown
        assert PAN.encode().hex().upper() not in shown.upper()


def test_the_table_has_them_in_order() -> None:
    code, out = run(f"{WIRE['PING']} ff0102 {WIRE['VERDICT']}")
    assert code == 0
    assert out.index("PING") < out.index("garbage: cobs") < out.index("VERDICT")


@pytest.mark.parametrize("text", ["0", "xy", "00 0g"])
def test_bad_hex_exits_2(text: str) -> None:
    code, out = run(text, "--json")
    assert code == 2
    assert set(json.loads(out)) == {"error", "offset", "tag"}


def test_another_protocol_is_a_wrong_use() -> None:
    assert run("00", "--protocol", "modbus")[0] == 2


def test_nothing_and_standard_input() -> None:
    assert answer("")["frames"] == []
    assert answer("000000")["garbage"] == []
    code, out = run("-", "--json", given=WIRE["PING"])
    assert (code, len(json.loads(out)["frames"])) == (0, 1)


def test_a_run_without_an_end_is_reported_as_the_lane_does() -> None:
    data = b"\x01" * (2 * ENCODED_MAX + 5) + b"\x00"
    assert list(listed(data)) == [
        Listed(0, ENCODED_MAX, Garbage(GarbageReason.OVERSIZE, ENCODED_MAX)),
        Listed(ENCODED_MAX, ENCODED_MAX, Garbage(GarbageReason.OVERSIZE, ENCODED_MAX)),
        Listed(2 * ENCODED_MAX, 5, Garbage(GarbageReason.OVERSIZE, 5)),
    ]


@given(st.lists(st.sampled_from([b"\x00", b"\xff\x01", b"AT\r", *map(bytes.fromhex, WIRE.values())]), max_size=8))
def test_it_lists_what_the_lane_would_see(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert [one.found for one in listed(data) if one.closed] == list(Decoder().feed(data))
    covered = [range(one.offset, one.offset + one.size) for one in listed(data)]
    assert all(before.stop <= after.start for before, after in pairwise(covered))
    assert {data[at] for at in set(range(len(data))) - {at for place in covered for at in place}} <= {0}
