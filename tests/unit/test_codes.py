"""The code tables against the numbers Sfey prints."""

import pytest

from tpsd.core.codes import (
    ACTION_CODES,
    SYSTEM_CODES,
    ActionClass,
    SystemClass,
    action_class,
    wants_pin,
)

PRINTED_NUMBERS = [
    *(0, 1, 2, 3, 100, 101, 102, 104, 105, 106, 109, 110, 111, 112, 116, 117, 118, 119, 120, 121, 123, 125),
    *(126, 127, 128, 129, 160, 161, 162, 163, 164, 165, 166, 200, 201, 202, 203, 204, 205, 206, 208, 209, 210),
    *(902, 903, 904, 907, 908, 909, 911, 913, 918, 920, 921, 923, 933, 934, 935),
]
PRINTED_ACTIONS = [f"{number:03}" for number in PRINTED_NUMBERS]

TAP_CODES = {4, 8, 9, 12, 17, 21, 27, 35, 47, 48, 59, 60, 63}
TERMINAL_CODES = {2, 10, 11, 20, 22, 24, 39, 41, 42, 65}
AGAIN_CODES = {3, 7, 13, 19, 86, 301, 302, 303}


def test_every_printed_action_code_is_there_and_no_other() -> None:
    assert sorted(ACTION_CODES) == sorted(PRINTED_ACTIONS)


@pytest.mark.parametrize("code", PRINTED_ACTIONS)
def test_the_first_digit_is_the_class(code: str) -> None:
    expected = {"0": ActionClass.APPROVED, "9": ActionClass.AGAIN}.get(code[0], ActionClass.DECLINED)
    assert ACTION_CODES[code].klass is expected
    assert action_class(code) is expected
    assert ACTION_CODES[code].meaning


@pytest.mark.parametrize("code", ["163", "164", "165"])
def test_codes_with_two_meanings_keep_both(code: str) -> None:
    first, second = ACTION_CODES[code].readings
    assert (first.de48_84, first.do_not_retry) == ("01", False)
    assert (second.de48_84, second.do_not_retry) == ("03", True)
    assert first.meaning in ACTION_CODES[code].meaning
    assert second.meaning in ACTION_CODES[code].meaning


def test_do_not_retry_is_said_of_these_alone() -> None:
    marked = {code for code, row in ACTION_CODES.items() if any(r.do_not_retry for r in row.readings)}
    assert marked == {"161", "163", "164", "165"}
    assert all(len(row.readings) == 1 for code, row in ACTION_CODES.items() if code not in ("163", "164", "165"))


def test_soft_declines() -> None:
    assert {code for code in ACTION_CODES if wants_pin(code)} == {"112", "117", "126", "127", "128", "160", "165"}
    assert not wants_pin("999")


@pytest.mark.parametrize("text", ["", "1", "00", "0000", "A00", " 00", "+10", "1.0", "٠٠٠", "²00"])
def test_anything_but_three_ascii_digits_is_no_action_code(text: str) -> None:
    assert action_class(text) is None


@pytest.mark.parametrize(("text", "klass"), [("099", "approved"), ("899", "declined"), ("900", "again")])
def test_codes_outside_the_table_have_a_class_too(text: str, klass: str) -> None:
    assert text not in ACTION_CODES
    assert action_class(text) is ActionClass(klass)


def test_system_codes_and_their_classes() -> None:
    by_class = {klass: {n for n, row in SYSTEM_CODES.items() if row.klass is klass} for klass in SystemClass}
    assert by_class == {
        SystemClass.TAP: TAP_CODES,
        SystemClass.TERMINAL: TERMINAL_CODES,
        SystemClass.AGAIN: AGAIN_CODES,
    }
    assert len(SYSTEM_CODES) == 31


def test_names_are_sfeys_and_one_code_alarms() -> None:
    assert SYSTEM_CODES[2].name == "MATCHING_AUTHORIZATION_SCHEMA_NOT_FOUND"
    assert SYSTEM_CODES[60].name == "INVALID_VALIDATOR_DATA_TAG"
    assert SYSTEM_CODES[303].name == "IN_PROGRESS"
    assert all(row.number == number for number, row in SYSTEM_CODES.items())
    assert [n for n, row in SYSTEM_CODES.items() if row.alarm] == [27]
