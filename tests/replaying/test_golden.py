"""Cases saved from a log: small, anonymous, and whole for the taps that were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.replaying.logs import MORNING, Log, configuration, day, token_of, uuid_of
from tpsd.domain.time import SECOND, Micros
from tpsd.replay import Asked, ReplayError
from tpsd.replay.golden import check, load, save


@pytest.fixture
def log(tmp_path: Path) -> Path:
    made = day(configuration(tmp_path), 20)
    made.tap(21, Micros(MORNING + 60 * SECOND), token=token_of(5))
    return made.write(tmp_path / "log.jsonl")


def taps_of(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [f"{line['serial']}:{line['boot']}:{line['counter']}" for line in lines if line["event"] == "tap"]


def test_the_taps_that_were_named_and_the_same_cards(tmp_path: Path, log: Path) -> None:
    case = save(Asked([log]), tmp_path / "case", ["VAL00042:1:5", "VAL00042:1:7"])
    assert taps_of(case.folder) == ["VAL00042:1:5", "VAL00042:1:7", "VAL00042:1:21"]
    assert case.expected == ()
    again = load(case.folder)
    assert again == case
    assert check(again) == []


def test_the_taps_that_differ_with_how(tmp_path: Path, log: Path) -> None:
    asked = Asked([log], changes=["lanes.front.fare=300"], denied=[bytes.fromhex(token_of(9))])
    with pytest.raises(ReplayError, match="is not empty"):
        save(asked, tmp_path)
    case = save(asked, tmp_path / "case", ["VAL00042:1:9"])
    assert {one["aspect"] for one in case.expected} == {"verdict", "request", "outcome", "money"}
    assert check(load(case.folder)) == []
    few = save(Asked([log], denied=[bytes.fromhex(token_of(3))]), tmp_path / "few")
    assert taps_of(few.folder) == ["VAL00042:1:3"]


def test_nothing_says_whose_it_was(tmp_path: Path, log: Path) -> None:
    case = save(Asked([log]), tmp_path / "case", ["VAL00042:1:5"])
    text = "".join(path.read_text() for path in case.folder.iterdir())
    for word in (token_of(5), token_of(-5), "mail.example", "b.example", "/nowhere", "/dev/front", "front/journal"):
        assert word not in text
    assert uuid_of(5) in text, "by which people find it again"


def test_too_many_or_none(tmp_path: Path) -> None:
    path = day(configuration(tmp_path), 101).write(tmp_path / "log.jsonl")
    with pytest.raises(ReplayError, match="101 taps, and 100 are the most: name some by --tap"):
        save(Asked([path]), tmp_path / "case")
    with pytest.raises(ReplayError, match="no such tap in the log: VAL00042:9:9"):
        save(Asked([path]), tmp_path / "case", ["VAL00042:9:9"])
    with pytest.raises(ReplayError, match="give --set instead of --config"):
        save(Asked([path], config=tmp_path / "x.toml"), tmp_path / "case")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tps": "recorded", "changes": [], "denied": ["zz"]}'])
def test_what_is_no_case(tmp_path: Path, content: str) -> None:
    with pytest.raises(ReplayError, match="holds no golden case"):
        load(tmp_path)
    (tmp_path / "case.json").write_text(content)
    with pytest.raises(ReplayError, match="holds no golden case"):
        load(tmp_path)


def test_mails_that_these_taps_alone_lead_to(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    made.tap(1, MORNING)
    uuid, at = uuid_of(2), Micros(MORNING + SECOND)
    made.tap(2, at)
    text = made.write(tmp_path / "log.jsonl").read_text().splitlines()
    refused = {
        "outcome": "tap_refused",
        "outcome_cause": "system.60",
        "clean": True,
        "http": 400,
        "state": "tap_refused",
    }
    lines = [json.loads(line) for line in text]
    for line in lines:
        if line.get("uuid") == uuid and line["event"] == "sent":
            line["exchange"] = {"kind": "answer", "http": 400, "system_code": 60}
        elif line.get("uuid") == uuid:
            line |= {**refused, "cause": "system.60", "may_have_charged": False}
    lines.append({**lines[-1], "n": lines[-1]["n"] + 1, "event": "end", "lost": 0, "at": "2026-11-23T10:00:00.000000Z"})
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    case = save(Asked([tmp_path / "log.jsonl"]), tmp_path / "case")
    assert case.expected == ()
    events = [json.loads(line)["event"] for line in (case.folder / "log.jsonl").read_text().splitlines()]
    assert events.count("mailed") == 1
