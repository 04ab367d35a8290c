"""What is decided while the database does not answer, and what becomes of it once it does (design 1 and 6).

The verdict that was told is the spool's. It never sees the database's journeys, lists or held terminals of that time,
so what the database knows better changes rows, never what the passenger was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from tpsd.core.candidate import JOURNEY_KINDS, Asking, Candidate, Decision, Facts
from tpsd.core.intake import clash, decide, first_state, told_of_let_in
from tpsd.core.passback import CardPast, joined
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Shown, Told, Verdict

NOTE: Final = "spool"
"""Beside a verdict of the spool's: pass-back and terminals' troubles were judged by what this gate alone had seen."""

OUT_OF_SERVICE: Final = Told(Verdict.OUT_OF_SERVICE, "database")
"""For what cannot be decided without the database: a card's journey, or an earlier payment in doubt, cannot be seen."""

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


@dataclass(frozen=True, slots=True)
class Remembered:
    """What this gate knows of a tap and its card from before it went to the spool.

    ``told``: what the tap was told, which stands. ``asked``: TPS was asked about it, so it never is again. ``past``:
    the card's, for pass-back. ``under_way`` and ``doubtful``: as in ``Facts``.
    """

    told: Told | None = None
    asked: bool = False
    past: CardPast | None = None
    under_way: bool = False
    doubtful: str | None = None


NOTHING_REMEMBERED: Final = Remembered()


def at_the_spool(decided: Decide, known: Remembered = NOTHING_REMEMBERED) -> Decide:
    """``decide`` as the spool uses it."""

    def judged(candidate: Candidate, facts: Facts) -> Decision:
        if facts.known is None and candidate.realtime:
            if known.told is not None:
                return Decision(known.told, disposition=Disposition.DENIED, note=NOTE)
            if known.asked or not can_be_asked(candidate):
                return _out_of_service(candidate)
        if known.past is not None and facts.card_past is not None:
            facts = replace(facts, card_past=joined(facts.card_past, known.past))
        doubtful = facts.doubtful or (known.doubtful if candidate.enquires else None)
        facts = replace(facts, under_way=facts.under_way or known.under_way, doubtful=doubtful)
        decision = decided(candidate, facts)
        if decision.known is not None:
            return decision
        if decision.asking is not None and decision.asking.asks_first is not None:
            return _out_of_service(candidate)  # nobody can be asked about the earlier one, and both could be charged
        return replace(decision, note=noted(decision.note), told=known.told or decision.told)

    return judged


def noted(note: str | None) -> str:
    """What stands beside a verdict of the spool's."""
    return NOTE if note is None else f"{note}; {NOTE}"


def unnoted(note: str | None) -> str | None:
    """What would stand there had the database been asked."""
    return None if note is None or note == NOTE else note.removesuffix(f"; {NOTE}")


def adopted(candidate: Candidate, facts: Facts) -> Decision:
    """Of a tap whose request is under way: its row at the spool, so that what comes of it can be kept there."""
    if facts.known is not None:
        return decide(candidate, facts)
    return Decision(None, state=State.SENDING, note=NOTE, asking=Asking())


def can_be_asked(candidate: Candidate) -> bool:
    """Whether a realtime tap's answer needs nothing that the database alone has: its card's journey."""
    return candidate.kind not in JOURNEY_KINDS


def _out_of_service(candidate: Candidate) -> Decision:
    return told_of_let_in(candidate, Decision(OUT_OF_SERVICE, disposition=Disposition.DENIED, note=NOTE))


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
    turned_away = spooled.told is not None and spooled.told.verdict in (Verdict.DENIED, Verdict.OUT_OF_SERVICE)
    if known is not None and known.told is not None and shown is Shown.NOTHING and turned_away:
        shown = Shown.TURNED_AWAY if known.told.verdict.accepts else shown
    return decide(replace(candidate, report=replace(candidate.report, shown=shown)), facts)


def upsert(found: Found, spooled: Decision, *, cancelled: bool, realtime: bool = False) -> Upsert:
    """The spool's decision over a row of the same transaction. ``cancelled``: the spool took its acceptance back.

    ``realtime``: TPS was to be asked at once, by who has turned the passenger away instead.
    """
    if found.uuid is None:
        return Upsert.LEAVE if spooled.state is None else Upsert.ENTER
    if found.state is State.NOT_CHARGED or (spooled.state is not None and not cancelled):
        return Upsert.RESUME if found.unconfirmed else Upsert.LEAVE
    unsent = (found.unconfirmed or found.state in (State.PENDING, State.HELD)) and found.attempts == 0
    unsent = unsent or (realtime and found.state in (State.SENDING, State.IN_DOUBT))
    return Upsert.CANCEL if unsent else Upsert.UNSEEN


class Over(Enum):
    """What a realtime tap's end at the spool does to the same authorisation in the database."""

    LEAVE = "leave"  # it is the same, or better known there
    SETTLE = "settle"  # the answer came to the spool
    WAIT = "wait"  # others ended it, and its answer is under way to the spool


def over(found: State, spooled: State, *, under_way: bool) -> Over:
    """``found`` in the database, of the same UUID. ``under_way``: this daemon is still waiting for its answer."""
    if spooled is State.SENDING:
        return Over.WAIT if under_way and found is not State.SENDING else Over.LEAVE
    if found is State.SENDING or (found is State.IN_DOUBT and spooled is not State.IN_DOUBT):
        return Over.SETTLE
    return Over.SETTLE if spooled is State.APPROVED and found is not State.APPROVED else Over.LEAVE
