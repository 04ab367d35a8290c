"""What stands beside a tap: mails about it, orders by hand, its journey, and what followed its transaction."""

from __future__ import annotations

from collections.abc import Iterator

from tpsd.core.receipts import result_of
from tpsd.core.story.words import Teller, money, sentence, spelt
from tpsd.domain.audit import AuditRow
from tpsd.domain.authorisation import State
from tpsd.domain.history import Event, EventKind, Fact, History, Mailing
from tpsd.domain.receipt import By, Moved, Travelled
from tpsd.domain.tap import Kind


def mails(history: History, teller: Teller) -> Iterator[Event]:
    """Each notice, and when it was or will be mailed."""
    for mailing in history.mailings:
        words = f": {mailing.detail}" if mailing.detail else ""
        text = sentence(f"Noticed for operators, {mailing.cause}{words}.", _mailed(mailing, teller))
        facts: dict[str, Fact] = {
            "notice": mailing.kind, "cause": mailing.cause, "detail": mailing.detail, "mailed_at": mailing.mailed_at,
            "message_id": mailing.message_id, "due": mailing.due or mailing.closes_at,
        }  # fmt: skip
        yield Event(EventKind.TOLD, mailing.created_at, text, facts)


def _mailed(mailing: Mailing, teller: Teller) -> str:
    if mailing.mailed_at is not None:
        return f"Mailed {teller.when(mailing.mailed_at)}."
    if mailing.due is not None:
        tries = f"SMTP has not taken it in {mailing.tries} tries" if mailing.tries else "SMTP has not taken it yet"
        return f"Its mail is written; {tries}, the next is {teller.when(mailing.due)}."
    if mailing.closes_at is not None:
        return f"It will be mailed with what its cause gathers until {teller.local(mailing.closes_at)}."
    return "It will be mailed."


def orders(history: History) -> Iterator[Event]:
    """What people did about it by hand, as the audit has it."""
    for order in history.orders:
        yield Event(EventKind.ORDERED, order.at, _ordered(order), _order_facts(order))


def _ordered(order: AuditRow) -> str:
    why = f"; their reason: {order.why}" if order.why else ""
    return f"By hand, {order.who}: {order.what} of {order.subject}{why}."


def _order_facts(order: AuditRow) -> dict[str, Fact]:
    return {"who": order.who, "what": order.what, "subject": order.subject, "why": order.why}


def journey(history: History) -> Iterator[Event]:
    """Both ends of the tap's journey, and how it stands."""
    travelled = history.recorded.journey
    if travelled is None:
        return
    for what, end in (("check-in", travelled.check_in), ("check-out", travelled.check_out)):
        if end is not None:
            yield _end(what, end, travelled)


def _end(what: str, end: Moved, travelled: Travelled) -> Event:
    zone = "" if end.zone is None else f", zone {end.zone}"
    text = (
        f"Journey {travelled.number}, {what} {_by(end)}{zone}: {_amount(end, travelled.currency)}, "
        f"{result_of(end.state, end.amount, end.approved).value}. The journey is {spelt(travelled.state)}."
    )
    facts = _moved_facts(end, travelled.currency) | {
        "journey": travelled.number, "end": what, "journey_state": travelled.state,
    }  # fmt: skip
    return Event(EventKind.JOURNEY, end.at, text, facts)


def followers(history: History) -> Iterator[Event]:
    """Refunds, releases, and what the tap's own transaction follows."""
    own, currency = history.transaction, history.recorded.currency or ""
    if own is not None and own.follows is not None:
        text = f"Its transaction follows {own.follows}."
        yield Event(EventKind.FOLLOWED, None, text, {"follows": own.follows})
    for moved in history.recorded.refunds:
        what = "Refund" if moved.kind == Kind.RETAIL_REFUND.value else "Release"
        doubt = " It counts as given back until it is resolved." if moved.state is State.IN_DOUBT else ""
        text = (
            f"{what} of {_amount(moved, currency)} {_by(moved)}: "
            f"{result_of(moved.state, moved.amount, moved.approved).value} ({moved.uuid}).{doubt}"
        )
        yield Event(EventKind.FOLLOWED, moved.at, text, _moved_facts(moved, currency))


def _amount(moved: Moved, currency: str) -> str:
    if moved.approved is not None and moved.approved != moved.amount:
        return f"{money(moved.approved, currency)} of {money(moved.amount, currency)}"
    return money(moved.amount, currency)


def _by(moved: Moved) -> str:
    match moved.by:
        case By.TAP:
            return f"by a tap at lane {moved.lane}"
        case By.HAND:
            return "by hand"
        case By.ITSELF:
            return "by tpsd itself"


def _moved_facts(moved: Moved, currency: str) -> dict[str, Fact]:
    return {
        "uuid": moved.uuid, "type": moved.kind, "state": moved.state.value, "amount": moved.amount,
        "approved": moved.approved, "currency": currency, "by": moved.by.value,
    }  # fmt: skip
