"""A replay's journal commits late: nobody opens it again, and flushes would be most of its time."""

from __future__ import annotations

from collections.abc import Callable

from tpsd.store.connection import Connection
from tpsd.store.group import GroupCommit, Job, Pulse

GROUPS_A_COMMIT = 1000  # about 300 taps: their pages fit into SQLite's cache


class LazyCommit(GroupCommit):
    """Savepoints as ever, but only every GROUPS_A_COMMIT-th group is committed: for a journal nobody will open again.

    Whoever looks does so through the same connection, and sees what was not committed too.
    """

    def __init__(self, connection: Connection, pulse: Pulse) -> None:
        super().__init__(connection, pulse)
        self._lazy = connection
        self._groups = 0

    def write(self, first: Job, following: Callable[[], Job | None]) -> list[Job]:
        """As the one that commits."""
        jobs = [first]
        try:
            if not self._lazy.in_transaction:
                self._begin()
            self._in_savepoint(first)
            while (job := following()) is not None:
                jobs.append(job)
                self._in_savepoint(job)
            self._groups += 1
            if self._groups % GROUPS_A_COMMIT == 0:
                self._lazy.execute("COMMIT")
        except BaseException as exc:
            self._fail(jobs, exc)
        return jobs

    def close(self) -> None:
        """Let go of the connection; what was not committed is nobody's any more."""
        if self._lazy.in_transaction:
            self._lazy.execute("ROLLBACK")
        super().close()
