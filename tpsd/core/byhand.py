"""Whether an operator's check-out or refund may be sent (design 3 and 4). A refusal is a value with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tpsd.core.following import Original
from tpsd.core.operations import Refusal
from tpsd.domain.authorisation import FINAL, State
from tpsd.domain.journey import Journey, JourneyState, LastTry
from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.tap import Kind


@dataclass(frozen=True, slots=True)
class CheckOutOrder:
    """What a person wants. ``amount`` in minor units; ``currency`` None: the journey's. ``release``: 0 is meant."""

    amount: int
    currency: str | None = None
    release: bool = False


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What a person wants. ``amount`` None: all that is left. ``again``: though as much was given back before."""

    amount: int | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """A refund or release that there is already. ``may_have_given``: an attempt of it was not clean."""

    uuid: str
    state: State
    amount: int
    may_have_given: bool = False

    @property
    def counts(self) -> bool:
        """Whether the money counts as given back: also while nobody knows, and where nobody ever found out."""
        if self.state in _NEVER_GIVEN:
            return False
        return self.state not in FINAL or self.state is State.APPROVED or self.may_have_given


@dataclass(frozen=True, slots=True)
class Already:
    """It was asked for before, and that one is not settled: the command returns it."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Send:
    """It may be sent. ``ends``: the check-out that waited for the passenger's tap, and waits no more."""

    kind: Kind
    amount: int
    ends: str | None = None


def judge_check_out(journey: Journey, order: CheckOutOrder) -> Send | Already | Refusal:
    """Whether a journey's check-out may be sent by hand."""
    number = f"journey {journey.id}"
    if journey.state is JourneyState.CLOSED:
        return Refusal(f"{number} is closed: its check-out was approved; to give money back, use 'tpsd refund'")
    if order.currency not in (None, journey.currency):
        return Refusal(f"{number} is in currency {journey.currency}, not {order.currency}: leave out --currency")
    if not 0 <= order.amount <= AMOUNT_MAX:
        return Refusal(f"{order.amount} is not an amount: give 0 to {AMOUNT_MAX} minor units")
    if order.amount == 0 and not order.release:
        return Refusal("an amount of 0 only releases what the check-in holds: add --release if that is meant")
    if order.amount and order.release:
        return Refusal("--release means an amount of 0: leave it out, or set --amount 0")
    if journey.last is None:
        return Send(Kind.RETAIL_CHECK_OUT, order.amount)
    return _after(journey.state, journey.last, order.amount)


def _after(state: JourneyState, last: LastTry, amount: int) -> Send | Already | Refusal:
    if state is JourneyState.BY_HAND and last.state not in FINAL:
        if last.amount == amount:
            return Already(last.uuid)
        return Refusal(
            f"a check-out by hand of {last.amount} is not settled ({last.state.value}): wait for its answer, or settle "
            f"it with 'tpsd resolve {last.uuid}'"
        )
    if last.state is State.SENDING:
        return Refusal("the passenger is checking out at this moment: look again in a minute")
    if last.state in _KNOWN or not last.may_have_charged:
        return Send(Kind.RETAIL_CHECK_OUT, amount, ends=_waiting(last))
    if last.enquired:
        return Refusal(f"TPS is being asked whether {last.uuid} was charged: look again in some minutes")
    if last.unclear:
        return _unclear(last)
    return Send(Kind.RETAIL_CHECK_OUT, amount, ends=_waiting(last))


def _unclear(last: LastTry) -> Refusal:
    if last.state is State.AWAITING_TAP:
        return Refusal(
            "its last try may have been charged, and the passenger may still tap again: look again when the journey "
            f"is over, or find out and 'tpsd resolve {last.uuid}'"
        )
    if last.state in FINAL:
        return Refusal(
            f"its last try ({last.uuid}) may have been charged, and was given up without finding out: nothing more is "
            "sent, since that could charge twice"
        )
    return Refusal(
        f"its last try may have been charged: find out, then 'tpsd resolve {last.uuid} --as charged' or "
        "'--as not-charged'"
    )


def judge_refund(original: Original, given: Sequence[Given], order: RefundOrder) -> Send | Already | Refusal:
    """Whether money may be given back; the refunds of a payment are never above its charge in all."""
    refusal = _not_refundable(original, order)
    if refusal is not None:
        return refusal
    if original.kind is Kind.RETAIL_CHECK_IN:
        return _release(given)
    if original.charged == 0:
        return Refusal("it charged 0, so there is nothing to give back")
    left = original.charged - sum(one.amount for one in given if one.counts)
    amount = left if order.amount is None else order.amount
    open_one = next((one for one in given if one.counts and one.state not in FINAL), None)
    if open_one is not None and order.amount in (None, open_one.amount):
        return Already(open_one.uuid)
    if open_one is not None:
        return Refusal(f"a refund of {open_one.amount} is not settled ({open_one.uuid}): wait for it, or resolve it")
    if left <= 0:
        return Refusal(f"it was given back already, {original.charged} in all")
    if amount <= 0 or amount > left:
        return Refusal(
            f"{amount} is not between 1 and {left}, what is left of the {original.charged} that were charged"
        )
    before = next((one for one in given if one.counts and one.amount == amount), None)
    if before is not None and not order.again:
        return Refusal(f"{amount} was given back before ({before.uuid}): add --again if that is to be done twice")
    return Send(Kind.RETAIL_REFUND, amount)


def _not_refundable(original: Original, order: RefundOrder) -> Refusal | None:
    if original.kind not in _REFUNDABLE:
        return Refusal(
            f"{original.kind.value} is not refunded here: only retail, known-fare payments and check-outs are"
        )
    if original.state is State.IN_DOUBT:
        return Refusal("it is in doubt whether it was charged: find out, and use 'tpsd resolve' first")
    if original.state is not State.APPROVED:
        return Refusal(f"only what TPS approved can be given back, and it is {original.state.value}")
    if original.kind is Kind.RETAIL_CHECK_IN and original.journey is not None:
        return Refusal(
            f"it began journey {original.journey}: refund that journey's check-out; while none is approved, "
            f"'tpsd checkout {original.journey} --amount 0 --release' gives back what it holds"
        )
    if original.kind is Kind.RETAIL_CHECK_IN and order.amount is not None:
        return Refusal("a check-in only holds money, and is released whole: leave out --amount")
    return None


def _release(given: Sequence[Given]) -> Send | Already | Refusal:
    before = next((one for one in given if one.counts), None)
    if before is None:
        return Send(Kind.RETAIL_CHECK_OUT, 0)
    return Refusal("it was released already") if before.state in FINAL else Already(before.uuid)


def _waiting(last: LastTry) -> str | None:
    return last.uuid if last.state is State.AWAITING_TAP else None


_NEVER_GIVEN: Final = frozenset({State.DECLINED, State.NOT_CHARGED})

_KNOWN: Final = frozenset({State.DECLINED, State.NOT_CHARGED, State.APPROVED})
"""Of a try that left its journey unpaid: nothing was charged, or the part that TPS approved was given back."""

_REFUNDABLE: Final = frozenset({Kind.RETAIL_PAYMENT, Kind.KFT, Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT})
