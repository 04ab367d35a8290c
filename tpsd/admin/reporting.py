"""Reports over the socket: ``GET /report?by=day,lane&since=…&until=…``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from aiohttp import web

from tpsd.admin import spans
from tpsd.admin.journeys import local_date, local_iso
from tpsd.core.receipts import cause_words
from tpsd.core.reporting import Day, Tally
from tpsd.domain.reported import Column, Counted, Line, Report
from tpsd.domain.time import MINUTE, Micros

PATH = "/report"
DEFAULT_BY = (Column.DAY,)
_QUESTIONS = {"by", "since", "until"}
_QUARTER = 15 * MINUTE
_COLUMNS = ", ".join(column.value for column in Column)


class CountReader(Protocol):
    """A journal's taps and transactions as reports count them, with or without a daemon."""

    def between(self, since: Micros | None, until: Micros | None) -> AsyncIterator[list[Counted]]:
        """Those of a span of time, some at a time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants reported, in their own words; a daemon reads them by its own clock and zone."""

    by: str = ""
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """The same, read."""

    by: tuple[Column, ...]
    since: Micros | None
    until: Micros | None


class AskedWronglyError(ValueError):
    """``option`` is the one that is wrong; the text says how."""

    def __init__(self, option: str, what: str) -> None:
        super().__init__(what)
        self.option = option


def routes(reader: CountReader, wall: Callable[[], Micros]) -> list[web.RouteDef]:
    """The route of this topic; ``wall`` is the daemon's clock for people."""

    async def report(request: web.Request) -> web.Response:
        given = request.query
        if unknown := sorted(set(given) - _QUESTIONS):
            raise web.HTTPBadRequest(text=f"unknown question {unknown[0]!r}; ask with by, since, until")
        try:
            question = read(Asked(given.get("by", ""), given.get("since"), given.get("until")), wall())
        except AskedWronglyError as exc:
            raise web.HTTPBadRequest(text=f"{exc.option} {exc}; ask for something else") from exc
        return web.json_response(await report_page(reader, question))

    return [web.get(PATH, report, allow_head=False)]


def read(asked: Asked, now: Micros) -> Question:
    """What is wanted. Raises AskedWronglyError."""
    since = _instant("since", asked.since, spans.beginning, now)
    until = _instant("until", asked.until, spans.ending, now)
    if since is not None and until is not None and until <= since:
        raise AskedWronglyError("until", f"({asked.until}) is not after since ({asked.since})")
    return Question(_columns(asked.by), since, until)


async def report_page(reader: CountReader, question: Question) -> dict[str, Any]:
    """The report as plain values; days are those of this machine's place."""
    tally = Tally(question.by, _days())
    async for some in reader.between(question.since, question.until):
        tally.add(some)
    return _page(tally.report(question.since, question.until))


def _days() -> Day:
    """The date of an instant, worked out once a quarter of an hour: no zone's days begin in the middle of one."""
    known: dict[int, str] = {}

    def day(at: Micros) -> str:
        quarter = at // _QUARTER
        if quarter not in known:
            known[quarter] = local_date(at).isoformat()
        return known[quarter]

    return day


def _page(report: Report) -> dict[str, Any]:
    return {
        "by": [column.value for column in report.by],
        "since": None if report.since is None else local_iso(report.since),
        "until": None if report.until is None else local_iso(report.until),
        "lines": [_line(report.by, line) for line in report.lines],
        "totals": [_line((), line) for line in report.totals.values()],
    }


def _line(by: Sequence[Column], line: Line) -> dict[str, Any]:
    named = {column.value: value for column, value in zip(by, line.key, strict=True)}
    code = named.get(Column.CODE.value)
    if code is not None:
        words = cause_words(code)
        named["meaning"] = "" if words == code else words
    counted = {"taps": line.taps, "untapped": line.untapped, "outcomes": line.outcomes, "money": asdict(line.money)}
    return {**named, "currency": line.currency, **counted}


def _columns(text: str) -> tuple[Column, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {column.value: column for column in Column}
    for name in names:
        if name not in known:
            raise AskedWronglyError("by", f"{name!r} is none of {_COLUMNS}")
        if names.count(name) > 1:
            raise AskedWronglyError("by", f"names {name} twice")
    return tuple(known[name] for name in names) or DEFAULT_BY


def _instant(option: str, text: str | None, read_one: Callable[[str, Micros], Micros], now: Micros) -> Micros | None:
    if text is None:
        return None
    try:
        return read_one(text, now)
    except ValueError as exc:
        raise AskedWronglyError(option, str(exc)) from exc
