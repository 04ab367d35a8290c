"""A pytest plugin: a test fails when a log event, a captured log or the captured standard error holds a card number.

Events are looked at before anything masks them: the mask is the last line of defence, not a licence. A test that
logs card numbers to see them masked says so with ``@pytest.mark.logs_card_numbers``.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TextIO, cast

import pytest
import structlog
from structlog.typing import EventDict, WrappedLogger

from device.vl1.cards import CARDS, EXPIRED
from tests.card_search import findings

MARK = "logs_card_numbers"
WATCHED_SECTIONS = ("stderr", "log")

KNOWN = frozenset(
    {
        *(card.pan for card in CARDS),
        EXPIRED.pan,
        "4000056655665556",
        "4111111111111111",
        "4761739001010010",
        "4761739001010119",
        "5413330089010012",
        "5413330089020011",
    }
)
"""The card numbers that tests put in: the simulated cards' and the schemes' own test numbers."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", f"{MARK}: puts card numbers into log events on purpose")


@pytest.fixture(autouse=True)
def log_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sees every event of structlog and of the standard library while a test runs."""
    if request.node.get_closest_marker(MARK) is not None:
        yield
        return
    events: list[str] = []
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_spying(factory, events))
    ours = not structlog.is_configured()
    if ours:
        structlog.configure(
            processors=[_spy(events), *structlog.get_config()["processors"]],
            logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Said())),
        )
    try:
        yield
    finally:
        logging.setLogRecordFactory(factory)
        if ours:
            structlog.reset_defaults()
    found = findings("a log event", "\n".join(dict.fromkeys(events)).encode(), KNOWN)
    if found:
        pytest.fail(f"a card number was logged: {'; '.join(found)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Looks at what was captured so far; what passed otherwise fails for it."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.passed and item.get_closest_marker(MARK) is None:
        found = [
            finding
            for title, text in report.sections
            if any(name in title for name in WATCHED_SECTIONS)
            for finding in findings(title, text.encode(), KNOWN)
        ]
        if found:
            report.outcome = "failed"
            report.longrepr = f"a card number was written: {'; '.join(found)}"
    return report  # type: ignore[return-value]


class _Said:
    """The test's own standard output: a command run beside a daemon takes ``sys.stdout`` for as long as it runs."""

    @cached_property
    def _stream(self) -> TextIO:
        return sys.stdout

    def write(self, text: str) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


def _spying(factory: Callable[..., logging.LogRecord], events: list[str]) -> Callable[..., logging.LogRecord]:
    def make(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = factory(*arguments, **more)
        events.append(f"{record.msg!r} {record.args!r}")
        if record.exc_info and record.exc_info[1] is not None:
            events.append("".join(traceback.format_exception(record.exc_info[1])))
        return record

    return make


def _spy(events: list[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        events.append(repr(event))
        if event.get("exc_info"):
            events.append(traceback.format_exc())
        return event

    return process
