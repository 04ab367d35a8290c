"""A daemon that boots in 1970: taps are taken, nothing is sent before the time is known, and then with right times."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from device.vl1.events import SessionUp
from device.vl1.simulator_events import ConfigReceived
from tests.integration.conftest import Opens
from tests.integration.gate import VISA, Gate, Tap
from tests.integration.stage import Stage
from tests.machine import BOOT, UnsetClock
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

NOW = Micros(int(time.time()) * SECOND)
"""To the second, as a ``Date`` is. The certificates are of today, so the true time must be near it."""


@dataclass
class World:
    """The true time, and whether TPS tells it: a TPS that was not set either says 1970."""

    clock: UnsetClock = field(default_factory=UnsetClock)
    began: Micros = NOW
    tells: bool = False

    def true(self, at: int | None = None) -> Micros:
        """What time it is when the schedule clock shows ``at``, now by default."""
        return Micros(self.began + (self.clock.schedule() if at is None else at) - BOOT)

    def tps_wall(self) -> Micros:
        return self.true() if self.tells else Micros(self.clock.schedule())


def options(world: World, **more: object) -> dict[str, object]:
    return {"clock": world.clock, "tps_wall": world.tps_wall, **more}


async def tap(stage: Stage, gate: Gate | None = None, **fields: object) -> Tap:
    """One that is let in."""
    gate = gate or stage.gate
    made = gate.tap(**fields)  # type: ignore[arg-type]
    verdict = await gate.verdict(made)
    assert (verdict.verdict, verdict.reason) == (1, "ok")
    return made


async def learns(stage: Stage, world: World) -> None:
    """The next question is answered, and what waited is made."""
    world.tells = True

    def known() -> bool:
        due = world.clock.next_due()
        if not world.clock.trusted and due is not None:
            world.clock.jump(due)
        return stage.daemon.bodies.ready

    await stage.until(known, "the time")


def sent_times(stage: Stage) -> list[int]:
    return sorted(request.tapped_at or 0 for request in stage.tps.ledger.requests())


def told_times(gate: Gate) -> list[int | None]:
    return [event.config.time_us for event in gate.events if isinstance(event, ConfigReceived)]


async def settled(stage: Stage, taps: Iterable[Tap]) -> None:
    for one in taps:
        assert (await stage.settled(one)).state == "approved"
    stage.check_books()


async def test_1970(open_stage: Opens) -> None:
    world = World()
    async with open_stage(**options(world)) as stage, stage.daemon_running():
        taps = []
        for _ in range(3):
            taps.append(await tap(stage))
            world.clock.jump(Micros(world.clock.schedule() + MINUTE))
        await stage.until(lambda: stage.daemon.timekeeper.asked >= 3, "some questions")
        status = await stage.daemon.status()
        assert (status["clock_trusted"], status["clock_offset_seconds"]) == (False, 0.0)
        assert str(status["clock"]).startswith("1970-01-01T00:03:20")
        assert "the clock is not trusted" in (await stage.daemon.observer.health()).reasons[-1][1]
        assert [row.state for row in await stage.rows()] == ["pending"] * 3
        assert stage.tps.ledger.requests() == []
        assert told_times(stage.gate) == [None], "a validator is not told a time that nobody knows"
        assert [event.hello.time_us for event in stage.gate.events if isinstance(event, SessionUp)] == [None]

        await learns(stage, world)
        await settled(stage, taps)
        expected = [world.true(BOOT + minute * MINUTE) for minute in range(3)]
        assert sent_times(stage) == expected
        assert [row.tapped_at for row in await stage.rows()] == expected
        assert [row.received_at for row in await stage.rows()] == expected
        await stage.until(lambda: len(told_times(stage.gate)) == 2, "the time for the validator")
        assert told_times(stage.gate)[1] == world.clock.wall() == world.true()
        status = await stage.daemon.status()
        assert status["clock_trusted"] is True
        assert status["clock_offset_seconds"] == (NOW - BOOT) / SECOND
        assert (await stage.daemon.observer.health()).healthy

        late = await tap(stage)
        await settled(stage, [late])
        assert sent_times(stage)[-1] == world.true()
        assert (await stage.story(late)).attempts[0].started_at == world.true(), "as a person reads it"


async def test_a_reboot_before_the_time_is_known(open_stage: Opens) -> None:
    world = World()
    async with open_stage(**options(world)) as stage:
        async with stage.daemon_running():
            first = await tap(stage)
            world.clock.jump(Micros(world.clock.schedule() + 5 * MINUTE))
            second = await tap(stage)
        # Two days without power; it boots in the same minute of 1970 and knows nothing either.
        reboot(stage, world, 2 * DAY, "life-2")
        async with stage.daemon_running():
            third = await tap(stage)
            assert stage.tps.ledger.requests() == []
        reboot(stage, world, 3 * DAY, "life-3")
        async with stage.daemon_running():
            fourth = await tap(stage)
            await learns(stage, world)
            await settled(stage, (first, second, third, fourth))
            rows = {tap.id: (await stage.row(tap)).tapped_at for tap in (first, second, third, fourth)}
            assert rows[fourth.id] == NOW + 3 * DAY
            assert rows[third.id] == rows[fourth.id] - 1000, "no later than the life that knew began"
            assert rows[second.id] == rows[third.id] - 1000, "nor than the next"
            assert rows[first.id] == rows[second.id] - 5 * MINUTE
            assert sent_times(stage) == sorted(rows.values())
            stories = [await stage.story(tap) for tap in (first, fourth)]
            assert [len(story.attempts) for story in stories] == [1, 1]


def reboot(stage: Stage, world: World, later: int, life: str) -> None:
    """Another life, so much later in true time."""
    world.clock = stage.clock = UnsetClock(BOOT, life)
    world.began = Micros(NOW + later)
    stage.seed += 1  # real lives never draw the same UUIDs
    for gate in stage.gates:
        gate.clock = world.clock


async def test_a_reboot_with_a_good_clock(open_stage: Opens) -> None:
    world = World()
    async with open_stage(**options(world)) as stage:
        async with stage.daemon_running():
            early = await tap(stage)
        good = WarpClock()
        good.stand_still()
        stage.clock = stage.gate.clock = good
        stage.seed += 1
        async with stage.daemon_running():
            assert (await stage.settled(early)).state == "approved"
            row = await stage.row(early)
            assert row.tapped_at == good.wall()
            assert sent_times(stage) == [row.tapped_at // 1000 * 1000]


async def test_a_life_that_learnt_the_time_and_died(open_stage: Opens) -> None:
    """What it had learnt was kept before anything was done with it."""
    world = World()
    async with open_stage(**options(world)) as stage:
        async with stage.daemon_running():
            early = await tap(stage)
        stage.seed += 1
        async with stage.daemon_running(plug=False) as daemon:
            world.clock.adopt(world.true())
            await daemon.bodies._learn()
        reboot(stage, world, DAY, "life-2")
        async with stage.daemon_running():
            await learns(stage, world)
            await settled(stage, [early])
            assert sent_times(stage) == [NOW]


async def test_the_validator_has_a_good_clock_of_its_own(open_stage: Opens) -> None:
    world = World()
    own = WarpClock()
    own.stand_still()
    async with open_stage(**options(world)) as stage:
        stage.gate.clock = own
        async with stage.daemon_running():
            early = await tap(stage)
            assert (await stage.row(early)).tapped_at == early.tapped_at
            await learns(stage, world)
            await settled(stage, [early])
            assert sent_times(stage) == [early.tapped_at]


async def test_the_ladder_of_such_a_tap(open_stage: Opens) -> None:
    """Due times run on as they did: thirteen sends at the right minutes, and the horizon takes none of them away."""
    world = World()
    async with open_stage(**options(world)) as stage, stage.daemon_running():
        never = await tap(stage, amount=70_503)
        good = await tap(stage, card=VISA)
        await learns(stage, world)
        await settled(stage, [good])
        await stage.pass_time()
        row = await stage.row(never)
        assert (row.state, row.attempts) == ("permanently_failed", 13)
        started = [attempt.started_at for attempt in (await stage.story(never)).attempts]
        minutes = [(at - started[0]) / MINUTE for at in started]
        assert minutes == [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
        stage.check_books()
        assert world.clock.schedule() < BOOT + 30 * HOUR


async def test_nobody_is_there_to_ask(open_stage: Opens) -> None:
    """The questions find the outage; the operator hears of it like of any other, with the taps that wait."""
    world = World()
    async with open_stage(**options(world, tps_listens=False)) as stage, stage.daemon_running():
        await tap(stage)
        await stage.until(lambda: not stage.daemon.uplink.is_up(), "the outage")

        def mailed() -> bool:
            due = world.clock.next_due()
            if world.clock.quiet(5) and not stage.daemon.mailer.busy and due is not None:
                world.clock.jump(due)
            return bool(stage.post.mails)

        await stage.until(mailed, "the mail on the outage")
        assert "1 tap waits" in stage.post.mails[0].get_content()
        assert [row.state for row in await stage.rows()] == ["pending"]
        checks = {check.value for check, _ in (await stage.daemon.observer.health()).reasons}
        assert checks >= {"uplink", "clock"}
