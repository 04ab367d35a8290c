"""The journal's writer as callbacks of the virtual loop: queues and groups as in the thread, the time handed in.

Between a call and its commit, and between a commit and its caller's next step, the process may die.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw

from tpsd.errors import JournalError
from tpsd.store.group import GroupCommit, Job, Pulse, Work, forget_locals
from tpsd.store.writer import Urgency

GROUP_MAX = 8  # jobs: the thread's 10 ms are about as many

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Waiting(Job):
    future: asyncio.Future[Any]


class LoopWriter:
    """``store.writer.Writer``. ``pause`` gives the seconds before a group and before its results are told."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        pause: Callable[[], float],
        on_commit: Callable[[], None],
    ) -> None:
        self.connection = connect()
        self.pulse = Pulse()
        self._group = GroupCommit(self.connection, self.pulse)
        self._pause = pause
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._lanes: tuple[deque[_Waiting], ...] = tuple(deque() for _ in Urgency)
        self._busy = False
        self._closed = False

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        """Run ``work`` in its own savepoint of the next group commit."""
        return await self._submit(work, urgency)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` between groups."""
        return await self._submit(work, Urgency.READ)

    async def close(self) -> None:
        """Run what was submitted, checkpoint and close."""
        self._closed = True
        while any(self._lanes):
            self._round()
        self._group.close()

    def abandon(self) -> None:
        """The process is dead: let go of the connection, whose disk was cut."""
        self._closed = True
        with suppress(apsw.Error):
            self.connection.close()

    async def _submit(self, work: Work[T], urgency: Urgency) -> T:
        if self._closed:
            raise JournalError("the journal is closed")
        job = _Waiting(work, future=self._loop.create_future())
        self._lanes[urgency].append(job)
        if not self._busy:
            self._busy = True
            self._after_a_pause(self._turn)
        result: T = await job.future
        return result

    def _turn(self) -> None:
        self._busy = False
        if self._closed:
            return
        done = self._round()
        self._after_a_pause(_deliver, done)
        if any(self._lanes):
            self._busy = True
            self._after_a_pause(self._turn)

    def _after_a_pause(self, act: Callable[..., None], *given: Any) -> None:
        self._loop.call_later(self._pause(), act, *given)

    def _round(self) -> list[_Waiting]:
        done = []
        first = self._next()
        if first is not None:
            done.append(first)

            def following() -> _Waiting | None:
                job = self._next() if len(done) < GROUP_MAX else None
                if job is not None:
                    done.append(job)
                return job

            self._group.write(first, following)
            self._on_commit()
        if self._lanes[Urgency.READ]:
            reading = self._lanes[Urgency.READ].popleft()
            self._group.read(reading)
            done.append(reading)
        return done

    def _next(self) -> _Waiting | None:
        for urgency in (Urgency.INTAKE, Urgency.SETTLE):
            if self._lanes[urgency]:
                return self._lanes[urgency].popleft()
        return None


def _deliver(jobs: list[_Waiting]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            forget_locals(job.error)
            job.future.set_exception(job.error)
