"""Reading takes time in proportion to what is read, and memory within a bound, whatever the input looks like."""

from __future__ import annotations

import pytest

from tests.fuzz.shapes import SHAPES
from tests.fuzz.work import peak_bytes, seconds, steps

KIB = 1024
TIMES = 8  # how much larger the large input is
SECONDS_SLACK = (
    4.0  # of the proportion: caches and the allocator count too, and this is half of what squares would take
)
assert SECONDS_SLACK * TIMES <= TIMES**2 / 2
STEPS_TIMES = 4
STEPS_SLACK = 1.6  # blocks and frames do not come out even
assert STEPS_SLACK * STEPS_TIMES < STEPS_TIMES**2 / 2
TIMED_FROM = 0.0002  # s: below it a time is the clock's and the loop's, not the input's
FLAT_BYTES = 256 * KIB  # of one read from a port, and the objects that it becomes
BYTES_A_BYTE = 300  # of memory for one of the input: an empty table of two letters is the dearest there is


@pytest.mark.parametrize("name", SHAPES)
def test_time_is_linear(name: str) -> None:
    shape = SHAPES[name]
    small, large = shape.make(shape.size // TIMES), shape.make(shape.size)
    before = max(seconds(lambda: shape.read(small)), TIMED_FROM)
    assert seconds(lambda: shape.read(large)) <= SECONDS_SLACK * TIMES * before


@pytest.mark.parametrize("name", SHAPES)
def test_steps_are_linear(name: str) -> None:
    shape = SHAPES[name]
    small, large = (shape.make(shape.size // part) for part in (8 * STEPS_TIMES, 8))
    assert steps(lambda: shape.read(large)) <= STEPS_SLACK * STEPS_TIMES * steps(lambda: shape.read(small))


@pytest.mark.parametrize("name", SHAPES)
def test_memory_is_bounded(name: str) -> None:
    shape = SHAPES[name]
    data = shape.make(shape.size // 2)
    bound = FLAT_BYTES if shape.flat else FLAT_BYTES + BYTES_A_BYTE * len(data)
    assert peak_bytes(lambda: shape.read(data)) <= bound


class TestTheMeasuresThemselves:
    """What grows with the square is seen, or the bounds above say nothing."""

    def test_squares_are_seen(self) -> None:
        def squares(size: int) -> int:
            return sum(1 for _ in range(size) for _ in range(size))

        further = 2 * TIMES  # so that a busy machine cannot hide it
        assert seconds(lambda: squares(1600)) > SECONDS_SLACK * further * seconds(lambda: squares(1600 // further))
        assert steps(lambda: squares(200)) > STEPS_SLACK * STEPS_TIMES * steps(lambda: squares(200 // STEPS_TIMES))

    def test_what_is_kept_is_seen(self) -> None:
        assert peak_bytes(lambda: bytes(FLAT_BYTES + KIB)) > FLAT_BYTES
