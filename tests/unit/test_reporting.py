"""Reports: what each tap and transaction counts as, and that every unit of money is in one sum at most."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest

from tpsd.core.receipts import Result
from tpsd.core.reporting import OUTCOMES, SUMS, TAPPED_AGAIN, Tally, code_of, outcome_of, sum_of
from tpsd.domain.authorisation import State
from tpsd.domain.reported import Column, Counted, Line, Report
from tpsd.domain.tap import Disposition, Kind
from tpsd.domain.time import DAY, HOUR, Micros, iso_millis, later

NOW = Micros(1_795_421_730_123_456)  # 2026-11-23T08:15:30.123Z
PAID = Counted(NOW, "gate-1", "MTT", "ok", None, State.APPROVED, "action.000", "978", 250)
NEVER_SENT = replace(PAID, state=None, cause=None, disposition=Disposition.DENIED, reason="deny_list")
REFUND = replace(PAID, kind="RETAIL_REFUND", tapped=False, amount=100)
CHECK_IN = replace(PAID, kind="RETAIL_CHECK_IN", amount=500)
CHECK_OUT = replace(PAID, kind="RETAIL_CHECK_OUT", amount=320)


def day(at: Micros) -> str:
    """Where this is, it is 16 hours later than in UTC."""
    return iso_millis(later(at, 16 * HOUR))[:10]


def report(*counted: Counted, by: tuple[Column, ...] = (Column.DAY,)) -> Report:
    tally = Tally(by, day)
    for one in counted:
        tally.add([one])
    return tally.report(None, None)


def total(*counted: Counted) -> Line:
    (line,) = report(*counted).totals.values()
    return line


def money(*counted: Counted) -> dict[str, int]:
    """The sums that are not nothing."""
    return {name: amount for name, amount in asdict(total(*counted).money).items() if amount}


@pytest.mark.parametrize(
    ("counted", "sums"),
    [
        (PAID, {"charged": 250}),
        (replace(PAID, approved=100), {"charged": 100}),
        (replace(PAID, approved=999), {"charged": 999}),
        (replace(PAID, amount=0), {}),
        (replace(PAID, state=State.DECLINED), {}),
        (replace(PAID, state=State.DECLINED, may_have_charged=True), {}),
        (replace(PAID, state=State.NOT_CHARGED, may_have_charged=True), {}),
        (replace(PAID, state=State.FAILED), {}),
        (replace(PAID, state=State.FAILED, may_have_charged=True), {"not_known": 250}),
        (replace(PAID, state=State.CLOSED, may_have_charged=True), {"not_known": 250}),
        (replace(PAID, state=State.IN_DOUBT), {"in_doubt": 250}),
        (replace(PAID, state=State.PENDING), {"waiting": 250}),
        (replace(PAID, state=State.PERMANENTLY_FAILED, may_have_charged=True), {"waiting": 250}),
        (replace(PAID, superseded=True), {}),
        (NEVER_SENT, {}),
        (REFUND, {"refunded": 100}),
        (replace(REFUND, state=State.IN_DOUBT), {"refunds_in_doubt": 100}),
        (replace(REFUND, state=State.FAILED, may_have_charged=True), {"refunds_in_doubt": 100}),
        (replace(REFUND, state=State.DECLINED), {}),
        (replace(REFUND, state=State.PENDING), {}),
        (replace(CHECK_IN, standing=True), {"held": 500}),
        (replace(CHECK_IN, standing=True, approved=400), {"held": 400}),
        (CHECK_IN, {}),
        (replace(CHECK_IN, state=State.IN_DOUBT), {"in_doubt": 500}),
        (CHECK_OUT, {"charged": 320}),
        (replace(CHECK_OUT, amount=0, releases=500, tapped=False), {"released": 500}),
        (replace(CHECK_OUT, amount=0, releases=500, state=State.FAILED), {}),
        (replace(CHECK_OUT, state=State.AWAITING_TAP, may_have_charged=True), {"waiting": 320}),
    ],
)
def test_the_sum_that_money_belongs_to(counted: Counted, sums: dict[str, int]) -> None:
    assert money(counted) == sums


def test_a_journey_counts_what_was_captured() -> None:
    assert money(CHECK_IN, CHECK_OUT, replace(REFUND, amount=320)) == {"charged": 320, "refunded": 320}


def test_a_part_that_was_given_back_stands_in_both_sums() -> None:
    assert money(replace(PAID, approved=100), REFUND) == {"charged": 100, "refunded": 100}


@pytest.mark.parametrize(("state", "kind"), list(product([None, *State], [None, *Kind])))
def test_every_state_and_kind_counts_once(state: State | None, kind: Kind | None) -> None:
    for charged, standing, superseded in product((False, True), repeat=3):
        one = replace(
            PAID, state=state, kind=None if kind is None else kind.value, may_have_charged=charged, standing=standing,
            superseded=superseded,
        )  # fmt: skip
        assert outcome_of(one) in OUTCOMES
        line = total(one)
        assert (line.taps, sum(line.outcomes.values())) == (1, 1)
        assert len(money(one)) <= 1
        moved = sum_of(one)
        assert moved is None or moved[0] in SUMS


@pytest.mark.parametrize(
    ("counted", "outcome", "code"),
    [
        (PAID, Result.APPROVED.value, "action.000"),
        (replace(PAID, approved=100, cause="action.002"), Result.PARTLY.value, "action.002"),
        (replace(PAID, state=State.HELD, cause="system.41@X:1"), Result.UNSETTLED.value, "system.41"),
        (replace(PAID, state=State.PENDING, cause=None), Result.UNSETTLED.value, ""),
        (NEVER_SENT, Result.DENIED.value, "deny_list"),
        (replace(NEVER_SENT, disposition=Disposition.STALE, reason="stale"), Result.TOO_LATE.value, "stale"),
        (replace(PAID, superseded=True), TAPPED_AGAIN, "action.000"),
    ],
)
def test_outcome_and_code(counted: Counted, outcome: str, code: str) -> None:
    assert (outcome_of(counted), code_of(counted)) == (outcome, code)


def test_days_are_those_of_the_place() -> None:
    evening = later(NOW, 8 * HOUR)
    found = report(PAID, replace(PAID, at=evening), replace(PAID, at=later(NOW, DAY)))
    assert [(line.key, line.taps) for line in found.lines] == [(("2026-11-24",), 2), (("2026-11-25",), 1)]


def test_lines_are_sorted_and_split_by_all_that_is_named() -> None:
    by = (Column.LANE, Column.KIND, Column.CODE)
    found = report(PAID, REFUND, NEVER_SENT, replace(PAID, lane="a", kind=None), PAID, by=by)
    assert [(line.key, line.taps, line.untapped) for line in found.lines] == [
        (("a", "", "action.000"), 1, 0),
        (("gate-1", "MTT", "action.000"), 2, 0),
        (("gate-1", "MTT", "deny_list"), 1, 0),
        (("gate-1", "RETAIL_REFUND", "action.000"), 0, 1),
    ]
    assert found.by == by
    whole = found.totals["978"]
    assert (whole.taps, whole.untapped, whole.money.charged, whole.money.refunded) == (4, 1, 750, 100)
    assert whole.outcomes == {"approved": 4, "denied": 1}


def test_currencies_are_never_added() -> None:
    nothing: dict[str, Any] = {"currency": None, "amount": 0}
    found = report(PAID, replace(PAID, currency="840", amount=300), replace(NEVER_SENT, **nothing))
    assert [(line.currency, line.money.charged, line.taps) for line in found.lines] == [
        ("", 0, 1), ("840", 300, 1), ("978", 250, 1),
    ]  # fmt: skip
    assert list(found.totals) == ["", "840", "978"]


def test_nothing_is_an_empty_report() -> None:
    found = report()
    assert (found.lines, found.totals) == ((), {})
