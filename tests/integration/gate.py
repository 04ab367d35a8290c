"""Simulated validators and the lines they speak on, for tests of the whole daemon; and one way to wait."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pty
import random
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.tlv import Tlv
from device.vl1.cards import CARDS, SimulatedCard, read
from device.vl1.codes import Oda, Shown
from device.vl1.greeting import TapNumber
from device.vl1.messages import StatusMessage, VerdictMessage
from device.vl1.simulator import KEPT_LIMIT_SECONDS, NEW, SimulatedValidator
from device.vl1.simulator_events import ConfigReceived, SimulatorEvent, TapVerdict
from device.vl1.tap_memory import ValidatorState
from device.vl1.tap_message import TapMessage
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import Micros
from tpsd.simulated_lane import SimulatedLane

BOUND_SECONDS = 60.0  # for anything that is waited for: far above what it takes on a busy machine
LOOK_SECONDS = 0.002
VISA = CARDS[0]


async def until(condition: Callable[[], Any], what: str, seconds: float = BOUND_SECONDS) -> Any:
    """What ``condition`` gives, or what comes of awaiting it, once it is true; fails with ``what`` in the end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                value = await found if inspect.isawaitable(found) else found
                if value:
                    return value
                await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Line:
    """A pty under a name that stays: ``path`` is a link, as udev makes one. The test holds the validator's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = self._slave = -1
        self.plug()

    def plug(self) -> None:
        """A new device under the old name."""
        self.master, self._slave = pty.openpty()  # the slave stays open: a pty nobody holds loses what is written
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        fresh = self.path.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)

    def pull(self) -> None:
        """The device goes, and its link with it, as udev takes it away."""
        self.path.unlink(missing_ok=True)
        for descriptor in (self.master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self._slave = -1


@dataclass(frozen=True, slots=True)
class Tap:
    """One tap as its validator made it."""

    serial: str
    number: TapNumber
    tapped_at: Micros
    amount: int | None
    payload: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.serial}:{self.number.boot}:{self.number.counter}"


class Gate:
    """A simulated validator. It waits for its verdicts for ever unless ``patience`` seconds are given."""

    def __init__(
        self,
        serial: str,
        clock: WarpClock,
        *,
        patience: float | None = None,
        kept_patience: float = KEPT_LIMIT_SECONDS,
        can_take_pin: bool = False,
        when_late: Shown = Shown.LET_IN,
        type_name: str = "GATE-X1",
    ) -> None:
        self.serial = serial
        self.clock = clock
        self.rng = random.Random(serial)
        self.events: list[SimulatorEvent] = []
        self.verdicts: dict[TapNumber, TapVerdict] = {}
        self._type_name = type_name
        self._patience, self._kept_patience = patience, kept_patience
        self._can_take_pin = can_take_pin
        self._when_late = when_late
        self._last_at = Micros(0)
        self._lane: SimulatedLane | None = None
        self.until = until
        self.validator = self._new(NEW)

    def plug(self, descriptor: int, *, patient: bool = True) -> None:
        """Begin to speak on a descriptor."""
        self._lane = SimulatedLane(self.validator, descriptor, self._on_event, patient=patient)
        self._lane.start()

    def unplug(self) -> None:
        """Fall silent."""
        if self._lane is not None:
            self._lane.stop()
            self._lane = None

    def replace(self, state: ValidatorState) -> None:
        """Another board with this memory, or the same one after a power cut; to be plugged in."""
        self.unplug()
        self.validator = self._new(state)

    @property
    def opened(self) -> list[bool | None]:
        """What CONFIG said of the lane, in order."""
        return [event.config.lane_open for event in self.events if isinstance(event, ConfigReceived)]

    def tap(self, amount: int | None = 250, card: SimulatedCard | tuple[Tlv, ...] = VISA, **fields: Any) -> Tap:
        """A card, or what a reader made of one, is held to it. ``fields`` as in TapMessage."""
        number, tapped_at = self.next()
        data = self.reading(card, amount or 0, tapped_at, number) if isinstance(card, SimulatedCard) else card
        given: dict[str, Any] = {"currency": None if amount is None else "978", "oda": Oda.GOOD, **fields}
        message = TapMessage(tap=number, tapped_at=tapped_at, amount=amount, card=data, **given)
        return self.send(message.encode(), number, tapped_at, amount)

    def next(self) -> tuple[TapNumber, Micros]:
        """The next tap's number and time."""
        state = self.validator.state()
        # The wire carries milliseconds, and the ledger knows a tap by its validator and time.
        self._last_at = Micros(max(self.clock.wall(), self._last_at + 1000) // 1000 * 1000)
        return TapNumber(state.boot, state.last_tap + 1), self._last_at

    def reading(self, card: SimulatedCard, amount: int, tapped_at: Micros, number: TapNumber) -> tuple[Tlv, ...]:
        """What the reader makes of a card."""
        return read(card, self.rng, amount=amount, currency="978", tapped_at=tapped_at, counter=number.counter)

    def send(self, payload: bytes, number: TapNumber, tapped_at: Micros, amount: int | None = None) -> Tap:
        """A tap with any payload; made without a line, it is kept until there is one."""
        if self._lane is None:
            said = self.validator.tap_payload(payload, asyncio.get_running_loop().time())
        else:
            said = self._lane.act(lambda now: self.validator.tap_payload(payload, now))
        assert said == number
        return Tap(self.serial, number, tapped_at, amount, payload)

    def say(self, status: StatusMessage) -> None:
        """How the validator is."""
        assert self._lane is not None
        self._lane.act(lambda now: self.validator.status(status, now))

    def again(self, tap: Tap) -> None:
        """The same bytes once more, as if the verdict had been lost."""
        del self.verdicts[tap.number]
        self.send(tap.payload, tap.number, tap.tapped_at)

    async def verdict(self, tap: Tap, seconds: float = BOUND_SECONDS) -> VerdictMessage:
        """Waits for a tap's verdict."""
        await self.until(lambda: tap.number in self.verdicts, f"the verdict of {tap}", seconds)
        return self.verdicts[tap.number].verdict

    async def is_up(self) -> None:
        """Waits for a session."""
        await self.until(lambda: self.validator.is_up, f"a session of {self.serial}")

    def _new(self, state: ValidatorState) -> SimulatedValidator:
        return SimulatedValidator(
            serial=self.serial,
            type_name=self._type_name,
            state=state,
            limit_seconds=self._patience,
            kept_limit_seconds=self._kept_patience,
            can_take_pin=self._can_take_pin,
            when_late=self._when_late,
        )

    def _on_event(self, event: SimulatorEvent) -> None:
        self.events.append(event)
        if isinstance(event, TapVerdict):
            assert event.tap not in self.verdicts
            self.verdicts[event.tap] = event
