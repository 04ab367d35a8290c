"""The one writer of a journal: who waits, whose turn it is, and where the work runs (design 6).

Everything that waits goes into the next group commit, intake first.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from tpsd.errors import JournalError
from tpsd.store.connection import Connection
from tpsd.store.faults import SQLITE, Faults
from tpsd.store.group import GroupCommit, Job, Pulse, Work, forget_locals

GROUP_SECONDS = 0.010  # a group closes after this long, so that the first in it still answers within the tap's 20 ms

T = TypeVar("T")


class Urgency(IntEnum):
    """Intake goes first: a passenger waits. Reads go last and outside the transaction."""

    INTAKE = 0
    SETTLE = 1
    READ = 2


class Writer(Protocol):
    """Runs work on the journal's one connection."""

    pulse: Pulse

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run inside a transaction; durable when it returns."""

    async def read(self, work: Work[T]) -> T:
        """Run outside any transaction, between groups."""

    async def close(self) -> None:
        """Finish what waits, then close the connection."""


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting(Job):
    """A job and who waits for it."""

    urgency: Urgency
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    ended: bool = False  # what came of it is on its way


class ThreadedWriter:
    """The writer in a thread of its own, so that a disk flush never stops the links."""

    def __init__(
        self, connect: Callable[[], Connection], faults: Faults = SQLITE, before: Work[None] | None = None
    ) -> None:
        self._connect = connect
        self._faults = faults
        self._before = before
        self._lanes: tuple[deque[Waiting], ...] = tuple(deque() for _ in Urgency)
        self._wake = threading.Condition()
        self._closing = False
        self._death: BaseException | None = None
        self._running: list[Waiting] = []
        self._thread = threading.Thread(target=self._run, name="tpsd-journal", daemon=True)
        self._opened: deque[BaseException | None] = deque()
        self._ready = threading.Event()
        self.progress = 0  # groups finished; the watchdog looks at it
        self.pulse = Pulse()

    def start(self) -> None:
        """Open the connection in the thread; raises what ``connect`` raised."""
        self._thread.start()
        self._ready.wait()
        error = self._opened.popleft()
        if error is not None:
            self._thread.join()
            raise error

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run ``work`` in its own savepoint of the next group commit."""
        return await self._submit(work, urgency)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` between groups."""
        return await self._submit(work, Urgency.READ)

    async def close(self) -> None:
        """Run what was submitted, checkpoint and close."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    async def _submit(self, work: Work[T], urgency: Urgency) -> T:
        result: T = await self._enqueued(work, urgency).future
        return result

    def _enqueued(self, work: Work[Any], urgency: Urgency) -> Waiting:
        loop = asyncio.get_running_loop()
        job = Waiting(work, urgency=urgency, future=loop.create_future(), loop=loop)
        with self._wake:
            if self._death is not None:
                raise _stopped(self._death)
            if self._closing:
                raise JournalError("the journal is closed")
            self._refuse_while_away()
            self._lanes[urgency].append(job)
            self._wake.notify()
        return job

    def _refuse_while_away(self) -> None:
        """Raise where nothing can be taken at present; the lock is held."""

    def _run(self) -> None:
        try:
            group = GroupCommit(self._connect(), self.pulse, self._faults, self._before)
        except BaseException as exc:
            self._opened.append(exc)
            self._ready.set()
            return
        self._opened.append(None)
        self._ready.set()
        try:
            while self._await_jobs():
                self._round(group)
                self.progress += 1
                group = self._after_round(group)
        except BaseException as exc:
            self._die(exc)
        finally:
            group.close()

    def _after_round(self, group: GroupCommit) -> GroupCommit:
        """What the next round works on; in the thread."""
        return group

    def _await_jobs(self) -> bool:
        with self._wake:
            while not any(self._lanes):
                if self._closing:
                    return False
                self._wake.wait()
        return True

    def _round(self, group: GroupCommit) -> None:
        """One group and one read, so that neither keeps the other waiting for more than its own turn."""
        self._end(self._group(group))
        reading = self._pop(Urgency.READ)
        if reading is not None:
            self._running = [reading]
            group.read(reading)
            self._end([reading])
        self._running = []

    def _end(self, jobs: list[Waiting]) -> None:
        with self._wake:
            for job in jobs:
                job.ended = True
        deliver(jobs)

    def _group(self, group: GroupCommit) -> list[Waiting]:
        first = self._pop(Urgency.INTAKE) or self._pop(Urgency.SETTLE)
        if first is None:
            return []
        until = time.monotonic() + GROUP_SECONDS
        jobs = self._running = [first]

        def following() -> Waiting | None:
            job = None
            if time.monotonic() < until:
                job = self._pop(Urgency.INTAKE) or self._pop(Urgency.SETTLE)
            elif all(job.urgency is Urgency.INTAKE for job in jobs):
                job = self._pop(Urgency.SETTLE)  # taps without end must not keep every settlement waiting
            if job is not None:
                jobs.append(job)
            return job

        group.write(first, following)
        return jobs

    def _pop(self, urgency: Urgency) -> Waiting | None:
        try:
            return self._lanes[urgency].popleft()
        except IndexError:
            return None

    def _die(self, cause: BaseException) -> None:
        """A surprise in the thread itself: nobody may wait for it for ever, and no later caller may start to."""
        with self._wake:
            self._death = cause
            left = [*self._running, *(job for lane in self._lanes for job in lane)]
        for job in left:
            job.error = _stopped(cause)
        deliver(left)


class InlineWriter:
    """The same contract with every call run at once, one group each: for simulated worlds, replays and commands."""

    def __init__(
        self, connect: Callable[[], Connection], group: Callable[[Connection, Pulse], GroupCommit] = GroupCommit
    ) -> None:
        self.pulse = Pulse()
        self._group = group(connect(), self.pulse)
        self._closed = False

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run ``work`` in a transaction of its own."""
        del urgency
        job = Job(work)
        self._check()
        self._group.write(job, lambda: None)
        result: T = _result(job)
        return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` now."""
        job = Job(work)
        self._check()
        self._group.read(job)
        result: T = _result(job)
        return result

    async def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._group.close()

    def _check(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")


def _result(job: Job) -> Any:
    if job.error is not None:
        forget_locals(job.error)
        raise job.error
    return job.result


def _stopped(cause: BaseException) -> JournalError:
    error = JournalError(f"the journal's writer stopped ({type(cause).__name__}): start tpsd again")
    error.__cause__ = cause
    return error


def deliver(jobs: list[Waiting]) -> None:
    """Each hears what came of its work, on its own loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
    for job in jobs:
        if job.error is not None:
            forget_locals(job.error)
        by_loop.setdefault(job.loop, []).append(job)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop is gone: nobody waits for this any more, and it is committed
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(jobs: list[Waiting]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
