"""A disk under SQLite, and key folders on disks, for every test here."""

from collections.abc import Iterator

import pytest

from tests.power.keyfiles import keys_on_disks
from tests.power.vfs import DiskVfs


@pytest.fixture(autouse=True)
def key_folders() -> Iterator[None]:
    with keys_on_disks():
        yield


@pytest.fixture
def vfs() -> Iterator[DiskVfs]:
    made = DiskVfs("test")
    yield made
    made.unregister()
