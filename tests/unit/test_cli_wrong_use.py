"""What the command line answers to a wrong use: one JSON object where asked, exit code 2, never a traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.integration.processes import BOUND_SECONDS, environment
from tests.unit.test_cli import run
from tpsd.cli.command import folding
from tpsd.cli.rendering import taps_table

NUMBER = "4761 7390 0101 0119"
TOKEN = "0a" * 32


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["denylist", "nosuch"],
        ["denylist"],
        ["taps", "--limit", "abc"],
        ["taps", "--limit", "0"],
        ["taps", "--state", "nosuch"],
        ["taps", "--nosuch"],
        ["show"],
        ["show", ""],
        ["show", ".."],
        ["resend"],
        ["close", "1", "--reason", " "],
        ["resolve", "1", "--as", "charged", "--reason", ""],
        ["resolve", "1", "--as", "maybe", "--reason", "x"],
        ["close", "1", "--reason", NUMBER],
        ["journeys", "--limit", "0"],
        ["journeys", "--limit", "1001"],
        ["journeys", "--closed"],
        ["checkout"],
        ["checkout", "3", "--amount", "320"],
        ["checkout", "3", "--reason", "x"],
        ["checkout", " ", "--amount", "320", "--reason", "x"],
        ["checkout", "3", "--amount", "320", "--reason", " "],
        ["checkout", "3", "--amount", "320", "--reason", NUMBER],
        ["checkout", "3", "--amount", "-1", "--reason", "x"],
        ["checkout", "3", "--amount", "3.20", "--reason", "x"],
        ["checkout", "3", "--amount", "1000000000000", "--reason", "x"],
        ["checkout", "3", "--amount", "320", "--currency", "EUR", "--reason", "x"],
        ["checkout", "3", "--amount", "320", "--currency", "٩٧٨", "--reason", "x"],
        ["refund"],
        ["refund", "3"],
        ["refund", "", "--reason", "x"],
        ["refund", "3", "--amount", "0", "--reason", "x"],
        ["refund", "3", "--amount", "1000000000000", "--reason", "x"],
        ["refund", "3", "--reason", ""],
        ["refund", "3", "--reason", NUMBER],
        ["receipt"],
        ["receipt", ""],
        ["receipt", ".."],
        ["report", "--by", "month"],
        ["report", "--by", "day,day"],
        ["report", "--since", "soon"],
        ["report", "--since", "2026-02-30"],
        ["report", "--until", "1950-01-01"],
        ["report", "--since", "2026-11-23", "--until", "2026-11-22"],
        ["report", "--format", "xml"],
        ["explain"],
        ["explain", ""],
        ["explain", ".."],
        ["denylist", "add", TOKEN, "--reason", NUMBER],
        ["denylist", "remove", TOKEN, "--reason", NUMBER],
        ["denylist", "import", "/dev/null", "--reason", NUMBER],
        ["store", "restore", "/none", "--config", "/none", "--reason", NUMBER],
        ["store", "prune", "--older-than", "-1"],
        ["simulate", "tps", "--listen", "x"],
        ["simulate", "validator"],
        ["simulate", "validator", "--port", "/none", "--baud", "12345678901"],
        ["simulate", "validator", "--port", "/none", "--boot", "99999999999"],
        ["simulate", "validator", "--port", "/none", "--amount", "9999999999999"],
        ["simulate", "validator", "--port", "/none", "--type", "x" * 33],
        ["simulate", "validator", "--port", "/none", "--serial", ""],
        ["simulate", "validator", "--port", "/none", "--currency", "abc"],
        ["simulate", "validator", "--port", "/none", "--interval", "inf"],
        ["demo", "--taps", "0"],
    ],
)
def test_a_wrong_use_is_one_json_object_and_exit_code_2(arguments: list[str]) -> None:
    code, out, err = run(*arguments, "--json")
    assert code == 2
    assert out.count("\n") == 1
    assert json.loads(out)["error"] in " ".join(err.split())
    assert NUMBER not in out + err
    code, out, _ = run(*arguments)
    assert (code, out) == (2, "")


def test_a_report_is_json_or_csv() -> None:
    code, _, err = run("report", "--format", "csv", "--json")
    assert (code, "leave one of them out" in err) == (2, True)


def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tpsd", "ladder", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=BOUND_SECONDS,
            env=environment(),
        )
    assert done.returncode == 1
    assert done.stderr.startswith("tpsd: standard output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1


def test_without_a_standard_output_a_command_still_works() -> None:
    command = ["sh", "-c", 'exec "$0" -m tpsd ladder >&-', sys.executable]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, check=False, timeout=BOUND_SECONDS, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_while_loading_ends_without_a_traceback() -> None:
    program = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "rich.console":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from tpsd.__main__ import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_SECONDS,
        env=environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_narrow_tables_lose_no_letter_of_a_cause() -> None:
    cause = "system.41@GATE-X1:VAL00042"
    row = {
        "number": 1, "tapped_at": 1_795_452_909_000_000, "lane": "front", "amount": 90_911, "currency": "978",
        "state": "permanently_failed", "disposition": None, "cause": cause, "reason": "ok", "attempts": 13,
    }  # fmt: skip
    wide = Table(*"abcdefgh")
    wide.add_row(*[cause] * 8)
    for table, column in ((taps_table([row], narrow=True), -3), (folding(wide), -2)):
        file = io.StringIO()
        Console(file=file, width=80).print(table)
        text = file.getvalue()
        assert "…" not in text
        rows = [line.split("│") for line in text.splitlines() if line.startswith("│")]
        assert "".join(cells[column].strip() for cells in rows) == cause
