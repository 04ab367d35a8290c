"""A disk that fills up and is emptied again, and one that forgets: from the validator's light to the exit code."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.conftest import Opens
from tests.integration.small_disk import small_disk
from tests.integration.stage import Stage
from tests.store.builders import report
from tpsd.app import open_journal
from tpsd.config import load
from tpsd.errors import JournalError
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.reader import LaneState

FILLING_TAPS = 3000  # some megabytes, beyond what SQLite keeps in memory


async def test_a_disk_that_fills_up_under_taps(open_stage: Opens) -> None:
    """Every tap gets its verdict in the end, none gets it before its commit, and none is sent twice."""
    with small_disk() as disk:
        async with open_stage(lanes=2) as stage, stage.daemon_running():
            for gate in stage.gates:
                await gate.verdict(gate.tap())
            disk.fill(left=24 * 1024)
            taps = [gate.tap(250 + number) for number in range(8) for gate in stage.gates]
            lanes = [lane.state for lane in stage.daemon.lanes]
            await stage.until(lambda: any(closed(lane) for lane in lanes), "a lane that closes")
            await stage.until(lambda: disk.refused > 2, "more tries to commit")
            told = [
                tap for gate in stage.gates for tap in taps if tap.number in gate.verdicts and tap.serial == gate.serial
            ]
            for tap in told:
                assert (await stage.row(tap)).verdict == 1, "what was told is kept"
            disk.capacity = 2**40
            for gate in stage.gates:
                for tap in taps:
                    if tap.serial == gate.serial:
                        assert (await gate.verdict(tap)).verdict == 1
            for tap in taps:
                assert (await stage.settled(tap)).state == "approved"
            for gate in stage.gates:
                assert gate.opened == [True, False, True], "it opens when there is room, and not before"
            assert len(await stage.rows()) == 18
            assert await stage.daemon.journal.upkeep.check() == []
        stage.check_books()


async def test_a_disk_that_is_full_at_start(open_stage: Opens) -> None:
    """The daemon starts, and its lane opens for as long as nothing must be kept."""
    with small_disk() as disk:
        async with open_stage() as stage:
            async with stage.daemon_running():
                pass
            disk.fill()
            async with stage.daemon_running():
                tap = stage.gate.tap()
                await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
                assert tap.number not in stage.gate.verdicts
                disk.capacity = 2**40
                assert (await stage.gate.verdict(tap)).verdict == 1
                assert (await stage.settled(tap)).state == "approved"
                assert await stage.daemon.journal.upkeep.check() == []


async def test_no_room_for_a_new_journal(open_stage: Opens) -> None:
    with small_disk() as disk:
        disk.fill()
        async with open_stage() as stage:
            with pytest.raises(JournalError, match="no space left on the device"):
                async with stage.daemon_running():
                    pytest.fail("it ran without a journal")
            disk.capacity = 2**40
            async with stage.daemon_running():
                assert (await stage.gate.verdict(stage.gate.tap())).verdict == 1


async def test_damage_ends_the_daemon_and_no_verdict_is_given(open_stage: Opens) -> None:
    """The page a tap needs is zeros: its lane closes, nothing is written over the damage, the next start refuses."""
    async with open_stage() as stage:
        await fill(stage)
        journal = stage.folder / "journal" / "journal.db"
        with pytest.raises(ExceptionGroup) as caught:
            await tap_until_the_end(stage, journal)
        assert caught.group_contains(JournalError, match=r"the disk failed \(CorruptError")
        assert stage.gate.verdicts == {}
        with pytest.raises(JournalError, match=r"is damaged .* restore a backup with 'tpsd store restore'"):
            async with stage.daemon_running():
                pytest.fail("it ran on a damaged journal")


async def tap_until_the_end(stage: Stage, journal: Path) -> None:
    async with stage.daemon_running():
        forget(journal)
        stage.gate.tap()
        await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
        await stage.until(lambda: False, "the end of the daemon")


def closed(lane: LaneState) -> bool:
    return lane.state == "closed" and lane.reason == "the journal cannot be written"


async def fill(stage: Stage) -> None:
    """Taps that came before and were turned away."""
    async with open_journal(load(stage.config_file)) as journal:
        assert isinstance(journal, SqliteJournal)
        digest = journal.digest(b"config").hex()
        kept = (
            journal.reject(report(number), "door-1", "", digest, stage.clock.schedule())
            for number in range(FILLING_TAPS)
        )
        await asyncio.gather(*kept)


def forget(path: Path) -> None:
    """All but the first pages are zeros from now on."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(bytes(size - 4096))
