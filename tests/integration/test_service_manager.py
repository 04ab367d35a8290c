"""The daemon as a service: what it tells the service manager, from opening the journal to the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import configurations
from tests.integration.processes import Running
from tests.integration.stage import configuration
from tests.service_manager import ServiceManager, service_manager
from tpsd.sfey.certificates import Files

WATCHDOG_SECONDS = 0.6


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceManager]:
    name = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", str(round(WATCHDOG_SECONDS * 1_000_000)))
    with service_manager(name) as manager:
        yield manager


async def test_it_says_when_it_is_ready_that_it_lives_and_when_it_stops(
    tmp_path: Path, certificates: Files, manager: ServiceManager
) -> None:
    given = configuration(tmp_path, certificates, "https://127.0.0.1:9", 9, [])
    running = Running(["run", "--config", str(configurations.write(tmp_path, given))], tmp_path / "log")
    try:
        assert await manager.hears("READY=1") == "READY=1\nSTATUS=0 lanes"
        assert '"event": "ready"' in running.said()
        for _ in range(3):
            await manager.hears("WATCHDOG=1")
        running.signal(signal.SIGTERM)
        await manager.hears("STOPPING=1")
        assert await running.ended() == 0
    finally:
        running.kill()
    assert set(manager.heard()) <= {"WATCHDOG=1"}


async def test_a_start_that_is_refused_is_never_ready(tmp_path: Path, manager: ServiceManager) -> None:
    given = configurations.values(tmp_path)
    running = Running(["run", "--config", str(configurations.write(tmp_path, given))], tmp_path / "log")
    try:
        assert await running.ended() == 1
    finally:
        running.kill()
    assert not any("READY" in message for message in manager.heard())
