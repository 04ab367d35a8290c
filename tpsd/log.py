"""Logs: one JSON line an event on stderr, for journald; keys instead of prose, never card data.

Everything passes ``hide_card_numbers`` last, what libraries and tracebacks say included.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from tpsd.domain.card import DIGIT_RUN, mask_run

_HEX = "[0-9a-fA-F]"
_UUID = rf"(?<!{_HEX}){_HEX}{{8}}-{_HEX}{{4}}-[1-8]{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}(?!{_HEX})"
_UUID_OR_DIGITS = re.compile(rf"(?P<uuid>{_UUID})|{DIGIT_RUN}")


def configure(level: str = "INFO", *, json: bool = True, stream: TextIO | None = None) -> None:
    """Send the events of structlog and the standard library to ``stream`` (default stderr).

    ``level``: a name of the standard library. ``json=False`` writes coloured lines for a person at a terminal.
    """
    target = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=_rendering(json, target))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a test and the demo configure more than once in a process
    )


def hide_card_numbers(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: masks 12 to 19 digits in every value, stars longer runs, drops bytes."""
    return {key: hidden(value) for key, value in event.items()}


def hidden(value: Any) -> Any:
    """The value as JSON types in which no card number stands. What cannot be looked into becomes its text."""
    match value:
        case None | bool():
            return value
        case int() | float():
            return value if _masked(repr(value)) == repr(value) else _masked(repr(value))
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case Mapping():
            return {_masked(str(key)): hidden(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [hidden(inner) for inner in value]
        case _:
            return _masked(str(value))


def _masked(text: str) -> str:
    return _UUID_OR_DIGITS.sub(_keep_uuid, text)


def _keep_uuid(found: re.Match[str]) -> str:
    return found[0] if found["uuid"] else mask_run(found[0])


def _rendering(json: bool, target: TextIO) -> list[Processor]:
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # source lines only, never the values of locals
        hide_card_numbers,
        renderer,
    ]
