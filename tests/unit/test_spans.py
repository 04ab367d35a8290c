"""Spans of time as people give them, and what is said of a wrong one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tpsd.admin.reporting import Asked, AskedWronglyError, Question, read
from tpsd.admin.spans import beginning, ending
from tpsd.domain.reported import Column
from tpsd.domain.time import DAY, HOUR, Micros, iso_millis

NOW = Micros(1_795_421_730_123_456)  # 2026-11-23T08:15:30.123Z


@pytest.fixture(autouse=True)
def in_copenhagen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-23", "2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z"),
        (" 2026-11-23 ", "2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z", "2026-07-01T22:00:00.000Z"),
        ("2026-10-25", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),  # 25 hours long
        ("2026-11-23T08:00", "2026-11-23T07:00:00.000Z", "2026-11-23T07:00:00.000Z"),
        ("2026-11-23T08:00:00.250Z", "2026-11-23T08:00:00.250Z", "2026-11-23T08:00:00.250Z"),
        ("2026-11-23T08:00+05:30", "2026-11-23T02:30:00.000Z", "2026-11-23T02:30:00.000Z"),
        ("36h", "2026-11-21T20:15:30.123Z", "2026-11-21T20:15:30.123Z"),
        ("999999d", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_where_a_span_begins_and_ends(text: str, first: str, last: str) -> None:
    assert (iso_millis(beginning(text, NOW)), iso_millis(ending(text, NOW))) == (first, last)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-02-30", "there is no day 2026-02-30"),
        ("2026-13-01", "there is no day 2026-13-01"),
        ("0000-01-01", "there is no day 0000-01-01"),
        ("9999-12-31", "none that can be counted"),
        ("1950-01-01", "before 1970"),
        ("yesterday", "'yesterday' is none of: a day like 2026-11-23"),
        ("", "'' is none of"),
        ("-1h", "is none of"),
        ("1h30m", "is none of"),
        ("٣٦h", "is none of"),
        ("2026-11-23T25:00", "is none of"),
    ],
)
def test_what_is_no_time(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ending(text, NOW)


def test_a_question() -> None:
    day = Question((Column.DAY,), None, None)
    assert read(Asked(), NOW) == read(Asked(" , "), NOW) == day
    found = read(Asked("lane, code,day", "2026-11-23", "2026-11-23"), NOW)
    assert found.by == (Column.LANE, Column.CODE, Column.DAY)
    assert found.since is not None
    assert found.until == found.since + DAY
    assert read(Asked(since="2h", until="1h"), NOW) == Question(
        (Column.DAY,), Micros(NOW - 2 * HOUR), Micros(NOW - HOUR)
    )


@pytest.mark.parametrize(
    ("asked", "option", "words"),
    [
        (Asked("month"), "by", "'month' is none of day, lane, kind, code"),
        (Asked("day,lane,day"), "by", "names day twice"),
        (Asked(since="soon"), "since", "'soon' is none of"),
        (Asked(until="2026-02-30"), "until", "there is no day 2026-02-30"),
        (Asked(since="2026-11-23", until="2026-11-22"), "until", "2026-11-22) is not after since"),
        (Asked(since="1h", until="1h"), "until", "is not after since"),
    ],
)
def test_a_wrong_question(asked: Asked, option: str, words: str) -> None:
    with pytest.raises(AskedWronglyError, match=words.replace(")", r"\)")) as raised:
        read(asked, NOW)
    assert raised.value.option == option
