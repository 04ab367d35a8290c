"""The daemon as a process of its own: its page for watchers, SIGHUP, and addresses that are taken."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import tomllib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests import configurations
from tests.integration.conftest import Opens
from tests.integration.processes import Running, completed
from tests.integration.stage import Stage

LISTEN = {"admin": {"listen": "127.0.0.1:0"}}


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Running]:
    daemon = Running(["run", "--config", str(stage.config_file), "--json"], stage.folder / "log")
    try:
        await daemon.has_said('"ready"')
        yield daemon
        assert daemon.process.poll() is None, daemon.said()
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
    finally:
        daemon.kill()


def events(daemon: Running, name: str) -> list[dict[str, Any]]:
    lines = (line for line in daemon.said().splitlines() if line.startswith("{"))
    return [event for event in map(json.loads, lines) if event["event"] == name]


def fetched(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()


def rewrite(stage: Stage, changes: dict[str, Any]) -> None:
    given = tomllib.loads(stage.config_file.read_text())
    configurations.write(stage.folder, configurations.changed(given, changes))


async def test_a_daemon_on_a_port_that_is_not_there(open_stage: Opens) -> None:
    async with open_stage(changes=LISTEN, lane_changes={"port": "/dev/not-there"}) as stage, running(stage) as daemon:
        await daemon.has_said('"port_lost"')
        [listens] = events(daemon, "health_listens")
        url = f"http://127.0.0.1:{listens['port']}"
        status, body = await asyncio.to_thread(fetched, f"{url}/healthz")
        assert status == 503
        # A machine whose clock nobody keeps also waits for TPS's time at first.
        [reason] = [reason for reason in json.loads(body)["reasons"] if "clock" not in reason]
        assert reason.startswith("lane door-1 is offline: /dev/not-there cannot be opened")
        status, body = await asyncio.to_thread(fetched, f"{url}/metrics")
        assert status == 200
        for line in (b'tpsd_lanes{state="offline"} 1.0', b"process_resident_memory_bytes", b"tpsd_healthy 0.0"):
            assert line in body
        shown = await asyncio.to_thread(completed, "status", "--config", str(stage.config_file))
        assert shown.returncode == 0
        assert "not healthy" in shown.stdout


async def test_sighup(open_stage: Opens) -> None:
    async with open_stage(changes=LISTEN) as stage, running(stage) as daemon:
        rewrite(stage, {"operator": {"company_id": 1002}})
        daemon.signal(signal.SIGHUP)
        await daemon.has_said('"reload_refused"')
        [refused] = events(daemon, "reload_refused")
        assert "operator.company_id is 1001 and would be 1002" in refused["why"]
        rewrite(stage, {"operator": {"company_id": 1001, "stock_location_id": 43}})
        daemon.signal(signal.SIGHUP)
        await daemon.has_said('"reloaded"')
        [reloaded] = events(daemon, "reloaded")
        assert reloaded["changed"] == ["operator.stock_location_id"]
        status = await asyncio.to_thread(completed, "status", "--json", "--config", str(stage.config_file))
        assert json.loads(status.stdout)["reload"]["accepted"] is True


async def test_an_address_that_is_taken(open_stage: Opens) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with open_stage(changes={"admin": {"listen": address}}) as stage:
            done = await asyncio.to_thread(completed, "run", "--config", str(stage.config_file))
            assert done.returncode == 1
            assert f"tpsd: admin.listen {address} cannot be listened on (Address already in use)" in done.stderr
            assert "choose another port" in done.stderr
            assert "Traceback" not in done.stderr
            assert not (stage.folder / "tpsd.sock").exists()
