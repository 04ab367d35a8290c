"""sd_notify against a real datagram socket."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from tests.service_manager import service_manager
from tpsd.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@tpsd-test-{uuid4()}"


def test_every_message_arrives_as_one_datagram(name: str) -> None:
    with service_manager(name) as manager:
        notifier = Notifier({"NOTIFY_SOCKET": name})
        notifier.status("opening the journal")
        notifier.ready("2 lanes")
        notifier.alive()
        notifier.stopping()
        heard = manager.heard()
    assert heard == [
        "STATUS=opening the journal",
        "READY=1\nSTATUS=2 lanes",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping: sends in flight end first",
    ]


@pytest.mark.parametrize("socket", ["", "vsock:2:1234", "relative"])
def test_without_a_manager_nothing_is_said(socket: str) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": socket}).ready("2 lanes")
        Notifier({}).ready("2 lanes")
    assert logs == []


def test_a_manager_that_is_gone_is_logged_once_until_it_is_back(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": name})
    with capture_logs() as logs:
        notifier.alive()
        notifier.alive()
        with service_manager(name) as manager:
            notifier.alive()
            assert manager.heard() == ["WATCHDOG=1"]
        os.unlink(name)
        notifier.alive()
    assert [entry["event"] for entry in logs] == ["service_manager_unreachable"] * 2
    assert logs[0]["error"] == "No such file or directory"


def test_a_manager_that_does_not_read_holds_nobody_up(name: str) -> None:
    with service_manager(name) as manager, capture_logs() as logs:
        notifier = Notifier({"NOTIFY_SOCKET": name})
        for _ in range(2000):
            notifier.alive()
        assert 0 < len(manager.heard()) < 2000
    assert [entry["event"] for entry in logs] == ["service_manager_unreachable"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_names_us(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds
