"""From what a witness hears to the fields of a line (``schemas.taplog``). Card data ends here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tpsd.asking import Answered
from tpsd.core.candidate import Candidate, Decision
from tpsd.core.outcomes import ADVICE
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Claimed, Draft
from tpsd.domain.card import CardToken, MaskedPan
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection, Outcome
from tpsd.domain.tap import TapReport, Told
from tpsd.domain.time import SECOND, Micros, iso_micros
from tpsd.emv import tapdata
from tpsd.emv.reading import read_card
from tpsd.ports import Taken

Fields = dict[str, Any]
Outline = Callable[[bytes], tuple[Fields, bool]]
"""The fields of a request's body without its tap data, and whether there was any."""

SECONDS_DIGITS: Final = 6  # microseconds, and no run of digits as long as a card number
DRAW_DIGITS: Final = 9  # of the longest jitter, 5 min, that is less than a microsecond

_KINDS: Final[Mapping[type[Exchange], str]] = {
    Answer: "answer",
    NoConnection: "no_connection",
    CredentialRefused: "credential_refused",
    NoAnswer: "no_answer",
}


def outline_of(tag: str) -> Outline:
    """For bodies in which the tap data stands at the dotted place ``tag``."""
    *parents, last = tag.split(".")

    def outline(body: bytes) -> tuple[Fields, bool]:
        fields: Fields = json.loads(body)
        node: Any = fields
        for parent in parents:
            node = node.get(parent, {}) if isinstance(node, dict) else {}
        return fields, isinstance(node, dict) and node.pop(last, None) is not None

    return outline


def tap(candidate: Candidate, taken: Taken, outline: Outline, *, can_take_pin: bool) -> Fields:
    """A tap and what was decided."""
    report, timed = candidate.report, candidate.clock_life is None
    card = _card(report, candidate.token, candidate.masked, candidate.tapped_at if timed else None)
    return {
        **_came(report, candidate.lane, candidate.digest, taken, card),
        "can_take_pin": can_take_pin,
        "timed": timed,
        "decided": decided(candidate, taken, outline),
    }


def decided(candidate: Candidate, taken: Taken, outline: Outline) -> Fields:
    """What was decided of a tap, with its inputs."""
    decision = taken.decision
    written = decision is not None and decision.state is not None
    found: Fields = {
        "kind": None if candidate.kind is None else candidate.kind.value,
        "amount": candidate.amount,
        "currency": candidate.currency,
        "terminal": candidate.terminal,
        "tapped_at": iso_micros(candidate.tapped_at),
        "local": candidate.local.reason,
        "told": None if taken.told is None else _told(taken.told),
        "listed": taken.listed,
        "list_is_stale": candidate.list_is_stale,
        "list_version": taken.list_version,
        "config_digest": candidate.config_digest,
        "uuid": _uuid(candidate, decision),
        "request": None if same_as(decision) or not written else _request(candidate.draft, outline),
    }
    if decision is not None:
        found |= {
            "disposition": None if decision.disposition is None else decision.disposition.value,
            "state": None if decision.state is None else decision.state.value,
            "cause": decision.cause,
            "note": decision.note,
        }
    return found


def rejected(report: TapReport, lane: str, digest: bytes, taken: Taken, *, timed: bool) -> Fields:
    """A tap that could not be decided; nothing is looked at that could raise again."""
    return {**_came(report, lane, digest, taken, {"fault": "internal"}), "timed": timed}


def sent(claimed: Claimed, exchange: Exchange, seconds: float, outline: Outline) -> Fields:
    """One exchange about a transaction. What holds no card data follows another one, and is kept whole."""
    fields, carded = outline(claimed.body)
    request = None if carded else {"path": claimed.path, "credential": claimed.credential, "fields": fields}
    return {
        "event": "sent",
        "uuid": str(claimed.uuid),
        "number": claimed.number,
        "reason": claimed.reason.value,
        "credential": claimed.credential,
        "seconds": round(seconds, SECONDS_DIGITS),
        "exchange": exchanged(exchange),
        "request": request,
    }


def settled(claimed: Claimed, outcome: Outcome, settlement: Settlement, jitter: float | None) -> Fields:
    """What an attempt came to."""
    wait = None if settlement.due is None else (settlement.due - claimed.started_at) / SECOND
    return {
        "event": "settled",
        "uuid": str(claimed.uuid),
        "number": claimed.number,
        "outcome": ADVICE[type(outcome)][0],
        "outcome_cause": outcome.cause,
        "clean": outcome.clean,
        "http": outcome.http,
        "state": settlement.state.value,
        "cause": settlement.cause,
        "due": None if settlement.due is None else iso_micros(settlement.due),
        "wait_seconds": None if wait is None else round(wait, SECONDS_DIGITS),
        "jitter": None if jitter is None or settlement.due is None else round(jitter, DRAW_DIGITS),
        "counted": not settlement.uncounted,
        "may_have_charged": settlement.may_have_charged,
        "amount": claimed.amount,
        "approved_amount": settlement.approved_amount,
    }


def answered(claimed: Claimed, outcome: Outcome, found: Answered) -> Fields:
    """What a realtime attempt came to, and what the passenger was told."""
    told = None if found.told is None else _told(found.told)
    return {**settled(claimed, outcome, found.settlement, None), "told": told, "tap": found.tap}


def enquired(uuid: UUID, exchange: Exchange, seconds: float) -> Fields:
    """An enquiry."""
    took = round(seconds, SECONDS_DIGITS)
    return {"event": "enquired", "uuid": str(uuid), "seconds": took, "exchange": exchanged(exchange)}


def probed(host: str, exchange: Exchange) -> Fields:
    """A probe."""
    return {"event": "probed", "host": host, "exchange": exchanged(exchange)}


def mailed(mail: MailRow) -> Fields:
    """A mail, without its text."""
    return {
        "event": "mailed",
        "message_id": mail.message_id,
        "subject": mail.subject,
        "created_at": iso_micros(mail.created_at),
    }


def linked(lane: str, state: str, reason: str, serial: str | None) -> Fields:
    """A lane's link."""
    return {"event": "link", "lane": lane, "state": state, "reason": reason, "serial": serial}


def freed(uuid: str, draw: float, new: str | None) -> Fields:
    """A row that rested is sent again."""
    return {"event": "freed", "uuid": uuid, "draw": round(draw, DRAW_DIGITS), "new": new}


def ordered(order: str, subject: str, who: str, given: Mapping[str, object]) -> Fields:
    """An order by hand."""
    return {"event": "ordered", "order": order, "subject": subject, "who": who, **given}


def attended(done: Mapping[str, int]) -> Fields:
    """Journeys that nobody ended."""
    return {"event": "attended", "done": dict(done)}


def exchanged(exchange: Exchange) -> Fields:
    """What was seen on the wire, as a line keeps it."""
    return {"kind": _KINDS[type(exchange)], **asdict(exchange)}


def same_as(decision: Decision | None) -> str | None:
    """The authorisation whose stored bytes go again for this tap, if it is not its own."""
    return None if decision is None or decision.asking is None else decision.asking.same_as


def _uuid(candidate: Candidate, decision: Decision | None) -> str | None:
    if decision is None or decision.state is None or candidate.draft is None:
        return None
    return same_as(decision) or str(candidate.draft.uuid)


def _told(told: Told) -> Fields:
    return {"verdict": int(told.verdict), "reason": told.reason, "amount": told.amount}


def _request(draft: Draft | None, outline: Outline) -> Fields | None:
    if draft is None or draft.body is None:
        return None
    return {"path": draft.path, "credential": draft.credential, "fields": outline(draft.body)[0]}


def _came(report: TapReport, lane: str, digest: bytes, taken: Taken, card: Fields) -> Fields:
    return {
        "event": "tap",
        "lane": lane,
        "number": taken.number,
        "new": taken.new,
        "serial": report.serial,
        "type_name": report.type_name,
        "boot": report.boot,
        "counter": report.counter,
        "digest": digest.hex(),
        "code": report.kind,
        "received_at": iso_micros(report.received_at),
        "tapped_at": None if report.tapped_at is None else iso_micros(report.tapped_at),
        "age_ms": report.age_ms,
        "amount": report.amount,
        "currency": report.currency,
        "stop": report.stop,
        "where": report.where,
        "oda": int(report.oda),
        "shown": int(report.shown),
        "fault": report.fault,
        "card": card,
    }


def _card(report: TapReport, token: CardToken | None, masked_pan: MaskedPan | None, judged_at: Micros | None) -> Fields:
    """What of a card decides: how it came, whether it had expired by then, and its keyed name."""
    found: Fields = {"token": token, "masked": masked_pan}
    if report.fault is not None:
        return found
    data = tapdata.read(report.card)
    if isinstance(data, tapdata.CardFault):
        return {**found, "fault": data.reason}
    expiry = read_card(data.clear).expiry
    expired = None
    if expiry is not None and judged_at is not None:
        moment = _EPOCH + timedelta(microseconds=judged_at)
        expired = expiry.is_past(moment.year, moment.month)
    return {**found, "mode": data.mode, "expired": expired}


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
