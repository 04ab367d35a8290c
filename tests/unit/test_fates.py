"""The rule from amount to fate: every amount has fates, every range its documented one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.time import Micros
from tpsd.sfey import fates
from tpsd.sfey.fates import RULES, Asked, Content, Delivery, by_amount, scripted


def asked(amount: int, uuid: str = "u", serial: str = "V1", at: int = 5_000) -> Asked:
    return Asked(uuid, serial, Micros(at), amount, "MTT")


def test_rules_do_not_overlap_and_say_what_they_do() -> None:
    taken = [amount for rule in RULES for amount in range(rule.first, rule.last + 1)]
    assert len(taken) == len(set(taken))
    assert all(rule.text for rule in RULES)


@given(st.integers(0, AMOUNT_MAX) | st.sampled_from([n for r in RULES for n in range(r.first, r.last + 1)]))
def test_every_amount_has_a_fate_that_http_can_carry(amount: int) -> None:
    for fate in by_amount(asked(amount)):
        assert 100 <= fate.http <= 599
        assert fate.name
        assert not fate.charges or fate.settles  # else a repeat would charge again


def test_only_approvals_charge() -> None:
    for rule in RULES:
        for amount in range(rule.first, rule.last + 1):
            for fate in by_amount(asked(amount)):
                assert fate.charges == ((fate.action_code or "9") < "1")


@pytest.mark.parametrize(
    ("amount", "names"),
    [
        (250, ["action.000"]),
        (0, ["action.000"]),
        (90_000, ["action.000"]),
        (90_116, ["action.116"]),
        (90_911, ["action.911"]),
        (80_060, ["system.60"]),
        (80_041, ["system.41"]),
        (80_303, ["in_progress"]),
        (70_503, ["http.503"]),
        (70_407, ["http.407"]),
        (60_001, ["close_before"]),
        (60_002, ["close_after", "action.000"]),
        (60_003, ["never"]),
        (60_004, ["http.503", "http.503", "action.000"]),
        (60_005, ["html"]),
        (60_006, ["huge"]),
        (60_007, ["slow"]),
        (60_008, ["close_before", "action.000"]),
        (60_009, ["never_charged"]),
        (60_010, ["contradiction"]),
        (60_011, ["garbage"]),
        (60_012, ["action.911", "action.911", "action.000"]),
        (60_013, ["action.000"]),
        (91_000, ["action.000"]),
    ],
)
def test_documented_amounts(amount: int, names: list[str]) -> None:
    assert [fate.name for fate in by_amount(asked(amount))] == names


def test_a_partial_approval_says_half_the_amount() -> None:
    (fate,) = by_amount(asked(90_002))
    assert (fate.action_code, fate.amount, fate.charges) == ("002", 45_001, True)


def test_what_settles() -> None:
    assert [fates.action(code).settles for code in ("000", "116", "899", "900", "911")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [fates.system(60).settles, fates.system(303).settles, fates.system(60, 500).settles] == [True, False, False]
    assert not fates.bare(503).settles
    assert fates.close_after().delivery is Delivery.CLOSE
    assert fates.garbage().content is Content.GARBAGE
    assert fates.slow(1.0, fates.decline()).charges is False


def test_a_script_looks_by_uuid_then_tap_then_serial_then_amount() -> None:
    choose = scripted(
        {
            "u1": [fates.decline("101")],
            ("V1", Micros(5_000)): [fates.decline("102")],
            "V1": [fates.decline("103")],
            250: [fates.decline("104")],
            "empty": [],
        }
    )
    tried = [
        asked(250, "u1"),
        asked(250),
        asked(250, at=6_000),
        asked(250, serial="V2"),
        asked(251, serial="V2"),
        asked(251, "empty", "V2"),
    ]
    assert [choose(one)[0].action_code for one in tried] == ["101", "102", "103", "104", "000", "000"]
