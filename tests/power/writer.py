"""The journal's writer as one thread's turns: queues and groups as in ``ThreadedWriter``, the same for the same seed.

What is submitted before the loop comes to a turn shares one commit, intake first, as what waits behind a flush does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw

from tpsd.errors import JournalError
from tpsd.store.group import GroupCommit, Job, Pulse, Work, forget_locals
from tpsd.store.writer import Urgency

GROUP_MAX = 4  # jobs: the thread's 10 ms, as a number that is the same on every machine

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Waiting(Job):
    urgency: Urgency
    future: asyncio.Future[Any]


class GroupWriter:
    """``store.writer.Writer``. ``shared``: writes that had a commit in common; ``undone``: how many of them failed."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self.connection = connect()
        self.pulse = Pulse()
        self.shared = 0
        self.undone = 0
        self._group = GroupCommit(self.connection, self.pulse)
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

    async def _submit(self, work: Work[T], urgency: Urgency) -> T:
        if self._closed:
            raise JournalError("the journal is closed")
        loop = asyncio.get_running_loop()
        job = _Waiting(work, urgency=urgency, future=loop.create_future())
        self._lanes[urgency].append(job)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._turn)
        result: T = await job.future
        return result

    def _turn(self) -> None:
        self._round()
        self._busy = any(self._lanes)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._turn)

    def _round(self) -> None:
        """One group and one read."""
        first = self._pop(Urgency.INTAKE) or self._pop(Urgency.SETTLE)
        if first is not None:
            _deliver(self._written(first))
        reading = self._pop(Urgency.READ)
        if reading is not None:
            self._group.read(reading)
            _deliver([reading])

    def _written(self, first: _Waiting) -> list[_Waiting]:
        jobs = [first]

        def following() -> _Waiting | None:
            job = None
            if len(jobs) < GROUP_MAX:
                job = self._pop(Urgency.INTAKE) or self._pop(Urgency.SETTLE)
            elif all(job.urgency is Urgency.INTAKE for job in jobs):
                job = self._pop(Urgency.SETTLE)
            if job is not None:
                jobs.append(job)
            return job

        self._group.write(first, following)
        if len(jobs) > 1:
            self.shared += len(jobs)
            self.undone += sum(job.error is not None for job in jobs)
        return jobs

    def _pop(self, urgency: Urgency) -> _Waiting | None:
        return self._lanes[urgency].popleft() if self._lanes[urgency] else None


def _deliver(jobs: list[_Waiting]) -> None:
    for job in jobs:
        if job.error is None:
            job.future.set_result(job.result)
        else:
            forget_locals(job.error)
            job.future.set_exception(job.error)
