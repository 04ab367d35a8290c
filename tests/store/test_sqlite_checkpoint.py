"""What fails while the log is brought into the database, on a real file system: SQLite itself says nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_files import no_file_beyond
from tests.store.builders import take
from tests.store.engines import SqliteEngine
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.sqlite import SqliteJournal

LOG_BYTES = 2 * 1000 * 4200  # twice what a log is before it is brought into the database


async def grow(journal: SqliteJournal, name: str, size: int) -> None:
    """One commit of so many bytes."""
    await journal._writer.write(
        lambda connection: connection.execute("INSERT INTO meta VALUES (?, zeroblob(?))", (name, size)) and None
    )


async def grow_without_end(journal: SqliteJournal) -> None:
    """Well beyond what a log may be."""
    for number in range(300):
        await grow(journal, f"more {number}", 60_000)


async def test_a_database_that_cannot_grow_closes_the_journal_before_its_log_grows_without_end(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    journal = await engine.open()
    await grow(journal, "much", 2 * LOG_BYTES)
    await journal.close()
    journal = await engine.open()
    with no_file_beyond(engine.path.stat().st_size), pytest.raises(JournalUnavailableError, match="IOError"):
        await grow_without_end(journal)
    with pytest.raises(JournalError, match="the disk failed"):
        await take(journal)
    assert engine.path.with_name("journal.db-wal").stat().st_size < LOG_BYTES
    await journal.close()
    again = await engine.open()
    assert (await take(again)).new
    assert await again.upkeep.check() == []
    await again.close()
