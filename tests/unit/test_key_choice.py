"""Which device keys are used by themselves, and by which others a card is still known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.store.builders import NOW
from tpsd.core.device_keys import prepared
from tpsd.core.key_choice import HONOURED_MAX, Choice, UseFed, choose, oldest_first, refused
from tpsd.domain.card import mask_runs
from tpsd.domain.device_key import BY_HAND, DeviceKey, KeyRow, OpenedKey

FRONT, REAR = "GATE-X1:VAL00001", "GATE-X1:VAL00002"
NOTHING: Mapping[str, str] = {}


def row(number: int, check: str | None = "AAAAAA", kind: str = "SALT", terminal: str = FRONT, **more: Any) -> KeyRow:
    return KeyRow(number, kind, "", "PLAIN", "", terminal, check, "", NOW, **more)


def chosen(*rows: KeyRow, use: UseFed = UseFed.WITHOUT_FILE, filed: Mapping[str, str] = NOTHING) -> Choice:
    return choose(sorted(rows, key=lambda one: -one.id), use, filed)  # as the journal lists them


def names(choice: Choice) -> tuple[str | None, list[str | None], bool]:
    in_force = None if choice.salt is None else choice.salt.check_value
    return in_force, [one.check_value for one in choice.honoured], choice.file_honoured


OLD, NEW = row(1, "AAAAAA"), row(2, "BBBBBB")
FILE = {"SALT": "AAAAAA"}


@pytest.mark.parametrize(
    ("use", "filed", "found"),
    [
        (UseFed.WITHOUT_FILE, NOTHING, ("BBBBBB", ["AAAAAA"], False)),
        (UseFed.WITHOUT_FILE, FILE, (None, ["BBBBBB"], False)),
        (UseFed.ALWAYS, NOTHING, ("BBBBBB", ["AAAAAA"], False)),
        (UseFed.ALWAYS, FILE, ("BBBBBB", [], True)),
        (UseFed.ALWAYS, {"SALT": "CCCCCC"}, ("BBBBBB", ["AAAAAA"], True)),
        (UseFed.NEVER, FILE, (None, ["BBBBBB"], False)),
        (UseFed.NEVER, NOTHING, (None, [], False)),
    ],
)
def test_who_goes_first(use: UseFed, filed: Mapping[str, str], found: tuple[str | None, list[str], bool]) -> None:
    assert names(chosen(OLD, NEW, use=use, filed=filed)) == found


def test_a_key_is_as_old_as_its_first_coming() -> None:
    late = row(3, "AAAAAA", terminal=REAR)
    assert names(chosen(OLD, NEW, late)) == ("BBBBBB", ["AAAAAA"], False), "a terminal that is behind changes nothing"


def test_of_keys_that_come_together_the_higher_index_is_newer() -> None:
    indices = ["10", "", "9", "0a", "2"]
    keys = [DeviceKey("SALT", "PLAIN", "", "", index) for index in indices]
    assert [key.index for key in oldest_first(keys)] == ["", "0a", "2", "9", "10"]
    ivs = [DeviceKey("SALT", "AES", "", "", index) for index in ("9" * 32, "1" * 32)]
    assert oldest_first(ivs) == ivs, "an IV says nothing of age"


def test_what_a_person_gave_is_honoured_and_not_used_by_itself() -> None:
    by_hand = row(3, "CCCCCC", terminal=BY_HAND)
    assert names(chosen(OLD, by_hand)) == ("AAAAAA", ["CCCCCC"], False)
    assert names(chosen(OLD, by_hand, row(4, "CCCCCC"))) == ("CCCCCC", ["AAAAAA"], False), "until TPS gives it too"


def test_what_tps_refused_is_honoured_and_used_no_more() -> None:
    wrong = replace(NEW, refused_at=NOW)
    assert names(chosen(OLD, wrong)) == ("AAAAAA", ["BBBBBB"], False)
    assert names(chosen(wrong)) == (None, [], False), "rather none than one that TPS refuses"
    assert names(chosen(wrong, use=UseFed.ALWAYS, filed=FILE)) == (None, ["BBBBBB"], False)


def test_what_was_retired_is_neither() -> None:
    gone = replace(NEW, retired_at=NOW)
    assert names(chosen(OLD, gone)) == ("AAAAAA", [], False)
    assert names(chosen(OLD, gone, row(3, "BBBBBB", terminal=REAR))) == ("AAAAAA", [], False), "from wherever it came"
    filed = {"SALT": "BBBBBB"}
    assert names(chosen(OLD, gone, use=UseFed.ALWAYS, filed=filed)) == ("AAAAAA", [], False)
    assert names(chosen(gone, use=UseFed.ALWAYS, filed=filed)) == (None, [], False), (
        "the file's, since there is no other"
    )


def test_what_does_not_open_counts_for_nothing() -> None:
    assert names(chosen(row(1, None))) == (None, [], False)


def test_honoured_are_few_and_the_newest() -> None:
    rows = [row(number, f"{number:06}") for number in range(1, HONOURED_MAX + 4)]
    _, honoured, _ = names(chosen(*rows))
    assert honoured == [one.check_value for one in reversed(rows[:-1])][:HONOURED_MAX]


@pytest.mark.parametrize(
    ("rows", "use", "filed", "used"),
    [
        ([row(1, kind="TTK", key_id="01")], UseFed.WITHOUT_FILE, NOTHING, {FRONT: 1}),
        ([row(1, kind="TTK", key_id="01")], UseFed.WITHOUT_FILE, {"TTK": "EEEEEE"}, {}),
        ([row(1, kind="TTK", key_id="01")], UseFed.WITHOUT_FILE, FILE, {FRONT: 1}),
        ([row(1, kind="TTK", key_id="01")], UseFed.ALWAYS, {"TTK": "EEEEEE"}, {FRONT: 1}),
        ([row(1, kind="TTK", key_id="01")], UseFed.NEVER, NOTHING, {}),
        ([row(1, kind="TTK", key_id="01"), row(2, kind="TTK", key_id="02")], UseFed.ALWAYS, NOTHING, {FRONT: 2}),
        (
            [row(1, kind="TTK", key_id="01"), row(2, kind="TTK", key_id="02", terminal=REAR)],
            UseFed.ALWAYS,
            NOTHING,
            {FRONT: 1, REAR: 2},
        ),
        ([row(1, kind="TTK", key_id="01"), row(2, kind="TTK")], UseFed.ALWAYS, NOTHING, {FRONT: 1}),
        (
            [row(1, kind="TTK", key_id="01"), row(2, kind="TTK", key_id="02", retired_at=NOW)],
            UseFed.ALWAYS,
            NOTHING,
            {FRONT: 1},
        ),
        (
            [row(1, kind="TTK", key_id="01"), row(2, kind="TTK", key_id="02", refused_at=NOW)],
            UseFed.ALWAYS,
            NOTHING,
            {FRONT: 1},
        ),
        ([row(1, kind="TTK", key_id="01", terminal=BY_HAND)], UseFed.ALWAYS, NOTHING, {}),
    ],
)
def test_each_terminal_has_its_own_ttk(
    rows: list[KeyRow], use: UseFed, filed: Mapping[str, str], used: dict[str, int]
) -> None:
    found = chosen(*rows, use=use, filed=filed).ttks
    assert {terminal: one.id for terminal, one in found.items()} == used


@pytest.mark.parametrize(
    ("index", "name", "key_id"),
    [("03", "", "03"), ("3", "", None), ("0a", "", None), ("", "", None), ("3", "0012", "0012"), ("7" * 22, "", None)],
)
def test_by_what_id_tps_knows_a_ttk(index: str, name: str, key_id: str | None) -> None:
    made = prepared(DeviceKey("TTK", "PLAIN", "", "00" * 16, index, FRONT, name), None).made
    assert isinstance(made, OpenedKey)
    assert made.key_id == key_id
    salt = prepared(DeviceKey("SALT", "PLAIN", "", "00" * 32, "03"), None).made
    assert isinstance(salt, OpenedKey)
    assert salt.key_id is None


@pytest.mark.parametrize(("kind", "code"), [("SALT", "system.39"), ("TTK", "system.20")])
def test_the_alarm_names_the_key_and_what_to_do(kind: str, code: str) -> None:
    told = refused(row(1, "AAAAAA", kind=kind))
    assert told.cause == "alarm/device_key.AAAAAA"
    assert f"tpsd release --cause {code}@… --rebuild" in told.detail
    assert mask_runs(told.detail) == told.detail
