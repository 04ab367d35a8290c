"""The tap log's files: names, days, parts, and what is removed."""

from __future__ import annotations

import gzip
import os
import stat
from datetime import date
from pathlib import Path

import pytest

from tests.small_files import no_file_beyond
from tpsd.taplog.folder import Folder, in_order, is_log

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
LARGE = 16 * 2**20


def folder(path: Path, **changes: int) -> Folder:
    given = {"keep_days": 30, "bytes_max": LARGE, **changes}
    made = Folder(path, keep_days=given["keep_days"], bytes_max=given["bytes_max"])
    made.turn_to(MONDAY)
    return made


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


def unpacked(path: Path) -> str:
    with gzip.open(path, "rt") as file:
        return file.read()


def test_one_file_a_day_and_lane(tmp_path: Path) -> None:
    log = folder(tmp_path)
    log.append(None, ["a"])
    log.append("front", ["b", "c"])
    log.append(None, ["d"])
    assert names(tmp_path) == ["2026-11-23.front.jsonl", "2026-11-23.jsonl"]
    assert (tmp_path / "2026-11-23.jsonl").read_text() == "a\nd\n"
    assert (tmp_path / "2026-11-23.front.jsonl").read_text() == "b\nc\n"
    assert stat.S_IMODE((tmp_path / "2026-11-23.jsonl").stat().st_mode) == 0o640


def test_yesterdays_are_compressed(tmp_path: Path) -> None:
    log = folder(tmp_path)
    log.append("front", ["monday"])
    log.turn_to(TUESDAY)
    assert log.is_new("front")
    log.append("front", ["tuesday"])
    assert log.untidy
    log.tidy()
    assert names(tmp_path) == ["2026-11-23.front+001.jsonl.gz", "2026-11-24.front.jsonl"]
    assert unpacked(tmp_path / "2026-11-23.front+001.jsonl.gz") == "monday\n"
    assert not log.untidy


def test_another_process_goes_on_in_the_same_file_and_ends_a_line_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "2026-11-23.jsonl").write_text('{"cut')
    log = folder(tmp_path)
    log.append(None, ["whole"])
    assert (tmp_path / "2026-11-23.jsonl").read_text() == '{"cut\nwhole\n'


def test_a_large_one_becomes_a_part(tmp_path: Path) -> None:
    log = folder(tmp_path)
    for number in range(5):
        log.append("front", [f"{number}" * (LARGE // 8)])
        if log.untidy:
            log.tidy()
    parts = [f"2026-11-23.front+00{number}.jsonl.gz" for number in range(1, 6)]
    assert names(tmp_path) == parts
    assert [unpacked(tmp_path / part)[0] for part in parts] == ["0", "1", "2", "3", "4"]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    for name in ("2026-10-23.jsonl", "2026-10-24+001.jsonl.gz", "2026-11-22+001.jsonl.gz"):
        (tmp_path / name).write_text("x")
    log = folder(tmp_path)
    log.tidy()
    assert names(tmp_path) == ["2026-10-24+001.jsonl.gz", "2026-11-22+001.jsonl.gz"]


def test_the_oldest_go_where_it_is_too_much_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("n" * LARGE)
    for day in ("2026-11-20", "2026-11-21", "2026-11-22"):
        (tmp_path / f"{day}+001.jsonl.gz").write_bytes(os.urandom(LARGE // 3))
    log = folder(tmp_path)
    log.tidy()
    log.append(None, ["x" * 1000])
    assert log.untidy
    log.tidy()
    assert names(tmp_path) == [
        "2026-11-21+001.jsonl.gz", "2026-11-22+001.jsonl.gz", "2026-11-23.jsonl", "notes.txt"
    ]  # fmt: skip


def test_it_is_bounded_even_where_one_day_is_too_much(tmp_path: Path) -> None:
    log = folder(tmp_path)
    for _ in range(20):
        log.append("front", [os.urandom(LARGE // 16).hex()])
        if log.untidy:
            log.tidy()
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= LARGE + LARGE // 8


def test_a_file_that_was_removed_is_said(tmp_path: Path) -> None:
    log = folder(tmp_path)
    log.append(None, ["a"])
    (tmp_path / "2026-11-23.jsonl").unlink()
    with pytest.raises(FileNotFoundError):
        log.append(None, ["b"])
    log.append(None, ["c"])
    assert (tmp_path / "2026-11-23.jsonl").read_text() == "c\n"


def test_a_full_disk_costs_lines_and_the_next_ones_stand_by_themselves(tmp_path: Path) -> None:
    """A file that may grow no more is what a full disk is to its writer: a part of a line, then nothing."""
    log = folder(tmp_path)
    log.append(None, ["kept"])
    with no_file_beyond(20):
        with pytest.raises(OSError, match="No space left on device"):
            log.append(None, ["x" * 100])
        with pytest.raises(OSError, match="File too large"):
            log.append(None, ["lost"])
    log.append(None, ["whole"])
    first, cut, last = (tmp_path / "2026-11-23.jsonl").read_text().splitlines()
    assert (first, cut, last) == ("kept", "x" * 15, "whole")


def test_names() -> None:
    ordered = [
        "2026-11-23+001.jsonl.gz",
        "2026-11-23+1000.jsonl.gz",
        "2026-11-23.jsonl",
        "2026-11-23.front+001.jsonl.gz",
        "2026-11-23.front.jsonl",
        "2026-11-24.jsonl",
    ]
    assert sorted(map(Path, reversed(ordered)), key=in_order) == list(map(Path, ordered))
    assert all(is_log(Path(name)) for name in ordered)
    for name in ("x.jsonl", "2026-11-23.jsonl.part", "2026-11-23.FRONT.jsonl", "2026-11-23.a.b.jsonl"):
        assert not is_log(Path(name))
