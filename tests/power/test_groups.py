"""Writes that shared a commit are all there after a power cut, or none is; one that failed among them never is."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.power.answers import settled
from tests.power.disk import Disk
from tests.power.files import LARGE, LOOKING, SMALL
from tests.power.judge import judge
from tests.power.ledger import Ledger
from tests.power.life import Life, new_disk
from tests.power.passengers import hand_in, hand_in_refused, new_tap
from tests.power.vfs import DiskVfs
from tests.power.work import Work
from tests.store.builders import APPROVED

TAPS = 3


@pytest.mark.parametrize("sector", [SMALL, LARGE])
async def test_a_cut_at_any_operation_leaves_a_whole_group_or_nothing_of_it(vfs: DiskVfs, sector: int) -> None:
    disk, luck, ledger = new_disk(sector, 1), Random(1), Ledger()
    life = await Life.begin(vfs, disk, luck.randbytes)
    await Work(life, ledger, luck).do("take")
    (claimed, *_) = await life.journal.claim(ledger.now, 1)
    ledger.send(claimed)
    before, moments = len(life.promised), list[tuple[int, Disk, Ledger]]()

    def watch(op: object, _path: str) -> None:
        if op not in LOOKING:
            moments.append((len(life.promised), disk.after_kill(), ledger.snapshot()))

    disk.watch = watch
    outcome, settlement = settled(claimed, APPROVED, ledger.now)
    await asyncio.gather(
        *(hand_in(life.journal, ledger, luck, new_tap(ledger, luck)) for _ in range(TAPS)),
        hand_in_refused(life.journal, ledger, luck, new_tap(ledger, luck)),
        life.journal.settle(claimed, outcome, settlement, ledger.now),
    )
    life.abandon()
    assert (life.writer.shared, life.writer.undone) == (TAPS + 2, 1)
    group, rejected = life.promised[before:]
    assert len(group["tap"]) == len(life.promised[before - 1]["tap"]) + TAPS
    assert len(rejected["tap"]) == len(group["tap"]) + 1
    for at, (promised, moment, told) in enumerate(moments):
        allowed = life.promised[promised - 1 : promised + 1]
        after = moment.after_power_cut(Random(at))
        again = await Life.begin(vfs, after, Random(2).randbytes)
        problems = list(judge(again, after, told, allowed, thoroughly=True))
        again.abandon()
        assert problems == [], at
