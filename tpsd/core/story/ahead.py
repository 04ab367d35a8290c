"""How a tap's transaction stands now, and what comes next: when, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tpsd.core.enquiry import ENQUIRIES
from tpsd.core.queue import tier_of
from tpsd.core.receipts import Result, cause_words, result_of
from tpsd.core.story.words import Teller, every, money, sentence
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.history import Event, EventKind, Fact, History, Transaction
from tpsd.domain.journey import TRIES_MAX, JourneyState
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros


def standing(history: History, teller: Teller) -> Event:
    """What became of it so far, and of the money."""
    own = history.transaction
    if own is None:
        disposition = history.recorded.disposition
        facts: dict[str, Fact] = {"state": None, "disposition": None if disposition is None else disposition.value}
        return Event(EventKind.STANDS, None, "It stands: never sent to TPS, so nothing was charged.", facts)
    result = result_of(own.state, own.amount, own.approved)
    charged = _charged(own, result)
    state = "" if own.state.value == result.value else f" ({own.state.value})"
    text = sentence(f"It stands: {result.value}{state}.", _money(history, own, result, charged), _cause(own))
    facts = {
        "state": own.state.value, "result": result.value, "cause": own.cause, "uuid": own.uuid, "charged": charged,
        "currency": own.currency, "may_have_charged": own.may_have_charged,
    }  # fmt: skip
    return Event(EventKind.STANDS, _settled_at(own), text, facts)


def upcoming(history: History, teller: Teller) -> Event | None:
    """What happens next, or what a person can do; nothing for what is final."""
    own = history.transaction
    if own is None or own.state.is_final:
        return None
    return Event(EventKind.NEXT, None, *_NEXT[own.state](history, own, teller))


Coming = tuple[str, Mapping[str, Fact]]
"""A sentence or two, and the facts they are made of."""


def _pending(history: History, own: Transaction, teller: Teller) -> Coming:
    nth, last = own.sends + 1, 1 + sum(tier.tries for tier in own.ladder)
    tier, pause = tier_of(own.ladder, own.sends)
    rung = "its first" if pause is None else f"tier {tier} of the ladder, {every(pause)} after the send before"
    facts: dict[str, Fact] = {"send": nth, "of": last, "tier": tier, "due": own.due, "every_us": pause}
    due = own.due
    if own.body_waits:
        text = f"Next: send {nth} of at most {last}, once the clock is trusted: its request is made then."
    elif due is None or due <= teller.now:
        text = f"Next: send {nth} of at most {last} is due now ({rung})."
    else:
        text = f"Next: send {nth} of at most {last} is due {teller.when(due)} ({rung})."
    return sentence(text, *_before(history, own, teller)), facts


def _before(history: History, own: Transaction, teller: Teller) -> Iterator[str]:
    if own.enquiry_due is not None:
        yield f"TPS is asked about it before, {teller.when(own.enquiry_due)}."
    if history.unreachable_since is not None:
        yield f"TPS's host has not been reached since {teller.local(history.unreachable_since)}: taps wait for it."


def _sending(history: History, own: Transaction, teller: Teller) -> Coming:
    return "Next: TPS's answer; it is being sent at this moment.", {}


def _awaiting_tap(history: History, own: Transaction, teller: Teller) -> Coming:
    tries = sum(attempt.reason == AttemptReason.TAP.value for attempt in own.attempts)
    text = (
        "Next: it waits for the passenger's next tap, which sends the same bytes under the same UUID "
        f"({TRIES_MAX} tries in all), or for the end of its journey."
    )
    return text, {"tries": tries, "of": TRIES_MAX}


def _held(history: History, own: Transaction, teller: Teller) -> Coming:
    hold, cause = history.hold, own.cause or ""
    due = None if hold is None else hold.canary_due
    facts: dict[str, Fact] = {"cause": cause, "canary_due": due}
    act = f"Once the cause is mended: tpsd release --cause {cause}"
    if hold is not None and due is not None:
        return f"Next: a canary of its cause goes {teller.when(due)}; if it gets through, this one follows.", facts
    return f"Next: nothing by itself. {act}", facts


def _permanently_failed(history: History, own: Transaction, teller: Teller) -> Coming:
    number = history.recorded.number
    again = f"tpsd resend {number} or " if history.boxes else ""
    return f"Next: nothing by itself, the ladder is over: {again}tpsd close {number} --reason …", {}


def _in_doubt(history: History, own: Transaction, teller: Teller) -> Coming:
    asked = own.enquiries
    open_one = any(one.reason == AttemptReason.ENQUIRY.value and one.ended_at is None for one in own.attempts)
    facts: dict[str, Fact] = {"enquiries": asked, "of": ENQUIRIES, "due": own.enquiry_due}
    if open_one:
        return "Next: TPS's answer to the enquiry that is under way.", facts
    if own.enquiry_due is not None:
        text = f"Next: enquiry {asked + 1} of {ENQUIRIES} is made {teller.when(own.enquiry_due)}."
        return text, facts
    resolve = f"tpsd resolve {own.uuid} --as charged (or not-charged) --reason …"
    return f"Next: nothing by itself. Find out what TPS did, then {resolve}", facts


_NEXT: Final[Mapping[State, Callable[[History, Transaction, Teller], Coming]]] = {
    State.PENDING: _pending,
    State.SENDING: _sending,
    State.AWAITING_TAP: _awaiting_tap,
    State.HELD: _held,
    State.PERMANENTLY_FAILED: _permanently_failed,
    State.IN_DOUBT: _in_doubt,
}


def _charged(own: Transaction, result: Result) -> int | None:
    """Minor units; None while nobody knows, or for good."""
    if own.state is State.APPROVED:
        return own.amount if own.approved is None else own.approved
    if own.may_have_charged and own.state in (State.FAILED, State.CLOSED):
        return None
    return None if result in (Result.UNSETTLED, Result.IN_DOUBT) else 0


def _money(history: History, own: Transaction, result: Result, charged: int | None) -> str:
    asked = money(own.amount, own.currency)
    if charged is None and own.state.is_final:
        return f"Nobody found out whether {asked} was charged."
    if charged is None:
        return f"{asked} may have been charged." if own.may_have_charged else "Nothing was charged so far."
    if own.state is not State.APPROVED:
        return "Nothing was charged."
    part = f" of the {asked} asked for" if result is Result.PARTLY else ""
    return f"{money(charged, own.currency)}{part} {_verb(history, own)}."


def _verb(history: History, own: Transaction) -> str:
    if own.kind != Kind.RETAIL_CHECK_IN.value:
        return "was charged"
    journey = history.recorded.journey
    if any(one.state is State.APPROVED and one.kind != Kind.RETAIL_REFUND.value for one in history.recorded.refunds):
        return "was held, and released"
    closed = journey is not None and journey.state == JourneyState.CLOSED.value
    return "was held until its check-out" if closed else "is held"


def _cause(own: Transaction) -> str | None:
    if own.replaced_by is not None:
        return f"{own.replaced_by} took its place."
    return None if own.cause is None or own.state is State.APPROVED else f"Cause: {cause_words(own.cause)}."


def _settled_at(own: Transaction) -> Micros | None:
    """The last attempt's end where that settled it: it is in true time, whatever clock its life had."""
    if own.settled_at is None:
        return None
    ends = [attempt.ended_at for attempt in own.attempts if attempt.ended_at is not None]
    return Micros(max(own.settled_at, *ends)) if ends else own.settled_at
