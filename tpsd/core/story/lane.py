"""What happened at the lane: the tap, how it came here, its verdict and what the passenger was shown."""

from __future__ import annotations

from collections.abc import Iterator

from tpsd.core.story.words import Teller, money, sentence, span, spelt
from tpsd.core.texts import REASONS
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.history import CardPast, Event, EventKind, History
from tpsd.domain.tap import Disposition, Shown, Timing
from tpsd.domain.time import SECOND, Micros

LATE_US = 1 * SECOND  # a tap that is received later than this was stored by its validator first


def arrival(history: History, teller: Teller) -> Iterator[Event]:
    """The tap, and its coming here."""
    tap = history.recorded
    kind = tap.kind or "a tap of no known kind"
    amount = None if tap.amount is None or tap.currency is None else money(tap.amount, tap.currency)
    what = kind if amount is None else f"{kind} of {amount}"
    place = "" if history.place is None else f", {history.place}"
    card = "" if tap.masked is None else f", card {tap.masked}"
    yield Event(
        EventKind.TAPPED,
        tap.tapped_at,
        sentence(
            f"Tapped at lane {tap.lane}{place} (terminal {history.terminal}): {what}{card}.",
            *_card(history.card, teller),
        ),
        {
            "lane": tap.lane, "terminal": history.terminal, "type": tap.kind, "amount": tap.amount,
            "currency": tap.currency, "card": tap.masked, "place": history.place,
            "card_first_at": history.card.first_at, "card_approved_at": history.card.approved_at,
        },
    )  # fmt: skip
    late = history.received_at - tap.tapped_at
    after = f", {span(late)} after the tap" if late > LATE_US else ""
    name = "" if tap.tap_id is None else f" ({tap.tap_id})"
    yield Event(
        EventKind.RECEIVED,
        history.received_at,
        f"Received and kept as tap {tap.number}{name}{after}.",
        {"tap": tap.number, "tap_id": tap.tap_id, "late_us": max(late, 0)},
    )


def _card(past: CardPast, teller: Teller) -> Iterator[str]:
    """What is kept of the card's other taps: TPS's rule of 14 days for Mastercard and Maestro goes by these."""
    if past.first_at is not None:
        yield f"Of what is kept, the card was first let in {teller.when(past.first_at)}."
    if past.approved_at is not None:
        yield f"TPS last approved it {teller.when(past.approved_at)}."


def verdict(history: History, teller: Teller) -> Event:
    """What was decided, why, and by which lists and configuration."""
    tap, own = history.recorded, history.transaction
    facts = {
        "verdict": None if tap.verdict is None else tap.verdict.name.lower(),
        "reason": tap.reason,
        "disposition": None if tap.disposition is None else tap.disposition.value,
        "note": history.note,
        "list_version": history.list_version,
        "token_key": history.token_key,
        "configuration": history.config_digest,
    }
    if tap.verdict is None:
        return Event(EventKind.DECIDED, None, "Not decided yet: the passenger waits for TPS's answer.", facts)
    by_tps = own is not None and own.timing is Timing.REALTIME
    text = sentence(
        f"Decided{' by the answer' if by_tps else ''}: {spelt(tap.verdict.name.lower())} ({tap.reason}).",
        teller.catalogue.operator(tap.reason),
        _noted(history, teller),
        _disposed(tap.disposition),
        f"{_lists(history)}Configuration {history.config_digest}.",
    )
    return Event(EventKind.DECIDED, _answered_at(history) if by_tps else history.received_at, text, facts)


def afterwards(history: History, teller: Teller) -> Iterator[Event]:
    """What the passenger was shown, and how often the tap came again."""
    if history.shown is not Shown.NOTHING:
        did = "let the passenger in" if history.shown is Shown.LET_IN else "turned the passenger away"
        shown = {"shown": history.shown.name.lower()}
        yield Event(EventKind.SHOWN, None, f"The validator said that it had {did} by itself.", shown)
    if history.delivered is not None:
        words = _DELIVERED[history.delivered]
        yield Event(EventKind.SHOWN, None, words, {"delivered": history.delivered == 1})
    if history.unseen:
        words = "The passenger was turned away although the tap was accepted, and the fare may have been charged."
        yield Event(EventKind.SHOWN, None, words, {"unseen": True})
    if history.repeats:
        times = "once more" if history.repeats == 1 else f"{history.repeats} times more"
        yield Event(
            EventKind.REPEATED,
            None,
            f"The validator sent it {times} and was told the same verdict.",
            {"repeats": history.repeats},
        )
    others = [number for number in history.taps if number != history.recorded.number]
    if others:
        listed = ", ".join(map(str, others))
        yield Event(EventKind.REPEATED, None, f"Its transaction is also that of tap {listed}.", {"shared_with": listed})


def _answered_at(history: History) -> Micros | None:
    """When the tap's own attempt ended; nothing where another tap's answer decided it."""
    own, number = history.transaction, history.recorded.number
    if own is None or number not in history.taps:
        return None
    by_taps = [attempt for attempt in own.attempts if attempt.reason == AttemptReason.TAP.value]
    place = history.taps.index(number)
    return by_taps[place].ended_at if place < len(by_taps) else None


def _noted(history: History, teller: Teller) -> str | None:
    """What was written beside the verdict: what a check had said that was overruled, or that the time is a guess."""
    notes = [] if history.note is None else history.note.split("; ")
    return sentence(*(_note(note, teller) for note in notes)) or None


def _note(note: str, teller: Teller) -> str:
    return f"Noted: {note}: {teller.catalogue.operator(note)}" if note in REASONS else f"Noted: {note}."


def _disposed(disposition: Disposition | None) -> str | None:
    return None if disposition is None else f"Nothing was sent to TPS ({spelt(disposition.value)})."


def _lists(history: History) -> str:
    listed = "" if history.list_version is None else f"Deny list version {history.list_version}. "
    return listed + ("" if history.token_key is None else f"Card token under key {history.token_key}. ")


_DELIVERED = {
    0: "The validator's link has not yet said that it has the verdict.",
    1: "The validator's link took the verdict.",
    2: "The verdict never reached the validator, and a person was told.",
}
