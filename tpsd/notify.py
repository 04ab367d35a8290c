"""Telling the service manager how the process is: sd_notify(3) over its datagram socket, and nothing without one."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger("tpsd.notify")


class Notifier:
    """The socket that ``NOTIFY_SOCKET`` names, and how often ``WATCHDOG_USEC`` wants to hear.

    A manager that cannot be told is logged once: its own timers say what becomes of that.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._is_lost = False
        self.watchdog_seconds = _watchdog_seconds(environment)

    def ready(self, status: str) -> None:
        """The work has begun."""
        self._tell(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for people."""
        self._tell(f"STATUS={status}")

    def alive(self) -> None:
        """Everything that must not stand still has moved."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The orderly end has begun."""
        self._tell("STOPPING=1\nSTATUS=stopping: sends in flight end first")

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as door:
                door.sendto(message.encode(), self._address)
        except OSError as exc:
            if not self._is_lost:
                log.warning("service_manager_unreachable", error=exc.strerror)
            self._is_lost = True
        else:
            self._is_lost = False


def _address(name: str) -> bytes | None:
    """A path, or an abstract name, which is written with @ and begins with NUL; None for anything else."""
    if name.startswith("@"):
        return b"\x00" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How long the manager waits between two signs of life; None where it does not, or means another process."""
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
