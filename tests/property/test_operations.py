"""What no order may ever do, whatever the row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import Change, InForce, Order, Refusal, Standing, judge, spread_dues
from tpsd.domain.authorisation import RESTING, State
from tpsd.domain.time import HOUR, Micros

NOW = Micros(1_790_000_000_000_000)
IN_FORCE = InForce(DoubtPolicy(36 * HOUR), frozenset({"common"}), NOW)

rows = st.builds(
    Standing,
    uuid=st.just("7f3c0e0a-1111-4222-8333-444455556666"),
    state=st.sampled_from(State),
    cause=st.sampled_from(["timeout", "system.41@T", None]),
    terminal=st.just("T"),
    lane=st.just("gate-1"),
    credential=st.sampled_from(["common", "gone"]),
    amount=st.integers(0, 10_000),
    currency=st.just("978"),
    may_have_charged=st.booleans(),
    created_at=st.just(NOW),
    body_kept=st.booleans(),
    card_kept=st.booleans(),
    doubtful_since=st.none() | st.integers(0, NOW).map(Micros),
)


@given(row=rows, order=st.sampled_from(Order))
def test_no_order_reaches_a_second_charge(row: Standing, order: Order) -> None:
    found = judge(order, row, IN_FORCE)
    if not isinstance(found, Change):
        assert found.words
        return
    awaited = row.state is State.AWAITING_TAP and order in (Order.CHARGED, Order.NOT_CHARGED)
    assert row.state in RESTING or awaited, "what works or is final is left alone"
    assert not awaited or row.may_have_charged, "a clean check-out waits for its passenger"
    if order.sends:
        assert row.state is not State.IN_DOUBT
    if order is Order.REBUILD:
        assert not row.may_have_charged, "a new UUID only where no money can have moved"
        assert row.card_kept
    if found.state is State.PENDING:
        assert row.body_kept
        assert row.credential == "common"
        assert row.doubtful_since is None or NOW - row.doubtful_since <= 36 * HOUR
    assert found.erase is found.state.is_final
    assert found.state is not State.CLOSED or row.state is not State.IN_DOUBT, "a doubt is resolved, never dropped"


@given(row=rows)
def test_every_resting_row_has_a_way_out(row: Standing) -> None:
    """Whatever was lost, a person can bring it to an end; so too a check-out that waits and may have been charged."""
    ends = (Order.CLOSE, Order.CHARGED, Order.NOT_CHARGED)
    found = [judge(order, row, IN_FORCE) for order in ends]
    waits = row.state is State.AWAITING_TAP and row.may_have_charged
    assert any(isinstance(verdict, Change) for verdict in found) is (row.state in RESTING or waits)


@given(row=rows, order=st.sampled_from(Order))
def test_refusals_name_no_row(row: Standing, order: Order) -> None:
    found = judge(order, row, IN_FORCE)
    if isinstance(found, Refusal):
        assert row.uuid not in found.words
        assert str(row.amount) not in found.words or row.amount < 40


@given(draws=st.lists(st.floats(0, 1, exclude_max=True), max_size=50), spread=st.integers(0, 3600 * 1_000_000))
def test_dues_stay_within_the_spread(draws: list[float], spread: int) -> None:
    dues = spread_dues(NOW, draws, spread)
    assert len(dues) == len(draws)
    assert all(NOW <= due <= NOW + spread for due in dues)
