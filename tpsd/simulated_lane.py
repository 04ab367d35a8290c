"""A simulated device on a real descriptor: the event loop moves its bytes, the rest is its protocol as it is spoken.

For ``tpsd simulate``, the demonstration and tests. The clock is the running loop's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent

READ_BYTES = 4096  # bytes: a pty hands over at most so many at once
RETRY_SECONDS = 0.1  # a pty's master reads EIO until the other end is opened again

T = TypeVar("T")
E = TypeVar("E")


class SimulatedEnd(Protocol[E]):
    """A device, sans-IO: bytes and times in, events, bytes and a deadline out."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""

    def open(self, now: float) -> None:
        """Begin to speak."""

    def receive(self, data: bytes, now: float) -> list[E]:
        """Bytes came in."""

    def tick(self, now: float) -> list[E]:
        """A deadline passed."""

    def output(self) -> bytes:
        """Bytes to write now."""


class SimulatedLine(Generic[E]):
    """One device on one non-blocking descriptor, which stays the caller's to close.

    ``patient``: a hang-up is waited out, as a pty's master must; otherwise it ends ``gone`` with the OSError.
    """

    def __init__(
        self,
        end: SimulatedEnd[E],
        descriptor: int,
        on_event: Callable[[E], None],
        *,
        patient: bool = False,
    ) -> None:
        self._end = end
        self._descriptor = descriptor
        self._on_event = on_event
        self._patient = patient
        self._loop = asyncio.get_running_loop()
        self._unwritten = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self.gone: asyncio.Future[OSError] = self._loop.create_future()

    def start(self) -> None:
        """Begin to speak."""
        self._loop.add_reader(self._descriptor, self._readable)
        self._end.open(self._loop.time())
        self._carry_on([])

    def stop(self) -> None:
        """Fall silent, as if unplugged; may be started again."""
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._unwritten.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def act(self, do: Callable[[float], T]) -> T:
        """Call ``do(now)``, which makes a tap on the device or has it say something, and send what follows."""
        result = do(self._loop.time())
        self._carry_on([])
        return result

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._hung_up(exc)
            return
        if not data:
            self._hung_up(OSError("the port was closed"))
            return
        self._carry_on(self._end.receive(data, self._loop.time()))

    def _hung_up(self, exc: OSError) -> None:
        if self._patient:
            self._loop.remove_reader(self._descriptor)
            self._loop.call_later(RETRY_SECONDS, self._listen_again)
            return
        self.stop()
        if not self.gone.done():
            self.gone.set_result(exc)

    def _listen_again(self) -> None:
        if self._timer is not None:
            self._loop.add_reader(self._descriptor, self._readable)

    def _due(self) -> None:
        self._carry_on(self._end.tick(self._loop.time()))

    def _carry_on(self, events: list[E]) -> None:
        self._unwritten += self._end.output()
        self._write()
        self._set_timer()
        for event in events:
            self._on_event(event)

    def _write(self) -> None:
        try:
            while self._unwritten:
                written = os.write(self._descriptor, self._unwritten)
                del self._unwritten[:written]
        except BlockingIOError:
            self._loop.add_writer(self._descriptor, self._write)
            return
        except OSError:
            self._unwritten.clear()  # nobody is there; reading says so too, and the protocol repeats
        self._loop.remove_writer(self._descriptor)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._end.deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._due)


class SimulatedLane(SimulatedLine[SimulatorEvent]):
    """A validator that speaks VL1."""

    def __init__(
        self,
        validator: SimulatedValidator,
        descriptor: int,
        on_event: Callable[[SimulatorEvent], None],
        *,
        patient: bool = False,
    ) -> None:
        super().__init__(validator, descriptor, on_event, patient=patient)
        self.validator = validator
