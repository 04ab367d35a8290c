"""What went to TPS for a tap, what came back, and what that meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tpsd.core.receipts import cause_words
from tpsd.core.story.words import Teller, money, sentence, span, spelt
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.history import Event, EventKind, Fact, History, Transaction
from tpsd.domain.tap import Timing
from tpsd.domain.views import AttemptRow


def exchanges(history: History, teller: Teller) -> Iterator[Event]:
    """Every send and enquiry of every transaction, each with its answer."""
    for transaction in history.transactions:
        sends, before = 0, None
        for attempt in transaction.attempts:
            if attempt.reason == AttemptReason.ENQUIRY.value:
                yield from _enquiry(attempt, transaction, teller)
            else:
                sends += 1
                yield from _send(sends, attempt, before, transaction, teller)
                before = attempt


def _send(
    nth: int, attempt: AttemptRow, before: AttemptRow | None, transaction: Transaction, teller: Teller
) -> Iterator[Event]:
    facts: dict[str, Fact] = {
        "uuid": transaction.uuid, "attempt": attempt.number, "send": nth, "release": attempt.release,
        "why": attempt.reason,
    }  # fmt: skip
    released = "" if attempt.release == 1 else f", release {attempt.release}"
    amount = money(transaction.amount, transaction.currency)
    what = f"{transaction.kind} of {amount} as {transaction.uuid} under certificate {transaction.credential}"
    yield Event(
        EventKind.SENT,
        attempt.started_at,
        f"Send {nth}{released}: {_WHY_SENT[AttemptReason(attempt.reason)]}. "
        f"{what if nth == 1 else 'The same bytes under the same UUID'}.",
        facts | {"amount": transaction.amount, "currency": transaction.currency, "credential": transaction.credential},
    )
    if attempt.ended_at is not None and attempt.outcome is not None:
        took = attempt.ended_at - attempt.started_at
        text = f"After {span(max(took, 0))}: {_answer(attempt, before, transaction, teller)}"
        yield Event(EventKind.ANSWERED, attempt.ended_at, text, facts | _ended(attempt, took))


def _answer(attempt: AttemptRow, before: AttemptRow | None, transaction: Transaction, teller: Teller) -> str:
    """What came back and what it means; shorter where the send before came to the same."""
    outcome = attempt.outcome or ""
    cause = attempt.cause or outcome
    if before is not None and _end(before) == _end(attempt):
        return f"{cause_words(cause)}, as before. Outcome: {spelt(outcome)}."
    return sentence(teller.why(cause), f"Outcome: {spelt(outcome)}, {_means(attempt, transaction)}.")


def _end(attempt: AttemptRow) -> tuple[str | None, str | None, bool]:
    return attempt.outcome, attempt.cause, attempt.may_have_charged


def _enquiry(attempt: AttemptRow, transaction: Transaction, teller: Teller) -> Iterator[Event]:
    facts: dict[str, Fact] = {"uuid": transaction.uuid, "attempt": attempt.number}
    yield Event(EventKind.ASKED, attempt.started_at, f"TPS was asked what became of {transaction.uuid}.", facts)
    if attempt.ended_at is not None and attempt.outcome is not None:
        took = attempt.ended_at - attempt.started_at
        found = _FOUND.get(attempt.outcome, "Nothing definite")
        text = f"After {span(max(took, 0))}: {found} ({attempt.cause or attempt.outcome})."
        yield Event(EventKind.FOUND, attempt.ended_at, text, facts | _ended(attempt, took))


def _ended(attempt: AttemptRow, took: int) -> dict[str, Fact]:
    return {
        "outcome": attempt.outcome,
        "cause": attempt.cause,
        "may_have_charged": attempt.may_have_charged,
        "took_us": max(took, 0),
    }


def _means(attempt: AttemptRow, transaction: Transaction) -> str:
    outcome = attempt.outcome or ""
    deferred, realtime = _MEANING[outcome]
    meaning = deferred if transaction.timing is Timing.DEFERRED else realtime
    if outcome == "approved":
        return meaning
    return f"{meaning}; {'money may have moved' if attempt.may_have_charged else 'no money moved'}"


_MEANING: Final[Mapping[str, tuple[str, str]]] = {
    "approved": ("which is final", "so it was accepted"),
    "declined": ("which is final", "so it was denied"),
    "tap_refused": ("which is final: TPS blames this transaction", "so it was denied: TPS blames this transaction"),
    "terminal_refused": ("which holds it: the terminal or its set-up is blamed",
                         "so it was denied: the terminal or its set-up is blamed"),
    "try_again": ("which asks for the next rung of the ladder", "so it was denied"),
    "not_sent": ("since no byte left", "so it was denied: no byte left"),
    "unknown": ("after which only the same bytes under the same UUID may follow", "so it was denied"),
}  # fmt: skip
"""What an outcome means for a deferred and for a realtime transaction (design 2)."""

_FOUND: Final = {
    "approved": "it was approved",
    "declined": "it was declined",
    "not_found": "TPS never had it, and that is believed",
}

_WHY_SENT: Final[Mapping[AttemptReason, str]] = {
    AttemptReason.LADDER: "the ladder's turn",
    AttemptReason.CANARY: "a canary, to see whether the cause is mended",
    AttemptReason.TAP: "a passenger waits for the answer",
    AttemptReason.HAND: "ordered by hand",
    AttemptReason.ENQUIRY: "an enquiry",
}
