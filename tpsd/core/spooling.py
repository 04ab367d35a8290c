"""What is decided while the database does not answer, and what becomes of it once it does (design 1 and 6).

The verdict that was told is the spool's. It never sees the database's journeys, lists or held terminals of that time,
so what the database knows better changes rows, never what the passenger was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from tpsd.core.candidate import Candidate, Decision, Facts
from tpsd.core.intake import clash, decide, first_state
from tpsd.core.passback import CardPast, joined
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Shown, Told, Verdict

NOTE: Final = "spool"
"""Beside a verdict of the spool's: pass-back and terminals' troubles were judged by what this gate alone had seen."""

OUT_OF_SERVICE: Final = Told(Verdict.OUT_OF_SERVICE, "database")
"""For what cannot be decided without the database: a card's journey cannot be seen."""

UNCONFIRMED: Final = "unconfirmed"
"""The cause of a row in doubt whose daemon was gone before it said what it had told."""

Decide = Callable[[Candidate, Facts], Decision]


@dataclass(frozen=True, slots=True)
class Found:
    """A spooled tap's row in the database. ``ours``: it is of the very transaction that the spool took over.

    ``attempts``: of which a byte may have left. ``unconfirmed``: it was put in doubt because nobody could say what its
    passenger had been told, and now somebody can.
    """

    number: int
    uuid: str | None
    state: State | None
    attempts: int
    ours: bool
    unconfirmed: bool = False


class Upsert(Enum):
    """What the spool's decision does to the authorisation of a row whose COMMIT was unknown."""

    LEAVE = "leave"  # it is the same, or none on either side
    ENTER = "enter"  # the database had denied it
    RESUME = "resume"  # others had given up the daemon that knows of it
    CANCEL = "cancel"  # the passenger was turned away, and nothing was sent
    UNSEEN = "unseen"  # the passenger was turned away, and something may have been sent


def at_the_spool(decided: Decide, told_before: Told | None = None, past: CardPast | None = None) -> Decide:
    """``decide`` as the spool uses it. ``told_before``: what the tap was told by the database, which stands.

    ``past``: what this gate knows of the card from before it went to the spool.
    """

    def judged(candidate: Candidate, facts: Facts) -> Decision:
        if candidate.realtime and facts.known is None:
            return Decision(told_before or OUT_OF_SERVICE, disposition=Disposition.DENIED, note=NOTE)
        if past is not None and facts.card_past is not None:
            facts = replace(facts, card_past=joined(facts.card_past, past))
        decision = decided(candidate, facts)
        if decision.known is not None:
            return decision
        note = NOTE if decision.note is None else f"{decision.note}; {NOTE}"
        return replace(decision, note=note, told=told_before or decision.told)

    return judged


def entered(candidate: Candidate, facts: Facts, spooled: Decision) -> Decision:
    """What is written of a tap that the database does not know; a held terminal's taps are joined."""
    notices = (*spooled.notices, clash(candidate)) if facts.clash else spooled.notices
    if spooled.state is None:
        return replace(spooled, notices=notices)
    state, joining = first_state(facts.held_cause)
    return replace(spooled, state=state, cause=facts.held_cause, notices=(*notices, *joining))


def repeated(candidate: Candidate, facts: Facts, spooled: Decision) -> Decision:
    """What a tap changes that the database had answered before: what the passenger was shown since."""
    known, shown = facts.known, candidate.report.shown
    turned_away = spooled.told is not None and spooled.told.verdict is Verdict.DENIED
    if known is not None and known.told is not None and shown is Shown.NOTHING and turned_away:
        shown = Shown.TURNED_AWAY if known.told.verdict.accepts else shown
    return decide(replace(candidate, report=replace(candidate.report, shown=shown)), facts)


def upsert(found: Found, spooled: Decision, *, cancelled: bool) -> Upsert:
    """The spool's decision over a row of the same transaction. ``cancelled``: the spool took its acceptance back."""
    if found.uuid is None:
        return Upsert.LEAVE if spooled.state is None else Upsert.ENTER
    if found.state is State.NOT_CHARGED or (spooled.state is not None and not cancelled):
        return Upsert.RESUME if found.unconfirmed else Upsert.LEAVE
    unsent = (found.unconfirmed or found.state in (State.PENDING, State.HELD)) and found.attempts == 0
    return Upsert.CANCEL if unsent else Upsert.UNSEEN
