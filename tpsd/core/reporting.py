"""A report: what each tap and transaction counts as, and under which line. Sums of values, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Final

from tpsd.core.receipts import Result, disposed, result_of
from tpsd.domain.authorisation import State
from tpsd.domain.reported import Column, Counted, Line, Money, Report
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros

Day = Callable[[Micros], str]
"""The date of a wall-clock instant where this is: ``2026-11-23``."""

TAPPED_AGAIN: Final = "tapped again"
"""The outcome of a tap whose transaction a later tap took on: that one counts it."""

OUTCOMES: Final = (*(result.value for result in Result), TAPPED_AGAIN)
"""Every outcome there is, in the order in which reports show them."""

SUMS: Final = tuple(field.name for field in fields(Money))
"""The names of the sums, in that order too."""


class Tally:
    """Adds up what is counted, line by line."""

    def __init__(self, by: Sequence[Column], day: Day) -> None:
        self._by = tuple(by)
        self._keys: Mapping[Column, Callable[[Counted], str]] = {
            Column.DAY: lambda counted: day(counted.at),
            Column.LANE: lambda counted: counted.lane,
            Column.KIND: lambda counted: counted.kind or "",
            Column.CODE: code_of,
        }
        self._lines: dict[tuple[tuple[str, ...], str], Line] = {}

    def add(self, counted: Iterable[Counted]) -> None:
        """Count some more."""
        for one in counted:
            key = tuple(self._keys[column](one) for column in self._by)
            currency = one.currency or ""
            line = self._lines.get((key, currency))
            if line is None:
                line = self._lines[key, currency] = Line(key, currency)
            _count(line, one)

    def report(self, since: Micros | None, until: Micros | None) -> Report:
        """What was added so far, sorted by key and currency; the span is only told."""
        lines = tuple(line for _, line in sorted(self._lines.items()))
        totals: dict[str, Line] = {}
        for line in lines:
            _add(totals.setdefault(line.currency, Line((), line.currency)), line)
        return Report(self._by, since, until, lines, dict(sorted(totals.items())))


def outcome_of(counted: Counted) -> str:
    """What became of it, in a receipt's words."""
    if counted.superseded:
        return TAPPED_AGAIN
    if counted.state is None:
        return disposed(counted.disposition).value
    return result_of(counted.state, counted.amount, counted.approved).value


def code_of(counted: Counted) -> str:
    """The last answer's cause without its terminal, ``action.116``; the verdict's reason where nothing was sent."""
    if counted.state is None:
        return counted.reason
    return (counted.cause or "").partition("@")[0]


def sum_of(counted: Counted) -> tuple[str, int] | None:
    """The sum that its money belongs to, and how much it is; None where no money moved, or another tap counts it."""
    state, amount = counted.state, counted.amount
    refund = counted.kind == Kind.RETAIL_REFUND.value
    if state is None or counted.superseded:
        return None
    if state is State.APPROVED:
        return _approved(counted, amount if counted.approved is None else counted.approved)
    if state is State.IN_DOUBT:
        return "refunds_in_doubt" if refund else "in_doubt", amount
    if state in _UNKNOWN_FOR_GOOD and counted.may_have_charged:
        return "refunds_in_doubt" if refund else "not_known", amount
    return None if state.is_final or refund else ("waiting", amount)


def _approved(counted: Counted, amount: int) -> tuple[str, int] | None:
    if counted.kind == Kind.RETAIL_REFUND.value:
        return "refunded", amount
    if counted.kind == Kind.RETAIL_CHECK_IN.value:
        return ("held", amount) if counted.standing else None
    if counted.releases is not None and amount == 0:
        return "released", counted.releases
    return "charged", amount


def _count(line: Line, counted: Counted) -> None:
    if counted.tapped:
        line.taps += 1
    else:
        line.untapped += 1
    outcome = outcome_of(counted)
    line.outcomes[outcome] = line.outcomes.get(outcome, 0) + 1
    moved = sum_of(counted)
    if moved is not None:
        name, amount = moved
        setattr(line.money, name, getattr(line.money, name) + amount)


def _add(total: Line, line: Line) -> None:
    total.taps += line.taps
    total.untapped += line.untapped
    for outcome, count in line.outcomes.items():
        total.outcomes[outcome] = total.outcomes.get(outcome, 0) + count
    for name in SUMS:
        setattr(total.money, name, getattr(total.money, name) + getattr(line.money, name))


_UNKNOWN_FOR_GOOD: Final = frozenset({State.FAILED, State.CLOSED})
"""Final, and TPS never said what became of the money where an attempt was not clean."""
