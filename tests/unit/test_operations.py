"""What may be done by hand to which rows, order by order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import Change, InForce, Order, Refusal, Standing, judge, spread_dues, what_to_do
from tpsd.domain.authorisation import FINAL, WORKING, State
from tpsd.domain.time import HOUR, MINUTE, Micros, later

NOW = Micros(1_790_000_000_000_000)
IN_FORCE = InForce(DoubtPolicy(36 * HOUR), frozenset({"common"}), NOW)
ROW = Standing(
    uuid="7f3c0e0a-1111-4222-8333-444455556666",
    state=State.PERMANENTLY_FAILED,
    cause="timeout",
    terminal="GATE-X1:VAL00042",
    lane="gate-1",
    credential="common",
    amount=250,
    currency="978",
    may_have_charged=False,
    created_at=Micros(NOW - 2 * HOUR),
    body_kept=True,
    card_kept=True,
)
HELD = replace(ROW, state=State.HELD, cause="system.41@GATE-X1:VAL00042")
IN_DOUBT = replace(ROW, state=State.IN_DOUBT, may_have_charged=True, doubtful_since=Micros(NOW - HOUR))
AWAITING = replace(IN_DOUBT, state=State.AWAITING_TAP)  # a check-out between two tries
MAY = replace(ROW, may_have_charged=True, doubtful_since=Micros(NOW - HOUR))

ALLOWED = [
    (Order.RELEASE, HELD, State.PENDING),
    (Order.RESEND, HELD, State.PENDING),
    (Order.RESEND, ROW, State.PENDING),
    (Order.RESEND, MAY, State.PENDING),
    (Order.REBUILD, HELD, State.CLOSED),
    (Order.REBUILD, ROW, State.CLOSED),
    (Order.REBUILD, replace(ROW, body_kept=False), State.CLOSED),
    (Order.REBUILD, replace(ROW, credential="gone"), State.CLOSED),
    (Order.CLOSE, HELD, State.CLOSED),
    (Order.CLOSE, ROW, State.CLOSED),
    (Order.CLOSE, replace(ROW, body_kept=False, card_kept=False), State.CLOSED),
    (Order.CHARGED, IN_DOUBT, State.APPROVED),
    (Order.CHARGED, MAY, State.APPROVED),
    (Order.NOT_CHARGED, IN_DOUBT, State.NOT_CHARGED),
    (Order.NOT_CHARGED, replace(IN_DOUBT, body_kept=False), State.NOT_CHARGED),
    (Order.NOT_CHARGED, replace(IN_DOUBT, may_have_charged=False, cause="restored"), State.NOT_CHARGED),
    (Order.NOT_CHARGED, replace(MAY, state=State.HELD), State.NOT_CHARGED),
    (Order.CHARGED, AWAITING, State.APPROVED),
    (Order.NOT_CHARGED, AWAITING, State.NOT_CHARGED),
]

REFUSED = [
    (Order.RELEASE, ROW, "tpsd resend"),
    (Order.RELEASE, IN_DOUBT, "in doubt"),
    (Order.RESEND, IN_DOUBT, "use 'tpsd resolve' first"),
    (Order.REBUILD, IN_DOUBT, "use 'tpsd resolve' first"),
    (Order.CLOSE, IN_DOUBT, "use 'tpsd resolve' first"),
    (Order.RESEND, replace(ROW, body_kept=False), "card data is gone"),
    (Order.RELEASE, replace(HELD, body_kept=False), "card data is gone"),
    (Order.RESEND, replace(ROW, credential="gate-1"), "credential left"),
    (Order.RESEND, replace(MAY, doubtful_since=Micros(NOW - 37 * HOUR)), "forgotten"),
    (Order.REBUILD, MAY, "leave out --rebuild"),
    (Order.REBUILD, replace(ROW, body_waits=True), "waits until the time is known"),
    (Order.REBUILD, replace(ROW, card_kept=False), "card data is gone"),
    (Order.CHARGED, ROW, "nothing was charged"),
    (Order.NOT_CHARGED, HELD, "nothing was charged"),
    (Order.CHARGED, replace(AWAITING, may_have_charged=False), "the next tap sends it"),
    (Order.NOT_CHARGED, replace(AWAITING, may_have_charged=False), "'tpsd checkout'"),
    *((order, AWAITING, "next tap") for order in (Order.RELEASE, Order.RESEND, Order.REBUILD, Order.CLOSE)),
]


@pytest.mark.parametrize(("order", "row", "state"), ALLOWED)
def test_what_is_allowed(order: Order, row: Standing, state: State) -> None:
    found = judge(order, row, IN_FORCE)
    assert found == Change(state)
    assert isinstance(found, Change)
    assert found.erase is (state is not State.PENDING)


@pytest.mark.parametrize(("order", "row", "words"), REFUSED)
def test_what_is_refused_and_why(order: Order, row: Standing, words: str) -> None:
    found = judge(order, row, IN_FORCE)
    assert isinstance(found, Refusal)
    assert words in found.words


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("state", [state for state in State if state in FINAL | WORKING - {State.AWAITING_TAP}])
def test_what_is_final_or_working_is_left_alone(order: Order, state: State) -> None:
    found = judge(order, replace(ROW, state=state, may_have_charged=True), IN_FORCE)
    assert isinstance(found, Refusal)
    assert ("final" in found.words) is state.is_final


def test_the_horizon_is_a_clean_rows_no_bound() -> None:
    old = replace(ROW, created_at=Micros(NOW - 2000 * HOUR))
    assert judge(Order.RESEND, old, IN_FORCE) == Change(State.PENDING)
    at_it = replace(MAY, doubtful_since=Micros(NOW - 36 * HOUR))
    assert judge(Order.RESEND, at_it, IN_FORCE) == Change(State.PENDING)
    past_it = replace(MAY, doubtful_since=Micros(NOW - 36 * HOUR - 1))
    assert isinstance(judge(Order.RESEND, past_it, IN_FORCE), Refusal)


def test_dues_are_spread_by_their_draws() -> None:
    assert spread_dues(NOW, [0.0, 0.5, 0.999], 10 * MINUTE) == [
        NOW,
        later(NOW, 5 * MINUTE),
        later(NOW, int(0.999 * 10 * MINUTE)),
    ]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("system.41@GATE-X1:VAL1", "set-up at Sfey"),
        ("http.403@GATE-X1:VAL1", "canary"),
        ("tls.client@GATE-X1:VAL1", "certificate"),
        ("no_credential", "back into the configuration"),
        ("something.else", "mend the cause"),
    ],
)
def test_what_to_do(cause: str, words: str) -> None:
    assert words in what_to_do(cause)
