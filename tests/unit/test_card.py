"""Card data cannot print itself, whichever way a program prints, copies or stores things."""

import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from tpsd.domain.card import UNMASKABLE, CardReading, Expiry, Pan, Secret, Track2, mask, mask_runs

NUMBER = "4761739001010119"
REST = "D28122011758928889"
PAN, TRACK2 = Pan(NUMBER), Track2(NUMBER + REST)
CARD = CardReading(PAN, Expiry(2028, 12), TRACK2, PAN.masked)


def logged(value: object) -> str:
    stream = io.StringIO()
    logger = logging.Logger("card", logging.DEBUG)
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("a card: %s %r", value, value)
    return stream.getvalue()


def raised(value: object) -> str:
    try:
        raise RuntimeError("no", value)
    except RuntimeError as error:
        return "".join(traceback.format_exception(error)) + repr(error.args)


PRINTERS: dict[str, Callable[[Any], str]] = {
    "str": str,
    "repr": repr,
    "f-string": lambda value: f"{value} {value!s} {value!r} {value!a}",
    "format": lambda value: "{} {!r}".format(value, value),  # noqa: UP032
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031
    "a list": lambda value: str([value]),
    "a dict": lambda value: str({"card": value}),
    "a set": lambda value: str({value}),
    "json with default": lambda value: json.dumps(value, default=str),
    "logging": logged,
    "an exception": raised,
    "ascii": ascii,
    "vars and dir": lambda value: repr(dir(value)) + repr(getattr(value, "__dict__", {})),
}


@pytest.mark.parametrize("print_it", PRINTERS.values(), ids=PRINTERS.keys())
@pytest.mark.parametrize("value", [PAN, TRACK2, CARD], ids=["pan", "track 2", "reading"])
def test_no_way_of_printing_shows_it(value: object, print_it: Callable[[object], str]) -> None:
    shown = print_it(value)
    assert NUMBER not in shown
    assert NUMBER[6:12] not in shown
    assert REST not in shown


@pytest.mark.parametrize("spec", ["", ">40", "<10", "^3", ".4", "s"])
def test_a_format_specification_formats_the_mask(spec: str) -> None:
    assert format(PAN, spec) == format("476173******0119", spec)
    assert format(TRACK2, spec) == format("[hidden]", spec)


STORERS: dict[str, Callable[[Any], object]] = {
    "pickle": pickle.dumps,
    "an old pickle": lambda value: pickle.dumps(value, protocol=0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": json.dumps,
}


@pytest.mark.parametrize("store", STORERS.values(), ids=STORERS.keys())
@pytest.mark.parametrize("value", [PAN, TRACK2], ids=["pan", "track 2"])
def test_it_can_neither_be_stored_nor_copied(value: object, store: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as error:
        store(value)
    assert NUMBER not in str(error.value)


def test_a_reading_cannot_be_taken_apart_by_dataclasses() -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        asdict(CARD)
    with pytest.raises(TypeError):
        pickle.dumps(CARD)
    assert replace(CARD, expiry=None).pan == PAN


def test_reveal_is_the_way_out() -> None:
    assert (PAN.reveal(), TRACK2.reveal()) == (NUMBER, NUMBER + REST)


def test_equality_is_by_value_and_kind() -> None:
    assert Pan(NUMBER) == PAN
    assert hash(Pan(NUMBER)) == hash(PAN)
    assert Pan("5413330089010012") != PAN
    assert Secret(NUMBER) != PAN
    assert Track2(NUMBER) != PAN
    assert NUMBER != PAN


@pytest.mark.parametrize(
    "digits",
    ["", "47617390010", "47617390010101190000", "4761739001O10119", "476173900101011٩", " 761739001010119"],
)
def test_what_is_no_number_is_refused_without_being_shown(digits: str) -> None:
    with pytest.raises(ValueError, match="12 to 19 digits") as error:
        Pan(digits)
    assert not digits or digits not in str(error.value)
    assert mask(digits) == UNMASKABLE


@pytest.mark.parametrize("length", range(12, 20))
def test_the_mask_shows_first_six_and_last_four(length: int) -> None:
    digits = "123456789012345678901"[:length]
    assert mask(digits) == digits[:6] + "*" * (length - 10) + digits[-4:]
    assert len(mask(digits)) == length


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Central", "Central"),
        ("route 12, 20261123", "route 12, 20261123"),
        ("12345678901", "12345678901"),
        ("123456789012", "123456**9012"),
        (f"a{NUMBER}b", "a476173******0119b"),
        (f"{NUMBER[:4]} {NUMBER[4:8]} {NUMBER[8:12]} {NUMBER[12:]}", "476173******0119"),
        (f"{NUMBER[:4]}-{NUMBER[4:]}", "476173******0119"),
        (f"{NUMBER}0000", "****"),
        (f"{NUMBER}, {NUMBER}", "476173******0119, 476173******0119"),
    ],
)
def test_a_run_of_digits_that_could_be_a_card_number_is_masked(text: str, shown: str) -> None:
    assert mask_runs(text) == shown
