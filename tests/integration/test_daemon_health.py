"""/healthz and /metrics of the whole daemon, over real HTTP, while its surroundings go wrong."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import apsw
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from device.vl1.codes import StatusState
from device.vl1.messages import StatusMessage
from tests.integration.conftest import Opens
from tests.integration.failing_disk import FailingDisk, failing_disk
from tests.integration.stage import Stage
from tpsd.admin.health import HealthServer
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes
from tpsd.cli import app
from tpsd.domain.time import HOUR, later
from tpsd.errors import ConfigError


class Watcher:
    """Somebody who asks the page."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def health(self) -> tuple[int, dict[str, Any]]:
        async with self._session.get(f"{self._url}/healthz") as answer:
            return answer.status, await answer.json()

    async def reasons(self) -> list[str]:
        """Why it is not well; the page says 503 exactly then."""
        status, page = await self.health()
        assert (status == 200) == page["healthy"] == (not page["reasons"])
        reasons: list[str] = page["reasons"]
        return reasons

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Samples by their name and label values, these in alphabetical order."""
        async with self._session.get(f"{self._url}/metrics") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            text = await answer.text()
        families = text_string_to_metric_families(text)
        return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}

    async def status_of(self, method: str, path: str) -> int:
        async with self._session.request(method, self._url + path) as answer:
            return answer.status


@asynccontextmanager
async def watched(stage: Stage) -> AsyncIterator[Watcher]:
    observer = stage.daemon.observer
    server = HealthServer(("127.0.0.1", 0), observer.health, observer.page)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Watcher(session, server.port)
    finally:
        await server.stop()


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with failing_disk() as found:
        yield found


async def test_a_daemon_that_is_well(playing: Opens) -> None:
    async with playing() as stage, watched(stage) as watcher:
        await stage.until(lambda: stage.daemon.lanes[0].state.state == "ready", "the lane")
        assert await watcher.health() == (
            200,
            {
                "healthy": True,
                "reasons": [],
                "checks": dict.fromkeys(
                    (
                        "lanes",
                        "journal",
                        "oldest_pending",
                        "mail",
                        "uplink",
                        "clock",
                        "deny_list",
                        "tap_log",
                        "spool",
                        "fleet",
                        "preflight",
                    ),
                    True,
                ),
                "clock_trusted": True,
                "clock_offset_seconds": 0.0,
            },
        )
        assert await watcher.status_of("POST", "/healthz") == 405
        assert await watcher.status_of("GET", "/status") == 404


async def test_what_the_metrics_count(playing: Opens) -> None:
    async with playing() as stage, watched(stage) as watcher:
        for amount in (250, 90_116, 100_000):
            tap = stage.gate.tap(amount)
            await stage.gate.verdict(tap)
        held = stage.gate.tap(80_041)
        await stage.gate.verdict(held)
        await stage.settled(held)
        stage.gate.again(held)
        await stage.gate.verdict(held)

        async def all_settled() -> bool:
            return all(row.state not in ("pending", "sending") for row in await stage.rows())

        await stage.until(all_settled, "the sends")

        async def counted() -> dict[tuple[str, ...], float]:
            found = await watcher.metrics()
            return found if ("tpsd_held", "system.41@GATE-X1:VAL00001") in found else {}

        found = await stage.until(counted, "what is held")
        assert found["tpsd_taps_total", "MTT", "door-1"] == 4
        assert found["tpsd_verdicts_total", "accepted", "door-1"] == 3
        assert found["tpsd_verdicts_total", "denied", "door-1"] == 1
        assert found["tpsd_repeats_total", "door-1"] == 1
        assert found["tpsd_outcomes_total", "action.000", "approved"] == 1
        assert found["tpsd_outcomes_total", "action.116", "declined"] == 1
        assert found["tpsd_outcomes_total", "system.41", "terminal_refused"] == 1
        assert found["tpsd_send_seconds_count",] == 3
        assert found["tpsd_commit_seconds_count",] >= 5
        assert found["tpsd_held", "system.41@GATE-X1:VAL00001"] == 1
        assert found["tpsd_lanes", "ready"] == 1
        assert found["tpsd_healthy",] == 1


async def test_a_lane_that_is_down(playing: Opens) -> None:
    async with playing(lanes=2) as stage, watched(stage) as watcher:
        stage.gates[1].unplug()
        stage.lines[1].pull()

        async def down() -> list[str]:
            return await watcher.reasons()

        (reason,) = await stage.until(down, "a reason")
        assert reason.startswith("lane door-2 is offline: ")
        stage.lines[1].plug()
        stage.gates[1].plug(stage.lines[1].master)

        async def well() -> bool:
            return not await watcher.reasons()

        await stage.until(well, "the lane back")


async def test_a_validator_that_is_tampered_with(playing: Opens) -> None:
    async with playing() as stage, watched(stage) as watcher:
        stage.gate.say(StatusMessage(StatusState.TAMPER, "cover"))

        async def reasons() -> list[str]:
            return await watcher.reasons()

        assert await stage.until(reasons, "a reason") == ["lane door-1 is ready: tamper cover"]


async def test_a_full_disk(disk: FailingDisk, playing: Opens) -> None:
    async with playing() as stage, watched(stage) as watcher:
        disk.trouble = apsw.FullError
        tap = stage.gate.tap()
        await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
        reasons = await watcher.reasons()
        assert "lane door-1 is closed: the journal cannot be written" in reasons
        assert any(reason.startswith("the journal cannot be written or read (FullError") for reason in reasons)
        disk.trouble = None
        await stage.gate.verdict(tap)

        async def well() -> bool:
            return not await watcher.reasons()

        await stage.until(well, "the journal back")


async def test_tps_cannot_be_reached(playing: Opens) -> None:
    async with playing(tps_listens=False) as stage, watched(stage) as watcher:
        await stage.gate.verdict(stage.gate.tap())

        async def down() -> list[str]:
            return await watcher.reasons()

        (reason,) = await stage.until(down, "a reason")
        assert "cannot be reached for" in reason
        assert "(connect)" in reason
        assert (await watcher.metrics())["tpsd_uplink_up", str(stage.daemon.uplink.status()["host"])] == 0


async def test_mail_that_is_stuck(playing: Opens) -> None:
    async with playing() as stage, watched(stage) as watcher:
        await stage.smtp_down()
        tap = stage.gate.tap(80_060)
        await stage.gate.verdict(tap)
        await stage.settled(tap)
        began = stage.clock.schedule()
        await stage.pass_time(lambda: stage.clock.schedule() > later(began, 3 * HOUR))

        async def stuck() -> list[str]:
            return await watcher.reasons()

        (reason,) = await stage.until(stuck, "a reason")
        assert reason.startswith("1 mail is not accepted by SMTP, the oldest for ")


async def test_an_address_that_is_taken_is_refused(open_stage: Opens) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        async with open_stage() as stage, stage.daemon_running() as daemon:
            server = HealthServer(("127.0.0.1", port), daemon.observer.health, daemon.observer.page)
            with pytest.raises(
                ConfigError, match=rf"admin\.listen 127\.0\.0\.1:{port} cannot be listened on"
            ) as caught:
                await server.start()
            assert "choose another port" in str(caught.value)
            await server.stop()
            elsewhere = HealthServer(("192.0.2.1", 0), daemon.observer.health, daemon.observer.page)
            with pytest.raises(ConfigError, match=r"admin\.listen 192\.0\.2\.1:0 cannot be listened on"):
                await elsewhere.start()


@asynccontextmanager
async def admin(stage: Stage) -> AsyncIterator[None]:
    daemon = stage.daemon
    server = AdminServer(stage.folder / "tpsd.sock", daemon.journal, daemon.status, admin_routes(daemon))
    await server.start()
    try:
        yield
    finally:
        await server.stop()


async def tpsd(stage: Stage, *arguments: str) -> tuple[int, str, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--socket", str(stage.folder / "tpsd.sock")])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def said(out: str) -> dict[str, Any]:
    """The JSON object of a command; the daemon in this process may log before it."""
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


async def test_status_and_queue_on_the_command_line(playing: Opens) -> None:
    async with playing() as stage, admin(stage):
        tap = stage.gate.tap(70_503)
        await stage.gate.verdict(tap)

        async def resends() -> bool:
            return (await stage.row(tap)).attempts == 1 and (await stage.row(tap)).state == "pending"

        await stage.until(resends, "the first send")
        code, out, _ = await tpsd(stage, "queue", "--json")
        assert code == 0
        found = said(out)
        assert (found["pending"], found["sending"], found["waiting_for_clock"]) == (1, 0, 0)
        (line,) = found["queue"]
        assert (line["tier"], line["sends"], line["every_minutes"], line["pending"]) == (1, 1, 1.0, 1)
        assert line["next_due_seconds"] == pytest.approx(60, abs=1)
        code, out, _ = await tpsd(stage, "queue")
        assert (code, "1 pending, 0 being sent" in out) == (0, True)
        code, out, _ = await tpsd(stage, "status", "--json")
        status = said(out)
        assert (code, status["health"]["healthy"], status["clock_trusted"]) == (0, True, True)
        assert status["queue"][0]["pending"] == 1
        assert status["reload"] is None
        assert status["lanes"][0]["since"] is not None
        code, out, _ = await tpsd(stage, "status")
        assert code == 0
        for part in ("healthy", "door-1", "Queue", "At rest"):
            assert part in out


async def test_the_test_mail_takes_the_real_way(playing: Opens) -> None:
    async with playing() as stage, admin(stage):
        code, out, _ = await tpsd(stage, "mail", "test", "--json")
        found = said(out)
        assert (code, found["accepted"], found["words"]) == (0, True, "")
        (mail,) = stage.post.mails
        assert mail["Subject"] == "[tpsd] a test mail"
        assert mail["Message-ID"] == found["message_id"]
        assert (mail["From"], mail["To"]) == ("tpsd@transit.example", "operations@transit.example")
        stage.post.replies.append("554 no")
        code, out, err = await tpsd(stage, "mail", "test")
        assert code == 1
        assert "refused the mail (DATA), code 554" in err
        await stage.smtp_down()
        code, out, err = await tpsd(stage, "mail", "test", "--json")
        assert (code, said(out)["accepted"]) == (1, False)
        assert "no connection" in said(out)["words"]
        assert (await stage.daemon.journal.totals()).mails_waiting == 0


async def test_without_a_daemon_the_journal_and_the_configuration_answer(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with stage.daemon_running():
            await stage.gate.verdict(stage.gate.tap())
        code, out, err = await tpsd(stage, "queue", "--json", "--config", str(stage.config_file))
        assert (code, said(out)["pending"]) == (0, 0)
        assert "no daemon runs; reading its journal" in err
        code, out, err = await tpsd(stage, "mail", "test", "--json", "--config", str(stage.config_file))
        assert (code, said(out)["accepted"]) == (0, True)
        assert "no daemon runs; sending from here" in err
        assert len(stage.post.mails) == 1
        for command in (("status",), ("queue",), ("mail", "test")):
            code, _, err = await tpsd(stage, *command)
            assert code == 1
            assert "no daemon listens on" in err
