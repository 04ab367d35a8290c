"""Where a deferred authorisation goes, case by case."""

import pytest

from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Progress, State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection, Outcome
from tpsd.domain.time import MINUTE, SECOND, Micros

START = Micros(1_790_000_000_000_000)
TERMINAL = "GATE-X1:VAL00042"


def after(
    exchange: Exchange,
    *,
    sends: int = 1,
    doubt: bool = False,
    terminal: str = TERMINAL,
    draw: float = 0.0,
    asked: int | None = None,
) -> Settlement:
    return settle(
        Progress(sends, doubt, DEFAULT_LADDER),
        classify(exchange),
        started_at=START,
        ended_at=Micros(START + SECOND),
        jitter_draw=draw,
        jitter_share=0.1,
        terminal=terminal,
        asked=asked,
    )


def keys(settlement: Settlement) -> list[str]:
    return [notice.cause for notice in settlement.notices]


APPROVED, DECLINED = Answer(200, action_code="000"), Answer(200, action_code="116")
TAP, TERMINAL_CODE, BARE = Answer(400, system_code=60), Answer(400, system_code=41), Answer(404)

CASES: list[tuple[Exchange, int, bool, State, str, bool, list[str]]] = [
    # exchange, sends, earlier doubt → state, cause, may have charged, notices
    (APPROVED, 1, False, State.APPROVED, "action.000", True, []),
    (DECLINED, 1, False, State.DECLINED, "action.116", False, []),
    (DECLINED, 3, True, State.DECLINED, "action.116", True, []),
    (Answer(402, action_code="116"), 3, True, State.DECLINED, "action.116", True, []),
    (TAP, 1, False, State.TAP_REFUSED, "system.60", False, ["tap_refused/system.60"]),
    (TAP, 2, True, State.IN_DOUBT, "system.60", True, ["in_doubt/system.60"]),
    (Answer(400, action_code="911"), 1, False, State.TAP_REFUSED, "action.911", True, ["tap_refused/action.911"]),
    (
        TERMINAL_CODE,
        1,
        False,
        State.HELD,
        f"system.41@{TERMINAL}",
        False,
        [f"held/system.41@{TERMINAL}"],
    ),
    (TERMINAL_CODE, 2, True, State.IN_DOUBT, "system.41", True, ["in_doubt/system.41"]),
    (BARE, 1, False, State.HELD, f"http.404@{TERMINAL}", False, [f"held/http.404@{TERMINAL}"]),
    (BARE, 2, True, State.IN_DOUBT, "http.404", True, ["in_doubt/http.404"]),
    (Answer(302), 2, True, State.HELD, f"http.302@{TERMINAL}", True, [f"held/http.302@{TERMINAL}"]),
    (
        CredentialRefused("tls.client"),
        2,
        True,
        State.HELD,
        f"tls.client@{TERMINAL}",
        True,
        [f"held/tls.client@{TERMINAL}"],
    ),
    (Answer(503), 1, False, State.PENDING, "http.503", True, []),
    (NoConnection("connect"), 12, False, State.PENDING, "connect", False, []),
    (NoAnswer("closed"), 12, False, State.PENDING, "closed", True, []),
    (NoAnswer("timeout"), 13, True, State.PERMANENTLY_FAILED, "timeout", True, ["permanently_failed/timeout"]),
    (NoConnection("dns"), 13, False, State.PERMANENTLY_FAILED, "dns", False, ["permanently_failed/dns"]),
    (Answer(429), 13, True, State.PERMANENTLY_FAILED, "http.429", True, ["permanently_failed/http.429"]),
    (Answer(429), 2, True, State.PENDING, "http.429", True, []),
    (Answer(200), 1, False, State.PENDING, "unreadable", True, ["alarm/unreadable"]),
    (Answer(400, action_code="000"), 1, False, State.PENDING, "contradiction", True, ["alarm/contradiction"]),
    (
        Answer(200),
        13,
        False,
        State.PERMANENTLY_FAILED,
        "unreadable",
        True,
        ["permanently_failed/unreadable", "alarm/unreadable"],
    ),
    (
        Answer(400, system_code=27),
        1,
        False,
        State.TAP_REFUSED,
        "system.27",
        False,
        ["tap_refused/system.27", "alarm/system.27"],
    ),
    (
        Answer(400, system_code=27),
        2,
        True,
        State.IN_DOUBT,
        "system.27",
        True,
        ["in_doubt/system.27", "alarm/system.27"],
    ),
    (Answer(500, system_code=27), 1, False, State.PENDING, "system.27", True, ["alarm/system.27"]),
    (Answer(200, system_code=27), 1, False, State.PENDING, "system.27", True, ["alarm/system.27"]),
]


@pytest.mark.parametrize(("exchange", "sends", "doubt", "state", "cause", "charged", "notices"), CASES)
def test_case(
    exchange: Exchange, sends: int, doubt: bool, state: State, cause: str, charged: bool, notices: list[str]
) -> None:
    found = after(exchange, sends=sends, doubt=doubt)
    assert (found.state, found.cause, found.may_have_charged) == (state, cause, charged)
    assert keys(found) == notices
    assert found.erase is state.is_final
    assert (found.due is None) is (state is not State.PENDING)


def test_a_partial_approval_keeps_its_amount() -> None:
    assert after(Answer(200, action_code="002", amount=180)).approved_amount == 180
    assert after(APPROVED).approved_amount is None


@pytest.mark.parametrize(
    ("code", "amount", "differs"),
    [
        ("000", None, False),
        ("000", 320, False),
        ("000", 319, True),
        ("000", 321, True),
        ("000", 0, True),
        ("002", None, False),
        ("002", 120, False),
        ("002", 320, False),
        ("002", 321, True),
    ],
)
def test_an_approval_of_another_amount_than_asked_is_in_doubt_loudly(
    code: str, amount: int | None, differs: bool
) -> None:
    found = after(Answer(200, action_code=code, amount=amount), asked=320)
    assert found.approved_amount == amount
    assert found.may_have_charged
    if differs:
        assert (found.state, found.cause) == (State.IN_DOUBT, "amount_differs")
        assert keys(found) == ["in_doubt/amount_differs", "alarm/amount_differs"]
    else:
        assert (found.state, found.cause, keys(found)) == (State.APPROVED, f"action.{code}", [])


def test_due_follows_the_tier_jitter_and_retry_after() -> None:
    assert after(Answer(503)).due == START + MINUTE
    assert after(Answer(503), draw=0.5).due == START + MINUTE + 3 * SECOND
    assert after(Answer(429, retry_after=600)).due == START + SECOND + 600 * SECOND
    assert after(Answer(503), sends=12).due == START + 360 * MINUTE


@pytest.mark.parametrize(
    ("exchange", "sends", "doubt", "words"),
    [
        (NoAnswer("timeout"), 13, False, "send 13 was the ladder's last; it may have been charged"),
        (NoConnection("dns"), 13, False, "send 13 was the ladder's last; nothing was charged"),
        (NoConnection("dns"), 13, True, "send 13 was the ladder's last; it may have been charged"),
    ],
)
def test_a_permanent_failure_says_whether_it_may_have_charged(
    exchange: Exchange, sends: int, doubt: bool, words: str
) -> None:
    (notice,) = after(exchange, sends=sends, doubt=doubt).notices
    assert (notice.kind, notice.detail) == (NoticeKind.PERMANENTLY_FAILED, words)


def test_a_terminals_odd_name_cannot_break_the_key() -> None:
    found = after(TERMINAL_CODE, terminal="Gate é\n1:a@b/c")
    assert found.cause == "system.41@Gate---1:a-b-c"
    assert keys(found) == ["held/system.41@Gate---1:a-b-c"]


def test_a_crash_is_an_attempt_without_an_answer() -> None:
    crashed = after(NoAnswer("crash"))
    assert (crashed.state, crashed.cause, crashed.may_have_charged) == (State.PENDING, "crash", True)


def test_an_outcome_nobody_knows_is_a_surprise() -> None:
    with pytest.raises(TypeError, match="Outcome"):
        settle(
            Progress(1, False, DEFAULT_LADDER),
            Outcome("odd", clean=True),
            started_at=START,
            ended_at=START,
            jitter_draw=0.0,
            jitter_share=0.0,
            terminal=TERMINAL,
        )
