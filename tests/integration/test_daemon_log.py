"""What the daemon logs while something stays wrong: one line, then a count; never a line for every try."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, MutableMapping
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from tests.integration.conftest import Opens
from tests.integration.failing_disk import FailingDisk, failing_disk
from tpsd.domain.time import DAY, later

Events = list[MutableMapping[str, Any]]


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with failing_disk() as found:
        yield found


@pytest.fixture
def log() -> Iterator[Events]:
    with capture_logs() as events:
        yield events


def counted(log: Events) -> Counter[str]:
    return Counter(event["event"] for event in log)


async def test_a_port_that_comes_and_goes(playing: Opens, log: Events) -> None:
    async with playing() as stage:
        for _ in range(6):
            stage.gate.unplug()
            stage.lines[0].pull()
            await stage.until(lambda: stage.daemon.lanes[0].state.state == "offline", "the loss")
            stage.lines[0].plug()
            stage.gate.plug(stage.lines[0].master)
            await stage.gate.is_up()
    found = counted(log)
    assert 1 <= found["port_lost"] + found["session_lost"] <= 4, log  # once for each of its reasons
    assert found["session_up"] <= 1 + found["port_lost"] + found["session_lost"]


async def test_a_port_that_takes_and_drops_every_connection(open_stage: Opens, log: Events) -> None:
    dropped = 0

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dropped
        dropped += 1
        writer.close()

    async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
        port = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_stage(lane_changes={"port": port}) as stage, stage.daemon_running(plug=False):
            await stage.until(lambda: dropped >= 5, "some tries")
    assert counted(log)["port_lost"] == 1


async def test_smtp_that_stays_down(playing: Opens, log: Events) -> None:
    async with playing() as stage:
        await stage.smtp_down()
        tap = stage.gate.tap(80_060)
        await stage.gate.verdict(tap)
        await stage.settled(tap)
        began = stage.clock.schedule()
        await stage.pass_time(lambda: stage.clock.schedule() > later(began, DAY))
        assert counted(log)["mail_refused"] == 1
        await stage.smtp_up()
        await stage.pass_time(lambda: bool(stage.post.mails))
    found = [event for event in log if event["event"] == "mail_goes_again"]
    assert [event["times"] > 20 for event in found] == [True]
    assert counted(log)["mail_accepted"] >= 1


async def test_a_disk_that_stays_full(disk: FailingDisk, playing: Opens, log: Events) -> None:
    async with playing() as stage:
        disk.trouble = apsw.FullError
        taps = [stage.gate.tap(), stage.gate.tap()]
        await stage.until(lambda: disk.refused >= 4, "some tries")
        found = counted(log)
        assert found["journal_unavailable"] == 1
        assert found["claim_failed"] <= 1
        disk.trouble = None
        for tap in taps:
            await stage.gate.verdict(tap)
    found = counted(log)
    assert found["journal_unavailable"] == 1
    assert found["journal_back"] >= 1


async def test_one_line_an_event_and_keys_instead_of_prose(playing: Opens, log: Events) -> None:
    async with playing() as stage:
        tap = stage.gate.tap()
        await stage.gate.verdict(tap)
        await stage.settled(tap)
    for event in log:
        assert event["event"].replace("_", "").isalnum(), event
        assert event["event"].islower(), event
        assert "\n" not in str(event), event
    assert counted(log)["attempt"] == 1
