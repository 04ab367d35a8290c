"""What a look through a large journal comes to."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.store.engines import SqliteEngine
from tpsd.errors import JournalError
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.upkeep import Upkeep
from tpsd.workers.examiner import Examiner


@pytest.fixture
def engine(tmp_path: Path) -> SqliteEngine:
    return SqliteEngine(tmp_path / "engine", inline=True)


def upkeep(engine: SqliteEngine, journal: SqliteJournal, examined_bytes: int) -> Upkeep:
    return Upkeep(journal._writer, engine.path, engine.epoch_keys, examined_bytes)


async def test_a_small_one_was_looked_through_at_opening(engine: SqliteEngine) -> None:
    journal = await engine.open()
    engine.lose_key(1)
    with capture_logs() as said:
        await Examiner(journal.upkeep).run()
    assert said == []
    await journal.close()


async def test_what_is_found_in_a_large_one_is_told(engine: SqliteEngine) -> None:
    journal = await engine.open()
    engine.lose_key(1)
    with capture_logs() as said:
        await Examiner(upkeep(engine, journal, 0)).run()
    assert [(entry["event"], entry.get("rule")) for entry in said] == [
        ("journal_finding", "key_missing"),
        ("journal_examined", None),
    ]
    await journal.close()


async def test_damage_ends_the_daemon(engine: SqliteEngine) -> None:
    journal = await engine.open()
    await journal._writer.read(lambda connection: connection.wal_checkpoint() and None)
    with engine.path.open("r+b") as file:
        file.seek(10 * 4096)
        file.write(bytes(4096))
    with pytest.raises(JournalError, match="is damaged: stop, and restore a backup"):
        await Examiner(upkeep(engine, journal, 0)).run()
    with pytest.raises(JournalError, match="stays closed until tpsd starts again"):
        await journal.probe()
    await journal.close()
