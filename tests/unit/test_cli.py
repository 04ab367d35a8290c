"""The command line's contracts, in process: what ``--json`` prints, exit codes, what people read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from device.vl1.frames import Frame, FrameType, encode_frame
from device.vl1.messages import StatusMessage
from tests.configurations import changed, values, write
from tests.golden.tlv_samples import R02, S01, S03, S05, S14, S17, nested_e1
from tpsd import __version__
from tpsd.cli import app
from tpsd.cli.dashboard import dashboard
from tpsd.cli.rendering import duration, moment, verdict


def run(*arguments: str, given: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=given, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def answer(*arguments: str, given: str | None = None) -> dict[str, Any]:
    code, out, _ = run(*arguments, "--json", given=given)
    assert code == 0
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


# --- tlv


def test_tlv_lists_objects_in_order() -> None:
    found = answer("tlv", S05.hex())
    assert [item["tag"] for item in found["tlvs"]] == ["9F1A", "FF8105", "9F02", "5F2A"]
    assert found["tlvs"][0] == {
        "tag": "9F1A",
        "length": 2,
        "value": "0764",
        "name": "Terminal Country Code",
        "form": "plain",
        "children": None,
    }
    record = found["tlvs"][1]
    assert (record["length"], record["value"]) == (14, None)
    assert [(child["tag"], child["value"]) for child in record["children"]] == [
        ("9F1A", "0764"),
        ("9F02", "000000001000"),
    ]


def test_tlv_nests() -> None:
    item = answer("tlv", S14.hex())["tlvs"][0]
    for tag in ("6F", "A5", "BF0C", "61"):
        assert item["tag"] == tag
        item = item["children"][-1]
    assert (item["tag"], item["value"]) == ("87", "01")


def test_tlv_masks_card_data() -> None:
    code, out, err = run("tlv", S17.hex(), "--json")
    assert code == 0
    assert "476173******0119" in out
    for text in (out, err, run("tlv", S17.hex())[1]):
        assert "4761739001010119" not in text
        assert "45585049" not in text


def test_brackets_in_a_table_are_text() -> None:
    """rich takes ``[…]`` for its markup unless told: hidden values vanished, and a device's ``[/x]`` was an error."""
    assert "[hidden 12 bytes]" in run("tlv", S17.hex())[1]
    status = encode_frame(Frame(FrameType.DATA, 1, payload=StatusMessage(1, "door [/x] open").encode()))
    code, out, _ = run("frame", status.hex())
    assert code == 0
    assert "door [/x] open" in out


def test_tlv_reads_vendor_lengths_only_when_asked() -> None:
    code, out, err = run("tlv", S01.hex(), "--json")
    assert code == 2
    assert json.loads(out)["offset"] == 139
    assert json.loads(out)["tag"] == "57"
    assert "offset 139" in err
    record = answer("tlv", S01.hex(), "--vendor-lengths")["tlvs"][8]
    forms = [(item["tag"], item["form"], item["value"]) for item in record["children"][2:6]]
    assert forms == [
        ("57", "masked", "5413CCCCCCCC1513D2012CCCCCCCCCCCCCCC"),
        ("57", "encrypted", "855A31E91D0641D4C0C681A30FD97A86FC1AF00891BC8352"),
        ("5A", "masked", "5413CCCCCCCC1513"),
        ("5A", "encrypted", "CCA41680B767BA798E9AA28A3D825FA4"),
    ]


@pytest.mark.parametrize(
    "text", ["9F3602 0001 00 009F2701 80 0000", "9f3602000100009f2701800000", " 9F36\n02\t00010000\n9F27018000 00 "]
)
def test_tlv_takes_white_space_and_counts_padding(text: str) -> None:
    found = answer("tlv", text)
    assert [(item["tag"], item["value"]) for item in found["tlvs"]] == [("9F36", "0001"), ("9F27", "80")]
    assert found["padding"] == 4


@pytest.mark.parametrize("text", ["", "0000", "  "])
def test_tlv_of_nothing_is_an_empty_list(text: str) -> None:
    assert answer("tlv", text)["tlvs"] == []


def test_tlv_reads_standard_input() -> None:
    assert len(answer("tlv", "-", given=S03.hex() + "\n")["tlvs"]) == 20


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("5A80", 1),
        (R02.hex(), 1),
        ("5A88FFFFFFFFFFFFFFFF", 1),
        ("5A82FFFF", 1),
        ("5A8480000000", 1),
        ("9F", 0),
        ("9F02", 2),
        ("9F0206000000", 2),
        ("DFFFFFFFFF0100", 0),
        ("DF9A03001736", 5),
        (nested_e1(40).hex(), None),
        ("9F02XX", 2),
        ("9F0", 1),
        ("00" * 5000, 4096),
    ],
)
def test_tlv_refuses_bad_input_with_the_offset(text: str, offset: int | None) -> None:
    code, out, err = run("tlv", text, "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 2
    assert set(found) == {"error", "offset", "tag"}
    assert isinstance(found["offset"], int)
    if offset is not None:
        assert found["offset"] == offset
    assert "offset" in found["error"]
    assert err == f"tpsd: {found['error']}\n"
    assert run("tlv", text)[0] == 2


# --- classify


@pytest.mark.parametrize(
    ("arguments", "outcome", "deferred", "realtime"),
    [
        ("--http 200 --approved true --action-code 000", "approved", "final", "accept"),
        ("--http 200 --approved true --action-code 002", "approved", "final", "accept"),
        ("--http 200 --approved true", "approved", "final", "accept"),
        ("--http 200 --approved false --action-code 116", "declined", "final", "deny"),
        ("--http 200 --approved false", "declined", "final", "deny"),
        ("--http 200", "unknown", "resend", "deny"),
        ("--http 200 --approved true --action-code 116", "unknown", "resend", "deny"),
        ("--http 200 --approved false --action-code 911", "try_again", "resend", "deny"),
        ("--http 400 --system-code 35", "tap_refused", "final", "deny"),
        ("--http 400 --system-code 3", "tap_refused", "final", "deny"),
        ("--http 400 --system-code 41", "terminal_refused", "held", "deny"),
        ("--http 409 --system-code 303", "try_again", "resend", "deny"),
        ("--http 200 --system-code 303", "try_again", "resend", "deny"),
        ("--http 500 --system-code 35", "try_again", "resend", "deny"),
        ("--http 503", "try_again", "resend", "deny"),
        ("--http 429", "try_again", "resend", "deny"),
        ("--http 401", "terminal_refused", "held", "deny"),
        ("--http 302", "terminal_refused", "held", "deny"),
        ("--http 400 --action-code 116", "declined", "final", "deny"),
        ("--http 400 --action-code 911", "tap_refused", "final", "deny"),
        ("--http 400 --action-code 000", "unknown", "resend", "deny"),
    ],
)
def test_classify(arguments: str, outcome: str, deferred: str, realtime: str) -> None:
    found = answer("classify", *arguments.split())
    assert (found["outcome"], found["deferred"], found["realtime"]) == (outcome, deferred, realtime)
    assert found["text"]
    code, out, _ = run("classify", *arguments.split())
    assert code == 0
    assert outcome in out


@pytest.mark.parametrize("arguments", ["", "--http 99", "--http x", "--http 200 --approved maybe"])
def test_classify_refuses_a_wrong_use(arguments: str) -> None:
    assert run("classify", *arguments.split())[0] == 2


# --- ladder


def test_ladder() -> None:
    assert answer("ladder")["minutes"] == [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
    assert "1308" in run("ladder")[1]


def test_ladder_of_a_configuration(tmp_path: Path) -> None:
    given = changed(values(tmp_path), {"retry": {"tiers": [{"tries": 2, "every_minutes": 0.5}]}})
    assert answer("ladder", "--config", str(write(tmp_path, given)))["minutes"] == [0, 0.5, 1]


# --- check-config


def test_check_config_prints_the_effective_values(tmp_path: Path) -> None:
    given = changed(values(tmp_path), {"email": {"smtp_url": "smtps://u:hunter2@mail.example.org"}})
    path = str(write(tmp_path, given))
    found = answer("check-config", path)
    assert found["ok"] is True
    assert found["configuration"]["lanes"][0]["amount_limit"] == 10_000
    assert found["checks"] == []
    code, out, err = run("check-config", path)
    assert code == 0
    assert "lanes[0].fare" in out
    assert "smtps://u:****@mail.example.org" in out
    assert "hunter2" not in out + err + json.dumps(found)


def test_check_config_names_every_problem_and_exits_1(tmp_path: Path) -> None:
    path = str(write(tmp_path, changed(values(tmp_path), {"mode": "live", "admin": {"sockets": "x"}})))
    code, out, err = run("check-config", path, "--json")
    assert code == 1
    assert "mode is wrong" in err
    assert "did you mean admin.socket?" in err
    assert json.loads(out)["error"] + "\n" == err.removeprefix("tpsd: ")


@pytest.mark.parametrize("kind", ["RETAIL_CHECK_IN", "RETAIL_CHECK_OUT", "RETAIL_CHECK_IN_OUT"])
def test_check_config_refuses_journeys_where_no_card_gets_a_token(tmp_path: Path, kind: str) -> None:
    lane = {"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250, "kind": kind}
    for tokens in ({}, {"tokens": "none"}):
        code, _, err = run("check-config", str(write(tmp_path, changed(values(tmp_path), {"lanes": [lane | tokens]}))))
        assert code == 1
        assert "lanes[0].tokens gives no card token, and a journey is kept by it" in err
    made = changed(values(tmp_path), {"lanes": [lane | {"tokens": "validator"}]})
    assert run("check-config", str(write(tmp_path, made)))[0] == 0


def test_check_config_needs_a_file() -> None:
    assert run("check-config")[0] == 2
    assert run("check-config", "/none.toml")[0] == 1


# --- simulate tps


def test_the_simulated_tps_prints_its_fates() -> None:
    fates = answer("simulate", "tps", "--fates")["fates"]
    assert fates[0]["first"] == 90_000
    assert "90000 to 90999" in run("simulate", "tps", "--fates")[1]


@pytest.mark.parametrize(("listen", "code"), [("0.0.0.0:0", 1), ("example.org:8443", 1), ("8443", 2), ("h:x", 2)])
def test_the_simulated_tps_listens_on_loopback_only(listen: str, code: int) -> None:
    assert run("simulate", "tps", "--listen", listen)[0] == code


# --- the rest


def test_version() -> None:
    assert run("--version") == (0, f"tpsd {__version__}\n", "")


def test_no_daemon_is_one_clear_line(tmp_path: Path) -> None:
    for command in (["taps"], ["show", "VAL00042:3:17"], ["watch"]):
        code, out, err = run(*command, "--socket", str(tmp_path / "none.sock"), "--json")
        assert code == 1
        assert err.startswith(f"tpsd: no daemon listens on {tmp_path}/none.sock; start it with: tpsd run")
        assert err.count("\n") == 1
        assert json.loads(out)["error"] in err


def test_the_socket_comes_from_the_configuration_or_the_environment(tmp_path: Path) -> None:
    path = str(write(tmp_path, values(tmp_path)))
    for arguments, env in ((["--config", path], None), ([], {"TPSD_CONFIG": path})):
        code, _, err = run("watch", *arguments, env=env)
        assert code == 1
        assert f"no daemon listens on {tmp_path}/tpsd.sock" in err


def test_the_dashboard_draws_a_full_and_an_empty_status() -> None:
    status: dict[str, Any] = {
        "journal": {
            "taps": 60,
            "verdicts": {"accepted": 58, "denied": 2},
            "dispositions": {"denied": 2},
            "states": {"approved": 40, "pending": 0, "held": 3},
            "sends": 99,
            "mails_waiting": 1,
            "mails_accepted": 4,
            "oldest_pending_seconds": 90.0,
            "next_due_seconds": -1.0,
        },
        "lanes": [{"name": "gate-1", "alias": "North", "port": "/dev/pts/3", "state": "up", "taps": 20}],
        "clock": "2026-11-23T08:15:30.123Z",
        "mode": "test",
        "in_flight": 2,
    }
    text = drawn(status)
    for part in ("approved 40", "held 3", "4 sent", "1 waiting", "90 s", "now", "North", "mode test", "in flight 2"):
        assert part in text
    assert "pending 0" not in text
    assert "tpsd" in drawn({})
    down = {"host": "tps.example", "state": "down", "seconds": 600.0, "cause": "dns", "probes": 12}
    assert "uplink down for 10 min (dns)" in drawn(status | {"uplink": down})
    assert "uplink" not in drawn(status | {"uplink": down | {"state": "up"}})
    assert "cards lost" not in text
    side = {"name": "side", "state": "ready", "cards_lost": 2, "cards_unread": 7}
    assert "cards lost 2, unread 7" in drawn(status | {"lanes": [side]})


def drawn(status: dict[str, Any]) -> str:
    target = io.StringIO()
    Console(width=160, file=target).print(dashboard(status))
    return target.getvalue()


def test_small_renderings() -> None:
    assert [duration(seconds) for seconds in (None, 0, 5, 600, 36_000)] == ["", "now", "5 s", "10 min", "10.0 h"]
    assert moment(1_790_000_000_000_000) == "2026-09-21T14:13:20.000Z"
    assert (moment(None), moment("soon")) == ("", "soon")
    assert (verdict(1), verdict(0x7F), verdict(None)) == ("accepted", "127", "")


def test_a_validators_port_that_is_not_there_is_named() -> None:
    code, out, err = run("simulate", "validator", "--port", "/dev/none", "--json")
    assert code == 1
    assert err.startswith("tpsd: /dev/none cannot be opened (")
    assert json.loads(out)["error"] in err
