"""What a report counts: taps and transactions as the journal has them, and the lines they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition
from tpsd.domain.time import Micros


class Column(Enum):
    """By what a report may be split."""

    DAY = "day"
    LANE = "lane"
    KIND = "kind"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Counted:
    """One tap with its transaction, or a transaction that no tap led to. ``at`` on the wall clock, minor units.

    ``superseded``: a later tap has the same transaction, and counts its money. ``standing``: a check-in whose hold
    neither a check-out has used nor a release given back. ``releases``: what the check-in held that this one ended.
    """

    at: Micros
    lane: str
    kind: str | None
    reason: str
    disposition: Disposition | None
    state: State | None
    cause: str | None
    currency: str | None
    amount: int
    approved: int | None = None
    may_have_charged: bool = False
    tapped: bool = True
    superseded: bool = False
    standing: bool = False
    releases: int | None = None


@dataclass(slots=True)
class Money:
    """Sums in minor units of one currency; every transaction is in at most one of them.

    ``charged``: approved payments, transit taps and check-outs, partial ones by what was approved. ``held``: check-ins
    that no check-out has used yet. ``refunded`` and ``released``: given back, never taken from ``charged``.
    ``in_doubt``: nobody knows yet whether it was charged; ``not_known``: it was given up without finding out.
    ``refunds_in_doubt``: nobody knows whether it was given back. ``waiting``: what is still to be charged.
    """

    charged: int = 0
    held: int = 0
    refunded: int = 0
    released: int = 0
    in_doubt: int = 0
    refunds_in_doubt: int = 0
    waiting: int = 0
    not_known: int = 0


@dataclass(slots=True)
class Line:
    """One line of a report: what it is split by, and what was counted.

    ``taps``: those made; ``untapped``: transactions without one, by hand or by tpsd itself. ``outcomes`` counts both.
    """

    key: tuple[str, ...]
    currency: str
    taps: int = 0
    untapped: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    money: Money = field(default_factory=Money)


@dataclass(frozen=True, slots=True)
class Report:
    """The lines in order, and their sums by currency. Times on the wall clock; None: from the first, to the last."""

    by: tuple[Column, ...]
    since: Micros | None
    until: Micros | None
    lines: tuple[Line, ...]
    totals: Mapping[str, Line]
