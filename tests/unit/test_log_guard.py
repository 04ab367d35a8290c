"""The guard itself: tests that write card numbers fail, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAN = "4761739001010119"


def outcome(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run one test with the guard and nothing else of ours."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (tmp_path / "test_one.py").write_text(
        f"import logging, sys, pytest, structlog\nPAN = '{PAN}'\n\ndef test_one(capsys=None):\n{lines}"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.log_guard", "-p", "no:cacheprovider", "test_one.py"]
    return subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "body",
    [
        "structlog.get_logger().info('kept', card=PAN)",
        "structlog.get_logger().info('kept', tap={'card': [PAN]})",
        "structlog.get_logger().info('kept', card=bytes.fromhex(PAN))",
        "logging.getLogger('x').warning('card %s', PAN)",
        "logging.getLogger('x').warning('card %s', PAN[:4] + ' ' + PAN[4:8] + ' ' + PAN[8:12] + ' ' + PAN[12:])",
        "print(PAN, file=sys.stderr)",
        "try:\n    raise ValueError(PAN)\nexcept ValueError:\n    logging.getLogger('x').exception('surprise')",
        "try:\n    raise ValueError(PAN)\nexcept ValueError:\n    structlog.get_logger().exception('surprise')",
        "from tpsd.log import configure\nconfigure('info')\nstructlog.get_logger('tpsd').info('kept', card=PAN)",
    ],
)
def test_a_card_number_in_a_log_fails_the_test(tmp_path: Path, body: str) -> None:
    done = outcome(tmp_path, body)
    assert done.returncode == 1, done.stdout
    assert "a card number was" in done.stdout
    assert "476173…0119" in done.stdout


@pytest.mark.parametrize(
    "body",
    [
        "structlog.get_logger().info('kept', card='476173******0119', at=1790000000000000)",
        "logging.getLogger('x').warning('nothing')\nprint('fine', file=sys.stderr)",
    ],
)
def test_other_events_pass(tmp_path: Path, body: str) -> None:
    done = outcome(tmp_path, body)
    assert done.returncode == 0, done.stdout


def test_a_test_may_say_that_it_logs_them_on_purpose(tmp_path: Path) -> None:
    marked = "structlog.get_logger().info('kept', card=PAN)\n\n\ntest_one = pytest.mark.logs_card_numbers(test_one)"
    body, _, after = marked.partition("\n\n\n")
    (tmp_path / "conftest.py").write_text("")
    done = outcome(tmp_path, body)
    assert done.returncode == 1
    path = tmp_path / "test_one.py"
    path.write_text(f"{path.read_text()}\n{after}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.log_guard", "-p", "no:cacheprovider", "test_one.py"]
    env = {"PYTHONPATH": str(ROOT)}
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0, again.stdout
