"""Bodies that wait for the time (design 7): once it is known, taps' times are put right and their requests made.

Before that it waits; afterwards it has nothing to do, unless a tap was on its way when the time became known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tpsd.bodies import Bodies, Known
from tpsd.core.bodies import Bodiless, Body, Failure, complete
from tpsd.core.intake import Setting
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Timepiece
from tpsd.workers.journal_watch import JournalWatch

SLICE_ROWS = 100  # rows a commit: about 5 ms of work, so that intake gets its turn within 10 ms
RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again

log = structlog.get_logger("tpsd.bodies")


class BodyMaker:
    """One daemon's late bodies. ``setting`` is in force until a reload puts in another.

    ``ready``: the time is known and what had waited for it is done, so that anything may be sent.
    """

    def __init__(
        self,
        bodies: Bodies,
        clock: Timepiece,
        setting: Setting,
        *,
        on_given: Callable[[], None],
        on_notice: Callable[[], None],
    ) -> None:
        self._bodies = bodies
        self._clock = clock
        self._on_given = on_given
        self._on_notice = on_notice
        self._began_at = clock.wall()
        self._known: Known | None = None
        self._watch = JournalWatch(log, clock)
        self.setting = setting
        self.wake = asyncio.Event()
        self.ready = clock.trusted

    async def run(self) -> None:
        """Until cancelled: every step is one commit."""
        while True:
            self.wake.clear()
            if self._clock.trusted:
                try:
                    await self.round()
                except JournalUnavailableError as exc:
                    self._watch.failed("bodies_not_given", exc)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
            await self.wake.wait()

    async def round(self) -> None:
        """Everything that waits now. Raises JournalUnavailableError, and then what was done stays done."""
        known = await self._learn()
        timed = 0
        while some := await self._bodies.correct(known, SLICE_ROWS):
            timed += some
        given = failed = 0
        while waiting := await self._bodies.waiting(SLICE_ROWS):
            made = [self._complete(one) for one in waiting]
            given += await self._bodies.give(made, self._clock.schedule())
            failed += sum(isinstance(one, Failure) for one in made)
        if timed or given or failed:
            self._watch.works()
            log.info("bodies_given", taps_timed=timed, given=given, failed=failed)
        if failed:
            self._on_notice()
        if given or not self.ready:
            self.ready = True
            self._on_given()

    async def _learn(self) -> Known:
        """What this life knows of the time since it does; kept before anything is corrected by it."""
        if self._known is None:
            shift_us = self._clock.shift_us
            schedule_shift_us = 0 if self.ready else self._clock.wall() - self._clock.schedule()
            began_at = Micros(self._began_at + shift_us)
            known = Known(self._clock.life, shift_us, schedule_shift_us, began_at, self.setting.clock_floor)
            if not self.ready:
                await self._bodies.know(known)
                log.info("time_known", shift_seconds=shift_us / 1e6, offset_seconds=self._clock.offset_us / 1e6)
            self._known = known
        return self._known

    def _complete(self, waiting: Bodiless) -> Body | Failure:
        """A surprise in making one body fails that row, and nothing else (design 1)."""
        try:
            return complete(waiting, self.setting)
        except Exception as exc:
            log.error("body_undecidable", uuid=waiting.uuid, error=type(exc).__name__)
            return Failure(waiting.uuid, "its request could not be made: see the log")
