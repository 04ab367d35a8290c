"""What keeps card numbers out of a tap log, and finds those that somebody put in."""

from __future__ import annotations

import json
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.card_search import findings
from tpsd.taplog.guard import _NAMED_OR_DIGITS, holds_number, masked

PAN = "4761739001010119"
UUID_1 = "0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01"


@pytest.mark.parametrize(
    "value",
    [
        PAN,
        f"card {PAN}!",
        "4761 7390 0101 0119",
        "4761-7390-0101-0119",
        int(PAN),
        float(PAN),
        {PAN: 1},
        {"a": [{"b": (PAN,)}]},
        f"{UUID_1}{PAN}",
        f"{PAN}{UUID_1}",
        f"{'ab' * 20}{PAN}",  # hex, and no token's length
        PAN * 4,
    ],
)
def test_numbers_are_masked_wherever_they_stand(value: object) -> None:
    line = json.dumps(masked(value))
    assert findings("line", line.encode(), [PAN]) == []
    assert not holds_number(line)
    assert holds_number(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        UUID_1,
        str(UUID(int=int("1" * 38))),
        "0123456789012345678901234567890123456789012345678901234567890abc",
        "c0ffee1234567890",
        "476173******0119",
        "2026-11-23T08:15:30.123456Z",
        12345678901,
        0.123456789,
        1795.123456,
        None,
        True,
        {"a": ["b", 1, {}]},
    ],
)
def test_names_times_and_amounts_stay(value: object) -> None:
    assert masked(value) == value
    assert not holds_number(json.dumps(value))


def test_what_is_of_no_json_type_has_no_place() -> None:
    for value in (b"bytes", date(2026, 11, 23), object()):
        with pytest.raises(TypeError, match="has no place in a tap log"):
            masked({"a": value})


@given(st.recursive(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), st.lists))
def test_what_was_masked_is_never_found_again(value: object) -> None:
    line = json.dumps(masked(value))
    assert not holds_number(line)


PIECES = st.sampled_from(
    [
        PAN,
        "4761 7390-0101 0119",
        UUID_1,
        "ab12" * 16,
        "c0ffee1234567890",
        "12345678901",
        " ",
        "-",
        '"',
        "x",
        "\u0661",
        ":",
    ]
)


@given(st.lists(PIECES | st.text("0123456789abcdef -", max_size=40), max_size=12))
def test_the_quick_look_finds_what_the_whole_one_does(pieces: list[str]) -> None:
    line = "".join(pieces)
    assert holds_number(line) == any(found["named"] is None for found in _NAMED_OR_DIGITS.finditer(line))
