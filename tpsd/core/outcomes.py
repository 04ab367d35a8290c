"""What an exchange with TPS means: the rules of sfey.md 4 as one table; the first that fits decides.

Codes decide, never an answer's text. Whether an attempt was *clean* (money cannot have moved) is decided here
too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tpsd.core.codes import (
    IN_PROGRESS,
    SYSTEM_CODES,
    ActionClass,
    SystemClass,
    action_class,
    wants_pin,
)
from tpsd.core.texts import Catalogue
from tpsd.domain.outcome import (
    Answer,
    Approved,
    CredentialRefused,
    Declined,
    Exchange,
    NoAnswer,
    NoConnection,
    NotSent,
    Outcome,
    TapRefused,
    TerminalRefused,
    TryAgain,
    Unknown,
)

RETRY_STATUSES: Final = frozenset({408, 425, 429})
"""The 4XX that ask for patience, not for another request (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An exchange laid out flat for the rules. An unreadable body says nothing: its fields are None here."""

    exchange: type[Exchange]
    cause: str = ""
    http: int = 0
    approved: bool | None = None
    action: str | None = None
    system: int | None = None
    amount: int | None = None
    retry_after: int | None = None

    @property
    def hundred(self) -> int:
        """The first digit of the HTTP status; 0 when there was no answer."""
        return self.http // 100

    @property
    def says(self) -> ActionClass | None:
        """The class of a readable action code."""
        return None if self.action is None else action_class(self.action)

    @property
    def bare(self) -> bool:
        """Whether the answer carries nothing that TPS's application would have written."""
        return self.approved is None and self.action is None and self.system is None

    @property
    def code_cause(self) -> str:
        """The cause when no action code decided."""
        return f"http.{self.http}" if self.system is None else f"system.{self.system}"

    @property
    def contradicts(self) -> bool:
        """Whether ``approved`` and a readable action code disagree."""
        if self.approved is None or self.says is None:
            return False
        return self.approved is not (self.says is ActionClass.APPROVED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. ``when`` and ``then`` are for people; ``fits`` and ``result`` do it."""

    number: int
    when: str
    then: str
    fits: Callable[[Seen], bool] = field(repr=False)
    result: Callable[[Seen], Outcome] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Advice:
    """An outcome for ``tpsd classify``. ``deferred``: final, resend, held. ``realtime``: accept, deny."""

    outcome: str
    deferred: str
    realtime: str
    text: str


def classify(exchange: Exchange) -> Outcome:
    """The outcome of one exchange. Total: the last rule takes what no other fits."""
    return explain(exchange)[1]


def explain(exchange: Exchange) -> tuple[Rule, Outcome]:
    """The outcome and the rule that gave it."""
    seen = _seen(exchange)
    rule = next(rule for rule in RULES if rule.fits(seen))
    return rule, rule.result(seen)


def advise(outcome: Outcome, catalogue: Catalogue) -> Advice:
    """What becomes of a deferred and of a realtime tap, and the operator's text."""
    name, deferred = ADVICE[type(outcome)]
    realtime = "accept" if isinstance(outcome, Approved) else "deny"
    return Advice(name, deferred, realtime, catalogue.operator(outcome.cause))


ADVICE: Final[dict[type[Outcome], tuple[str, str]]] = {
    Approved: ("approved", "final"),
    Declined: ("declined", "final"),
    TapRefused: ("tap_refused", "final"),
    TerminalRefused: ("terminal_refused", "held"),
    TryAgain: ("try_again", "resend"),
    NotSent: ("not_sent", "resend"),
    Unknown: ("unknown", "resend"),
}


def _seen(exchange: Exchange) -> Seen:
    if not isinstance(exchange, Answer):
        return Seen(type(exchange), exchange.cause)
    if not exchange.readable:
        return Seen(Answer, http=exchange.http, retry_after=exchange.retry_after)
    return Seen(
        Answer,
        "",
        exchange.http,
        exchange.approved,
        exchange.action_code,
        exchange.system_code,
        exchange.amount,
        exchange.retry_after,
    )


def _clean(seen: Seen) -> bool:
    """Whether a 3XX or 4XX that is not a decline shows that no money moved (design 2)."""
    if seen.hundred == 4 and seen.system is not None:
        # TPS's application refused it, unless the same answer also says that the bank approved or may yet.
        return seen.approved is not True and seen.says in (None, ActionClass.DECLINED)
    return seen.bare


def _not_sent(seen: Seen) -> Outcome:
    return NotSent(seen.cause, clean=True)


def _credential_refused(seen: Seen) -> Outcome:
    return TerminalRefused(seen.cause, clean=True, judged=False)


def _no_answer(seen: Seen) -> Outcome:
    return Unknown(seen.cause, clean=False)


def _server_error(seen: Seen) -> Outcome:
    # Sfey answers a 9xx action code with 5XX: then it says more than the status does.
    said_again = seen.system is None and seen.says is ActionClass.AGAIN
    return _again(seen, f"action.{seen.action}" if said_again else seen.code_cause)


def _in_progress(seen: Seen) -> Outcome:
    return _again(seen, seen.code_cause)


def _again(seen: Seen, cause: str) -> Outcome:
    return TryAgain(cause, clean=False, http=seen.http, retry_after=seen.retry_after)


def _contradiction(seen: Seen) -> Outcome:
    return Unknown("contradiction", clean=False, loud=True, http=seen.http)


def _by_action_code(seen: Seen) -> Outcome:
    cause = f"action.{seen.action}"
    match seen.says:
        case ActionClass.APPROVED:
            return Approved(cause, clean=False, http=seen.http, amount=seen.amount)
        case ActionClass.DECLINED:
            return _declined(seen)
        case _:
            return _again(seen, cause)


def _declined(seen: Seen) -> Outcome:
    soft = seen.action is not None and wants_pin(seen.action)
    return Declined(f"action.{seen.action}", clean=True, http=seen.http, wants_pin=soft)


def _success_without_code(seen: Seen) -> Outcome:
    if seen.action is not None or seen.bare:
        return Unknown("unreadable", clean=False, loud=True, http=seen.http)
    if seen.approved is None:
        return Unknown(seen.code_cause, clean=False, loud=True, http=seen.http)
    if seen.approved:
        return Approved("approved", clean=False, http=seen.http, amount=seen.amount)
    return Declined("declined", clean=True, http=seen.http)


def _refused_by_system_code(seen: Seen) -> Outcome:
    assert seen.system is not None
    if SYSTEM_CODES[seen.system].klass is SystemClass.TERMINAL:
        return TerminalRefused(seen.code_cause, clean=_clean(seen), http=seen.http, judged=True)
    # A passing trouble too: the class never overrides the status, and 4XX says do not resubmit.
    return TapRefused(seen.code_cause, clean=_clean(seen), http=seen.http)


def _refused_by_action_code(seen: Seen) -> Outcome:
    match seen.says:
        case ActionClass.DECLINED:
            return _declined(seen)
        case ActionClass.APPROVED:
            return _contradiction(seen)
        case _:
            return TapRefused(f"action.{seen.action}", clean=False, http=seen.http)


def _be_patient(seen: Seen) -> Outcome:
    cause, clean = seen.code_cause, _clean(seen)
    return TryAgain(cause, clean=clean, http=seen.http, retry_after=seen.retry_after)


def _not_the_application(seen: Seen) -> Outcome:
    return TerminalRefused(seen.code_cause, clean=_clean(seen), http=seen.http, judged=False)


def _no_final_status(seen: Seen) -> Outcome:
    return Unknown(seen.code_cause, clean=False, loud=True, http=seen.http)


RULES: Final = (
    Rule(
        1,
        "nothing came back: the connection was never made",
        "not sent",
        lambda seen: seen.exchange is NoConnection,
        _not_sent,
    ),
    Rule(
        1,
        "nothing came back: an alert against our certificate ended the TLS handshake",
        "terminal refused",
        lambda seen: seen.exchange is CredentialRefused,
        _credential_refused,
    ),
    Rule(
        2,
        "nothing readable came back, but bytes may have left",
        "unknown",
        lambda seen: seen.exchange is NoAnswer,
        _no_answer,
    ),
    Rule(3, "5XX", "try again", lambda seen: seen.hundred == 5, _server_error),
    Rule(
        4,
        f"systemCode {IN_PROGRESS}, whatever the status",
        "try again",
        lambda seen: seen.system == IN_PROGRESS,
        _in_progress,
    ),
    Rule(
        5,
        "approved contradicts the action code",
        "unknown, loudly",
        lambda seen: seen.contradicts,
        _contradiction,
    ),
    Rule(
        6,
        "2XX and an action code: 000 to 099 · 100 to 899 · 900 and above",
        "approved · declined · try again",
        lambda seen: seen.hundred == 2 and seen.says is not None,
        _by_action_code,
    ),
    Rule(
        7,
        "2XX without an action code: approved true · false · neither, or unreadable",
        "approved · declined · unknown, loudly",
        lambda seen: seen.hundred == 2,
        _success_without_code,
    ),
    Rule(
        8,
        "4XX and a systemCode of the table: one for the tap, or a passing trouble · one for the terminal",
        "tap refused · terminal refused",
        lambda seen: seen.hundred == 4 and seen.system in SYSTEM_CODES,
        _refused_by_system_code,
    ),
    Rule(
        9,
        "4XX and an action code: 100 to 899 · 000 to 099 · 900 and above",
        "declined · unknown, loudly · tap refused",
        lambda seen: seen.hundred == 4 and seen.says is not None,
        _refused_by_action_code,
    ),
    Rule(10, "408, 425, 429", "try again", lambda seen: seen.http in RETRY_STATUSES, _be_patient),
    Rule(
        11,
        "any other 4XX, any 3XX",
        "terminal refused",
        lambda seen: seen.hundred in (3, 4),
        _not_the_application,
    ),
    Rule(
        12,
        "any other status: HTTP has no such final answer",
        "unknown, loudly",
        lambda seen: True,
        _no_final_status,
    ),
)
"""The table of sfey.md 4 in its order, with two rows more that close it: the second rule 1, and rule 12."""
