"""A writer whose connection may go and come back: whoever waits meanwhile hears of it at once (design 4).

After a loss nobody knows whether the last commit stands. Its callers are told that it does not, and must be able to
do the same work again; what a new connection needs before any of it is ``on_connected``'s.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.connection import Connection
from tpsd.store.faults import Faults
from tpsd.store.group import GroupCommit, Work
from tpsd.store.writer import T, ThreadedWriter, Urgency, Waiting, deliver

AGAIN_FIRST_SECONDS = 0.25  # a connection that was cut, not its server, is back at once
AGAIN_LONGEST_SECONDS = 5.0  # a server that starts takes some seconds; more often would be a load on it


class SlowError(JournalUnavailableError):
    """The journal did not answer in time. ``tried``: the work may yet be committed; else it never will be."""

    def __init__(self, tried: bool) -> None:
        super().__init__("the journal does not answer in time: look at the server")
        self.tried = tried


@dataclass(frozen=True, slots=True)
class Away:
    """There is no connection. ``since`` on the monotonic clock, seconds; ``why`` in our own words."""

    since: float
    why: str


class ReconnectingWriter(ThreadedWriter):
    """``on_connected`` is work on a new connection before anybody else's; ``on_change`` is called in the thread."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        faults: Faults,
        before: Work[None] | None = None,
        *,
        on_connected: Callable[[Connection], object] = lambda connection: None,
    ) -> None:
        super().__init__(connect, faults, before)
        self.on_connected = on_connected
        self._stop_waiting = threading.Event()
        self.away: Away | None = None
        self.losses = 0  # connections lost so far
        self.unsure = True  # work of this life or a former one may be committed unheard; who finds out clears it
        self.on_change: Callable[[], object] = lambda: None

    async def write_within(self, work: Work[T], seconds: float, urgency: Urgency) -> T:
        """As ``write``. Raises SlowError when it takes longer; work that had not begun is taken back then."""
        job = self._enqueued(work, urgency)
        await asyncio.wait((job.future,), timeout=seconds)
        if not job.future.done():
            self._give_up(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """As every writer; one that looks for its server looks no longer."""
        self._stop_waiting.set()
        await super().close()

    def _give_up(self, job: Waiting) -> None:
        """Raise SlowError; or return where the commit has just ended, and its result is on its way."""
        with self._wake:
            lane = self._lanes[job.urgency]
            if job in lane:
                lane.remove(job)
                raise SlowError(tried=False)
            if not job.ended:
                self.unsure = True
                job.future.add_done_callback(_heard)
                raise SlowError(tried=True)

    def _refuse_while_away(self) -> None:
        if self.away is not None:
            raise _unavailable(self.away)

    def _after_round(self, group: GroupCommit) -> GroupCommit:
        if group.broken is None:
            return group
        self._turn_away(self._faults.words(group.broken), lost=True)
        group.close()
        pause = AGAIN_FIRST_SECONDS
        while not self._stop_waiting.wait(pause):
            pause = min(2 * pause, AGAIN_LONGEST_SECONDS)
            connection = self._connected()
            if connection is not None:
                with self._wake:
                    self.away = None
                self.on_change()
                return GroupCommit(connection, self.pulse, self._faults, self._before)
        return group

    def _connected(self) -> Connection | None:
        try:
            connection = self._connect()
        except JournalError as exc:
            self._turn_away(str(exc))
            return None
        try:
            with connection:
                self.on_connected(connection)
        except self._faults.own as exc:
            connection.close()
            self._turn_away(self._faults.words(exc))
            return None
        except JournalError:
            connection.close()
            raise
        return connection

    def _turn_away(self, why: str, *, lost: bool = False) -> None:
        """Nobody is taken until there is a connection, and nobody who waits is kept waiting."""
        with self._wake:
            since = time.monotonic() if self.away is None else self.away.since
            self.away = Away(since, why)
            self.pulse.trouble = str(_unavailable(self.away))
            if lost:
                self.losses += 1
                self.unsure = True
            left = [job for lane in self._lanes for job in lane]
            for lane in self._lanes:
                lane.clear()
            for job in left:
                job.error = _unavailable(self.away)
                job.ended = True
        deliver(left)
        self.on_change()


def _heard(future: asyncio.Future[T]) -> None:
    """Nobody waits for it any more, and an error that comes of it is told by those that wait for their own work."""
    if not future.cancelled():
        future.exception()


def _unavailable(away: Away) -> JournalUnavailableError:
    return JournalUnavailableError(f"there is no connection to PostgreSQL ({away.why}): look at the server")
