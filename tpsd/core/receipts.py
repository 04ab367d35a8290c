"""A tap's receipt: what is told of it, and in which words. What of a card may stand there, ``core.keeping`` says.

Every tap has one: that of a tap which was turned away says so. A receipt is made anew whenever it is asked for, so it
tells the present: a refund that came later stands on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tpsd.core.codes import ACTION_CODES, SYSTEM_CODES
from tpsd.core.keeping import KEPT
from tpsd.core.texts import Catalogue
from tpsd.domain.authorisation import State
from tpsd.domain.receipt import By, Moved, Recorded, Travelled
from tpsd.domain.tap import Disposition
from tpsd.domain.time import Micros, iso_millis

Local = Callable[[Micros], str]
"""A wall-clock instant as people in this place write it, with its offset from UTC."""


class Result(Enum):
    """What became of a transaction, in words for people."""

    APPROVED = "approved"
    PARTLY = "approved in part"
    DECLINED = "declined"
    REFUSED = "refused by TPS"
    FAILED = "failed"
    NOT_CHARGED = "not charged"
    GIVEN_UP = "given up"
    UNSETTLED = "not settled yet"
    IN_DOUBT = "in doubt"
    DENIED = "denied"
    TAPPED_ALREADY = "tapped already"
    TOO_LATE = "came too late"
    NOT_READ = "not readable"


@dataclass(frozen=True, slots=True)
class Labels:
    """What the configuration calls things; a lane that left it is called by its name."""

    merchant: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)

    def alias(self, lane: str) -> str:
        """What people call a lane."""
        return self.aliases.get(lane) or lane


@dataclass(frozen=True, slots=True)
class Line:
    """An end of a journey, or a refund. Amount in minor units; ``by``: tap, hand, or the daemon itself."""

    kind: str
    time: str
    local_time: str
    lane: str | None
    zone: str | None
    amount: int
    result: str
    by: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Ends:
    """A journey's."""

    number: int
    state: str
    currency: str
    check_in: Line
    check_out: Line | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Amounts in minor units; ``charged`` (what a check-in holds) None while nobody knows. EMV values as hex.

    ``why``: a verdict's or an answer's reason, empty where it was simply approved; ``words`` for it.
    """

    tap: int
    tap_id: str | None
    merchant: str
    lane: str
    alias: str
    time: str
    local_time: str
    kind: str | None
    amount: int | None
    charged: int | None
    currency: str | None
    result: str
    verdict: str | None
    why: str
    words: str
    action_code: str | None
    action: str | None
    card: str | None
    aid: str | None
    tvr: str | None
    iad: str | None
    tsi: str | None
    arc: str | None
    uuid: str | None
    journey: Ends | None
    refunds: tuple[Line, ...]


def receipt(recorded: Recorded, labels: Labels, local: Local, catalogue: Catalogue) -> Receipt:
    """The receipt of a tap as things stand."""
    code = recorded.action_code or _action_code(recorded.cause)
    why = _why(recorded)
    facts = {name: recorded.facts.get(name) for name, _ in KEPT}
    return Receipt(
        tap=recorded.number,
        tap_id=recorded.tap_id,
        merchant=labels.merchant,
        lane=recorded.lane,
        alias=labels.alias(recorded.lane),
        time=iso_millis(recorded.tapped_at),
        local_time=local(recorded.tapped_at),
        kind=recorded.kind,
        amount=recorded.amount,
        charged=_charged(recorded),
        currency=recorded.currency,
        result=_result(recorded).value,
        verdict=None if recorded.verdict is None else recorded.verdict.name.lower(),
        why=why,
        words=catalogue.passenger(why).replace("\n", ". ") if why else "",
        action_code=code,
        action=None if code is None else action_words(code),
        card=recorded.masked,
        aid=facts["aid"],
        tvr=facts["tvr"],
        iad=facts["iad"],
        tsi=facts["tsi"],
        arc=_arc(facts["arc"]),
        uuid=recorded.uuid,
        journey=None if recorded.journey is None else _ends(recorded.journey, labels, local),
        refunds=tuple(_line(refund, labels, local) for refund in recorded.refunds),
    )


def action_words(code: str) -> str | None:
    """What an action code means; None for one that no table has."""
    row = ACTION_CODES.get(code)
    return None if row is None else row.meaning


def cause_words(cause: str) -> str:
    """A row's cause with what its code means: ``action.116``, ``system.41@GATE-X1:VAL00042``, ``timeout``."""
    family, _, number = cause.partition("@")[0].partition(".")
    if family == "action" and (words := action_words(number)) is not None:
        return f"action code {number}, {words}"
    if family == "system" and number.isdecimal() and int(number) in SYSTEM_CODES:
        return f"system code {number}, {SYSTEM_CODES[int(number)].name}"
    return cause


def result_of(state: State, amount: int, approved: int | None) -> Result:
    """What a transaction's state means; of an approved one whether all of ``amount`` was."""
    if state is State.APPROVED and approved is not None and approved < amount:
        return Result.PARTLY
    return _OF_STATE[state]


def disposed(disposition: Disposition | None) -> Result:
    """What became of a tap that has no transaction."""
    return Result.DENIED if disposition is None else _OF_DISPOSITION[disposition]


def _result(recorded: Recorded) -> Result:
    if recorded.state is None:
        return disposed(recorded.disposition)
    return result_of(recorded.state, recorded.amount or 0, recorded.approved)


def _charged(recorded: Recorded) -> int | None:
    if recorded.state is State.APPROVED:
        return recorded.amount if recorded.approved is None else recorded.approved
    unknown = recorded.may_have_charged and recorded.state in _NEVER_FOUND_OUT
    return None if unknown or _result(recorded) in (Result.UNSETTLED, Result.IN_DOUBT) else 0


def _why(recorded: Recorded) -> str:
    """Why it was not simply approved, the transaction's last answer first; nothing where it was."""
    if recorded.state is State.APPROVED and (recorded.verdict is None or recorded.verdict.accepts):
        return ""
    if recorded.state in (None, State.APPROVED):
        return recorded.reason
    return (recorded.cause or recorded.reason).partition("@")[0]


def _action_code(cause: str | None) -> str | None:
    family, _, code = (cause or "").partition(".")
    return code if family == "action" else None


def _arc(value: str | None) -> str | None:
    """Two characters (EMV Book 3, Annex A), which issuers print as such; as hex where they are not printable."""
    if value is None:
        return None
    text = bytes.fromhex(value).decode("ascii", "replace")
    return text if text.isalnum() and text.isascii() else value


def _ends(travelled: Travelled, labels: Labels, local: Local) -> Ends:
    out = travelled.check_out
    return Ends(
        travelled.number,
        travelled.state,
        travelled.currency,
        _line(travelled.check_in, labels, local),
        None if out is None else _line(out, labels, local),
    )


def _line(moved: Moved, labels: Labels, local: Local) -> Line:
    result = result_of(moved.state, moved.amount, moved.approved)
    return Line(
        kind=moved.kind,
        time=iso_millis(moved.at),
        local_time=local(moved.at),
        lane=labels.alias(moved.lane) if moved.by is By.TAP else None,
        zone=moved.zone,
        amount=moved.approved if result is Result.PARTLY and moved.approved is not None else moved.amount,
        result=result.value,
        by=moved.by.value,
        uuid=moved.uuid,
    )


_NEVER_FOUND_OUT: Final = (State.FAILED, State.CLOSED)  # final, and TPS has not said what became of the money

_OF_STATE: Final[Mapping[State, Result]] = {
    State.APPROVED: Result.APPROVED,
    State.DECLINED: Result.DECLINED,
    State.TAP_REFUSED: Result.REFUSED,
    State.FAILED: Result.FAILED,
    State.NOT_CHARGED: Result.NOT_CHARGED,
    State.CLOSED: Result.GIVEN_UP,
    State.PENDING: Result.UNSETTLED,
    State.SENDING: Result.UNSETTLED,
    State.AWAITING_TAP: Result.UNSETTLED,
    State.HELD: Result.UNSETTLED,
    State.PERMANENTLY_FAILED: Result.UNSETTLED,
    State.IN_DOUBT: Result.IN_DOUBT,
}

_OF_DISPOSITION: Final[Mapping[Disposition, Result]] = {
    Disposition.DENIED: Result.DENIED,
    Disposition.REPEAT: Result.TAPPED_ALREADY,
    Disposition.STALE: Result.TOO_LATE,
    Disposition.REJECTED: Result.NOT_READ,
}
