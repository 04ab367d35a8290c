"""The machine's clocks over a machine that is set wrong, steps, sleeps, and comes to know the time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.machine import BOOT, Machine
from tpsd.clock import SystemClock, system_is_synchronised
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.core.trust import Dates
from tpsd.domain.time import DAY, HOUR, SECOND, Micros

TRUE = Micros(1_790_000_000_000_000)
YEAR = 365 * DAY


def test_this_machine_answers() -> None:
    assert system_is_synchronised() in (True, False)
    assert SystemClock().life != SystemClock().life


def test_a_machine_that_is_synchronised_is_trusted_from_the_start() -> None:
    clock = Machine(TRUE, TRUE, synchronised=True).clock()
    assert clock.trusted
    assert (clock.wall(), clock.schedule()) == (TRUE, TRUE)
    assert (clock.shift_us, clock.offset_us, clock.judging().dates) == (0, 0, Dates.SYSTEM)


def test_a_machine_that_says_nothing_of_it_is_not() -> None:
    machine = Machine(TRUE, TRUE)
    clock = machine.clock()
    assert not clock.trusted, "right by chance"
    assert clock.judging().dates is Dates.NOBODY
    machine.synchronised = True
    assert (clock.wall(), clock.judging().dates) == (TRUE, Dates.NOBODY), "nobody has looked"
    clock.look()
    assert (clock.wall(), clock.judging().dates) == (TRUE, Dates.SYSTEM)


def test_due_times_can_follow_another_clock_and_wall_time_does_not() -> None:
    machine = Machine(TRUE, TRUE, synchronised=True)
    clock = machine.clock()
    clock.follow(Micros(TRUE + HOUR))
    machine.passes(90)
    assert clock.schedule() == TRUE + HOUR + 90 * SECOND
    assert clock.wall() == TRUE + 90 * SECOND


def test_1970_until_tps_says_what_time_it_is() -> None:
    machine = Machine(TRUE)
    clock = machine.clock()
    machine.passes(90)
    assert (clock.wall(), clock.schedule()) == (BOOT + 90 * SECOND, BOOT + 90 * SECOND)
    clock.adopt(machine.true)
    assert clock.trusted
    assert clock.wall() == TRUE + 90 * SECOND
    assert clock.shift_us == clock.offset_us == TRUE - BOOT
    assert (clock.judging().dates, clock.judging().at) == (Dates.OWN, clock.wall())
    assert clock.schedule() == BOOT + 90 * SECOND, "due times go on as they did"


def test_a_date_before_the_floor_is_no_time() -> None:
    machine = Machine(TRUE)
    clock = machine.clock(floor=Micros(TRUE + DAY))
    clock.adopt(TRUE)
    assert not clock.trusted
    clock.adopt(Micros(TRUE + DAY))
    assert clock.trusted


@pytest.mark.parametrize("step", [-10 * YEAR, -HOUR, HOUR, 10 * YEAR, BOOT - TRUE])
def test_the_system_steps_once_the_time_is_known(step: int) -> None:
    for synchronised in (True, False):
        machine = Machine(TRUE, TRUE, synchronised=synchronised)
        clock = machine.clock()
        clock.adopt(TRUE)
        schedule = clock.schedule()
        machine.wall, machine.synchronised = Micros(TRUE + step), False
        clock.look()
        assert clock.schedule() == schedule
        assert clock.trusted
        assert (clock.wall(), clock.offset_us) == (TRUE, -step)
        machine.passes(HOUR / SECOND)
        assert (clock.wall(), clock.schedule()) == (TRUE + HOUR, schedule + HOUR)
        assert clock.judging().dates is Dates.OWN


def test_a_step_is_noticed_before_the_next_look() -> None:
    """A tap without a stamp of its own that comes meanwhile would be sent as of another year."""
    machine = Machine(TRUE, TRUE, synchronised=True)
    clock = machine.clock()
    machine.wall, machine.synchronised = Micros(TRUE + YEAR), False
    assert clock.wall() == TRUE
    machine.wall, machine.synchronised = Micros(TRUE + HOUR), True
    clock.look()
    assert clock.wall() == TRUE + HOUR, "a time service knows better"


def test_steps_before_the_time_is_known_change_nothing_that_is_stamped() -> None:
    machine = Machine(TRUE)
    clock = machine.clock()
    for wall in (5 * YEAR, 90 * YEAR, 0):
        machine.passes(1)
        machine.wall = Micros(wall)
        clock.look()
    assert not clock.trusted
    assert clock.wall() == BOOT + 3 * SECOND
    clock.adopt(machine.true)
    assert clock.wall() == machine.true
    assert BOOT + clock.shift_us == TRUE


def test_a_sleep_counts_for_the_wall_and_for_the_schedule() -> None:
    """Else a row sent before a long one would be resent although TPS may have forgotten it."""
    for asleep_before in (True, False):
        machine = Machine(TRUE)
        clock = machine.clock()
        if asleep_before:
            machine.passes(HOUR / SECOND, asleep=True)
            assert clock.wall() == BOOT + HOUR
        clock.adopt(machine.true)
        if not asleep_before:
            machine.passes(HOUR / SECOND, asleep=True)
        assert clock.wall() == machine.true == TRUE + HOUR
        assert clock.schedule() == BOOT + HOUR
        assert BOOT + clock.shift_us == TRUE


def test_a_synchronised_system_drops_what_was_adopted() -> None:
    machine = Machine(TRUE)
    clock = machine.clock()
    clock.adopt(Micros(machine.true - 40 * SECOND))
    assert clock.offset_us == TRUE - BOOT - 40 * SECOND
    machine.wall, machine.synchronised = machine.true, True
    clock.look()
    assert (clock.wall(), clock.offset_us, clock.judging().dates) == (TRUE, 0, Dates.SYSTEM)
    assert BOOT + clock.shift_us == TRUE
    clock.adopt(Micros(TRUE + HOUR))
    assert clock.wall() == TRUE, "it does not listen any more"


def test_a_flag_that_lapses_leaves_the_time_known() -> None:
    """The kernel drops it after hours without a time server: a vehicle out of reach."""
    machine = Machine(TRUE, TRUE, synchronised=True)
    clock = machine.clock()
    machine.synchronised = False
    for _ in range(5):
        machine.passes(DAY / SECOND)
        clock.look()
        assert clock.trusted
        assert (clock.wall(), clock.offset_us) == (machine.true, 0)


def test_a_synchronised_1970_is_a_flag_that_lies() -> None:
    machine = Machine(TRUE, synchronised=True)
    clock = machine.clock()
    assert not clock.trusted
    clock.adopt(TRUE)
    assert (clock.trusted, clock.wall()) == (True, TRUE)
    clock.look()
    assert clock.wall() == TRUE


def test_tps_corrects_what_tps_said() -> None:
    machine = Machine(TRUE)
    clock = machine.clock()
    clock.adopt(TRUE)
    clock.adopt(Micros(TRUE + SECOND))
    assert clock.wall() == TRUE
    clock.adopt(Micros(TRUE + 3 * SECOND))
    assert clock.wall() == TRUE + 3 * SECOND


async def test_waiting_is_by_the_schedule_whatever_the_wall_does() -> None:
    machine = Machine(TRUE)
    clock = machine.clock()
    clock.adopt(TRUE)
    async with asyncio.timeout(5):
        await clock.wait(asyncio.Event(), Micros(clock.schedule()))
    assert clock.wall() - clock.schedule() > 50 * YEAR


def test_the_floor_is_a_date_that_nobody_sets_again() -> None:
    assert CLOCK_FLOOR > 50 * YEAR


def test_where_the_kernel_may_not_be_asked_timesyncd_is(tmp_path: Path) -> None:
    """As under ProtectClock=, which answers EPERM to a look too."""
    stamp = tmp_path / "synchronized"
    assert not system_is_synchronised(lambda: None, stamp)
    assert system_is_synchronised(lambda: 0, stamp)
    stamp.touch()
    assert system_is_synchronised(lambda: None, stamp)
    assert not system_is_synchronised(lambda: 5, stamp), "the kernel knows better"
