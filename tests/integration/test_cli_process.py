"""The command as people start it: its own process, real signals, standard output and standard error apart."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.configurations import values, write
from tpsd.sfey.ledger import Ledger

BOUND_SECONDS = 60.0


def tpsd(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tpsd", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )


def test_bad_input_exits_2_with_json_on_stdout_and_a_line_on_stderr() -> None:
    done = tpsd("tlv", "5A80", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "error": "tag 5A at offset 1: the length octet is not allowed (80 and 85 to FF are not)",
        "offset": 1,
        "tag": "5A",
    }
    assert done.stderr.count("\n") == 1


def test_a_pipe_is_read() -> None:
    done = tpsd("tlv", "-", "--json", given="9F 36 02\n00 01\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)["tlvs"][0]["value"] == "0001"


def test_an_error_is_no_traceback() -> None:
    for arguments in (["check-config", "/none.toml"], ["run", "--config", "/none.toml"], ["taps", "--socket", "/none"]):
        done = tpsd(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("tpsd: ")
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_wrong_use_exits_2() -> None:
    assert tpsd("taps", "--nonsense").returncode == 2
    assert tpsd("nonsense").returncode == 2


def test_check_config(tmp_path: Path) -> None:
    done = tpsd("check-config", str(write(tmp_path, values(tmp_path))), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["configuration"]["mode"] == "test"


@contextmanager
def simulated_tps(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running ``tpsd simulate tps`` and the URL it said; ended by SIGTERM where the test has not."""
    command = [sys.executable, "-m", "tpsd", "simulate", "tps", "--listen", "127.0.0.1:0", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert "TPS listens on " in said
        yield process, said.split("listens on ")[1].split(",")[0].strip()
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=BOUND_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_simulated_tps_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with simulated_tps("--ledger", str(ledger)) as (process, url):
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"{url}/health", timeout=BOUND_SECONDS)
        caught.value.close()
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0
    totals = json.loads(out.splitlines()[-1])
    assert (totals["requests"], totals["duplicate_charges"]) == (0, 0)
    assert [visit.path for visit in Ledger.load(ledger).visits()] == ["/health"]


def test_the_simulated_tps_asks_for_a_client_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    with simulated_tps("--tls-dir", str(folder)) as (_, url):
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        with pytest.raises(OSError, match=r"(?i)certificate.required|EOF|reset|closed"):
            urllib.request.urlopen(f"{url}/health", timeout=BOUND_SECONDS, context=context)
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"{url}/health", timeout=BOUND_SECONDS, context=context)
        caught.value.close()
    before = (folder / "ca.crt").read_bytes()
    with simulated_tps("--tls-dir", str(folder)):
        assert (folder / "ca.crt").read_bytes() == before
    assert (folder / "client.key").stat().st_mode & 0o077 == 0


def listed_over_the_feed(url: str, token: str = "") -> tuple[list[tuple[str, str]], str]:
    path = "/device-api/v1/update/VAL00042/type/GATE-X1?recordCount=1000&recordType=DENY_LIST"
    asked = f"{url}{path}" + (f"&resumptionToken={token}" if token else "")
    with urllib.request.urlopen(asked, timeout=BOUND_SECONDS) as answer:
        page = json.loads(answer.read())
    assert page["updateComplete"]
    return [(record["action"], record["cpanToken"]) for record in page["records"]], page["resumptionToken"]


def test_the_simulated_tps_lists_the_cards_of_a_file_and_reads_it_anew(tmp_path: Path) -> None:
    one, other = "0a" * 32, "0b" * 32
    file = tmp_path / "denied.txt"
    file.write_text(f"# two debtors\n{one}\n{other}\n")
    with simulated_tps("--deny-list", str(file)) as (process, url):
        assert process.stderr is not None
        records, token = listed_over_the_feed(url)
        assert records == [("INSERT", one), ("INSERT", other)]
        file.write_text(f"{other}\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == "tpsd: cards on the deny list: 1\n"
        records, token = listed_over_the_feed(url, token)
        assert records == [("DELETE", one)]
        file.write_text("4111111111111111\n")
        process.send_signal(signal.SIGHUP)
        assert "1 bad line, the list stays as it was" in process.stderr.readline()
        assert listed_over_the_feed(url, token)[0] == []


def test_a_list_with_a_bad_line_starts_no_tps(tmp_path: Path) -> None:
    file = tmp_path / "denied.txt"
    file.write_text("nonsense\n")
    done = tpsd("simulate", "tps", "--listen", "127.0.0.1:0", "--deny-list", str(file))
    assert done.returncode == 1
    assert "1 bad line, TPS was not started" in done.stderr
    missing = tpsd("simulate", "tps", "--listen", "127.0.0.1:0", "--deny-list", str(tmp_path / "none"))
    assert missing.returncode == 1
    assert "cannot be read" in missing.stderr


def test_a_taken_port_is_named() -> None:
    with simulated_tps() as (_, url):
        done = tpsd("simulate", "tps", "--listen", url.removeprefix("http://"))
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1:" in done.stderr
    assert "choose another port" in done.stderr
