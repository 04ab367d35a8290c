"""Group commit on one connection: a transaction for several writes, a savepoint for each (design 1 and 6).

A write that raises undoes itself alone; a commit that fails fails everybody in it, and nothing of it was written.
Threads and event loops are the writers' business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import TracebackType
from typing import Any, Generic, TypeVar

from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.connection import Connection
from tpsd.store.faults import SQLITE, Faults

T = TypeVar("T")
Work = Callable[[Any], T]
"""On a ``Connection``; what one engine alone can do asks for that engine's."""

TOGETHER_MAX = 100  # pieces of work: what is in flight at most, and a statement that takes some milliseconds

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Together(Generic[T, V]):
    """Work that several can have done at once: ``alone`` does this piece, ``all_of`` what the values of several say.

    ``all_of`` gives None for each that must be done alone; where it raises, all of them are.
    """

    alone: Work[T]
    all_of: Callable[[Any, Sequence[V]], Sequence[T | None]]
    value: V

    def __call__(self, connection: Any) -> T:
        """This piece."""
        return self.alone(connection)


SUSPENDABLE = CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work and what came of it."""

    work: Work[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Pulse:
    """How the commits go. ``trouble``: why the last one failed, until one that wrote something succeeds.

    ``on_commit`` is called in the writer's thread with the seconds that a group took, begin to durable.
    """

    trouble: str | None = None
    on_commit: Callable[[float], None] | None = None


class GroupCommit:
    """Transactions on the journal's one connection, and whether what holds it still deserves trust.

    ``before`` is done first in each; what it raises undoes the transaction.
    """

    def __init__(
        self,
        connection: Connection,
        pulse: Pulse | None = None,
        faults: Faults = SQLITE,
        before: Work[None] | None = None,
    ) -> None:
        self._connection = connection
        self._before = before
        self._faults = faults
        self._pulse = pulse or Pulse()
        self.broken: BaseException | None = None  # after which nothing more is done on this connection
        self._untouched = False  # the savepoint: nothing was written behind it

    def write(self, first: Job, following: Callable[[], Job | None]) -> list[Job]:
        """Run ``first`` and whatever ``following`` gives until it gives None, then commit; never raises.

        The jobs come back with a result or an error each, durable where there is a result.
        """
        jobs = [first]
        began = time.monotonic()
        try:
            self._refuse_if_broken()
            before = self._connection.total_changes()
            self._begin()
            next_one: Job | None = first
            while next_one is not None:
                next_one = self._turn(next_one, following, jobs)
            self._connection.execute("COMMIT")
            self._succeed(self._connection.total_changes() != before, time.monotonic() - began)
        except BaseException as exc:
            self._fail(jobs, exc)
        return jobs

    def read(self, job: Job) -> None:
        """Run one job outside any transaction; never raises."""
        try:
            job.result = job.work(self._connection)
        except BaseException as exc:
            job.error = self._unavailable(exc) if isinstance(exc, self._faults.trouble) else _carried(exc)

    def close(self) -> None:
        """Checkpoint and close the connection."""
        self._connection.close()

    def _begin(self) -> None:
        """What is done before all else stands before the savepoint too: its locks last as long as the transaction."""
        if self._before is None:
            self._connection.execute(f"{self._faults.begin}; SAVEPOINT one")
        else:
            self._connection.execute(self._faults.begin)
            self._before(self._connection)
            self._connection.execute("SAVEPOINT one")
        self._untouched = True

    def _turn(self, job: Job, following: Callable[[], Job | None], jobs: list[Job]) -> Job | None:
        """Run a job, with those behind it that go with it; the job whose turn is next."""
        crowd = [job]
        after = None
        while isinstance(job.work, Together) and len(crowd) < TOGETHER_MAX:
            after = following()
            if after is None:
                break
            jobs.append(after)
            if not (isinstance(after.work, Together) and after.work.all_of == job.work.all_of):
                break
            crowd.append(after)
            after = None
        for left in self._together(crowd) if len(crowd) > 1 else crowd:
            self._in_savepoint(left)
        if after is None and (after := following()) is not None:
            jobs.append(after)
        return after

    def _together(self, crowd: list[Job]) -> list[Job]:
        """Those of a crowd that must be run alone."""

        def work() -> None:
            values = [job.work.value for job in crowd]  # type: ignore[attr-defined]
            results = crowd[0].work.all_of(self._connection, values)  # type: ignore[attr-defined]
            for job, result in zip(crowd, results, strict=True):
                job.result = result

        failed = self._guarded(work)
        if failed is not None:
            forget_locals(failed)
        return [job for job in crowd if failed is not None or job.result is None]

    def _in_savepoint(self, job: Job) -> None:
        def work() -> None:
            job.result = job.work(self._connection)

        error = self._guarded(work)
        if error is not None:
            job.error = _carried(error)

    def _guarded(self, work: Callable[[], None]) -> BaseException | None:
        """Run it in a savepoint; what it raised, where that undoes itself alone.

        The savepoint stays until the next begins or the transaction ends: its end alone would be one statement more.
        """
        connection, error = self._connection, None
        if not self._untouched:
            connection.execute("RELEASE one; SAVEPOINT one")
        self._untouched = False
        try:
            work()
        except BaseException as exc:
            if isinstance(exc, self._faults.trouble) or not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO one")
            error = exc
        return error

    def _succeed(self, wrote: bool, seconds: float) -> None:
        if not wrote:
            return  # it flushed nothing: it neither took time nor shows that the disk takes anything
        self._pulse.trouble = None
        if self._pulse.on_commit is not None:
            self._pulse.on_commit(seconds)

    def _fail(self, jobs: list[Job], cause: BaseException) -> None:
        with suppress(*self._faults.own):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        for job in jobs:
            job.error = cause if isinstance(cause, JournalError) else self._unavailable(cause)
        self._pulse.trouble = str(jobs[0].error)

    def _refuse_if_broken(self) -> None:
        if self.broken is not None:
            raise JournalError(self._faults.broken.format(words=self._faults.words(self.broken)))

    def _unavailable(self, cause: BaseException) -> JournalUnavailableError:
        if isinstance(cause, self._faults.breaking):
            self.broken = cause
        error = JournalUnavailableError(self._faults.unavailable.format(words=self._faults.words(cause)))
        error.__cause__ = cause
        return error


def forget_locals(error: BaseException) -> None:
    """Clear the frames behind an error: they would keep card data, and cursors with their snapshots, alive.

    Frames that can be suspended stay: an error raised a second time still names the coroutine that caught it first.
    """
    known: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            _clear(one.__traceback__)
            waiting += [one.__cause__, one.__context__]


def _clear(trace: TracebackType | None) -> None:
    while trace is not None:
        if not trace.tb_frame.f_code.co_flags & SUSPENDABLE:
            with suppress(RuntimeError):  # still running
                trace.tb_frame.clear()
        trace = trace.tb_next


def _carried(error: BaseException) -> BaseException:
    """The error as a future can carry it: asyncio refuses StopIteration, and its waiter would wait for ever."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("the work raised StopIteration")
    wrapped.__cause__ = error
    return wrapped
