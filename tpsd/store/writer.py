"""The one writer of an SQLite journal: group commit with a savepoint for each write (design 1 and 6).

Everything that waits goes into the next transaction, intake first; a write that raises rolls back its own
savepoint and fails alone; a commit that fails fails everybody in it, and nothing of it was written.
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

import apsw

from tpsd.errors import JournalError, JournalUnavailableError

GROUP_SECONDS = 0.010  # a group closes after this long, so that the first in it still answers within the tap's 20 ms

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

DISK_TROUBLE = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
)


class Urgency(IntEnum):
    """Intake goes first: a passenger waits. Reads go last and outside the transaction."""

    INTAKE = 0
    SETTLE = 1
    READ = 2


class Writer(Protocol):
    """Runs work on the journal's one connection."""

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run inside a transaction; durable when it returns."""

    async def read(self, work: Work[T]) -> T:
        """Run outside any transaction, between groups."""

    async def close(self) -> None:
        """Finish what waits, then close the connection."""


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None


class ThreadedWriter:
    """The writer in a thread of its own, so that a disk flush never stops the links."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._lanes: tuple[deque[_Job], ...] = tuple(deque() for _ in Urgency)
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="tpsd-journal", daemon=True)
        self._opened: deque[BaseException | None] = deque()
        self._ready = threading.Event()
        self.progress = 0  # groups finished; the watchdog looks at it

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
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        with self._wake:
            if self._closing:
                raise JournalError("the journal is closed")
            self._lanes[urgency].append(job)
            self._wake.notify()
        result: T = await job.future
        return result

    def _run(self) -> None:
        try:
            connection = self._connect()
        except BaseException as exc:
            self._opened.append(exc)
            self._ready.set()
            return
        self._opened.append(None)
        self._ready.set()
        try:
            while self._await_jobs():
                done = self._group(connection)
                done += self._one_read(connection)
                self.progress += 1
                _deliver(done)
        finally:
            connection.close()

    def _await_jobs(self) -> bool:
        with self._wake:
            while not any(self._lanes):
                if self._closing:
                    return False
                self._wake.wait()
        return True

    def _next_write(self) -> _Job | None:
        for lane in self._lanes[: Urgency.READ]:
            with suppress(IndexError):
                return lane.popleft()
        return None

    def _group(self, connection: apsw.Connection) -> list[_Job]:
        job = self._next_write()
        jobs: list[_Job] = []
        until = time.monotonic() + GROUP_SECONDS
        try:
            while job is not None:
                jobs.append(job)
                if len(jobs) == 1:
                    connection.execute("BEGIN IMMEDIATE")
                run_in_savepoint(connection, job)
                job = self._next_write() if time.monotonic() < until else None
            if jobs:
                connection.execute("COMMIT")
        except apsw.Error as exc:
            fail_group(connection, jobs, exc)
        return jobs

    def _one_read(self, connection: apsw.Connection) -> list[_Job]:
        try:
            job = self._lanes[Urgency.READ].popleft()
        except IndexError:
            return []
        try:
            job.result = job.work(connection)
        except BaseException as exc:
            job.error = _unavailable(exc) if isinstance(exc, DISK_TROUBLE) else exc
        return [job]


class InlineWriter:
    """The same contract with every call run at once, one transaction each: for simulated worlds and commands."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connection = connect()
        self._closed = False

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run ``work`` in a transaction of its own."""
        del urgency
        self._check()
        job = _Job(work, asyncio.get_running_loop().create_future(), asyncio.get_running_loop())
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            run_in_savepoint(self._connection, job)
            self._connection.execute("COMMIT")
        except apsw.Error as exc:
            fail_group(self._connection, [job], exc)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` now."""
        self._check()
        return work(self._connection)

    async def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._connection.close()

    def _check(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")


def run_in_savepoint(connection: apsw.Connection, job: _Job) -> None:
    """Run one job so that its failure undoes itself alone. Raises apsw.Error when the whole group is lost."""
    connection.execute("SAVEPOINT one")
    try:
        job.result = job.work(connection)
    except BaseException as exc:
        if isinstance(exc, DISK_TROUBLE) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO one")
        job.error = exc
    connection.execute("RELEASE one")


def fail_group(connection: apsw.Connection, jobs: list[_Job], cause: apsw.Error) -> None:
    """Undo the transaction and give every job in it the reason."""
    with suppress(apsw.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    for job in jobs:
        job.error = _unavailable(cause)


def _unavailable(cause: BaseException) -> JournalUnavailableError:
    error = JournalUnavailableError(
        f"the journal cannot be written or read ({type(cause).__name__}: {cause}): nothing was acknowledged; "
        "check the disk's space and health"
    )
    error.__cause__ = cause
    return error


def _deliver(jobs: list[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop is gone: nobody waits for this any more, and it is committed
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
