"""One simulated validator of the demo: it taps what it is given and keeps what it was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from device.tlv import Tlv
from device.vl1.cards import SimulatedCard, read
from device.vl1.codes import Oda, TapKind
from device.vl1.events import SessionUp
from device.vl1.greeting import TapNumber
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tpsd.demo.clock import WarpClock
from tpsd.demo.mix import PlannedTap
from tpsd.domain.time import Micros
from tpsd.simulated_lane import SimulatedLane

TAP_SECONDS = 0.08  # between two taps of one validator: brisk, and a person can still watch


@dataclass(slots=True)
class Told:
    """One tap as its validator saw it. ``planned`` None: a rider's at a gate."""

    planned: PlannedTap | None
    serial: str
    tapped_at: Micros
    verdict: TapVerdict | None = None


class Validator:
    """One simulated validator with the taps it was given. It begins to speak at once."""

    def __init__(self, serial: str, descriptor: int, rng: random.Random, clock: WarpClock) -> None:
        self._serial = serial
        self._rng = rng
        self._clock = clock
        self._last_at = Micros(0)
        self._heard = asyncio.Event()
        self._planned: int | None = None
        self.up = asyncio.Event()
        self.answered = asyncio.Event()
        self.told: dict[TapNumber, Told] = {}
        validator = SimulatedValidator(serial=serial, type_name="GATE-X1")
        self._lane = SimulatedLane(validator, descriptor, self._on_event, patient=True)
        self._lane.start()

    async def tap_all(self, planned: Sequence[PlannedTap]) -> None:
        """Tap them in order; ``answered`` is set once each has its verdict."""
        self._planned = len(planned)
        await self.up.wait()
        for tap in planned:
            self._tap(tap, tap.card, tap.amount, tap.oda)
            await asyncio.sleep(TAP_SECONDS)
        self._see_whether_answered()

    async def ride(self, card: SimulatedCard, amount: int) -> Told:
        """A rider's tap, in or out, and its verdict."""
        await self.up.wait()
        number = self._tap(None, card, amount, kind=TapKind.CHECK_IN_OR_OUT)
        while self.told[number].verdict is None:
            self._heard.clear()
            await self._heard.wait()
        return self.told[number]

    def name(self, told: Told) -> str:
        """How commands name a tap of this validator."""
        number = next(number for number, one in self.told.items() if one is told)
        return f"{self._serial}:{number.boot}:{number.counter}"

    def stop(self) -> None:
        """Fall silent."""
        self._lane.stop()

    def _tap(
        self, planned: PlannedTap | None, card: SimulatedCard, amount: int, oda: Oda = Oda.GOOD, kind: int = TapKind.MTT
    ) -> TapNumber:
        # The wire carries milliseconds, and the ledgers know a tap by its validator and time.
        tapped_at = Micros(max(self._clock.wall(), self._last_at + 1000))
        self._last_at = tapped_at
        data: tuple[Tlv, ...] = read(
            card, self._rng, amount=amount, currency="978", tapped_at=tapped_at, counter=len(self.told) + 1
        )

        def tap(now: float) -> TapNumber:
            number = self._lane.validator.tap(
                now, card=data, tapped_at=tapped_at, amount=amount, currency="978", oda=oda, kind=kind
            )
            self.told[number] = Told(planned, self._serial, tapped_at)
            return number

        return self._lane.act(tap)

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case SessionUp():
                self.up.set()
            case TapVerdict(tap=number):
                self.told[number].verdict = event
                self._heard.set()
                self._see_whether_answered()
            case _:
                return

    def _see_whether_answered(self) -> None:
        if len(self.told) == self._planned and all(told.verdict for told in self.told.values()):
            self.answered.set()
