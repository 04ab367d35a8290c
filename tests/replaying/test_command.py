"""``tpsd replay`` by itself: its exit codes, its last line, what it says of lines it passed over, and golden cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.replaying.logs import configuration, day, token_of
from tpsd.cli import app
from tpsd.replay import Asked, run
from tpsd.replay.golden import check, load


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return day(configuration(tmp_path), 3).write(tmp_path / "log.jsonl")


def replayed(*arguments: object) -> tuple[int, dict[str, Any], str]:
    done = CliRunner().invoke(app, ["replay", "--json", *map(str, arguments)])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_same(log: Path) -> None:
    code, last, said = replayed(log)
    assert (code, last["taps"], last["differences"], last["by_kind"], said) == (0, 3, 0, {}, "")


def test_different(log: Path) -> None:
    code, last, _ = replayed(log, "--set", "lanes.front.fare=300", "--limit", "1")
    assert (code, last["differences"], last["by_kind"]) == (1, 6, {"request": 3, "money": 3})
    assert [one["tap"] for one in last["found"]] == ["VAL00042:1:1"]


def test_it_cannot(tmp_path: Path) -> None:
    code, last, said = replayed(tmp_path / "nowhere")
    assert code == 2
    assert "is not there" in last["error"]
    assert said.startswith("tpsd: ")


def test_a_denied_card(log: Path) -> None:
    code, last, _ = replayed(log, "--deny", token_of(2))
    assert code == 1
    assert {one["tap"] for one in last["found"]} == {"VAL00042:1:2"}


def test_what_was_passed_over_is_said_with_its_place(log: Path) -> None:
    log.write_text(log.read_text() + "".join("rubbish\n" for _ in range(25)))
    code, last, said = replayed(log)
    assert (code, last["skipped"]) == (0, 25)
    lines = said.splitlines()
    assert lines[0].endswith("log.jsonl, line 11: it is no JSON")
    assert lines[-1] == "tpsd: passed over: 5 lines more"


def test_lines_that_are_missing_are_said(log: Path) -> None:
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:5] + lines[7:]) + "\n")
    _, last, said = replayed(log)
    assert last["missing"] == 2
    assert "2 lines are missing: lost when they were written, or in files that were not named" in said


def test_a_golden_case(tmp_path: Path, log: Path) -> None:
    code, last, _ = replayed(log, "--save-golden", tmp_path / "case", "--tap", "VAL00042:1:2")
    assert (code, last) == (0, {"saved": str(tmp_path / "case"), "differences": 0})
    assert check(load(tmp_path / "case")) == []
    code, last, _ = replayed(log, "--save-golden", tmp_path / "case")
    assert code == 2
    assert "is not empty" in last["error"]


@pytest.mark.parametrize("speed", [1e6, 5e5])
def test_paced_it_comes_to_the_same(log: Path, speed: float) -> None:
    assert run(Asked([log], speed=speed)).differences == ()
