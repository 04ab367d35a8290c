"""What was erased is not in the journal's file once it was closed: nothing of it but the log could have a copy (I7)."""

from __future__ import annotations

from random import Random

import pytest

from tests.power.files import SMALL
from tests.power.ledger import Ledger
from tests.power.life import JOURNAL, Life, new_disk
from tests.power.vfs import DiskVfs
from tests.power.work import Work

ACTIONS = 40


@pytest.mark.parametrize("seed", range(5))
async def test_no_wrapped_key_of_what_was_erased_is_left(vfs: DiskVfs, seed: int) -> None:
    disk, luck = new_disk(SMALL, seed), Random(seed)
    life = await Life.begin(vfs, disk, luck.randbytes)
    work = Work(life, Ledger(), luck)
    for _ in range(ACTIONS):
        await work.do(work.drawn())
    ever = {key for held in life.promised for key in sealed_keys(held["sealed"])}
    kept = sealed_keys(life.promised[-1]["sealed"])
    await work.do("close")
    assert disk.names("/power-test/journal") == [JOURNAL]
    content = bytes(disk.open(JOURNAL).now)
    assert len(ever - kept) > 5
    assert [key for key in ever - kept if key in content] == []
    assert all(key in content for key in kept), "the search would have found them"


def sealed_keys(rows: list[tuple[object, ...]]) -> set[bytes]:
    """The wrapped keys of sealed rows."""
    return {row[3] for row in rows if isinstance(row[3], bytes)}
