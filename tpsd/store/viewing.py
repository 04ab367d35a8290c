"""A journal looked at without a daemon: read-only, nothing is migrated, recovered or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw

from tpsd.domain.views import JournalTotals, TapFilter, TapRow, TapStory
from tpsd.errors import JournalError
from tpsd.store import opening, reading


class JournalView:
    """The reading half of ``ports.Journal`` on a file that no daemon has open. Raises JournalError."""

    def __init__(self, path: Path) -> None:
        opening.refuse_what_is_no_journal(path)
        try:
            self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            # Exclusive also here: no shared-memory file is made, and a running daemon makes it fail at once.
            self._connection.pragma("locking_mode", "EXCLUSIVE")
            self._connection.pragma("schema_version")
        except apsw.CantOpenError as exc:
            raise JournalError(f"{path} does not exist or cannot be opened: {exc}") from exc
        except apsw.BusyError as exc:
            raise JournalError(f"{path} is in use by a daemon: ask it through its socket") from exc
        except apsw.Error as exc:
            raise JournalError(f"{path} cannot be read: {exc}") from exc

    async def taps(self, which: TapFilter) -> Sequence[TapRow]:
        """Taps, newest first."""
        return reading.taps(self._connection, which)

    async def story(self, reference: str) -> TapStory:
        """One tap. Raises NotFoundError."""
        return reading.story(self._connection, reference)

    async def totals(self) -> JournalTotals:
        """The journal in numbers."""
        return reading.totals(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
