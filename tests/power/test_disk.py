"""The disk model keeps its contract: what the power cuts say rests on it."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import apsw
import pytest

from tests.power.disk import Disk
from tests.power.files import LARGE, SMALL, Fault, File, Op
from tests.power.keyfiles import DiskPath
from tests.power.vfs import SECTOR_BYTES, DiskVfs
from tpsd.errors import SealError
from tpsd.store.epochs import KeyFolder

OLD, NEW = b"old " * 512, b"new!" * 512


def lucks() -> list[Random]:
    """Enough of it for everything that may happen."""
    return [Random(seed) for seed in range(300)]


@pytest.fixture(params=[SMALL, LARGE])
def disk(request: pytest.FixtureRequest) -> Disk:
    """One with a folder."""
    made = Disk(request.param)
    made.make_folder("/data")
    made.sync_folder("/")
    return made


def synced(disk: Disk, content: bytes, name: str = "/data/file") -> File:
    """A file that a power cut leaves as it is."""
    file = disk.create(name)
    disk.write(file, content, 0)
    disk.sync(file)
    disk.sync_folder("/data")
    return file


def left(disk: Disk, name: str = "/data/file") -> set[bytes]:
    """What cuts leave of a file."""
    return {bytes(disk.after_power_cut(luck).open(name).now) for luck in lucks()}


def test_what_was_synced_stays(disk: Disk) -> None:
    synced(disk, OLD)
    assert left(disk) == {OLD}


def test_what_was_not_is_kept_dropped_torn_or_garbage_a_sector_at_a_time(disk: Disk) -> None:
    disk.write(synced(disk, OLD * 4), NEW * 4, 0)
    remains = left(disk)
    assert {OLD * 4, NEW * 4} < remains
    size = disk.sector
    sectors = {content[at : at + size] for content in remains for at in range(0, len(OLD * 4), size)}
    whole = {(OLD * 4)[:size], (NEW * 4)[:size]}
    assert whole < sectors
    torn = {sector for sector in sectors - whole if sector[:4] in (b"old ", b"new!")}
    assert any(sector[-4:] == b"new!" for sector in torn)
    assert any(b"old " not in sector and b"new!" not in sector for sector in sectors), "garbage"


def test_bytes_beside_the_written_ones_can_go_with_their_sector_and_others_cannot(disk: Disk) -> None:
    disk.write(synced(disk, OLD * 8), b"x", disk.sector + 7)
    remains = left(disk)
    assert any(content[disk.sector : disk.sector + 4] != b"old " for content in remains)
    assert {content[: disk.sector] for content in remains} == {(OLD * 8)[: disk.sector]}
    assert {content[2 * disk.sector :] for content in remains} == {(OLD * 8)[2 * disk.sector :]}


def test_a_sector_written_twice_may_hold_either(disk: Disk) -> None:
    file = synced(disk, OLD)
    disk.write(file, b"one", 0)
    disk.write(file, b"two", 0)
    assert {b"old", b"one", b"two"} < {content[:3] for content in left(disk)}


def test_sizes_are_as_uncertain_as_contents(disk: Disk) -> None:
    disk.write(synced(disk, OLD), NEW, len(OLD))
    sizes = {len(content) for content in left(disk)}
    assert {len(OLD), len(OLD + NEW)} < sizes
    assert min(sizes) == len(OLD)
    shorter = synced(disk, OLD, "/data/shorter")
    disk.truncate(shorter, 5)
    assert {5, len(OLD)} <= {len(content) for content in left(disk, "/data/shorter")}
    disk.sync(shorter)
    assert left(disk, "/data/shorter") == {OLD[:5]}


def test_a_synced_file_may_have_no_name(disk: Disk) -> None:
    disk.sync(disk.create("/data/new"))
    assert {disk.after_power_cut(luck).exists("/data/new") for luck in lucks()} == {True, False}
    disk.sync_folder("/data")
    assert {disk.after_power_cut(luck).exists("/data/new") for luck in lucks()} == {True}


def test_an_unlinked_file_may_come_back_until_its_folder_is_synced(disk: Disk) -> None:
    synced(disk, OLD)
    disk.unlink("/data/file")
    assert not disk.exists("/data/file")
    assert {disk.after_power_cut(luck).exists("/data/file") for luck in lucks()} == {True, False}
    disk.sync_folder("/data")
    assert {disk.after_power_cut(luck).exists("/data/file") for luck in lucks()} == {False}


def test_a_folder_without_a_name_takes_what_is_in_it_along(disk: Disk) -> None:
    disk.make_folder("/data/keys")
    disk.sync(disk.create("/data/keys/one"))
    disk.sync_folder("/data/keys")
    found = {
        (after.is_folder("/data/keys"), after.exists("/data/keys/one")) for after in map(disk.after_power_cut, lucks())
    }
    assert found == {(True, True), (False, False)}


def test_without_luck_nothing_is_left_that_was_not_synced(disk: Disk) -> None:
    disk.write(synced(disk, OLD), NEW, 0)
    disk.create("/data/new")
    after = disk.after_power_cut()
    assert (bytes(after.open("/data/file").now), after.names("/data")) == (OLD, ["/data/file"])


def test_a_kill_takes_nothing_and_leaves_everything_at_risk(disk: Disk) -> None:
    disk.write(synced(disk, OLD), NEW, 0)
    after = disk.after_kill()
    assert bytes(after.open("/data/file").now) == NEW
    assert bytes(after.after_power_cut().open("/data/file").now) == OLD
    after.write(after.open("/data/file"), b"later", 0)
    assert bytes(disk.open("/data/file").now) == NEW, "the other disk is as it was"


def test_the_same_luck_leaves_the_same_bytes(disk: Disk) -> None:
    disk.write(synced(disk, OLD), NEW, 100)
    assert list(disk.after_power_cut(Random(7)).raw()) == list(disk.after_power_cut(Random(7)).raw())


def test_a_lying_disk_syncs_nothing(disk: Disk) -> None:
    disk.honest = False
    synced(disk, NEW)
    assert disk.after_power_cut().names("/data") == []


def test_a_sync_that_fails_loses_what_the_next_one_does_not_know_of(disk: Disk) -> None:
    file = synced(disk, OLD * 8)
    for at in range(0, len(OLD) * 8, disk.sector):
        disk.write(file, b"new", at)
    disk.watch = lambda op, _path: Fault.EIO if op is Op.SYNC else None
    with pytest.raises(OSError, match="Input/output"):
        disk.sync(file)
    disk.watch = None
    disk.sync(file)
    sectors = {bytes(file.durable[at : at + 3]) for at in range(0, len(OLD) * 8, disk.sector)}
    assert sectors == {b"old", b"new"}
    assert bytes(file.now[:3]) == b"new", "programs read what they wrote"


@pytest.mark.parametrize(("fault", "number"), [(Fault.EIO, errno.EIO), (Fault.ENOSPC, errno.ENOSPC)])
def test_a_fault_is_the_kernels_and_changes_nothing(disk: Disk, fault: Fault, number: int) -> None:
    file = synced(disk, OLD)
    disk.watch = lambda _op, _path: fault
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
        disk.write(file, NEW, 0)
    assert (caught.value.errno, bytes(file.now)) == (number, OLD)


def test_a_short_write_says_so(disk: Disk) -> None:
    file = synced(disk, b"")
    disk.watch = lambda _op, _path: Fault.SHORT
    assert disk.write(file, NEW, 0) == len(NEW) // 2
    assert bytes(file.now) == NEW[: len(NEW) // 2]


def test_a_full_disk_takes_what_fits_and_then_nothing(disk: Disk) -> None:
    file = synced(disk, OLD)
    disk.fill(left=10)
    assert disk.write(file, NEW, len(OLD)) == 10
    with pytest.raises(OSError, match="No space left"):
        disk.write(file, NEW, len(OLD) + 10)
    assert disk.write(file, NEW, 0) == len(NEW), "what makes nothing longer fits"
    disk.capacity = None
    assert disk.write(file, NEW, len(OLD) + 10) == len(NEW)


def test_a_thief_finds_what_has_no_name_any_more(disk: Disk) -> None:
    synced(disk, b"secret")
    disk.unlink("/data/file")
    disk.sync_folder("/data")
    assert ("/data/file", b"secret") in disk.raw()


# --- SQLite's and the key folder's end of it ---


def test_sqlite_is_told_of_the_disk_what_it_is_told_on_a_machine(vfs: DiskVfs, tmp_path: Path) -> None:
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE, 0]
    real = apsw.VFSFile("unix", str(tmp_path / "some.db"), list(flags))
    ours = vfs.xOpen("/some.db", list(flags))
    assert ours.xSectorSize() == real.xSectorSize() == SECTOR_BYTES
    assert ours.xDeviceCharacteristics() == real.xDeviceCharacteristics()
    real.xClose()


def test_a_file_of_no_bytes_is_none_to_sqlite(vfs: DiskVfs) -> None:
    vfs.disk.create("/empty")
    assert not vfs.xAccess("/empty", apsw.SQLITE_ACCESS_EXISTS)
    vfs.disk.write(vfs.disk.open("/empty"), b"x", 0)
    assert vfs.xAccess("/empty", apsw.SQLITE_ACCESS_EXISTS)


@pytest.mark.parametrize(
    ("op", "fault", "error"),
    [(Op.WRITE, Fault.ENOSPC, apsw.FullError), (Op.WRITE, Fault.EIO, apsw.IOError), (Op.SYNC, Fault.EIO, apsw.IOError)],
)
def test_sqlite_hears_of_faults(vfs: DiskVfs, op: Op, fault: Fault, error: type[apsw.Error]) -> None:
    connection = apsw.Connection("/some.db", vfs=vfs.name)
    vfs.disk.watch = lambda one, _path: fault if one is op else None
    with pytest.raises(error):
        connection.execute("CREATE TABLE some (thing)")
    vfs.disk.watch = None
    connection.close()


def test_a_key_folder_does_on_a_disk_what_it_does_on_a_machine() -> None:
    disk = Disk()
    seen: list[tuple[Op, str]] = []
    folder = KeyFolder(DiskPath(disk, "/keys"))  # type: ignore[arg-type]
    disk.watch = lambda op, path: seen.append((op, path)) if op is not Op.LOOK else None
    folder.put(3, b"wrapped")
    file = "/keys/epoch-00000003.key"
    assert seen == [(Op.CREATE, file), (Op.WRITE, file), (Op.SYNC, file), (Op.SYNC_FOLDER, "/keys")]
    with pytest.raises(SealError, match="never used twice"):
        folder.put(3, b"other")
    assert (folder.get(3), folder.numbers()) == (b"wrapped", [3])
    seen.clear()
    folder.destroy(3)
    assert seen == [(Op.WRITE, file), (Op.SYNC, file), (Op.UNLINK, file), (Op.SYNC_FOLDER, "/keys")]
    assert folder.numbers() == []
