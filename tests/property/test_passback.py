"""Pass-back against a plain model, in any order of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.passback import CardPast, PassBack, judge
from tpsd.domain.tap import Verdict

rules = st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 3)).map(
    lambda parts: PassBack(parts[0], parts[0] + parts[1], parts[2])
)
times = st.lists(st.integers(0, 120), max_size=25)


def play(rule: PassBack, taps: list[int]) -> list[Verdict]:
    """The verdicts of one card's taps, the past looked up as the store does."""
    accepted: list[int] = []
    verdicts = []
    for at in taps:
        near = [other for other in accepted if abs(other - at) <= rule.refused_us]
        past = CardPast(
            apart_us=min((abs(other - at) for other in near), default=None),
            riders=sum(abs(other - at) <= rule.again_us for other in near),
        )
        told = judge(rule, past)
        if told is None:
            accepted.append(at)
        verdicts.append(Verdict.ACCEPTED if told is None else told.verdict)
    return verdicts


@given(rules, times)
def test_no_more_ride_than_the_rule_allows(rule: PassBack, taps: list[int]) -> None:
    accepted = [at for at, verdict in zip(taps, play(rule, taps), strict=True) if verdict is Verdict.ACCEPTED]
    if not rule.on:
        assert accepted == taps
        return
    for number, at in enumerate(accepted):
        before = [abs(other - at) for other in accepted[:number]]
        assert sum(apart <= rule.again_us for apart in before) <= rule.group_size
        if before and min(before) > rule.again_us:
            assert min(before) > rule.refused_us


@given(rules, times)
def test_the_first_tap_always_counts_and_nothing_is_lost(rule: PassBack, taps: list[int]) -> None:
    verdicts = play(rule, taps)
    assert verdicts[:1] == [Verdict.ACCEPTED][: len(taps)]
    assert set(verdicts) <= {Verdict.ACCEPTED, Verdict.ALREADY_TAPPED, Verdict.DENIED}


@given(rules, st.integers(0, 100), st.integers(0, 4), st.booleans())
def test_a_card_in_doubt_or_a_rule_that_is_off_never_stops_anybody(
    rule: PassBack, apart: int, riders: int, unsettled: bool
) -> None:
    told = judge(rule, CardPast(apart, riders, unsettled))
    assert told is None or (rule.on and not unsettled and apart <= rule.refused_us)
