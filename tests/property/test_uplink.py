"""What must hold of the uplink whatever happens to it, and of every spread."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.uplink import (
    PROBE_FIRST_US,
    PROBE_LONGEST_US,
    SPREAD_LONGEST_US,
    TELL_AFTER_US,
    Effect,
    Input,
    Link,
    Spread,
    Standing,
    has_lasted,
    next_look,
    spread_due,
    step,
)
from tpsd.domain.time import SECOND, Micros

walks = st.lists(
    st.tuples(st.sampled_from([Input.TROUBLE, Input.REACHED]), st.integers(0, 40 * 60 * SECOND)), max_size=60
)
spreads = st.builds(Spread, st.integers(1, SPREAD_LONGEST_US), st.binary(min_size=8, max_size=8))


@given(walks)
def test_each_outage_begins_once_ends_once_and_is_told_at_most_once(walk: list[tuple[Input, int]]) -> None:
    standing, now = Standing(Link.UP, Micros(0)), Micros(0)
    effects: list[Effect] = []
    for given_input, pause in walk:
        now = Micros(now + pause)
        if has_lasted(standing, now):
            assert now - standing.since >= TELL_AFTER_US
            standing, effect = step(standing, Input.LASTED, now)
            effects.append(effect)
        was = standing
        standing, effect = step(standing, given_input, now)
        effects.append(effect)
        assert standing.is_up == (given_input is Input.REACHED)
        assert (standing.probe_due is None) == standing.is_up == (next_look(standing) is None)
        if standing.probe_due is not None:
            assert PROBE_FIRST_US <= standing.probe_due - now <= PROBE_LONGEST_US
            assert standing.since == (now if was.is_up else was.since)
    changes = [effect for effect in effects if effect in (Effect.BEGIN, Effect.TELL, Effect.END)]
    for before, after in pairwise(changes):
        assert (before, after) in {
            (Effect.BEGIN, Effect.TELL),
            (Effect.BEGIN, Effect.END),
            (Effect.TELL, Effect.END),
            (Effect.END, Effect.BEGIN),
        }
    assert changes[:1] in ([], [Effect.BEGIN])


@given(spreads, st.text(max_size=65), st.integers(0, 2**52), st.integers(0, 10**6))
def test_a_spread_time_is_after_the_end_and_within_the_width(
    spread: Spread, terminal: str, ended_at: int, place: int
) -> None:
    due = spread_due(spread, terminal, Micros(ended_at), place)
    assert ended_at < due <= ended_at + spread.over_us + place
    assert due == spread_due(spread, terminal, Micros(ended_at), 0) + place


@given(spreads)
def test_terminals_are_parted_over_the_whole_width(spread: Spread) -> None:
    dues = [spread_due(spread, f"GATE-X1:VAL{number:05d}", Micros(0), 0) - 1 for number in range(400)]
    quarters = [
        sum(spread.over_us * part <= 4 * due < spread.over_us * (part + 1) for due in dues) for part in range(4)
    ]
    if spread.over_us >= SECOND:
        assert min(quarters) > 40, quarters
