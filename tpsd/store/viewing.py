"""A journal looked at without a daemon: read-only, nothing is migrated, recovered or written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from tpsd.domain.views import JournalTotals, TapFilter, TapRow, TapStory
from tpsd.errors import JournalError
from tpsd.store import migrations, opening, reading
from tpsd.store.asked import JourneyRows
from tpsd.store.figures import JournalNumbers
from tpsd.store.history import Histories
from tpsd.store.reporting import Counts
from tpsd.store.resting import RestingReader
from tpsd.store.totals import totals

T = TypeVar("T")


class Reading(ABC):
    """The reading half of ``ports.Journal`` on whatever reads."""

    def __init__(self) -> None:
        self.operations = RestingReader(self)
        self.journeys = JourneyRows(self)
        self.numbers = JournalNumbers(self)
        self.histories = Histories(self)
        self.counts = Counts(self)

    @abstractmethod
    async def read(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the connection, outside any transaction."""

    async def taps(self, which: TapFilter) -> Sequence[TapRow]:
        """Taps, newest first."""
        return await self.read(lambda connection: reading.taps(connection, which))

    async def story(self, reference: str) -> TapStory:
        """One tap. Raises NotFoundError."""
        return await self.read(lambda connection: reading.story(connection, reference))

    async def totals(self) -> JournalTotals:
        """The journal in numbers."""
        return await totals(self)


class JournalView(Reading):
    """A file that no daemon has open. Raises JournalError."""

    def __init__(self, path: Path) -> None:
        opening.refuse_what_is_no_journal(path)
        self._lock = opening.lock(path)
        try:
            self._connection = looking(path)
            super().__init__()
        except BaseException:
            self._lock.release()
            raise

    async def read(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the connection."""
        return work(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._lock.release()


def looking(path: Path) -> apsw.Connection:
    """A connection to a file whose lock is held. Raises JournalError."""
    try:
        # Not SQLITE_OPEN_READONLY: a write-ahead log that a crash left cannot be read through it without a
        # shared-memory file. Nothing is written: neither by a query, nor by the checkpoint at closing.
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("query_only", 1)
        connection.pragma("schema_version")
        older = migrations.behind(connection, migrations.known("sqlite"))
    except apsw.CantOpenError as exc:
        raise JournalError(f"{path} does not exist or cannot be opened: {exc}") from exc
    except apsw.Error as exc:
        raise JournalError(f"{path} cannot be read: {exc}") from exc
    if older is not None:
        connection.close()
        raise JournalError(f"{path} is at schema {older}, which an earlier version made: start tpsd once, then look")
    return connection
