"""Passengers at simulated validators, in a process of their own: their bytes cost the measured daemon nothing."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from device.vl1.cards import CARDS, read
from device.vl1.greeting import TapNumber
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tests.bench.ground import until
from tpsd.simulated_lane import SimulatedLane

EVERY_SECONDS = 0.02
LOOK_SECONDS = 0.1  # of passengers who wait ten: looking costs nobody anything
WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Riders:
    """One lane's: so many of one kind, begun after some seconds; ``patient``: the next taps when one is answered."""

    master: int
    kind: int
    taps: int
    seed: int
    patient: bool = False
    after_seconds: float = 0.0


async def begun(riders: Sequence[Riders]) -> asyncio.subprocess.Process:
    """The child that plays them; ``waits_of`` reads what it measured."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.riders",
        json.dumps([asdict(lane) for lane in riders]),
        pass_fds=[lane.master for lane in riders],
        stdout=asyncio.subprocess.PIPE,
    )


async def waits_of(child: asyncio.subprocess.Process) -> list[list[float]]:
    """Each lane's waits in ms, when all have ended."""
    printed, _ = await child.communicate()
    waits: list[list[float]] = json.loads(printed)
    return waits


class _StampedLane(SimulatedLane):
    """Notes when a tap's last byte was given to the line, and when bytes came from it."""

    written_at = read_at = 0.0

    def _write(self) -> None:
        super()._write()
        self.written_at = time.perf_counter()

    def _readable(self) -> None:
        self.read_at = time.perf_counter()
        super()._readable()


async def _ride(riders: Riders) -> list[float]:
    await asyncio.sleep(riders.after_seconds)
    rng, waits, tapped_at = random.Random(riders.seed), list[float](), dict[TapNumber, float]()

    def heard(event: SimulatorEvent) -> None:
        if isinstance(event, TapVerdict) and event.tap in tapped_at:
            waits.append((lane.read_at - tapped_at[event.tap]) * 1000)

    validator = SimulatedValidator(serial=f"VAL9{riders.master:04}", limit_seconds=None)
    lane = _StampedLane(validator, riders.master, heard, patient=True)
    lane.start()
    await until(lambda: validator.is_up, WAIT_SECONDS)
    for number in range(riders.taps):
        at = time.time_ns() // 1000
        card = read(rng.choice(CARDS), rng, amount=250 + number, currency="978", tapped_at=at, counter=number)
        tap = lane.act(
            lambda now, card=card, at=at, number=number: validator.tap(  # type: ignore[misc]
                now, card=card, tapped_at=at, amount=250 + number, kind=riders.kind
            )
        )
        tapped_at[tap] = lane.written_at
        while riders.patient and len(waits) <= number:
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(EVERY_SECONDS)
    await until(lambda: len(waits) == riders.taps, WAIT_SECONDS)
    lane.stop()
    return waits


async def _play(riders: Sequence[Riders]) -> list[list[float]]:
    return await asyncio.gather(*(_ride(lane) for lane in riders))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_play([Riders(**lane) for lane in json.loads(sys.argv[1])]))), flush=True)
