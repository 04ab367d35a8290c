"""Whatever is ordered, answered, found out or closed, in whatever order: no payment is refunded above its charge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.intake_taps import TERMINAL
from tests.realtime_taps import ANSWERS, PAID
from tpsd.core.answering import Policy, Waiting, settle
from tpsd.core.byhand import Already, Given, RefundOrder, Send, judge_refund
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.outcomes import classify
from tpsd.domain.authorisation import FINAL, State
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros

CHARGED = PAID.charged
policies = st.builds(Policy, doubt=st.builds(DoubtPolicy, enquires=st.booleans()))
amounts = st.none() | st.sampled_from([1, 50, 100, 125, 249, 250, 251]) | st.integers(-10, 600)


@dataclass
class AtTps:
    """What TPS may have done of one refund, seen from a world where it did whenever it can have."""

    amount: int
    may_be_given: bool


class Refunds(RuleBasedStateMachine):
    """Refunds of one payment, each sent by hand, against the worst that TPS can have done."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Given] = []
        self.at_tps: list[AtTps] = []

    @rule(amount=amounts, again=st.booleans(), name=st.sampled_from(sorted(ANSWERS)), policy=policies)
    def order(self, amount: int | None, again: bool, name: str, policy: Policy) -> None:
        judged = judge_refund(PAID, self.given, RefundOrder(amount, again))
        if isinstance(judged, Already):
            assert judged.uuid in [one.uuid for one in self.given if one.state not in FINAL]
        if not isinstance(judged, Send):
            return
        assert judged.kind is Kind.RETAIL_REFUND
        assert judged.amount == amount or (amount is None and judged.amount > 0)
        assert all(one.state in FINAL for one in self.given if one.counts)
        uuid = str(UUID(int=len(self.given) + 1))
        outcome = classify(ANSWERS[name])
        waiting = Waiting(uuid, Kind.RETAIL_REFUND, judged.amount, TERMINAL, tapped=False)
        settled = settle(waiting, outcome, policy, number=1, ended_at=Micros(0)).settlement
        self.given.append(Given(uuid, settled.state, judged.amount, settled.may_have_charged))
        self.at_tps.append(AtTps(judged.amount, not outcome.clean))

    @precondition(lambda self: any(one.state is State.IN_DOUBT for one in self.given))
    @rule(was_given=st.booleans())
    def found_out(self, was_given: bool) -> None:
        index = next(n for n, one in enumerate(self.given) if one.state is State.IN_DOUBT)
        state = State.APPROVED if was_given else State.NOT_CHARGED
        self.given[index] = replace(self.given[index], state=state)
        self.at_tps[index].may_be_given = was_given

    @invariant()
    def never_above_its_charge(self) -> None:
        assert sum(one.amount for one in self.at_tps if one.may_be_given) <= CHARGED

    @invariant()
    def what_may_have_been_given_counts(self) -> None:
        for one, there in zip(self.given, self.at_tps, strict=True):
            assert one.counts >= there.may_be_given


TestRefunds = Refunds.TestCase
TestRefunds.settings = settings(max_examples=60, stateful_step_count=20)
