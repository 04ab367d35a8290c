"""What is no whole log: every line that can be read is, and what was passed over is said with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.card_search import findings
from tests.replaying.logs import configuration, day
from tpsd.replay import Asked, ReplayError, Result, run
from tpsd.replay.reading import LINE_BYTES_MAX

PAN = "4761739001010119"


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    return day(configuration(tmp_path), 5).lines


def result(path: Path, lines: list[str], end: str = "\n") -> Result:
    path.write_text("\n".join(lines) + end)
    return run(Asked([path]))


def told(found: Result) -> list[str]:
    return [str(one).rpartition("/")[2] for one in found.skipped]


def test_cut_off_in_its_last_line(tmp_path: Path, lines: list[str]) -> None:
    cut = [*lines[:-1], lines[-1][:40]]
    found = result(tmp_path / "a.jsonl", cut, end="")
    assert told(found) == ["a.jsonl, line 16: it is cut off"]
    assert found.taps == 5


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no json", "it is no JSON"),
        ("[]", "it is no line of a tap log"),
        ('"text"', "it is no line of a tap log"),
        ('{"level":"info","event":"ready"}', "it is no line of a tap log"),
        ('{"v":2,"event":"tap"}', "it is of version 2, and this tpsd knows 1: replay it with a newer one"),
        ('{"v":0,"event":"tap"}', "it is of a version that never was: '0'"),
        ('{"v":"one","event":"tap"}', "it is of a version that never was: 'one'"),
        ('{"v":1,"event":"eclipse"}', "it tells of something that this tpsd does not know"),
        ('{"v":1,"event":"link","lane":"x"}', "its link.life is wrong: field required"),
        ('{"v":1,"event":"tap","life":5}', "its tap.life is wrong: input should be a valid string"),
        ("\x00\x01\x02", "it is no JSON"),
        ("{" * 3000, "it is no JSON"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, lines: list[str], line: str, why: str) -> None:
    found = result(tmp_path / "a.jsonl", [*lines[:4], line, *lines[4:]])
    assert told(found) == [f"a.jsonl, line 5: {why.replace('link.life', 'life').replace('tap.life', 'life')}"]
    assert (found.taps, found.differences) == (5, ())


def test_fields_and_blanks_that_a_later_minor_version_may_add_change_nothing(tmp_path: Path, lines: list[str]) -> None:
    newer = [json.dumps({**json.loads(line), "weather": {"rain": True}}) for line in lines]
    found = result(tmp_path / "a.jsonl", ["", *newer, "  "])
    assert (found.taps, found.differences, found.skipped) == (5, (), ())


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_a_compressed_file_that_was_cut(tmp_path: Path, lines: list[str], part: float) -> None:
    path = tmp_path / "2026-11-23+001.jsonl.gz"
    whole = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    path.write_bytes(whole[: int(len(whole) * part)])
    (tmp_path / "2026-11-24.jsonl").write_text("\n".join(lines) + "\n")
    found = run(Asked([tmp_path]))
    assert any("the compressed file is cut off; what follows is lost" in one for one in told(found))
    assert (found.taps, found.differences) == (5, ())


def test_a_file_that_only_says_it_is_compressed(tmp_path: Path, lines: list[str]) -> None:
    good = tmp_path / "2026-11-23.jsonl"
    good.write_text("\n".join(lines) + "\n")
    bad = tmp_path / "2026-11-22+001.jsonl.gz"
    bad.write_bytes(b"not compressed at all\n")
    found = run(Asked([tmp_path]))
    assert told(found) == [f"{bad.name}, line 1: it is damaged, or not compressed; what follows is lost"]
    assert found.taps == 5


def test_a_line_without_an_end(tmp_path: Path, lines: list[str]) -> None:
    found = result(tmp_path / "a.jsonl", [*lines, "x" * (LINE_BYTES_MAX + 5)])
    assert told(found) == ["a.jsonl, line 17: it is longer than a megabyte, so the rest is no tap log"]
    assert found.taps == 5


@pytest.mark.parametrize("card", [PAN, "4761 7390 0101 0119", "4761-7390-0101-0119"])
@pytest.mark.parametrize("place", ["value", "key", "no json"])
def test_a_card_number_ends_it_and_is_not_shown(tmp_path: Path, lines: list[str], card: str, place: str) -> None:
    plants: dict[str, dict[str, object]] = {"value": {"x": card}, "key": {card: 1}}
    planted = plants.get(place)
    line = json.dumps({**json.loads(lines[7]), **planted}) if planted else f"card {card}"
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines[:7], line, *lines[8:]]) + "\n")
    with pytest.raises(ReplayError) as raised:
        run(Asked([path]))
    assert f"{path}, line 8 holds what could be a card number" in str(raised.value)
    assert findings("the error", str(raised.value).encode(), [PAN]) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no line says under which configuration"),
        ("hello\n", "no line says under which configuration"),
    ],
)
def test_what_is_no_log_at_all(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(ReplayError, match=words):
        run(Asked([path]))


def test_a_log_without_taps(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{lines[0]}\n")
    with pytest.raises(ReplayError, match="there is no tap in it: name the files of the lanes too"):
        run(Asked([path]))


def test_places_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="is not there"):
        run(Asked([tmp_path / "nowhere"]))
    with pytest.raises(ReplayError, match="holds no tap log"):
        run(Asked([tmp_path]))


def test_a_life_with_a_number_that_no_life_reaches(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines, json.dumps({**json.loads(lines[1]), "n": 99_999_999_999})]) + "\n")
    with pytest.raises(ReplayError, match="none that tpsd wrote"):
        run(Asked([path]))
