"""The daemon of a replay, one process life after another on one journal, with nothing outside but what stands in."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any

from schemas.config import Configuration, Lane
from tpsd.clock import SystemClock, SystemTime
from tpsd.config import clock_floor
from tpsd.daemon import Daemon, Ends, World
from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.draws import Draws
from tpsd.lanes import COMMON_CREDENTIAL
from tpsd.ports import Device, Tps
from tpsd.replay.lanes import DoorDevice, DoorPort
from tpsd.replay.loop import OWNER, VirtualLoop
from tpsd.store.journal import SqlJournal
from tpsd.uuids import Uuids
from tpsd.witness import Witness


class Lives:
    """``begin`` one, and ``end`` or ``cut`` it before the next. ``stale``: whether TPS's list was too old."""

    def __init__(
        self,
        loop: VirtualLoop,
        time: SystemTime,
        journal: SqlJournal,
        tps: Tps,
        ask: Any,
        heard: tuple[Witness, Uuids, Draws],
        stale: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._time = time
        self._journal = journal
        self._tps = tps
        self._ask = ask
        self._heard = heard
        self._stale = stale
        self._doors: dict[str, DoorDevice] = {}
        self._open: dict[str, DoorDevice] = {}
        self._number = 0
        self._running: asyncio.Task[None] | None = None
        self.daemon: Daemon

    def door(self, lane: str) -> DoorDevice | None:
        """The lane's other end; None where the configuration in force has no such lane."""
        return self._open.get(lane)

    def begin(self, config: Configuration) -> None:
        """Start a life."""
        witness, uuids, draws = self._heard
        clock = SystemClock(clock_floor(config), self._time)
        world = World(clock, random.Random("replay"), witness, uuids, draws, self._device)
        own = (lane.name for lane in config.lanes if lane.client_cert_file is not None)
        ends = Ends(
            self._tps,
            lambda _: _Letterbox(),
            [self._port_of(lane) for lane in config.lanes],
            frozenset({COMMON_CREDENTIAL, *own}),
            self._ask if config.sfey.afc_base_url is not None else None,
            port_of=self._port_of,
        )
        self._number += 1
        context = contextvars.copy_context()
        context.run(OWNER.set, self._number)
        self.daemon = context.run(Daemon, config, world, self._journal, ends)
        self._running = asyncio.create_task(self.daemon.run(), name="daemon", context=context)
        self._look(config)

    async def adopt(self, config: Configuration) -> None:
        """Reload. Raises TpsdError where it is refused."""
        await self.daemon.adopt(config)
        self._look(config)

    async def end(self) -> None:
        """In order."""
        if self._running is not None:
            self.daemon.stop()
            await self._running
            self._running = None

    async def cut(self) -> None:
        """By a crash: nothing of it runs any more, and what it had not committed was never there."""
        if self._running is not None:
            self._loop.call_soon(self._loop.bury, self._number, context=contextvars.Context())
            await self._loop.quiet()
            self._running = None

    def check(self) -> None:
        """Raises what ended the life by itself."""
        if self._running is not None and self._running.done():
            self._running.result()

    def _look(self, config: Configuration) -> None:
        self._open = {lane.name: self._doors[lane.name] for lane in config.lanes}
        for lane in self.daemon.lanes:
            lane.list_is_stale = self._stale

    def _port_of(self, section: Lane) -> DoorPort:
        return DoorPort(section.port, self._door(section))

    def _device(self, section: Lane, config: Configuration, rng: Any) -> Device:
        del config, rng
        return self._door(section)

    def _door(self, section: Lane) -> DoorDevice:
        return self._doors.setdefault(section.name, DoorDevice())


class _Letterbox:
    """``ports.Postman`` that takes everything and delivers nothing: the witness counts."""

    async def send(self, mail: MailRow, date: Micros) -> None:
        pass
