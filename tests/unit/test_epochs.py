"""Epoch keys on their shelf: made once, private, opened by the right key alone, and really destroyed."""

from pathlib import Path

import pytest

from tests.small_files import no_file_beyond
from tpsd.errors import SealError
from tpsd.store.epochs import EpochKeys, KeyFolder

KEK, OTHER_KEK = bytes(32), bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "epochs"


def keys(folder: Path, kek: bytes = KEK, journal: str = "j1") -> EpochKeys:
    return EpochKeys(KeyFolder(folder), kek, journal)


def test_the_folder_and_its_files_are_private(folder: Path) -> None:
    keys(folder).make(1)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()] == [("epoch-00000001.key", 0o600)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SealError, match=r"epoch folder .*/file/epochs: .*must be able to make and write it"):
        KeyFolder(tmp_path / "file" / "epochs")


def test_a_key_opens_again_and_is_not_the_files_content(folder: Path) -> None:
    first = keys(folder)
    first.make(1)
    again = keys(folder)
    again.open(1)
    assert again.key(1) == first.key(1)
    assert first.key(1) not in (folder / "epoch-00000001.key").read_bytes()


def test_a_number_is_used_once(folder: Path) -> None:
    shelf = keys(folder)
    shelf.make(1)
    before = shelf.key(1)
    with pytest.raises(SealError, match="never used twice"):
        shelf.make(1)
    assert keys_open(folder, 1) == before


def keys_open(folder: Path, number: int) -> bytes:
    shelf = keys(folder)
    shelf.open(number)
    return shelf.key(number)


def test_a_file_of_another_number_does_not_open(folder: Path) -> None:
    keys(folder).make(1)
    (folder / "epoch-00000001.key").rename(folder / "epoch-00000002.key")
    with pytest.raises(SealError, match="epoch 2 of journal j1 does not open"):
        keys(folder).open(2)


def test_another_key_or_another_journal_opens_nothing(folder: Path) -> None:
    keys(folder).make(1)
    with pytest.raises(SealError, match="does not open"):
        keys(folder, kek=OTHER_KEK).open(1)
    with pytest.raises(SealError, match="does not open"):
        keys(folder, journal="j2").open(1)


def test_a_missing_key_is_named(folder: Path) -> None:
    with pytest.raises(SealError, match=r"epoch-00000003\.key cannot be read"):
        keys(folder).open(3)
    with pytest.raises(SealError, match="epoch 3 is not open"):
        keys(folder).key(3)


def test_a_destroyed_key_is_gone_from_memory_and_folder(folder: Path) -> None:
    shelf = keys(folder)
    shelf.make(1)
    shelf.make(2)
    shelf.current = 2
    with (folder / "epoch-00000001.key").open("rb") as old:
        shelf.destroy(1)
        assert not any(old.read())  # overwritten before it was unlinked
    assert shelf.on_shelf() == [2]
    with pytest.raises(SealError):
        shelf.key(1)
    shelf.destroy(1)


def test_the_current_key_is_not_destroyed(folder: Path) -> None:
    shelf = keys(folder)
    shelf.make(1)
    shelf.current = 1
    with pytest.raises(SealError, match="current"):
        shelf.destroy(1)
    assert shelf.key(1)
    assert shelf.on_shelf() == [1]


def test_another_journals_key_is_not_destroyed(folder: Path) -> None:
    keys(folder, journal="j2").make(1)
    with pytest.raises(SealError, match="does not open"):
        keys(folder).destroy(1)
    assert keys(folder).on_shelf() == [1]


@pytest.mark.parametrize("left", [b"", bytes(64), bytes(30) + b"half overwritten" * 2, b"garbage." * 8, b"half a key"])
def test_what_a_crash_left_of_a_key_is_destroyed(folder: Path, left: bytes) -> None:
    shelf = keys(folder)
    (folder / "epoch-00000005.key").write_bytes(left)
    shelf.destroy(5)
    assert shelf.on_shelf() == []


def test_other_files_are_not_keys(folder: Path) -> None:
    shelf = keys(folder)
    for name in ("epoch-1.key", "epoch-00000001.key.bak", "README", "epoch-0000000x.key"):
        (folder / name).write_text("")
    shelf.make(10)
    shelf.make(9)
    assert shelf.on_shelf() == [9, 10]


def test_a_folder_that_vanished_is_an_error_and_not_an_empty_one(folder: Path) -> None:
    shelf = keys(folder)
    folder.rmdir()
    with pytest.raises(SealError, match="cannot be read"):
        shelf.on_shelf()
    with pytest.raises(SealError, match=r"epoch-00000001\.key"):
        shelf.make(1)
    with pytest.raises(SealError, match="cannot be destroyed"):
        KeyFolder.destroy(_shelf_without_folder(folder), 1)


def _shelf_without_folder(folder: Path) -> KeyFolder:
    shelf = KeyFolder(folder)
    folder.rmdir()
    return shelf


@pytest.mark.parametrize("room", [0, 30])
def test_a_full_disk_leaves_no_half_key(folder: Path, room: int) -> None:
    shelf = keys(folder)
    with no_file_beyond(room), pytest.raises(SealError, match=r"epoch-00000001\.key cannot be written: File too large"):
        shelf.make(1)
    assert list(folder.iterdir()) == []
    with pytest.raises(SealError, match="not open"):
        shelf.key(1)
    shelf.make(1)
    assert keys_open(folder, 1) == shelf.key(1), "its number is free still"
