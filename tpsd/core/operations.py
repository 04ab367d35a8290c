"""What a person may do by hand to an authorisation that rests or waits for a tap, and what it becomes (design 2, 4).

The rules are one table: an order against a state. A refusal is a value with words that name no row, so that a
thousand refusals of one kind can be told as one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.core.doubt import DoubtPolicy, is_beyond_horizon
from tpsd.domain.authorisation import State
from tpsd.domain.time import Micros, later

ALL_AT_ONCE_MAX: Final = 32
"""Rows released without a spread: what goes to TPS at once anyway (the default concurrency)."""


class Order(Enum):
    """What may be ordered; the values are the audit's words."""

    RELEASE = "release"
    RESEND = "resend"
    REBUILD = "rebuild"
    CLOSE = "close"
    CHARGED = "resolve as charged"
    NOT_CHARGED = "resolve as not charged"

    @property
    def sends(self) -> bool:
        """Whether the row is sent again."""
        return self in (Order.RELEASE, Order.RESEND, Order.REBUILD)


@dataclass(frozen=True, slots=True)
class Standing:
    """An authorisation as an order finds it. Times on the schedule clock, amount in minor units.

    ``doubtful_since``: its first send that may have charged, None where none may have. ``body_kept``: the bytes
    could be sent again; ``card_kept``: they could be made anew; ``body_waits``: they are made when the time is known.
    """

    uuid: str
    state: State
    cause: str | None
    terminal: str
    lane: str
    credential: str
    amount: int
    currency: str
    may_have_charged: bool
    created_at: Micros
    body_kept: bool
    card_kept: bool
    doubtful_since: Micros | None = None
    body_waits: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order may not be carried out, and what to do instead."""

    words: str


@dataclass(frozen=True, slots=True)
class Change:
    """What the row becomes: ``pending`` with a ladder anew, or final, its card data gone in the same commit."""

    state: State

    @property
    def erase(self) -> bool:
        """Whether body and card data go."""
        return self.state.is_final


@dataclass(frozen=True, slots=True)
class InForce:
    """What an order is judged under: the horizon, the credentials there are, and now on the schedule clock."""

    doubt: DoubtPolicy
    credentials: frozenset[str]
    now: Micros


def judge(order: Order, row: Standing, in_force: InForce) -> Change | Refusal:
    """Whether this order may be carried out on this row. The first reason against it is the one told."""
    if row.state not in SELECTED[order] or (order in _RESOLVES and not _is_doubtful(row)):
        return Refusal(_NOT_THERE[order].get(row.state) or _ELSEWHERE[row.state])
    if not order.sends:
        return Change(_BECOMES[order])
    return _against_sending(order, row, in_force) or Change(_BECOMES[order])


def spread_dues(now: Micros, draws: Iterable[float], spread_us: int) -> list[Micros]:
    """When each of many released rows is due: a random share of the spread after now. ``draws`` are in [0, 1)."""
    return [later(now, int(draw * spread_us)) for draw in draws]


def what_to_do(cause: str) -> str:
    """The advice beside a held cause, one sentence."""
    family = cause.partition("@")[0]
    return next((words for start, words in _ADVICE if family.startswith(start)), _ADVICE[-1][1])


def _is_doubtful(row: Standing) -> bool:
    return row.state is State.IN_DOUBT or row.may_have_charged


def _against_sending(order: Order, row: Standing, in_force: InForce) -> Refusal | None:
    if order is Order.REBUILD:
        if row.may_have_charged:
            return Refusal("it may have been charged, so only the same bytes may be sent: leave out --rebuild")
        if row.body_waits:
            return Refusal("it waits until the time is known, and was never sent: leave out --rebuild")
        return None if row.card_kept else _GONE
    if not row.body_kept and not (row.body_waits and row.card_kept):
        return _GONE
    if row.credential not in in_force.credentials:
        return Refusal("its credential left the configuration: put it back, or use --rebuild")
    if is_beyond_horizon(in_force.doubt, row.doubtful_since, in_force.now):
        return Refusal(
            "it may have been charged so long ago that TPS may have forgotten it and charge again: find out, and "
            "use 'tpsd resolve'"
        )
    return None


_GONE: Final = Refusal("its card data is gone, so it cannot be sent again: use 'tpsd close' or 'tpsd resolve'")

_RESOLVES: Final = frozenset({Order.CHARGED, Order.NOT_CHARGED})

_BECOMES: Final[Mapping[Order, State]] = {
    Order.RELEASE: State.PENDING,
    Order.RESEND: State.PENDING,
    Order.REBUILD: State.CLOSED,  # the old row; the new one is pending
    Order.CLOSE: State.CLOSED,
    Order.CHARGED: State.APPROVED,
    Order.NOT_CHARGED: State.NOT_CHARGED,
}

_FAILED: Final = frozenset({State.HELD, State.PERMANENTLY_FAILED})

SELECTED: Final[Mapping[Order, frozenset[State]]] = {
    Order.RELEASE: frozenset({State.HELD}),
    Order.RESEND: _FAILED,
    Order.REBUILD: _FAILED,
    Order.CLOSE: _FAILED,
    Order.CHARGED: _FAILED | {State.IN_DOUBT, State.AWAITING_TAP},
    Order.NOT_CHARGED: _FAILED | {State.IN_DOUBT, State.AWAITING_TAP},
}
"""The states an order may find a row in. A check-out between two tries is resolved too: its passenger may be gone."""

_DOUBTFUL: Final = "it is in doubt: find out whether it was charged, and use 'tpsd resolve' first"
_CLEAN: Final = "nothing was charged, so there is no doubt to resolve: use 'tpsd close' or 'tpsd resend'"
_CLEAN_TRY: Final = "nothing was charged, so there is no doubt to resolve: the next tap sends it, or 'tpsd checkout'"

_NOT_THERE: Final[Mapping[Order, Mapping[State, str]]] = {
    Order.RELEASE: {
        State.IN_DOUBT: _DOUBTFUL,
        State.PERMANENTLY_FAILED: "it is not held but permanently failed: use 'tpsd resend'",
    },
    Order.RESEND: {State.IN_DOUBT: _DOUBTFUL},
    Order.REBUILD: {State.IN_DOUBT: _DOUBTFUL},
    Order.CLOSE: {State.IN_DOUBT: _DOUBTFUL},
    Order.CHARGED: dict.fromkeys(_FAILED, _CLEAN) | {State.AWAITING_TAP: _CLEAN_TRY},
    Order.NOT_CHARGED: dict.fromkeys(_FAILED, _CLEAN) | {State.AWAITING_TAP: _CLEAN_TRY},
}

_ELSEWHERE: Final[Mapping[State, str]] = {
    State.PENDING: "it is pending and is sent by itself: wait until it is settled",
    State.SENDING: "it is being sent at this moment: look again in a minute",
    State.AWAITING_TAP: "it waits for the passenger's next tap: wait, or use 'tpsd checkout' or 'tpsd resolve'",
    State.HELD: "it is held: use 'tpsd release'",
    State.PERMANENTLY_FAILED: "it is permanently failed: use 'tpsd resend' or 'tpsd close'",
    State.IN_DOUBT: _DOUBTFUL,
    State.APPROVED: "it is final: approved",
    State.DECLINED: "it is final: declined",
    State.TAP_REFUSED: "it is final: TPS refused it",
    State.FAILED: "it is final: failed",
    State.NOT_CHARGED: "it is final: not charged",
    State.CLOSED: "it is final: closed",
}

_ADVICE: Final[tuple[tuple[str, str], ...]] = (
    ("no_credential", "put its certificate back into the configuration and restart, or release with --rebuild"),
    ("http.", "mend proxy, path or certificate; a canary tries every 15 min, or release it"),
    ("tls.", "mend the certificate; a canary tries every 15 min, or release it"),
    ("system.", "mend the terminal's set-up at Sfey, then release it; --rebuild if the request itself was wrong"),
    ("", "mend the cause, then release it"),
)
