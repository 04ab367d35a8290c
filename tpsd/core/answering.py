"""What a passenger who waits is told, and where a realtime authorisation goes after an attempt (design 2 to 4).

The same rules for what an operator sends by hand: nobody waits there, so nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from tpsd.core.doubt import REPEATED, DoubtPolicy, with_enquiry
from tpsd.core.journeys import Input, failed
from tpsd.core.notices import cause_at, cause_key
from tpsd.core.settlement import ALARM_CAUSES, DIFFERS, PARTLY, Settlement, is_4xx
from tpsd.domain.authorisation import AttemptReason, Claimed, Progress, State
from tpsd.domain.journey import TRIES_MAX, Journey
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Approved, Declined, NotSent, Outcome, TapRefused, TerminalRefused, TryAgain
from tpsd.domain.tap import Kind, Shown, Told, Verdict
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class Policy:
    """What lane and configuration say. ``gives_back``: unasked, where a passenger was turned away and charged."""

    doubt: DoubtPolicy = field(default_factory=DoubtPolicy)
    partial_accepted: bool = False
    can_take_pin: bool = False
    gives_back: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the transaction finds of an authorisation whose attempt ended. Amounts in minor units.

    ``may_have_charged`` and ``unclear`` (unknown, or in progress) speak of earlier attempts. ``shown``: what the
    passenger has been shown meanwhile. ``journey``: a check-out's, this try counted. ``tapped``: by a passenger.
    """

    uuid: str
    kind: Kind
    amount: int
    terminal: str
    tapped: bool = True
    may_have_charged: bool = False
    unclear: bool = False
    shown: Shown = Shown.NOTHING
    journey: Journey | None = None

    @property
    def may_try_again(self) -> bool:
        """Whether the passenger's next tap sends the same bytes again."""
        journey = self.journey
        return self.tapped and journey is not None and journey.state.travels and journey.tries < TRIES_MAX


@dataclass(frozen=True, slots=True)
class Ending:
    """What commit 3 writes. ``told`` None where nobody taps.

    ``journey``: the input of the check-out's journey. ``opens``: a journey begins. ``unseen``: charged, and the
    passenger was not shown it. ``gives_back``: what was approved, in minor units, is given back in the same commit.
    """

    told: Told | None
    settlement: Settlement
    journey: Input | None = None
    opens: bool = False
    unseen: bool = False
    gives_back: int | None = None


def cut_off(waiting: Waiting, now: Micros) -> Claimed:
    """The attempt that a start found open, as far as this tells: which one it was, and of what."""
    journey = waiting.journey
    return Claimed(
        uuid=UUID(waiting.uuid),
        number=1 if journey is None else max(1, journey.tries),
        fence=0,
        reason=AttemptReason.TAP,
        terminal=waiting.terminal,
        path="",
        credential="",
        body=b"",
        started_at=now,
        progress=Progress(1, waiting.may_have_charged, ()),
        amount=waiting.amount,
        realtime=True,
    )


def settle(waiting: Waiting, outcome: Outcome, policy: Policy, *, number: int, ended_at: Micros) -> Ending:
    """The next state and the verdict. ``number`` is the attempt's; ``ended_at`` on the schedule clock."""
    if isinstance(outcome, Approved) and not _differs(waiting, outcome):
        ending = _approved(waiting, outcome, policy)
    else:
        ending = _not_approved(waiting, outcome, policy)
    settlement = with_enquiry(policy.doubt, ending.settlement, outcome, number=number, ended_at=ended_at)
    return replace(ending, settlement=settlement)


def accepted(kind: Kind, amount: int, reason: str | None = None) -> Told:
    """The verdict of a passenger who paid, or whose journey began or ended well."""
    verdict, usual = _ACCEPTED.get(kind, (Verdict.ACCEPTED, "approved"))
    return Told(verdict, reason or usual, amount)


def _differs(waiting: Waiting, outcome: Approved) -> bool:
    """Whether TPS approved another amount than asked, or a part and did not say which."""
    if outcome.cause == PARTLY:
        return outcome.amount is None or not 0 < outcome.amount <= waiting.amount
    return outcome.amount is not None and outcome.amount != waiting.amount


def _approved(waiting: Waiting, outcome: Approved, policy: Policy) -> Ending:
    amount = waiting.amount if outcome.amount is None else outcome.amount
    settlement = Settlement(
        State.APPROVED,
        outcome.cause,
        None,
        may_have_charged=True,
        notices=_alarms(outcome),
        approved_amount=outcome.amount,
    )
    if not waiting.tapped:
        return Ending(None, settlement, _step(waiting, Input.APPROVED))
    if amount < waiting.amount and not policy.partial_accepted:
        if waiting.shown is Shown.LET_IN:
            settlement = _telling(settlement, _unseen("partial_refused", waiting, _LET_IN_UNPAID))
        return Ending(_denied(waiting, "partial_refused"), settlement, _failed(waiting), gives_back=amount)
    if waiting.shown is Shown.TURNED_AWAY and waiting.kind is not Kind.RETAIL_CHECK_OUT:
        # Who checks out has travelled: that fare is due, whatever was shown.
        told = Told(Verdict.DENIED, "turned_away")
        if policy.gives_back:
            return Ending(told, settlement, unseen=True, gives_back=amount)
        return Ending(told, _telling(settlement, _unseen("turned_away", waiting, _TURNED_AWAY)), unseen=True)
    if waiting.shown is Shown.TURNED_AWAY:
        settlement = _telling(settlement, _unseen("turned_away", waiting, _TURNED_AWAY))
    return Ending(
        accepted(waiting.kind, amount, "partial" if amount < waiting.amount else None),
        settlement,
        _step(waiting, Input.APPROVED),
        opens=waiting.kind is Kind.RETAIL_CHECK_IN,
        unseen=waiting.shown is Shown.TURNED_AWAY,
    )


def _not_approved(waiting: Waiting, outcome: Outcome, policy: Policy) -> Ending:
    loud = isinstance(outcome, Approved)  # of another amount than asked
    cause = DIFFERS if loud else outcome.cause
    charged = waiting.may_have_charged or not outcome.clean
    state = State.IN_DOUBT if loud else _state(waiting, outcome, policy, charged)
    notices = (*_told_of(state, waiting, outcome, cause), *_alarms(outcome, cause))
    if waiting.shown is Shown.LET_IN:
        notices = (*notices, _unseen(cause, waiting, _LET_IN_UNPAID))
    settlement = Settlement(
        state,
        cause,
        None,
        charged,
        notices,
        approved_amount=outcome.amount if isinstance(outcome, Approved) else None,
    )
    if not waiting.tapped:
        return Ending(None, settlement, _step(waiting, Input.HAND_FAILED) if state is not State.IN_DOUBT else None)
    if isinstance(outcome, Declined) and outcome.wants_pin and policy.can_take_pin and waiting.journey is None:
        return Ending(Told(Verdict.INSERT_CARD, cause), settlement)
    return Ending(_denied(waiting, cause, state), settlement, _failed(waiting))


def _state(waiting: Waiting, outcome: Outcome, policy: Policy, charged: bool) -> State:
    refused = isinstance(outcome, TapRefused | TerminalRefused)
    if isinstance(outcome, Declined):
        return State.DECLINED  # also after an unknown attempt: what TPS says of a repeat it says of the transaction
    if refused and is_4xx(outcome) and not charged:
        return State.TAP_REFUSED if isinstance(outcome, TapRefused) else State.FAILED
    if waiting.may_try_again:
        return State.AWAITING_TAP
    # A refund that TPS answered may have been carried out too: another one, under a new UUID, would give it twice.
    unclear = waiting.unclear or outcome.cause in REPEATED or waiting.kind is Kind.RETAIL_REFUND
    unclear = unclear or (charged and not isinstance(outcome, TryAgain | NotSent))
    return State.IN_DOUBT if charged and (unclear or policy.doubt.enquires) else State.FAILED


def _denied(waiting: Waiting, reason: str, state: State | None = None) -> Told:
    if waiting.journey is None:
        return Told(Verdict.DENIED, reason)
    # Of a check-out in doubt nothing more is sent, so its passenger is not asked to tap again.
    again = waiting.journey.tries < TRIES_MAX and state is not State.IN_DOUBT
    return Told(Verdict.CHECK_OUT_AGAIN if again else Verdict.CHECK_OUT_FAILED, reason)


def _step(waiting: Waiting, given: Input) -> Input | None:
    return None if waiting.journey is None else given


def _failed(waiting: Waiting) -> Input | None:
    return None if waiting.journey is None else failed(waiting.journey.tries)


def _told_of(state: State, waiting: Waiting, outcome: Outcome, cause: str) -> tuple[NoticeDraft, ...]:
    match outcome:
        case TerminalRefused():
            key = cause_key(NoticeKind.ALARM, cause, waiting.terminal)
            found = [NoticeDraft(NoticeKind.ALARM, key, "TPS refuses this terminal, so its passengers are turned away")]
        case TapRefused() if state is State.TAP_REFUSED:
            key = cause_key(NoticeKind.TAP_REFUSED, cause)
            found = [NoticeDraft(NoticeKind.TAP_REFUSED, key, "TPS refused this transaction; it is not sent again")]
        case _:
            found = []
    if state is State.IN_DOUBT:
        words = "the passenger was turned away, and money may have moved" if waiting.tapped else "sent by hand"
        found.append(NoticeDraft(NoticeKind.IN_DOUBT, cause_key(NoticeKind.IN_DOUBT, cause), words))
    return tuple(found)


def _alarms(outcome: Outcome, cause: str | None = None) -> tuple[NoticeDraft, ...]:
    if cause == DIFFERS:
        words = "TPS approved another amount than was asked for"
    elif outcome.loud or outcome.cause in ALARM_CAUSES:
        words = "TPS's answer needs an engineer's eye"
    else:
        return ()
    return (NoticeDraft(NoticeKind.ALARM, cause_key(NoticeKind.ALARM, cause or outcome.cause), words),)


def _telling(settlement: Settlement, notice: NoticeDraft) -> Settlement:
    return replace(settlement, notices=(*settlement.notices, notice))


def _unseen(cause: str, waiting: Waiting, words: str) -> NoticeDraft:
    key = cause_key(NoticeKind.UNSEEN, cause_at(cause, None), waiting.terminal)
    return NoticeDraft(NoticeKind.UNSEEN, key, words)


_LET_IN_UNPAID: Final = "the passenger was let in, but the tap was not paid"
_TURNED_AWAY: Final = "TPS approved it, but the validator had turned the passenger away"

_ACCEPTED: Final = {
    Kind.RETAIL_CHECK_IN: (Verdict.CHECKED_IN, "checked_in"),
    Kind.RETAIL_CHECK_OUT: (Verdict.CHECKED_OUT, "checked_out"),
}
