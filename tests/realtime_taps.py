"""Realtime lanes, journeys and what TPS may answer, for the tests of what decides about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from tests.intake_taps import NOW, TERMINAL, UUID_1, Requests, report, setting
from tpsd.core.candidate import LanePolicy
from tpsd.core.following import Original
from tpsd.core.intake import Candidate, prepare
from tpsd.domain.authorisation import State
from tpsd.domain.card import CardToken
from tpsd.domain.journey import Journey, JourneyState, LastTry
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.tap import Kind
from tpsd.domain.time import MINUTE, Micros

CARD = CardToken("0b" * 32)
CHECK_IN_UUID = "11111111-1111-4111-8111-111111111111"
TRY_UUID = "22222222-2222-4222-8222-222222222222"

PAYMENT = LanePolicy(
    "shop", frozenset({Kind.RETAIL_PAYMENT}), Kind.RETAIL_PAYMENT, 250, 1000, True, "common", realtime=True
)
KNOWN_FARE = replace(PAYMENT, name="kiosk", kinds=frozenset({Kind.KFT}), kind=Kind.KFT)
CHECK_IN = replace(PAYMENT, name="in", kinds=frozenset({Kind.RETAIL_CHECK_IN}), kind=Kind.RETAIL_CHECK_IN)
CHECK_OUT = replace(PAYMENT, name="out", kinds=frozenset({Kind.RETAIL_CHECK_OUT}), kind=Kind.RETAIL_CHECK_OUT)
GATE = replace(PAYMENT, name="gate", kinds=frozenset({Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT}), kind=None)

OPEN = Journey(
    id=7,
    token=CARD,
    state=JourneyState.OPEN,
    check_in=CHECK_IN_UUID,
    tries=0,
    opened_at=Micros(NOW - 20 * MINUTE),
    zone="A",
    held=900,
    currency="978",
)


PAID = Original(
    uuid=CHECK_IN_UUID,
    kind=Kind.RETAIL_PAYMENT,
    state=State.APPROVED,
    lane="shop",
    terminal=TERMINAL,
    serial="VAL00042",
    type_name="GATE-X1",
    credential="common",
    amount=250,
    charged=250,
    currency="978",
)
"""A payment that TPS approved."""


def trying(tries: int, last: LastTry | State = State.AWAITING_TAP, **fields: Any) -> Journey:
    """A journey that is being checked out, with its latest try."""
    latest = LastTry(TRY_UUID, last, 320, may_have_charged=True) if isinstance(last, State) else last
    return replace(OPEN, state=JourneyState.CHECKING_OUT, tries=tries, last=latest, **fields)


def realtime(
    lane: LanePolicy,
    journey: Journey | None = None,
    configured: dict[str, Any] | None = None,
    untrusted: str | None = None,
    requests: Requests | None = None,
    uuid: UUID = UUID_1,
    **fields: Any,
) -> Candidate:
    """A fresh tap at a realtime lane, prepared."""
    given = {"age_ms": 0} | fields
    return prepare(report(**given), lane, setting(requests, **(configured or {})), uuid, untrusted, journey)


ANSWERS: dict[str, Exchange] = {
    "approved": Answer(200, True, "000"),
    "approved, the amount said": Answer(200, True, "000", amount=320),
    "approved in part": Answer(200, True, "002", amount=120),
    "approved in part, all of it": Answer(200, True, "002", amount=320),
    "approved in part, no amount": Answer(200, True, "002"),
    "approved in part, nothing": Answer(200, True, "002", amount=0),
    "approved in part, more than asked": Answer(200, True, "002", amount=900),
    "approved for less": Answer(200, True, "000", amount=319),
    "approved for more": Answer(200, True, "000", amount=3200),
    "declined": Answer(200, False, "116"),
    "declined without a code": Answer(200, False),
    "declined as 4XX": Answer(402, False, "116"),
    "a PIN is wanted": Answer(200, False, "112"),
    "tap refused": Answer(400, system_code=60),
    "tap refused, an alarm": Answer(400, system_code=27),
    "tap refused, a passing trouble": Answer(400, system_code=86),
    "tap refused, may have charged": Answer(400, action_code="911"),
    "terminal refused": Answer(400, system_code=41),
    "bare 4XX": Answer(404),
    "bare 3XX": Answer(302),
    "certificate refused": CredentialRefused("tls.client"),
    "5XX": Answer(503),
    "9xx": Answer(200, False, "911"),
    "be patient": Answer(429),
    "in progress": Answer(409, system_code=303),
    "a duplicate": Answer(200, False, "913"),
    "request in progress": Answer(500, action_code="923"),
    "never connected": NoConnection("connect"),
    "busy": NoConnection("busy"),
    "no answer": NoAnswer("timeout"),
    "a crash": NoAnswer("crash"),
    "unreadable": Answer(200, readable=False),
    "contradiction": Answer(200, True, "116"),
    "no final status": Answer(199),
}
"""One of every class of outcome, and of every shade that is judged differently; 320 was asked for."""
