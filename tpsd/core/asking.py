"""What a realtime tap begins once the local checks let it pass: TPS is asked, or the journal knows better (design 3).

It runs inside the transaction of commit 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tpsd.core.candidate import Asking, Candidate, Decision, Facts
from tpsd.core.journeys import Input
from tpsd.core.taptime import received_less_age
from tpsd.domain.authorisation import State
from tpsd.domain.journey import Journey, JourneyState
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.tap import Disposition, Kind, Told, Verdict

UNDER_WAY: Final = Told(Verdict.TRY_AGAIN, "under_way")


class JourneyMovedError(Exception):
    """The card's journey is not what it was when the request was made: make it anew."""


def check_journey(candidate: Candidate, facts: Facts) -> None:
    """Raises JourneyMovedError."""
    if candidate.keeps_journeys and facts.journey != candidate.journey:
        raise JourneyMovedError


def begin(candidate: Candidate, facts: Facts, told: Told, notices: tuple[NoticeDraft, ...]) -> Decision:
    """``told`` is the local checks' verdict; of a passenger who was let in although it denies, TPS is asked too."""
    note = None if told.verdict.accepts else told.reason
    if facts.under_way or (candidate.kind is Kind.RETAIL_CHECK_IN and candidate.journey_over):
        return Decision(UNDER_WAY, disposition=Disposition.REPEAT, notices=notices)
    asking = _RULES[candidate.kind](candidate, facts) if candidate.kind in _RULES else _payment(candidate, facts)
    if isinstance(asking, Told):
        return Decision(asking, disposition=Disposition.DENIED, notices=notices)
    return Decision(None, state=State.SENDING, note=note, notices=notices, asking=asking)


def _payment(candidate: Candidate, facts: Facts) -> Asking | Told:
    return Asking(asks_first=facts.doubtful if candidate.enquires else None)


def _check_in(candidate: Candidate, facts: Facts) -> Asking | Told:
    if facts.journey is None:
        return _payment(candidate, facts)
    if not candidate.closes_old_journey or facts.journey.state is not JourneyState.OPEN:
        return Told(Verdict.DENIED, "journey_open")
    return Asking(asks_first=facts.doubtful if candidate.enquires else None, step=Input.HAND)


def _check_out(candidate: Candidate, facts: Facts) -> Asking | Told:
    journey = facts.journey
    # After a machine's sleep the attendant may be late, and TPS may know the last try no more.
    if journey is None or candidate.journey_over:
        return Told(Verdict.DENIED, "no_check_in")
    if journey.last is not None and journey.last.state is State.IN_DOUBT:
        return Told(Verdict.CHECK_OUT_FAILED, "in_doubt")
    # Our own clock, because the validators of two lanes may differ by more than a short ride takes.
    if received_less_age(candidate.report) < journey.opened_at:
        return Told(Verdict.DENIED, "out_of_order")
    return Asking(same_as=_awaited(journey), step=Input.CHECK_OUT)


def _awaited(journey: Journey) -> str | None:
    """The check-out whose bytes must go again: anything but a clean no came of it."""
    last = journey.last
    return last.uuid if last is not None and last.state is State.AWAITING_TAP else None


_RULES: Final[dict[Kind | None, Callable[[Candidate, Facts], Asking | Told]]] = {
    Kind.RETAIL_CHECK_IN: _check_in,
    Kind.RETAIL_CHECK_OUT: _check_out,
}
