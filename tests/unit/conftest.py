"""Fixtures that several unit tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.writer_disk import Disk
from tpsd.store.writer import InlineWriter, ThreadedWriter, Writer


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "some.db")


@pytest.fixture
async def writer(disk: Disk) -> AsyncIterator[ThreadedWriter]:
    writer = ThreadedWriter(disk.connect)
    writer.start()
    yield writer
    await writer.close()


@pytest.fixture(params=["threaded", "inline"])
async def either(request: pytest.FixtureRequest, disk: Disk) -> AsyncIterator[Writer]:
    writer: Writer
    if request.param == "threaded":
        writer = threaded = ThreadedWriter(disk.connect)
        threaded.start()
    else:
        writer = InlineWriter(disk.connect)
    yield writer
    await writer.close()
