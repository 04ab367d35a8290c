"""One process life of the real daemon in a world: what it is made of, and what is left when it dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import apsw

from schemas.config import Configuration, Lane
from tests.sim.disk import MemoryDisk, MemoryShelf
from tests.sim.doors import Door
from tests.sim.events import Committed, Event
from tests.sim.machine import Machine
from tests.sim.road import Road
from tests.sim.writer import LoopWriter
from tpsd.clock import SystemClock
from tpsd.config import clock_floor
from tpsd.config.locations import mail_settings
from tpsd.daemon import Daemon
from tpsd.daemon import Ends as DaemonEnds
from tpsd.daemon import World as Surroundings
from tpsd.domain.time import DAY, Micros
from tpsd.mail.settings import SmtpConfig
from tpsd.mail.smtp import SmtpMailer
from tpsd.ports import Postman
from tpsd.store.housekeeping import Keep
from tpsd.store.sqlite import Identity, Secrets, SqliteJournal

JOURNAL = Path("/journal.db")
KEK = bytes(range(32))
CREDENTIAL = "common"


@dataclass(slots=True)
class Ends:
    """The other ends, which outlive it."""

    disk: MemoryDisk
    shelf: MemoryShelf
    machine: Machine
    doors: Sequence[Door]
    road: Callable[[int, Callable[[Micros], None]], Road]
    emit: Callable[[Event], None]


class DoorPort:
    """``ports.Port`` of one life at a door, by the name of its lane."""

    def __init__(self, doors: Sequence[Door], lane: Lane) -> None:
        door = doors[int(lane.name.removeprefix("door-")) - 1]
        self.name = door.serial
        self.open = door.open


class Life:
    """``number`` from 1. ``daemon`` is there once the journal is open."""

    def __init__(self, number: int, config: Configuration, ends: Ends, rng: random.Random, pause_max: float) -> None:
        self.number = number
        self.clock = SystemClock(clock_floor(config), ends.machine.system_time())
        self.clock.life = f"life-{number}"
        self.writer: LoopWriter | None = None
        self.daemon: Daemon | None = None
        self.is_ready = False  # its loops run: commands are heard
        self.reloading = asyncio.Lock()
        self.knows = config  # the configuration that it was told of last
        self._config = config
        self._ends = ends
        self._rng = rng
        self._pause_max = pause_max

    async def run(self, enquires: bool) -> None:
        """From the opening of the journal to an orderly end."""
        config, ends = self._config, self._ends
        keep = Keep(config.keys.keep_failed_days * DAY, config.keys.keep_held_days * DAY)
        journal = await SqliteJournal.open(
            JOURNAL,
            Identity(config.mode, "tps.example", config.operator.company_id),
            Secrets(KEK, ends.shelf, self._rng.randbytes),
            keep,
            vfs=ends.disk.name,
            sync=lambda _folder: None,
            make_writer=self._make_writer,
        )
        try:
            road = ends.road(self.number, self.clock.adopt)
            port_of = partial(DoorPort, ends.doors)
            self.daemon = Daemon(
                config,
                Surroundings(self.clock, self._rng),
                journal,
                DaemonEnds(
                    road,
                    _postman,
                    [port_of(lane) for lane in config.lanes],
                    frozenset({CREDENTIAL}),
                    road.ask if enquires else None,
                    updates=road.updates if config.feed.enabled else None,
                    port_of=port_of,
                ),
            )
            await self.daemon.run()
        finally:
            await journal.close()

    def abandon(self) -> None:
        """The process is dead; its disk was cut."""
        if self.writer is not None:
            self.writer.abandon()
        for door in self._ends.doors:
            door.hang_up()

    def _make_writer(self, connect: Callable[[], apsw.Connection]) -> LoopWriter:
        self.writer = LoopWriter(connect, self._pause, self._committed)
        return self.writer

    def _pause(self) -> float:
        return self._rng.uniform(0.0, self._pause_max) if self._pause_max else 0.0

    def _committed(self) -> None:
        self._ends.emit(Committed(self.number))


@cache
def _mailer(settings: SmtpConfig) -> SmtpMailer:
    """One for all worlds of a process: it keeps nothing between two mails, and reads the system's roots when made."""
    return SmtpMailer(settings)


def _postman(config: Configuration) -> Postman:
    return _mailer(mail_settings(config))
