"""The worker that makes late bodies, over a real journal, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from tests.integration.stage import until
from tests.machine import BOOT, UnsetClock
from tests.store.builders import LANE, SILENCE, report, setting, take
from tests.unit.workshop import ScriptedTps, running, workshop
from tpsd.core.intake import decide, prepare
from tpsd.core.requests import TransactionRequest
from tpsd.daemon import Daemon
from tpsd.domain.time import HOUR, SECOND, Micros, iso_millis
from tpsd.domain.views import TapFilter
from tpsd.ports import Taken

TRUE = Micros(1_790_000_000_000_000)


async def tap(daemon: Daemon, counter: int, untrusted: str | None = "life-1") -> Taken:
    now = daemon.clock.wall()
    candidate = prepare(
        report(counter, received_at=now, tapped_at=None), LANE, setting(daemon.journal), uuid4(), untrusted
    )
    return await daemon.journal.take(candidate, decide, daemon.clock.schedule())


@asynccontextmanager
async def making(daemon: Daemon) -> AsyncIterator[None]:
    task = asyncio.create_task(daemon.bodies.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def times(daemon: Daemon) -> list[Micros]:
    return [row.tapped_at for row in reversed(await daemon.journal.taps(TapFilter()))]


async def test_nothing_is_sent_before_and_everything_after(tmp_path: Path) -> None:
    """Rows with a body wait too: whether the horizon lets them go is not known without a time."""
    clock, tps = UnsetClock(), ScriptedTps()
    async with workshop(tmp_path, tps, clock=clock) as daemon, running(daemon.dispatcher), making(daemon):
        await tap(daemon, 1)
        await take(daemon.journal, 2, now=clock.schedule())
        for _ in range(3):
            daemon.dispatcher.wake.set()
            daemon.bodies.wake.set()
            await until(lambda: clock.quiet(1), "the dispatcher's wait")
        assert tps.started == []
        clock.jump(Micros(BOOT + HOUR))
        clock.adopt(Micros(TRUE + HOUR))
        daemon.bodies.wake.set()
        await until(lambda: tps.ended == 2, "both sends")
        assert await times(daemon) == [TRUE, TRUE]
        assert all(iso_millis(TRUE).encode() in body for body in tps.started)


async def test_a_tap_that_comes_late_is_given_its_body_too(tmp_path: Path) -> None:
    """Taken before the time was known, and committed after the others had their bodies."""
    clock, tps = UnsetClock(), ScriptedTps()
    async with workshop(tmp_path, tps, clock=clock) as daemon, running(daemon.dispatcher), making(daemon):
        clock.adopt(TRUE)
        daemon.bodies.wake.set()
        await until(lambda: daemon.bodies.ready, "a first round")
        candidate = prepare(
            report(1, received_at=BOOT, tapped_at=None), LANE, setting(daemon.journal), uuid4(), clock.life
        )
        taken = await daemon.journal.take(candidate, decide, clock.schedule())
        daemon._on_taken(taken)
        await until(lambda: tps.ended == 1, "its send")
        assert await times(daemon) == [TRUE]


async def test_a_surprise_fails_one_row_alone(tmp_path: Path) -> None:
    clock, tps = UnsetClock(), ScriptedTps()
    async with workshop(tmp_path, tps, clock=clock) as daemon:
        for counter in (1, 2, 3):
            await tap(daemon, counter)
        bad = (await daemon.journal.operations.find("2")).uuid
        good = daemon.bodies.setting.serialise

        def serialise(request: TransactionRequest) -> tuple[str, bytes]:
            if str(request.uuid) == bad:
                raise RuntimeError("4761739001010119")
            return good(request)

        daemon.bodies.setting = replace(daemon.bodies.setting, serialise=serialise)
        clock.adopt(TRUE)
        daemon.mailer.wake.clear()
        await daemon.bodies.round()
        rows = reversed(await daemon.journal.taps(TapFilter()))
        assert [row.state for row in rows] == ["pending", "permanently_failed", "pending"]
        assert daemon.mailer.wake.is_set(), "the mailer hears of it"
        story = await daemon.journal.story("2")
        assert sorted(notice.kind for notice in story.notices) == ["alarm", "permanently_failed"]


async def test_a_life_that_knew_from_the_start_learns_nothing(tmp_path: Path) -> None:
    tps = ScriptedTps()
    async with workshop(tmp_path, tps) as daemon, running(daemon.dispatcher):
        assert daemon.bodies.ready
        await daemon.bodies.round()
        await take(daemon.journal, 1, now=daemon.clock.schedule())
        daemon.dispatcher.wake.set()
        await until(lambda: tps.ended == 1, "a send")
        (attempt,) = (await daemon.journal.story("1")).attempts
        assert attempt.started_at == daemon.clock.schedule()


async def test_many_more_than_a_slice(tmp_path: Path) -> None:
    clock = UnsetClock()
    async with workshop(tmp_path, clock=clock) as daemon:
        for counter in range(1, 231):
            clock.jump(Micros(BOOT + counter * SECOND))
            await tap(daemon, counter)
        clock.adopt(Micros(TRUE + 230 * SECOND))
        await daemon.bodies.round()
        assert (await daemon.journal.taps(TapFilter(limit=1)))[0].tapped_at == TRUE + 230 * SECOND
        assert await daemon.journal.bodies.waiting(9) == []
        assert len(await daemon.journal.claim(clock.schedule(), 500)) == 230


async def test_enquiries_wait_as_well(tmp_path: Path) -> None:
    clock = UnsetClock()
    async with workshop(tmp_path, clock=clock) as daemon:
        assert not daemon._may_ask()
        clock.adopt(TRUE)
        assert not daemon._may_ask()
        await daemon.bodies.round()
        assert daemon._may_ask()
        daemon.uplink.heard(SILENCE, "common", daemon.uplink.era)
