"""What the power cuts and disk faults found in the store, each by itself. Every test here failed before its fix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

import pytest

from tests.power.disk import Disk
from tests.power.files import LOOKING, SMALL, Fault, Op
from tests.power.judge import judge
from tests.power.keyfiles import DiskPath
from tests.power.ledger import Ledger
from tests.power.life import JOURNAL, Life, new_disk
from tests.power.luck import Write
from tests.power.vfs import DiskVfs
from tests.power.work import Work
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.epochs import KeyFolder


@pytest.fixture
def disk() -> Disk:
    return new_disk(SMALL, 1)


@asynccontextmanager
async def life(vfs: DiskVfs, disk: Disk) -> AsyncIterator[Life]:
    """A process that has opened the journal, and is killed in the end."""
    life = await Life.begin(vfs, disk, Random(1).randbytes)
    try:
        yield life
    finally:
        life.abandon()


@contextmanager
def moments(disk: Disk) -> Iterator[list[Disk]]:
    """The disk before each operation that changes it, as a process killed then would leave it."""
    seen: list[Disk] = []
    disk.watch = lambda op, _path: None if op in LOOKING else seen.append(disk.after_kill())
    yield seen
    disk.watch = None


def begins(one: Write | int) -> bool:
    """Whether it is a write to the beginning of its file."""
    return isinstance(one, Write) and one.start == 0


async def worked(vfs: DiskVfs, disk: Disk, *actions: str) -> Ledger:
    """The actions of one process life, and what it told the world."""
    async with life(vfs, disk) as one:
        work = Work(one, Ledger(), Random(1))
        for action in actions:
            await work.do(action)
    return work.ledger


async def problems(vfs: DiskVfs, disk: Disk, ledger: Ledger) -> list[str]:
    """What is wrong with what the disk holds."""
    async with life(vfs, disk) as one:
        return list(judge(one, disk, ledger, []))


async def test_the_key_folders_own_name_is_durable(vfs: DiskVfs, disk: Disk) -> None:
    """Keys were synced in a folder that a cut could take away, with the bodies under them committed elsewhere."""
    ledger = await worked(vfs, disk, "take")
    assert await problems(vfs, disk.after_power_cut(), ledger) == []


async def test_a_key_folder_made_by_a_killed_process_is_made_durable_by_the_next(vfs: DiskVfs, disk: Disk) -> None:
    with moments(disk) as seen:
        KeyFolder(DiskPath(disk, "/power-test/keys/epochs"))  # type: ignore[arg-type]
    ledger = await worked(vfs, seen[-1], "take")
    assert await problems(vfs, seen[-1].after_power_cut(), ledger) == []


async def test_a_lost_sector_takes_no_commit_that_ended_in_it(vfs: DiskVfs, disk: Disk) -> None:
    """The next commit began in the sector in which the last one ended; torn, it took both."""
    async with life(vfs, disk) as one:
        work = Work(one, Ledger(), Random(1))
        await work.do("take")
        ledger = work.ledger.snapshot()
        with moments(disk) as seen:
            await work.do("take odd")
    ledger.parts = work.ledger.parts  # what was being committed may be there
    for seed, moment in enumerate(seen * 3):
        assert await problems(vfs, moment.after_power_cut(Random(seed)), ledger) == [], seed


async def test_what_a_killed_process_committed_is_durable_before_a_key_goes_for_it(vfs: DiskVfs, disk: Disk) -> None:
    """A commit that was written and not yet flushed was believed at the next start, and the epoch's key destroyed."""
    ledger = await worked(vfs, disk, "take", "two days")
    async with life(vfs, disk) as one:
        with moments(disk) as seen:
            await Work(one, ledger, Random(1)).do("two days")
        assert one.shelf.numbers() == [2, 3]
    for moment in seen:
        async with life(vfs, moment):
            pass
        assert await problems(vfs, moment.after_power_cut(), ledger) == []


@pytest.mark.parametrize("seed", range(8))
async def test_a_failed_flush_leaves_no_hole_for_what_is_committed_after_the_restart(vfs: DiskVfs, seed: int) -> None:
    """The kernel shows what it did not write; the next process appended to it, and a cut took all from there on."""
    disk = new_disk(SMALL, seed)
    async with life(vfs, disk) as one:
        work = Work(one, Ledger(), Random(1))
        await work.do("take")
        disk.watch = lambda op, _path: Fault.EIO if op is Op.SYNC else None
        with pytest.raises(JournalUnavailableError):
            await work.do("take")
    async with life(vfs, disk) as one:
        await Work(one, work.ledger, Random(2)).do("repeat")
    assert await problems(vfs, disk.after_power_cut(), work.ledger) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_journal_can_be_made_after_any_cut_while_it_was_made(vfs: DiskVfs, disk: Disk, seed: int) -> None:
    """A torn first page was called damaged, with the log beside it that undoes it."""
    with moments(disk) as seen:
        await worked(vfs, disk)
    for at, moment in enumerate(seen):
        if moment.exists(f"{JOURNAL}-journal"):
            after = moment.after_power_cut(Random(f"{seed}/{at}"))
            assert await problems(vfs, after, await worked(vfs, after, "take")) == []


async def test_a_first_page_torn_in_a_checkpoint_is_mended_from_the_log(vfs: DiskVfs, disk: Disk) -> None:
    """It was called damaged, before SQLite had a look."""
    ledger = await worked(vfs, disk, *["take"] * 5)
    with moments(disk) as seen:
        await worked(vfs, disk)
    tearing = [moment for moment in seen if any(begins(one) for one in moment.open(JOURNAL).dirty)]
    assert tearing, "a start brings the log into the file"
    for seed in range(30):
        after = tearing[0].after_power_cut(Random(seed))
        assert await problems(vfs, after, ledger) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_torn_key_does_not_keep_the_journal_closed(vfs: DiskVfs, disk: Disk, seed: int) -> None:
    """Garbage of a key's length, while it was made or destroyed, was taken for another journal's."""
    ledger = await worked(vfs, disk, "take", "two days")
    async with life(vfs, disk) as one:
        with moments(disk) as seen:
            await Work(one, ledger.snapshot(), Random(1)).do("two days")
    for at, moment in enumerate(seen):
        after = moment.after_power_cut(Random(f"{seed}/{at}"))
        assert await problems(vfs, after, ledger) == []


def test_a_short_write_leaves_no_part_of_a_destroyed_key() -> None:
    disk = Disk()
    folder = KeyFolder(DiskPath(disk, "/keys"))  # type: ignore[arg-type]
    folder.put(1, b"the wrapped key")
    short = iter([Fault.SHORT])
    disk.watch = lambda op, _path: next(short, None) if op is Op.WRITE else None
    folder.destroy(1)
    assert [content for _, content in disk.raw() if any(content)] == []


@pytest.mark.parametrize("op", [Op.WRITE, Op.SYNC])
async def test_a_disk_that_fails_in_a_checkpoint_closes_the_journal(vfs: DiskVfs, disk: Disk, op: Op) -> None:
    async with life(vfs, disk) as one:
        work = Work(one, Ledger(), Random(1))
        disk.watch = lambda one, path: Fault.EIO if one is op and path == JOURNAL else None
        with pytest.raises(JournalUnavailableError, match="IOError"):
            await work.do("take")
        with pytest.raises(JournalError, match="the disk failed"):
            await work.do("take")
    assert await problems(vfs, disk.after_power_cut(), work.ledger) == []


async def test_a_checkpoint_that_finds_no_room_can_wait(vfs: DiskVfs, disk: Disk) -> None:
    async with life(vfs, disk) as one:
        work = Work(one, Ledger(), Random(1))
        disk.watch = lambda one, path: Fault.ENOSPC if one is Op.WRITE and path == JOURNAL else None
        for _ in range(10):
            await work.do("take")
    assert len(work.ledger.told) == 20
    assert await problems(vfs, disk.after_power_cut(), work.ledger) == []
