"""The demo's own log, replayed: doors, gates, a reader, enquiries, orders by hand, and a ladder's whole day."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device.vl1.cards import CARDS, EXPIRED
from schemas.taplog import LINE, Tap
from tests.card_search import findings_in_files
from tests.integration.processes import environment
from tpsd.replay.reading import files_of, read

SECONDS_MAX = 120.0
Replays = Callable[..., "Replayed"]


@dataclass(frozen=True)
class Replayed:
    """One ``tpsd replay`` in a process of its own."""

    code: int
    errors: str
    last: dict[str, Any]

    def by_tap(self) -> dict[str, set[str]]:
        """The aspects that differ, by tap."""
        found: dict[str, set[str]] = {}
        for one in self.last["found"]:
            found.setdefault(one["tap"], set()).add(one["aspect"])
        return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "log"
    done = tpsd("demo", "--json", "--record", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture
def again(recorded: Path) -> Replays:
    """Replay it; the last line of what it says."""

    def replayed(*options: str) -> Replayed:
        done = tpsd("replay", str(recorded), "--json", "--limit", "0", *options)
        return Replayed(done.returncode, done.stderr, json.loads(done.stdout.splitlines()[-1]))

    return replayed


def tpsd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tpsd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, env=environment(), check=False)


def taps(folder: Path) -> list[Tap]:
    lines = [line for path in files_of([folder]) for line, _ in read(path, lambda skipped: None)]
    return [line for line in lines if isinstance(line, Tap)]


def test_the_same_comes_to_the_same(again: Replays, recorded: Path) -> None:
    replayed = again()
    assert (replayed.code, replayed.errors) == (0, "")
    came = len(taps(recorded))
    assert came >= 73, "a validator that waits too long sends its tap again, and that is logged too"
    expected = {"taps": came, "differences": 0, "by_kind": {}, "skipped": 0, "missing": 0, "found": []}
    assert replayed.last == expected


def test_another_ladder_concerns_those_who_need_it(again: Replays, recorded: Path) -> None:
    replayed = again("--set", "retry.tiers=[{tries=1,every_minutes=2}]")
    assert replayed.code == 1
    lines = [line for path in files_of([recorded]) for line, _ in read(path, lambda skipped: None)]
    resent = {line.uuid for line in lines if line.event == "settled" and line.wait_seconds is not None}
    assert {one["uuid"] for one in replayed.last["found"] if one["aspect"] == "ladder"} == resent
    assert {one["uuid"] for one in replayed.last["found"] if one["aspect"] != "mail"} == resent


def test_another_fare_concerns_the_lane_whose_taps_bring_none(again: Replays, recorded: Path) -> None:
    let_in = [tap for tap in taps(recorded) if tap.lane == "side" and tap.decided is not None and tap.decided.uuid]
    replayed = again("--set", "lanes.side.fare=300")
    assert replayed.code == 1
    names = {f"#{tap.number}" for tap in let_in}  # a reader without a memory names no tap
    assert replayed.by_tap() == {name: {"request", "money"} for name in names}
    assert len(names) == 3
    assert replayed.last["by_kind"] == {"request": 3, "money": 3}


def test_a_denied_card_concerns_its_own_taps(again: Replays, recorded: Path) -> None:
    honest = next(tap for tap in taps(recorded) if tap.lane == "front" and tap.decided and tap.decided.state)
    assert honest.card.token is not None
    same_card = {
        f"{tap.serial}:{tap.boot}:{tap.counter}"
        for tap in taps(recorded)
        if tap.card.token == honest.card.token and tap.decided is not None and tap.decided.local == "ok"
    }
    replayed = again("--deny", honest.card.token)
    assert replayed.code == 1
    named = set(replayed.by_tap()) - {""}
    assert f"{honest.serial}:{honest.boot}:{honest.counter}" in named
    assert named <= same_card
    assert replayed.last["by_kind"]["verdict"] >= 1


def test_twice_is_the_same(again: Replays) -> None:
    options = ("--set", "lanes.side.fare=300", "--set", "retry.tiers=[{tries=1,every_minutes=2}]")
    assert again(*options) == again(*options)


def test_no_card_is_in_the_log(recorded: Path) -> None:
    assert findings_in_files([recorded], [card.pan for card in (*CARDS, EXPIRED)]) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("nowhere",), "nowhere is not there: name a tap log's file or folder"),
        (("--set", "lanes.nobody.fare=1", "LOG"), "there is no nobody"),
        (("--config", "nowhere.toml", "LOG"), "nowhere.toml cannot be read"),
        (("--tps", "sandbox", "LOG"), "choose recorded or simulate"),
        (("--speed", "fast", "LOG"), "is no speed"),
        (("--deny", "5", "LOG"), "is no card token"),
        (("--deny", "4761739001010119", "LOG"), "looks like a card number"),
    ],
)
def test_what_cannot_be(recorded: Path, options: tuple[str, ...], words: str) -> None:
    done = tpsd("replay", "--json", *(str(recorded) if option == "LOG" else option for option in options))
    assert done.returncode == 2
    assert words in json.loads(done.stdout.splitlines()[-1])["error"]
    assert "Traceback" not in done.stderr
    assert "4761739001010119" not in done.stderr + done.stdout


def test_tables_for_people(recorded: Path) -> None:
    done = tpsd("replay", str(recorded), "--set", "lanes.side.fare=300", "--limit", "2")
    assert done.returncode == 1
    assert "4 more; --limit 0 shows all" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{len(taps(recorded))} taps, 6 differences: request 3, money 3"


def test_every_line_is_of_the_schema(recorded: Path) -> None:
    for path in files_of([recorded]):
        for _, text in read(path, lambda skipped: pytest.fail(str(skipped))):
            LINE.validate_json(text)
