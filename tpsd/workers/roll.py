"""The roll: which device each lane has, over restarts; one that is new to its lane is a mail and a line in the log.

Devices are changed while the power is off, so the journal remembers and not the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from tpsd.core.notices import cause_key
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.errors import JournalUnavailableError
from tpsd.fittings import Fittings
from tpsd.ports import Clock
from tpsd.workers.journal_watch import JournalWatch
from tpsd.workers.reader import LaneState

AGAIN_SECONDS = 60.0  # after a journal that could not be written: a full disk is not over in a second

log = structlog.get_logger("tpsd.roll")


class Roll:
    """One daemon's. ``lanes`` are those that the configuration names now."""

    def __init__(
        self,
        fittings: Fittings,
        lanes: Callable[[], Sequence[LaneState]],
        clock: Clock,
        on_notice: Callable[[], None],
    ) -> None:
        self.wake = asyncio.Event()  # a device has said who it is
        self._fittings = fittings
        self._lanes = lanes
        self._clock = clock
        self._on_notice = on_notice
        self._watch = JournalWatch(log, clock)
        self._known: dict[str, str] | None = None  # until the journal could be read

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.wake.clear()
            try:
                if self._known is None:
                    self._known = await self._fittings.devices()
                for lane in self._lanes():
                    await self._call(self._known, lane.name, lane.serial)
            except JournalUnavailableError as exc:
                self._watch.failed("device_not_kept", exc)
                with suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self.wake.wait()
            else:
                await self.wake.wait()

    async def _call(self, known: dict[str, str], name: str, serial: str | None) -> None:
        before = known.get(name)
        if serial is None or serial == before:
            return
        notice = None
        if before is not None:
            notice = NoticeDraft(
                NoticeKind.ALARM,
                cause_key(NoticeKind.ALARM, "device", name),
                f"lane {name} has another device: {serial}; before it was {before}",
            )
        await self._fittings.fitted(name, serial, notice, self._clock.schedule())
        known[name] = serial
        self._watch.works()
        if notice is not None:
            log.error("device_changed", lane=name, serial=serial, before=before)
            self._on_notice()
