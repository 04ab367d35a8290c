"""A lane's other end in a replay: no port and no protocol, only taps that arrive and verdicts that are heard."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from tpsd.core.display import Display
from tpsd.domain.tap import TapReport, Told
from tpsd.domain.time import Micros
from tpsd.ports import DeviceEvent, DeviceUp, TapArrived, Transport, VerdictTaken


@dataclass(frozen=True, slots=True)
class Pass:
    """The handle of one tap."""

    number: int


class DoorDevice:
    """``ports.Device`` without a wire."""

    def __init__(self) -> None:
        self._events: deque[DeviceEvent] = deque()
        self._wake: asyncio.Event | None = None
        self._passes = 0
        self._up: tuple[str, bool] | None = None

    @property
    def deadline(self) -> float | None:
        """Nothing here waits."""
        return None

    @property
    def garbage(self) -> int:
        """Nothing here is noise."""
        return 0

    def tap(self, report: TapReport, *, can_take_pin: bool) -> None:
        """A tap arrives; where its validator is another than the last one's, that introduces itself first."""
        who = (report.serial, can_take_pin)
        if who != self._up:
            self._up = who
            self._events.append(DeviceUp(report.serial, report.type_name or "unknown", "", can_take_pin=can_take_pin))
        self._passes += 1
        self._events.append(TapArrived(report, Pass(self._passes)))
        self._ring()

    def attach(self, wake: asyncio.Event) -> Transport:
        """The lane listens."""
        self._wake = wake
        return _Nothing(self)

    @property
    def waiting(self) -> bool:
        """Whether there is something to hear."""
        return bool(self._events)

    def _ring(self) -> None:
        if self._wake is not None:
            self._wake.set()

    # --- ports.Device ---

    def open(self, now: float) -> None:
        """A link that is new: whoever is there says so at the next tap."""
        self._up = None

    def receive(self, data: bytes, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """What has arrived."""
        events = list(self._events)
        self._events.clear()
        return events

    def tick(self, now: float, wall: Micros, *, trusted: bool = True) -> list[DeviceEvent]:
        """Never."""
        return []

    def tell(self, answer_to: object, told: Told, display: Display, now: float) -> None:
        """The verdict; its link has it at once."""
        self._events.append(VerdictTaken(answer_to))
        self._ring()

    def keep(self, answer_to: object, now: float) -> None:
        """TPS is asked, and the verdict follows."""

    def configure(self, lane_open: bool, wall: Micros | None, now: float, idle_text: str | None = None) -> None:
        """Nobody needs to know."""

    def output(self) -> bytes:
        """There is no wire."""
        return b""


class DoorPort:
    """``ports.Port`` without a port."""

    def __init__(self, name: str, device: DoorDevice) -> None:
        self.name = name
        self._device = device

    async def open(self, wake: asyncio.Event) -> Transport:
        """Always there."""
        return self._device.attach(wake)


class _Nothing:
    """``ports.Transport`` that only says whether its device has something."""

    def __init__(self, device: DoorDevice) -> None:
        self._device = device

    def take(self) -> bytes:
        return b"\x00" if self._device.waiting else b""

    def write(self, data: bytes) -> None:
        pass

    def set_rate(self, baud: int) -> None:
        pass

    async def close(self) -> None:
        pass
