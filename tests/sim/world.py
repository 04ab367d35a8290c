"""A whole world in virtual time: doors, TPS, the mail server, a machine, and the daemon's lives one after another.

First the faults of the plan, checked at every event (safety); then everything works, and what is pending must come to
its end within a bound (liveness).
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from functools import partial
from typing import Any

import structlog

from schemas.config import Configuration
from tests.sim import feeds, reloads
from tests.sim.checks import Checker, Violated, checkers
from tests.sim.disk import MemoryDisk, MemoryShelf
from tests.sim.doors import Door, Made, PlannedTap, token_of
from tests.sim.events import Born, Died, Event, Happened, Logged
from tests.sim.eye import Eye
from tests.sim.incidents import TABLE
from tests.sim.lives import Ends, Life
from tests.sim.machine import Machine
from tests.sim.mailbox import Mailbox, MailRoad
from tests.sim.plan import Incident, Plan
from tests.sim.reaper import Reaper
from tests.sim.road import Road, Weather
from tests.sim.settings import COMPANY_ID, configuration
from tests.sim.trace import Trace
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import TpsdError
from tpsd.replay.loop import OWNER, VirtualLoop
from tpsd.sfey.direct import DirectLine
from tpsd.sfey.fates import Asked, Fate, approve
from tpsd.sfey.ledger import Entry, Ledger, Request
from tpsd.sfey.teller import Teller
from tpsd.sfey.update_desk import UpdateDesk

LOOK_SECONDS = 30.0  # how often the liveness phase looks whether all is done
_LOGGED = ("lane", "uuid", "number", "nth", "cause", "state", "reason", "error", "message_id", "times", "taps", "found")
RESTART_SECONDS = 2.0  # systemd's, where the plan says nothing else


class WatchedLedger(Ledger):
    """TPS's books, which tell everyone of each entry at once."""

    def __init__(self, hear: Callable[[Event], None]) -> None:
        super().__init__()
        self._hear = hear

    def add(self, entry: Entry) -> None:
        super().add(entry)
        self._hear(entry)


class World:
    """One run of one plan. ``run`` once."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.calm = False
        self.context = contextvars.copy_context()
        self.rng = random.Random(f"{plan.seed} world")
        self.began = loop.time()
        self.trace = Trace(lambda: loop.time() - self.began)
        self.machine = Machine(loop)
        self.disk = MemoryDisk()
        self.disk_full_until = 0.0  # of the loop
        self.shelf = MemoryShelf(self.disk)
        self.weather = Weather()
        self.mailbox = Mailbox()
        loop.dial = MailRoad(self.mailbox, plan.seed, loop, self.context, self.emit).dial
        self.ledger = WatchedLedger(self.emit)
        self.updates = UpdateDesk()
        if plan.style.feed is not None:
            self.updates.page_records = plan.style.feed.page_records
            self.updates.add(token_of(card) for card in plan.style.feed.listed)
        self.teller = Teller(self._fates, ledger=self.ledger, wall=self.machine.true)
        self.config = configuration(plan)  # with all lanes
        self.lanes_out: set[int] = set()
        self.doors = [
            Door(number, plan.seed, door, loop, self.machine.true, self.emit)
            for number, door in enumerate(plan.doors, start=1)
        ]
        self._roots: dict[str, int] = {}  # by UUID, the tap in which a transaction has its beginning
        self._followers: dict[int, list[str]] = {}  # by the tap
        self.lives = 0
        self.life: Life | None = None
        self.restart_seconds = RESTART_SECONDS
        self.time_was_lost = False  # a life ended that never knew the time: what it stamped can only be estimated
        self.reaper = Reaper()
        self.eye = Eye(self)
        self.checkers: Sequence[Checker] = checkers(self)
        self._violation: BaseException | None = None
        self._ended = asyncio.Event()

    # --- the run ---

    async def run(self) -> None:
        """Both phases. Raises Violated, or whatever else went wrong."""
        self.loop.between = self._between
        self._begin_life()
        for tap in self.plan.taps:
            self.after(tap.at, partial(self._taps, tap))
        for incident in self.plan.incidents:
            self.after(incident.at, partial(self._happens, incident))
        await asyncio.sleep(self.plan.calm_at)
        self._calm_down()
        await self._until_done()
        await self._stop()
        for checker in self.checkers:
            checker.finish()
        self.trace.add(f"steps {self.loop.steps}; journal {self.eye.digest()}")

    def emit(self, event: Event) -> None:
        """Something happened. What a checker has against it ends the run at the next step."""
        self.trace.heard(event)
        self.reaper.heard(event)
        for checker in self.checkers if self._violation is None else ():
            try:
                checker.heard(event)
            except BaseException as exc:
                self._violation = exc

    def in_life(self, life: Life, coro: Coroutine[Any, Any, None], name: str) -> None:
        """Begin something inside a process; it dies with it."""
        context = contextvars.copy_context()
        context.run(OWNER.set, life.number)
        self.loop.create_task(coro, name=name, context=context).add_done_callback(self._check, context=self.context)

    def _check(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._violation = self._violation or task.exception()

    def made(self, request: Request | Asked) -> Made:
        """The tap that a request is of. Where several bring one amount, their validators stamped them."""
        alike = [made for door in self.doors for made in door.taps.values() if made.plan.brings == request.amount]
        if len(alike) == 1:
            return alike[0]
        return next(one for one in alike if (one.serial, one.tapped_at) == (request.serial, request.tapped_at))

    @property
    def in_force(self) -> Configuration:
        """What the configuration's file says."""
        lanes = [lane for number, lane in enumerate(self.config.lanes) if number not in self.lanes_out]
        return self.config.model_copy(update={"lanes": tuple(lanes)})

    def is_quiet(self, uuid: str, seconds: float) -> bool:
        """Whether TPS has had no request of this UUID for so long."""
        since = self.machine.true() - int(seconds * SECOND)
        return all(request.at < since for request in self.ledger.requests() if request.uuid == uuid)

    def repair_clock(self) -> None:
        """A time service has found the machine."""
        self.machine.step(0, synchronised=True)

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Does it so many seconds from now, whoever lives then."""
        self.loop.call_later(seconds, act, context=self.context)

    def logged(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        """A processor of structlog's: what the daemon says becomes an event here, and goes nowhere else."""
        if event["event"] == "ready" and self.life is not None:
            self.life.is_ready = True
            if self.life.knows != self.in_force:
                self.after(0.0, partial(reloads.tell, self))
        known = " ".join(f"{key}={event[key]}" for key in _LOGGED if event.get(key) is not None)
        self.emit(Logged(self.life.number if self.life else 0, level, f"{event.pop('event')} {known}".rstrip()))
        raise structlog.DropEvent

    def close(self) -> None:
        """Let go of what SQLite holds."""
        if self.life is not None:
            self.disk.cut()
            self.life.abandon()
            self.life = None
        self.loop.end()
        self.disk.unregister()

    # --- lives ---

    def kill(self, how: str = "killed") -> None:
        """The process dies at this very moment. Only between two steps."""
        life = self.life
        if life is None:
            return
        self.disk.cut()
        self.life = None
        self.time_was_lost |= not life.clock.trusted
        life.abandon()
        self.loop.bury(life.number)
        self.emit(Died(life.number, how))
        self.after(self.restart_seconds, self._begin_life)

    def stop_gently(self) -> None:
        """As SIGTERM; it comes again as after a crash."""
        if self.life is not None and self.life.daemon is not None:
            self.life.daemon.stop()

    def _begin_life(self) -> None:
        if self.life is not None:
            return
        self.lives += 1
        self.disk.begin()
        pause = 0.0 if self.calm else self.plan.commit_seconds
        rng = random.Random(f"{self.plan.seed} life {self.lives}")
        ends = Ends(self.disk, self.shelf, self.machine, self.doors, self._road, self.emit)
        life = self.life = Life(self.lives, self.in_force, ends, rng, pause)
        context = contextvars.copy_context()
        context.run(OWNER.set, life.number)
        self.emit(Born(life.number))
        enquires = self.plan.style.enquires
        task = self.loop.create_task(life.run(enquires), name=f"life {life.number}", context=context)
        task.add_done_callback(lambda task: self._has_ended(life, task), context=self.context)

    def _has_ended(self, life: Life, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()  # a dead one's is nobody's, but it was looked at
        if life is not self.life:
            return
        self.life = None
        self.time_was_lost |= not life.clock.trusted
        self.disk.cut()
        if error is not None and not (isinstance(error, TpsdError) and self.disk.refused):
            self._violation = self._violation or error
        for door in self.doors:
            door.hang_up()
        self.emit(Died(life.number, "stopped" if error is None else type(error).__name__))
        self._ended.set()
        self.after(self.restart_seconds, self._begin_life)

    def _road(self, life: int, on_date: Callable[[Micros], None]) -> Road:
        timeout = self.plan.style.timeout_seconds
        line = DirectLine(self.teller, COMPANY_ID, timeout_seconds=timeout, on_date=on_date)
        rng = random.Random(f"{self.plan.seed} road {life}")
        return Road(life, line, self.updates, self.weather, rng, self.loop, self.context, self.emit, timeout)

    # --- phases ---

    def _between(self) -> None:
        if self._violation is not None:
            raise self._violation
        if self.loop.surprises:
            raise Violated(f"asyncio met a surprise: {self.loop.surprises[0]}")
        if not self.calm and self.life is not None and self.reaper.wants_one():
            self.kill()

    def _taps(self, tap: PlannedTap) -> None:
        door = self.doors[tap.door]
        if door.parked:
            door.plug()
        door.tap(tap)

    def _happens(self, incident: Incident) -> None:
        if not self.calm:
            self.emit(Happened(f"{incident.number} {incident.name} {incident.value}"))
            TABLE[incident.name].act(self, *incident.value)

    def _calm_down(self) -> None:
        self.emit(Happened("calm"))
        self.calm = True
        self.weather.clear()
        feeds.mend(self.updates)
        self.mailbox.calm()
        self.disk.full = False
        self.machine.step(0, synchronised=True)
        reloads.bring_back(self, set(self.lanes_out))
        for door in self.doors:
            door.calm()
            if door.waiting or door.plan.stays:
                door.plug()

    async def _until_done(self) -> None:
        for checker in self.checkers:
            checker.calm()
        while not self.eye.is_done():
            await asyncio.sleep(LOOK_SECONDS)
            for checker in self.checkers:
                checker.waits()

    async def _stop(self) -> None:
        self._ended.clear()
        self.restart_seconds = 1e12
        self.stop_gently()
        await self._ended.wait()

    def _fates(self, asked: Asked) -> Sequence[Fate]:
        if not asked.carded and asked.initial is not None:
            root = self._roots[asked.uuid] = self._roots[asked.initial]
            before = self._followers.setdefault(root, [])
            if asked.uuid not in before:
                before.append(asked.uuid)
            story = self.plan.followers.get(root, (approve(),))
            story = story[min(before.index(asked.uuid), len(story) - 1) :]
        else:
            root = self._roots[asked.uuid] = self.made(asked).plan.amount
            story = self.plan.fates.get(root, (approve(),))
        return (approve(),) if self.calm else story
