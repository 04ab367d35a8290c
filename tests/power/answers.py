"""What TPS may say, and what the daemon makes of it."""

from __future__ import annotations

from functools import partial

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NO_CONNECTION,
    SILENCE,
    TAP_REFUSED,
    TERMINAL_REFUSED,
    UNAVAILABLE,
)
from tpsd.core.canary import settle_canary
from tpsd.core.doubt import DoubtPolicy, judge_at_claim, with_enquiry
from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Answer, Exchange, NoAnswer, Outcome
from tpsd.domain.time import HOUR, Micros
from tpsd.doubts import Judge

TO_SENDS: tuple[Exchange, ...] = (
    APPROVED, APPROVED, DECLINED, TAP_REFUSED, TERMINAL_REFUSED, Answer(403), UNAVAILABLE, SILENCE, SILENCE,
    NO_CONNECTION, Answer(200, action_code="002", amount=100),
)  # fmt: skip
TO_ENQUIRIES: tuple[Exchange, ...] = (APPROVED, DECLINED, Answer(404), UNAVAILABLE)
POLICY = DoubtPolicy(36 * HOUR, enquires=True)


def settled(claimed: Claimed, exchange: Exchange, now: Micros) -> tuple[Outcome, Settlement]:
    """What the dispatcher decides, without jitter."""
    outcome = classify(exchange)
    rule = settle if claimed.cause is None else partial(settle_canary, cause=claimed.cause)
    settlement = rule(
        claimed.progress, outcome, started_at=claimed.started_at, ended_at=now, jitter_draw=0.0, jitter_share=0.0,
        terminal=claimed.terminal,
    )  # fmt: skip
    return outcome, with_enquiry(POLICY, settlement, outcome, number=claimed.number, ended_at=now)


def crashed(claimed: Claimed, now: Micros) -> tuple[Outcome, Settlement]:
    """What it decides at a start about a send that was under way."""
    return settled(claimed, NoAnswer("crash"), now)


def too_old(now: Micros) -> Judge:
    """Rows that may have charged so long ago that TPS is asked about them instead."""
    return lambda since: judge_at_claim(POLICY, since, now)
