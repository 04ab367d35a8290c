"""Logs: one JSON line an event, UTC, no card number whatever way it comes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tpsd.domain.card import Pan
from tpsd.log import configure, hidden

pytestmark = pytest.mark.logs_card_numbers

PAN = "4761739001010119"
MASKED = "476173******0119"
UUID = "0b2b8a4e-7d3f-4c11-9a55-123456789012"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    target = io.StringIO()
    configure("debug", stream=target)
    yield target
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PAN, MASKED),
        (f"card {PAN}.", f"card {MASKED}."),
        ("4761 7390 0101 0119", MASKED),
        ("4761-7390-0101-0119", MASKED),
        (int(PAN), MASKED),
        (PAN + "D2212", f"{MASKED}D2212"),
        ("12345678901", "12345678901"),
        (12345678901, 12345678901),
        ("123456789012", "123456**9012"),
        ("1" * 19, "111111*********1111"),
        ("1" * 20, "****"),
        (["x", {PAN: PAN}], ["x", {MASKED: MASKED}]),
        ((1, None, True, 2.5), [1, None, True, 2.5]),
        (float(PAN), f"{MASKED}.0"),
        (b"\x47\x61\x73", "[3 bytes]"),
        (Pan(PAN), MASKED),
        (UUID, UUID),
        (f"{UUID} {PAN}", f"{UUID} {MASKED}"),
        ("2026-11-23T08:15:30.123Z", "2026-11-23T08:15:30.123Z"),
        ("2026-11-23 08:15:30.123", "2026-11-23 08:15:30.123"),
        ("192.168.100.200", "192.168.100.200"),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert hidden(value) == expected


def test_an_event_is_one_json_line(stream: io.StringIO) -> None:
    structlog.get_logger("tpsd.lane").info("tap_kept", lane="gate-1", card=PAN, number=7)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "tap_kept",
        "lane": "gate-1",
        "card": MASKED,
        "number": 7,
        "level": "info",
        "logger": "tpsd.lane",
    }


def test_what_libraries_say_is_masked_too(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").error("bad request %r", f"body {PAN}")
    (line,) = lines(stream)
    assert line["event"] == f"bad request 'body {MASKED}'"
    assert line["level"] == "error"


def test_a_traceback_has_no_locals_and_no_card_number(stream: io.StringIO) -> None:
    planted = PAN + "0"  # a local's value; 17 digits
    try:
        raise ValueError(f"cannot read {PAN}")
    except ValueError:
        structlog.get_logger("tpsd").exception("surprise")
    (line,) = lines(stream)
    assert f"ValueError: cannot read {MASKED}" in line["exception"]
    assert PAN not in stream.getvalue()
    assert planted not in stream.getvalue()


def test_levels_are_kept(stream: io.StringIO) -> None:
    configure("warning", stream=stream)
    structlog.get_logger("tpsd").info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger("tpsd").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_for_a_person_it_is_masked_as_well(stream: io.StringIO) -> None:
    target = io.StringIO()
    configure(json=False, stream=target)
    structlog.get_logger("tpsd").info("tap_kept", card=PAN)
    assert MASKED in target.getvalue()
    assert PAN not in target.getvalue()
    assert stream.getvalue() == ""
