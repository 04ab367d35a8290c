"""Whatever the system's clock does, once the time is known it stays known and right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.machine import Machine
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.core.trust import AGREES_US, former_shift
from tpsd.domain.time import DAY, SECOND, Micros

TRUE = Micros(1_790_000_000_000_000)
YEARS = 40 * 365 * DAY
WALLS = st.integers(0, TRUE + YEARS).map(Micros)

HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("passes"), st.integers(0, 10**6)),
        st.tuples(st.just("sleeps"), st.integers(0, 10**6)),
        st.tuples(st.just("steps"), st.integers(0, TRUE + YEARS)),
        st.tuples(st.just("synchronised"), st.just(0)),
        st.tuples(st.just("unsynchronised"), st.just(0)),
        st.tuples(st.just("looks"), st.just(0)),
        st.tuples(st.just("hears"), st.integers(-SECOND, 0)),
    ),
    max_size=30,
)


@given(wall=WALLS, happenings=HAPPENINGS)
def test_the_wall_time_is_right_once_it_is_known_and_the_schedule_never_steps(
    wall: Micros, happenings: list[tuple[str, int]]
) -> None:
    machine = Machine(TRUE, wall)
    clock = machine.clock()
    began, schedule, passed, known = TRUE, clock.schedule(), 0, False
    for what, much in happenings:
        match what:
            case "passes" | "sleeps":
                machine.passes(much, asleep=what == "sleeps")
                passed += much
            case "steps":
                machine.wall, machine.synchronised = Micros(much), False  # settimeofday(2) clears the flag
            case "synchronised":
                machine.wall, machine.synchronised = machine.true, True
            case "unsynchronised":
                machine.synchronised = False
            case "looks":
                clock.look()
                known = known or machine.synchronised
            case "hears":
                clock.adopt(Micros(machine.true + much))
                known = True
        assert clock.schedule() == schedule + passed * SECOND, "a sleep counts"
        assert clock.trusted is known
        if known:
            assert abs(clock.wall() - machine.true) <= AGREES_US + SECOND
            # What this life stamped before it knew is off by one number, whenever it was stamped.
            assert abs(wall + clock.shift_us - began) <= AGREES_US + SECOND
        else:
            assert clock.wall() == wall + (machine.true - began)
            assert (clock.shift_us, clock.offset_us) == (0, 0)


@given(last=WALLS, shift=st.integers(-YEARS, YEARS), age=st.integers(0, YEARS))
def test_an_estimate_is_a_possible_time(last: Micros, shift: int, age: int) -> None:
    """Not after this life began, and in the order in which the taps came."""
    added = former_shift(last, shift, TRUE, CLOCK_FLOOR)
    assert CLOCK_FLOOR <= last + added <= TRUE
    assert last - age + added <= last + added
