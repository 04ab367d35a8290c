"""Every rule of the outcome table, then the whole table against a second reading of it."""

from itertools import product

import pytest

from tpsd.core.codes import ACTION_CODES, SYSTEM_CODES, SystemClass
from tpsd.core.outcomes import RULES, advise, classify, explain
from tpsd.core.texts import load
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

TABLE: list[tuple[int, Exchange, Outcome]] = [
    (1, NoConnection("dns"), NotSent("dns", True)),
    (1, CredentialRefused("tls.client"), TerminalRefused("tls.client", True, judged=False)),
    (2, NoAnswer("timeout"), Unknown("timeout", False)),
    (3, Answer(500), TryAgain("http.500", False, http=500)),
    (3, Answer(503, retry_after=90), TryAgain("http.503", False, http=503, retry_after=90)),
    (3, Answer(500, system_code=86), TryAgain("system.86", False, http=500)),
    (3, Answer(500, system_code=60), TryAgain("system.60", False, http=500)),
    (3, Answer(500, action_code="911"), TryAgain("action.911", False, http=500)),
    (3, Answer(500, approved=True, action_code="000"), TryAgain("http.500", False, http=500)),
    (3, Answer(599, readable=False), TryAgain("http.599", False, http=599)),
    (4, Answer(200, system_code=303), TryAgain("system.303", False, http=200)),
    (4, Answer(409, system_code=303), TryAgain("system.303", False, http=409)),
    (4, Answer(302, system_code=303, retry_after=7), TryAgain("system.303", False, http=302, retry_after=7)),
    (4, Answer(200, approved=True, action_code="100", system_code=303), TryAgain("system.303", False, http=200)),
    (5, Answer(200, approved=True, action_code="100"), Unknown("contradiction", False, True, 200)),
    (5, Answer(200, approved=False, action_code="000"), Unknown("contradiction", False, True, 200)),
    (5, Answer(200, approved=True, action_code="911"), Unknown("contradiction", False, True, 200)),
    (5, Answer(400, approved=True, action_code="116"), Unknown("contradiction", False, True, 400)),
    (5, Answer(301, approved=False, action_code="001"), Unknown("contradiction", False, True, 301)),
    (6, Answer(200, action_code="000"), Approved("action.000", False, http=200)),
    (6, Answer(201, approved=True, action_code="099"), Approved("action.099", False, http=201)),
    (6, Answer(200, action_code="002", amount=180), Approved("action.002", False, http=200, amount=180)),
    (6, Answer(200, approved=False, action_code="116"), Declined("action.116", True, http=200)),
    (6, Answer(200, action_code="899"), Declined("action.899", True, http=200)),
    (6, Answer(200, action_code="160"), Declined("action.160", True, http=200, wants_pin=True)),
    (6, Answer(200, action_code="911"), TryAgain("action.911", False, http=200)),
    (6, Answer(200, approved=False, action_code="900"), TryAgain("action.900", False, http=200)),
    (6, Answer(200, action_code="116", system_code=60), Declined("action.116", True, http=200)),
    (7, Answer(200, approved=True), Approved("approved", False, http=200)),
    (7, Answer(200, approved=False), Declined("declined", True, http=200)),
    (7, Answer(204), Unknown("unreadable", False, True, 204)),
    (7, Answer(200, readable=False), Unknown("unreadable", False, True, 200)),
    (7, Answer(200, approved=True, readable=False), Unknown("unreadable", False, True, 200)),
    (7, Answer(200, action_code="0A0", approved=True), Unknown("unreadable", False, True, 200)),
    (7, Answer(200, action_code=""), Unknown("unreadable", False, True, 200)),
    (7, Answer(200, system_code=60), Unknown("system.60", False, True, 200)),
    (8, Answer(400, system_code=60), TapRefused("system.60", True, http=400)),
    (8, Answer(404, system_code=41), TerminalRefused("system.41", True, http=404, judged=True)),
    (8, Answer(400, system_code=86), TapRefused("system.86", True, http=400)),
    (8, Answer(429, system_code=27), TapRefused("system.27", True, http=429)),
    (8, Answer(400, system_code=60, action_code="116"), TapRefused("system.60", True, http=400)),
    (8, Answer(400, system_code=60, action_code="000"), TapRefused("system.60", False, http=400)),
    (8, Answer(400, system_code=41, approved=True), TerminalRefused("system.41", False, http=400, judged=True)),
    (9, Answer(402, action_code="116"), Declined("action.116", True, http=402)),
    (9, Answer(402, action_code="112", system_code=999), Declined("action.112", True, http=402, wants_pin=True)),
    (9, Answer(400, action_code="000"), Unknown("contradiction", False, True, 400)),
    (9, Answer(400, action_code="911"), TapRefused("action.911", False, http=400)),
    (10, Answer(408), TryAgain("http.408", True, http=408)),
    (10, Answer(425), TryAgain("http.425", True, http=425)),
    (10, Answer(429, retry_after=120), TryAgain("http.429", True, http=429, retry_after=120)),
    (10, Answer(429, action_code="?"), TryAgain("http.429", False, http=429)),
    (11, Answer(401), TerminalRefused("http.401", True, http=401)),
    (11, Answer(404, readable=False), TerminalRefused("http.404", True, http=404)),
    (11, Answer(302, readable=False), TerminalRefused("http.302", True, http=302)),
    (11, Answer(400, system_code=999), TerminalRefused("system.999", True, http=400)),
    (11, Answer(302, system_code=60), TerminalRefused("system.60", False, http=302)),
    (11, Answer(302, action_code="116"), TerminalRefused("http.302", False, http=302)),
    (11, Answer(400, action_code="1 6"), TerminalRefused("http.400", False, http=400)),
    (11, Answer(400, approved=False), TerminalRefused("http.400", False, http=400)),
    (12, Answer(199), Unknown("http.199", False, True, 199)),
    (12, Answer(600), Unknown("http.600", False, True, 600)),
    (12, Answer(0), Unknown("http.0", False, True, 0)),
]


@pytest.mark.parametrize(("number", "exchange", "outcome"), TABLE)
def test_rule(number: int, exchange: Exchange, outcome: Outcome) -> None:
    rule, found = explain(exchange)
    assert found == outcome
    assert rule.number == number


def test_the_cases_above_reach_every_rule() -> None:
    assert {explain(exchange)[0] for _, exchange, _ in TABLE} == set(RULES)


def test_the_table_can_be_printed_in_order() -> None:
    numbers = [rule.number for rule in RULES]
    assert numbers == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert all(rule.when and rule.then for rule in RULES)


@pytest.mark.parametrize("code", ACTION_CODES)
def test_every_action_code_on_2xx(code: str) -> None:
    kind = {"0": Approved, "9": TryAgain}.get(code[0], Declined)
    outcome = classify(Answer(200, action_code=code))
    assert type(outcome) is kind
    assert outcome.cause == f"action.{code}"
    assert not outcome.loud


@pytest.mark.parametrize("number", SYSTEM_CODES)
def test_every_system_code_on_4xx_and_5xx(number: int) -> None:
    kind = TerminalRefused if SYSTEM_CODES[number].klass is SystemClass.TERMINAL else TapRefused
    refused = classify(Answer(400, system_code=number))
    assert type(refused) is (TryAgain if number == 303 else kind)
    assert refused.clean is (number != 303)
    assert type(classify(Answer(500, system_code=number))) is TryAgain


HTTP = [100, 199, 200, 204, 299, 300, 307, 399, 400, 401, 404, 408, 425, 429, 499, 500, 503, 599, 600]
APPROVED = [None, True, False]
ACTIONS = [None, "000", "099", "100", "160", "899", "900", "999", "", "12", "abc"]
SYSTEMS = [None, 0, 12, 27, 41, 86, 303, 999]


def second_reading(answer: Answer) -> str:
    """The table again, as one plain text of ifs: name, loudness, cleanness."""
    status, approved, action, system = answer.http, answer.approved, answer.action_code, answer.system_code
    if not answer.readable:
        approved = action = system = None
    code = int(action) if action is not None and action.isdigit() and len(action) == 3 else None
    four, two = 400 <= status <= 499, 200 <= status <= 299
    silent = approved is None and action is None and system is None
    no = "clean" if silent or (four and system is not None) else "dirty"
    if four and (approved or (code is not None and not 100 <= code < 900)):
        no = "dirty"
    known_terminal = system in (2, 10, 11, 20, 22, 24, 39, 41, 42, 65)
    if 500 <= status <= 599 or system == 303:
        return "TryAgain quiet dirty"
    if code is not None and approved is not None and approved != (code < 100):
        return "Unknown loud dirty"
    if two:
        if code is not None:
            return ["Approved quiet dirty", "Declined quiet clean", "TryAgain quiet dirty"][
                (code >= 100) + (code >= 900)
            ]
        if action is None and approved is not None:
            return "Approved quiet dirty" if approved else "Declined quiet clean"
        return "Unknown loud dirty"
    if four and system in (12, 27, 41, 86):
        return f"{'TerminalRefused' if known_terminal else 'TapRefused'} quiet {no}"
    if four and code is not None:
        return ["Unknown loud dirty", "Declined quiet clean", "TapRefused quiet dirty"][(code >= 100) + (code >= 900)]
    if status in (408, 425, 429):
        return f"TryAgain quiet {no}"
    if four or 300 <= status <= 399:
        return f"TerminalRefused quiet {no}"
    return "Unknown loud dirty"


def test_the_whole_truth_table() -> None:
    for http, approved, action, system, readable in product(HTTP, APPROVED, ACTIONS, SYSTEMS, [True, False]):
        answer = Answer(http, approved, action, system, readable=readable)
        outcome = classify(answer)
        loud, clean = "loud" if outcome.loud else "quiet", "clean" if outcome.clean else "dirty"
        assert f"{type(outcome).__name__} {loud} {clean}" == second_reading(answer), answer
        assert outcome.http == http


@pytest.mark.parametrize(
    ("exchange", "advice"),
    [
        (Answer(200, action_code="000"), ("approved", "final", "accept")),
        (Answer(200, action_code="116"), ("declined", "final", "deny")),
        (Answer(400, system_code=60), ("tap_refused", "final", "deny")),
        (Answer(400, system_code=41), ("terminal_refused", "held", "deny")),
        (Answer(503), ("try_again", "resend", "deny")),
        (Answer(200), ("unknown", "resend", "deny")),
        (NoConnection("connect"), ("not_sent", "resend", "deny")),
    ],
)
def test_advice(exchange: Exchange, advice: tuple[str, str, str]) -> None:
    outcome = classify(exchange)
    found = advise(outcome, load("en"))
    assert (found.outcome, found.deferred, found.realtime) == advice
    assert found.text == load("en").operator(outcome.cause)
