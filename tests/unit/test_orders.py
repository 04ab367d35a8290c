"""What people type beside an order: times, and words that must hold no card number."""

from __future__ import annotations

import pytest

from tpsd.cli.orders import since_micros
from tpsd.domain.audit import may_hold_card_number
from tpsd.domain.time import DAY, HOUR, MINUTE

NOW = 1_790_000_000_000_000


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("90m", NOW - 90 * MINUTE),
        ("36h", NOW - 36 * HOUR),
        (" 2d ", NOW - 2 * DAY),
        ("999999d", 0),
        ("2026-11-23", 1_795_392_000_000_000),
        ("2026-11-23T08:00", 1_795_420_800_000_000),
        ("2026-11-23T08:00Z", 1_795_420_800_000_000),
        ("2026-11-23T09:00+01:00", 1_795_420_800_000_000),
    ],
)
def test_since(text: str, since: int) -> None:
    assert since_micros(text, NOW) == since


@pytest.mark.parametrize("text", ["", "yesterday", "5", "-2d", "2 d", "1969-12-31", "2026-13-01", "99999999h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several makers; the command says what is wanted
        since_micros(text, NOW)


@pytest.mark.parametrize("text", ["4761739001010119", "card 4761 7390 0101 0119.", "x4761-7390-0101-0119"])
def test_card_numbers_are_seen(text: str) -> None:
    assert may_hold_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the bank called at 14:30, case 20261123",
        "see 7f3c0e0a-1111-4222-8333-444455556666",
        "see 11111111-2222-4333-8444-555566667777 and 12345678901",
        "VAL00042:3:17",
    ],
)
def test_other_words_pass(text: str) -> None:
    assert not may_hold_card_number(text)
