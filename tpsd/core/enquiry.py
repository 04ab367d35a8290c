"""What the answer to an enquiry means, and where the row goes that was asked about (design 2 and 4, sfey.md 2 and 4).

A row in doubt is asked about ENQUIRIES times. A row on the ladder is asked about once between two rungs, and
then only a definite answer counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.core.outcomes import classify
from tpsd.core.settlement import DIFFERS, PARTLY
from tpsd.domain.authorisation import State
from tpsd.domain.doubt import Enquired
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Answer, Approved, Declined, Exchange, Outcome
from tpsd.domain.tap import Kind, Timing
from tpsd.domain.time import HOUR, MINUTE, Micros, later

ENQUIRIES: Final = 5
NEXT_ENQUIRY_US: Final = 5 * MINUTE
"""Five, every 300 s: by then a peer's payment that is ever going to be known is known (field.md)."""

CONTROL_US: Final = 24 * HOUR
"""How old the approved transaction may be by which an enquiry is tried: the path of yesterday, not of last year."""

AUTHORISATION_NOT_FOUND: Final = 21  # sfey.md 4: the only system code by which a 404 may still speak of the UUID


class Finding(Enum):
    """What an enquiry found."""

    APPROVED = "approved"
    DECLINED = "declined"
    NOT_FOUND = "not_found"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Heard:
    """An enquiry's answer. ``outcome`` is what the same answer to a send would mean; its cause goes on rows."""

    finding: Finding
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. ``when`` is for people; ``fits`` does it."""

    number: int
    when: str
    finding: Finding
    fits: Callable[[Exchange, Outcome], bool] = field(repr=False)


def _is_not_found(exchange: Exchange, _outcome: Outcome) -> bool:
    return (
        isinstance(exchange, Answer)
        and exchange.http == 404
        and exchange.approved is None
        and exchange.action_code is None
        and exchange.system_code in (None, AUTHORISATION_NOT_FOUND)
    )


RULES: Final = (
    Rule(1, "404 with no code, or with system code 21: TPS never had it, or our path is wrong",
         Finding.NOT_FOUND, _is_not_found),
    Rule(2, "what would approve a send",
         Finding.APPROVED, lambda _exchange, outcome: isinstance(outcome, Approved)),
    Rule(3, "what would decline a send",
         Finding.DECLINED, lambda _exchange, outcome: isinstance(outcome, Declined)),
    Rule(4, "anything else: no answer, in progress, a refusal of the enquiry itself, a contradiction",
         Finding.UNCLEAR, lambda _exchange, _outcome: True),
)  # fmt: skip
"""The first that fits decides."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the commit after an enquiry writes.

    ``state`` and ``cause`` are the row's. ``released``: back on the ladder, due at once, the same bytes under
    the next release. ``enquiry_due``: when TPS is asked again (schedule clock). ``counts``: the finding decided
    something. ``approved_amount`` in minor units, where TPS said one. ``gives_back``: minor units that are given back
    in the same commit, because the passenger was turned away.
    """

    state: State
    cause: str | None
    released: bool = False
    enquiry_due: Micros | None = None
    counts: bool = False
    notices: tuple[NoticeDraft, ...] = ()
    approved_amount: int | None = None
    gives_back: int | None = None

    @property
    def erase(self) -> bool:
        """Whether body and wrapped key go in the same commit: exactly in final states (design 5)."""
        return self.state.is_final


def read(exchange: Exchange) -> Heard:
    """What an enquiry found. Total: the last rule takes what no other fits."""
    return explain(exchange)[1]


def explain(exchange: Exchange) -> tuple[Rule, Heard]:
    """The finding and the rule that gave it."""
    outcome = classify(exchange)
    rule = next(rule for rule in RULES if rule.fits(exchange, outcome))
    return rule, Heard(rule.finding, outcome)


def needs_control(enquired: Enquired, heard: Heard) -> bool:
    """Whether it is to be tried now if the enquiry finds what is known to be there: before the last 404 counts."""
    return heard.finding is Finding.NOT_FOUND and enquired.state is State.IN_DOUBT and _is_last(enquired)


def conclude(
    enquired: Enquired, heard: Heard, *, believed: bool, ended_at: Micros, gives_back: bool = False
) -> Conclusion:
    """Where the row goes. ``believed``: a control said that "not found" may be believed (``needs_control``).

    ``gives_back``: what is found charged though its passenger was turned away is given back unasked.
    """
    finding = heard.finding
    if finding is Finding.NOT_FOUND and not (believed and needs_control(enquired, heard)):
        finding = Finding.UNCLEAR
    alarm = _alarm(enquired, heard.outcome)
    if finding is Finding.UNCLEAR:
        return _left(enquired, heard, ended_at, alarm)
    state = NEXT[enquired.timing, finding]
    if state is State.PENDING and not enquired.body_kept:
        return _rests(enquired, "TPS never had it, and its body is gone, so it cannot be sent again", alarm)
    if state is State.PENDING:
        return Conclusion(state, None, released=True, counts=True, notices=alarm)
    if state is not State.APPROVED:
        unpaid = (_unpaid(enquired),) if enquired.timing is Timing.REALTIME and enquired.let_in else ()
        return Conclusion(state, heard.outcome.cause, counts=True, notices=(*unpaid, *alarm))
    amount = heard.outcome.amount if isinstance(heard.outcome, Approved) else None
    found = Conclusion(state, heard.outcome.cause, counts=True, notices=alarm, approved_amount=amount)
    if not _turned_away(enquired):
        return found
    if gives_back:
        return replace(found, gives_back=enquired.amount if amount is None else amount)
    return replace(found, notices=(_charged_unseen(enquired), *alarm))


def _turned_away(enquired: Enquired) -> bool:
    """Whether a passenger was refused what is now found charged; who checked out has travelled, and pays for it."""
    refused = enquired.timing is Timing.REALTIME and enquired.tapped and not enquired.let_in
    return refused and enquired.kind is not Kind.RETAIL_CHECK_OUT


def _charged_unseen(enquired: Enquired) -> NoticeDraft:
    key = cause_key(NoticeKind.UNSEEN, "approved", enquired.terminal)
    return NoticeDraft(NoticeKind.UNSEEN, key, "TPS approved it, but the passenger was turned away: tpsd refund")


def _unpaid(enquired: Enquired) -> NoticeDraft:
    key = cause_key(NoticeKind.UNSEEN, "unpaid", enquired.terminal)
    return NoticeDraft(NoticeKind.UNSEEN, key, "the passenger was let in, and TPS never charged it")


NEXT: Final[dict[tuple[Timing, Finding], State]] = {
    (Timing.DEFERRED, Finding.APPROVED): State.APPROVED,
    (Timing.DEFERRED, Finding.DECLINED): State.DECLINED,
    (Timing.DEFERRED, Finding.NOT_FOUND): State.PENDING,
    (Timing.REALTIME, Finding.APPROVED): State.APPROVED,
    (Timing.REALTIME, Finding.DECLINED): State.DECLINED,
    (Timing.REALTIME, Finding.NOT_FOUND): State.NOT_CHARGED,
}
"""Where a finding that counts leads. Nobody waits at the lane any more, so realtime is not sent again (design 2)."""


def _left(enquired: Enquired, heard: Heard, ended_at: Micros, alarm: tuple[NoticeDraft, ...]) -> Conclusion:
    """Nothing definite: asked again, or left to the ladder or to a person."""
    if enquired.state is State.PENDING:
        return Conclusion(State.PENDING, enquired.cause, notices=alarm)
    if not _is_last(enquired):
        due = Micros(max(later(enquired.started_at, NEXT_ENQUIRY_US), ended_at))
        return Conclusion(enquired.state, enquired.cause, enquiry_due=due, notices=alarm)
    if heard.finding is Finding.NOT_FOUND:
        words = "TPS says that it never had it, but no enquiry of a known one shows that this can be believed"
    else:
        words = f"asked {enquired.nth} times, without a definite answer; the last was {heard.outcome.cause}"
    return _rests(enquired, words, alarm)


def _rests(enquired: Enquired, words: str, alarm: tuple[NoticeDraft, ...]) -> Conclusion:
    key = cause_key(NoticeKind.IN_DOUBT, enquired.cause or "unknown")
    notice = NoticeDraft(NoticeKind.IN_DOUBT, key, words)
    return Conclusion(State.IN_DOUBT, enquired.cause, notices=(notice, *alarm))


def _is_last(enquired: Enquired) -> bool:
    return enquired.nth >= ENQUIRIES


def _alarm(enquired: Enquired, outcome: Outcome) -> tuple[NoticeDraft, ...]:
    said = outcome.amount if isinstance(outcome, Approved) and outcome.cause != PARTLY else None
    differs = said is not None and said != enquired.amount
    if not outcome.loud and not differs:
        return ()
    key = cause_key(NoticeKind.ALARM, DIFFERS if differs else outcome.cause)
    return (NoticeDraft(NoticeKind.ALARM, key, "TPS's answer to an enquiry needs an engineer's eye"),)
