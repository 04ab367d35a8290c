"""Spans of time as people give them: days and times where this machine is, or so long ago."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}
FORMS = "a day like 2026-11-23, a time like 2026-11-23T08:00, or an age like 90m, 36h, 2d"


def beginning(text: str, now: Micros) -> Micros:
    """The wall-clock instant that a span begins with: of a day its first. Raises ValueError saying what is wrong."""
    return _instant(text, now, timedelta())


def ending(text: str, now: Micros) -> Micros:
    """The instant before which a span ends: of a day the first of the next, so that the day is in it."""
    return _instant(text, now, timedelta(days=1))


def _instant(text: str, now: Micros, beyond: timedelta) -> Micros:
    text = text.strip()
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return Micros(max(0, now - int(ago[1]) * _UNITS[ago[2]]))
    try:
        at = _micros(_read(text, beyond))
    except (ValueError, OverflowError, OSError) as exc:
        if _DAY.fullmatch(text):
            raise ValueError(f"there is no day {text}, or none that can be counted") from exc
        raise ValueError(f"{text!r} is none of: {FORMS}") from exc
    if at < 0:
        raise ValueError(f"{text} is before 1970")
    return at


def _read(text: str, beyond: timedelta) -> datetime:
    """A time that names no zone is one of this place."""
    try:
        day = date.fromisoformat(text) + beyond
    except ValueError:
        return datetime.fromisoformat(text).astimezone()
    return datetime(day.year, day.month, day.day).astimezone()


def _micros(moment: datetime) -> Micros:
    return Micros(int(moment.timestamp()) * SECOND + moment.microsecond)
