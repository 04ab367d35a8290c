"""What of a tap's card data is still kept, why, and until when; and what stays of it for good."""

from __future__ import annotations

from tpsd.core.story.words import Teller, sentence, span
from tpsd.domain.authorisation import State
from tpsd.domain.history import Event, EventKind, Fact, History, Keeping, Transaction
from tpsd.domain.time import DAY, Micros, later

_PAYLOAD = "payload"  # of a tap that could not be decided


def kept(history: History, keeping: Keeping, teller: Teller) -> Event:
    """One event: sealed card data or none, then what the row shows of the card, then how long the row stays."""
    left = _left(history, keeping)
    until = None if left is None else later(teller.now, max(left, 0))
    names = ", ".join(sorted(box.purpose for box in history.boxes))
    text = sentence(
        _sealed(history, names, left, until, teller),
        _stays(history),
        f"The row stays whole for {keeping.retention_us // DAY} running days after its end.",
    )
    facts: dict[str, Fact] = {"sealed": names, "until": until, "card": history.recorded.masked}
    return Event(EventKind.KEPT, None, text, facts)


def _sealed(history: History, names: str, left: int | None, until: Micros | None, teller: Teller) -> str:
    own = history.transaction
    if not history.boxes:
        return "No card data is kept." if own is None or own.state.is_final else f"No card data is kept{_gone(own)}."
    if left is None or until is None:
        return f"Card data ({names}) is kept sealed until the transaction is settled."
    if left <= 0:
        return f"Card data ({names}) is kept sealed, and about to be erased."
    return (
        f"Card data ({names}) is kept sealed for {span(left)} more of running time, so until {teller.local(until)} at "
        "the earliest, or until it is settled."
    )


def _gone(own: Transaction) -> str:
    return ", so it cannot be sent again" if own.state.is_resting else ""


def _left(history: History, keeping: Keeping) -> int | None:
    """Running time that is left to card data of what rests; None where its settlement ends it."""
    own = history.transaction
    if own is None:
        sealed = [box.ran_sealed for box in history.boxes if box.purpose == _PAYLOAD]
        return None if not sealed else min(sealed) + keeping.failed_us - history.ran
    if not history.boxes or own.ran_rested is None or not own.state.is_resting:
        return None
    limit = keeping.held_us if own.state is State.HELD else keeping.failed_us
    return own.ran_rested + limit - history.ran


def _stays(history: History) -> str | None:
    parts = [] if history.recorded.masked is None else [history.recorded.masked]
    parts += [name.upper() for name in history.recorded.facts]
    return f"Of the card the row shows {', '.join(parts)}." if parts else None
