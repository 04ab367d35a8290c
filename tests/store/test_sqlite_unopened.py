"""A body that does not open, met at the moment the disk fills up: no row stays claimed that nobody sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.small_disk import SmallDisk, small_disk
from tests.store.builders import APPROVED, NOW, settle, take_many
from tests.store.engines import SqliteEngine
from tests.store.test_sqlite_opening import direct
from tpsd.errors import JournalUnavailableError
from tpsd.store.sqlite import SqliteJournal


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as disk:
        yield disk


async def damaged(folder: Path, taps: int) -> SqliteJournal:
    """A journal with due taps, the first of which has a body that does not open."""
    engine = SqliteEngine(folder / "engine", inline=True)
    journal = await engine.open()
    await take_many(journal, range(1, taps + 1))
    await journal.close()
    owner = "(SELECT min(owner) FROM sealed)"
    direct(engine, f"UPDATE sealed SET data = zeroblob(length(data)) WHERE purpose = 'body' AND owner = {owner}")
    return await engine.open()


async def test_the_others_are_sent_and_it_fails_when_there_is_room(tmp_path: Path, disk: SmallDisk) -> None:
    journal = await damaged(tmp_path, 3)
    journal.pulse.on_commit = lambda _seconds: disk.fill()
    claims = await journal.claim(NOW, 10)
    journal.pulse.on_commit = None
    disk.capacity = 2**40
    for claimed in claims:
        await settle(journal, claimed, APPROVED)
    assert await journal.claim(NOW, 10) == []
    assert (await journal.totals()).states == {"approved": 2, "permanently_failed": 1}
    await journal.close()


async def test_it_alone(tmp_path: Path, disk: SmallDisk) -> None:
    journal = await damaged(tmp_path, 1)
    journal.pulse.on_commit = lambda _seconds: disk.fill()
    with pytest.raises(JournalUnavailableError):
        await journal.claim(NOW, 10)
    journal.pulse.on_commit = None
    disk.capacity = 2**40
    assert await journal.claim(NOW, 10) == []
    assert (await journal.totals()).states == {"permanently_failed": 1}
    await journal.close()
