"""Which held causes get canaries, which answers free the others, and where the canary's own row goes."""

from __future__ import annotations

import pytest

from tpsd.core.canary import CANARY_EVERY_US, judged, next_canary, settle_canary
from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import Progress, State
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.time import MINUTE, SECOND, Micros, later

NOW = Micros(1_790_000_000_000_000)
ENDED = later(NOW, SECOND)
TERMINAL = "GATE-X1:VAL00042"
CAUSE = f"http.403@{TERMINAL}"


def settled(exchange: Exchange, sends: int = 0, draw: float = 0.0) -> Settlement:
    return settle_canary(
        Progress(sends, False, DEFAULT_LADDER),
        classify(exchange),
        cause=CAUSE,
        started_at=NOW,
        ended_at=ENDED,
        jitter_draw=draw,
        jitter_share=0.1,
        terminal=TERMINAL,
    )


@pytest.mark.parametrize("cause", ["http.401@T", "http.302@T", "tls.client@T"])
def test_canaries_go_where_nobody_judged(cause: str) -> None:
    assert next_canary(cause, NOW) == NOW + CANARY_EVERY_US == NOW + 15 * MINUTE


@pytest.mark.parametrize("cause", ["system.41@T", "action.904@T", "no_credential", "no_credential@T", "seal"])
def test_nowhere_else(cause: str) -> None:
    assert next_canary(cause, NOW) is None


JUDGED = [
    (Answer(200, action_code="000"), State.APPROVED, "action.000"),
    (Answer(200, approved=True), State.APPROVED, "approved"),
    (Answer(200, action_code="116"), State.DECLINED, "action.116"),
    (Answer(200, approved=False), State.DECLINED, "declined"),
    (Answer(400, system_code=60), State.TAP_REFUSED, "system.60"),
    (Answer(400, system_code=41), State.HELD, f"system.41@{TERMINAL}"),
    (Answer(400, system_code=9999), State.HELD, f"system.9999@{TERMINAL}"),
    (Answer(503, system_code=86), State.PENDING, "system.86"),
    (Answer(200, action_code="911"), State.PENDING, "action.911"),
    (Answer(200, action_code="000", approved=False), State.PENDING, "contradiction"),
]

NOT_JUDGED = [
    (Answer(403), False),
    (Answer(407), False),
    (Answer(302), False),
    (CredentialRefused("tls.client"), False),
    (NoConnection("connect"), False),
    (Answer(429), False),
    (Answer(503), True),
    (NoAnswer("timeout"), True),
    (NoAnswer("crash"), True),
    (Answer(200, readable=False), True),
]


@pytest.mark.parametrize(("exchange", "state", "cause"), JUDGED)
@pytest.mark.parametrize("sends", [0, 1, 13])
def test_an_answer_of_tps_frees_the_others_and_settles_its_own_row(
    exchange: Exchange, state: State, cause: str, sends: int
) -> None:
    assert judged(classify(exchange))
    found = settled(exchange, sends)
    assert (found.state, found.cause) == (state, cause)
    # A ladder anew: never sooner than its first tier, whatever rung the row was held on.
    assert found.due == (NOW + MINUTE if state is State.PENDING else None)


@pytest.mark.parametrize(("exchange", "charged"), NOT_JUDGED)
def test_anything_else_keeps_it_held_for_its_first_cause(exchange: Exchange, charged: bool) -> None:
    assert not judged(classify(exchange))
    found = settled(exchange)
    assert (found.state, found.cause, found.due, found.may_have_charged) == (State.HELD, CAUSE, None, charged)
    assert not any(notice.cause.startswith("held/") for notice in found.notices), "that is known already"


def test_an_unreadable_answer_is_still_an_alarm() -> None:
    assert [notice.cause for notice in settled(Answer(200, readable=False)).notices] == ["alarm/unreadable"]
