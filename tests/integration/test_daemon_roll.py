"""Which device a lane has: remembered over lives, since boards and readers are changed while the power is off."""

from __future__ import annotations

import apsw
from structlog.testing import capture_logs

from device.vl1.simulator import NEW
from tests.integration.conftest import Opens
from tests.integration.failing_disk import failing_disk
from tests.integration.stage import Stage

OTHER = "VAL00009"


def new_board(stage: Stage, serial: str) -> None:
    """Another validator at the first lane, to be plugged in."""
    stage.gate.serial = serial
    stage.gate.replace(NEW)


async def remembered(stage: Stage, serial: str) -> None:
    """Waits until the journal knows who is at the first lane."""

    async def known() -> bool:
        return (await stage.daemon.journal.lanes.devices()).get("door-1") == serial

    await stage.until(known, f"{serial} in the journal")


async def mails(stage: Stage) -> list[str]:
    """The subjects of all mails, after everything that was due."""
    await stage.pass_time()
    return [str(mail["Subject"]) for mail in stage.post.mails]


async def test_a_device_that_was_changed_in_the_night_is_told(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with stage.daemon_running():
            await remembered(stage, "VAL00001")
            assert await mails(stage) == [], "the first device of a lane is no news"
        new_board(stage, OTHER)
        with capture_logs() as said:
            async with stage.daemon_running():
                await remembered(stage, OTHER)
                assert await mails(stage) == ["[tpsd] 1 alarm: device@door-1"]
        [line] = [entry for entry in said if entry["event"] == "device_changed"]
        assert (line["log_level"], line["lane"], line["serial"], line["before"]) == (
            "error",
            "door-1",
            OTHER,
            "VAL00001",
        )
        words = " ".join(stage.post.mails[0].get_content().split())
        assert f"lane door-1 has another device: {OTHER}; before it was VAL00001" in words
        async with stage.daemon_running():
            await stage.gate.is_up()
            assert len(await mails(stage)) == 1, "it is told once"


async def test_a_full_disk_tells_it_when_there_is_room_again(open_stage: Opens) -> None:
    with failing_disk() as disk:
        async with open_stage() as stage, stage.daemon_running() as daemon:
            await remembered(stage, "VAL00001")
            disk.trouble = apsw.FullError
            new_board(stage, OTHER)
            stage.gate.plug(stage.lines[0].master)
            await stage.until(lambda: disk.refused > 0, "a write that fails")
            disk.trouble = None
            daemon.roll.wake.set()
            await remembered(stage, OTHER)
            assert await mails(stage) == ["[tpsd] 1 alarm: device@door-1"]
