"""A simulated ViVOpay reader on a real descriptor, which hears only what is said at its own rate, as hardware does."""

from __future__ import annotations

import contextlib
import termios
from collections.abc import Callable

from device.vivopay.simulator import SimulatedReader
from device.vivopay.simulator_events import SimulatorEvent
from tpsd.simulated_lane import SimulatedLine

_RATES = {getattr(termios, f"B{baud}"): baud for baud in (9_600, 19_200, 38_400, 57_600, 115_200, 230_400)}
_INPUT_SPEED = 4  # of termios.tcgetattr's list


class SimulatedReaderLine(SimulatedLine[SimulatorEvent]):
    """A reader on one descriptor. ``listens``: the rate is the one the host set, as a pty's master can see."""

    def __init__(
        self,
        reader: SimulatedReader,
        descriptor: int,
        on_event: Callable[[SimulatorEvent], None],
        *,
        patient: bool = False,
        listens: bool = True,
    ) -> None:
        super().__init__(_End(reader, descriptor if listens else None), descriptor, on_event, patient=patient)
        self.reader = reader

    def stop(self) -> None:
        """Unplugged; may be started again."""
        super().stop()
        self.reader.unplug()


class _End:
    """The reader as a device on a line."""

    def __init__(self, reader: SimulatedReader, descriptor: int | None) -> None:
        self._reader = reader
        self._descriptor = descriptor

    @property
    def deadline(self) -> float | None:
        return self._reader.deadline

    def open(self, now: float) -> None:
        self._reader.plug()

    def receive(self, data: bytes, now: float) -> list[SimulatorEvent]:
        self._look()
        return self._reader.receive(data, now)

    def tick(self, now: float) -> list[SimulatorEvent]:
        return self._reader.tick(now)

    def output(self) -> bytes:
        self._look()
        return self._reader.output()

    def _look(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(termios.error):  # nobody has opened the other end
                self._reader.line_baud = _RATES.get(termios.tcgetattr(self._descriptor)[_INPUT_SPEED], 0)
