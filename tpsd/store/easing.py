"""Long work on the journal in slices, so that a passenger's tap waits for one slice and never for a long checkpoint.

A commit that finds a thousand pages in the log brings them all into the database, and the tap in it waits for 50 ms of
scattered writes. Work that writes much does it before, in smaller parts and apart from any commit.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import apsw

from tpsd.store.connection import Connection
from tpsd.store.group import Work
from tpsd.store.writer import Writer

SLICES_A_CHECKPOINT = 4  # of 2.5 to 5 ms each: some two hundred pages, 5 to 10 ms

T = TypeVar("T")


class Easing:
    """One piece of long work on ``writer``."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._slices = 0

    async def write(self, work: Work[T]) -> T:
        """One slice, in a commit of its own or with what else waits."""
        result = await self._writer.write(work)
        self._slices += 1
        if self._slices % SLICES_A_CHECKPOINT == 0:
            await self._writer.read(_checkpoint)
        return result


def _checkpoint(connection: Connection) -> None:
    if isinstance(connection, apsw.Connection):  # PostgreSQL has a process for it
        with suppress(apsw.FullError):  # it can wait for room, as a commit's own does
            connection.wal_checkpoint()
