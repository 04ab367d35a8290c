"""Running a simulated validator on a port from the command line."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from device.vl1.cards import CARDS, read
from device.vl1.codes import VerdictCode
from device.vl1.events import SessionLost, SessionUp
from device.vl1.greeting import TapNumber
from device.vl1.messages import VerdictMessage
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapDecided, TapVerdict
from device.vl1.tap_memory import ValidatorState
from tpsd.cli.simulated import Answers, Say, at_work, opened
from tpsd.simulated_lane import SimulatedLane


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. Amounts in minor units, taken in turn; ``interval`` and ``patience`` in seconds."""

    serial: str
    type_name: str
    taps: int
    interval: float
    seed: int
    amounts: tuple[int, ...]
    currency: str
    baud: int
    patience: float | None
    boot: int


class Report(Answers):
    """What came of it: one row a verdict."""

    def summary(self, plan: Plan) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "serial": plan.serial,
            "boot": plan.boot,
            "taps": self.made,
            "waiting": self.waiting,
            "verdicts": dict(Counter(row["verdict"] for row in self.rows)),
            "verdict_ms": self.verdict_ms(),
            "rows": self.rows,
        }


async def run_validator(port: str, plan: Plan, report: Report, say: Say | None) -> None:
    """Speak VL1 on ``port`` until all taps of the plan have verdicts. Raises PortError when the port goes."""
    with opened(port, plan.baud) as descriptor:
        run = _Run(descriptor, plan, report, say)
        await at_work(run.lane, port, run.tap_all)


class _Run:
    """One run; its clock is the loop's."""

    def __init__(self, descriptor: int, plan: Plan, report: Report, say: Say | None) -> None:
        self._plan = plan
        self._report = report
        self._say = say
        self._rng = random.Random(plan.seed)
        self._up = asyncio.Event()
        self._done = asyncio.Event()
        validator = SimulatedValidator(
            serial=plan.serial,
            type_name=plan.type_name,
            state=ValidatorState(boot=plan.boot),
            baud=plan.baud,
            limit_seconds=plan.patience,
        )
        self.lane = SimulatedLane(validator, descriptor, self._on_event)

    async def tap_all(self) -> None:
        """Every tap of the plan, until all are answered."""
        await self._up.wait()
        for number in range(self._plan.taps):
            if number:
                await asyncio.sleep(self._plan.interval)
            self.lane.act(self._tap)
            self._report.made += 1
        if self._plan.taps:
            await self._done.wait()

    def _tap(self, now: float) -> TapNumber:
        plan = self._plan
        amount = plan.amounts[self._report.made % len(plan.amounts)] if plan.amounts else None
        tapped_at = time.time_ns() // 1000
        card = read(
            self._rng.choice(CARDS),
            self._rng,
            amount=amount or 0,
            currency=plan.currency,
            tapped_at=tapped_at,
            counter=self._report.made + 1,
        )
        return self.lane.validator.tap(
            now,
            card=card,
            tapped_at=tapped_at,
            kind=0,
            amount=amount,
            currency=None if amount is None else plan.currency,
        )

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case SessionUp(session=session):
                self._up.set()
                self._tell(f"session {session:04X} is up")
            case SessionLost(reason=reason):
                self._tell(f"session lost: {reason}")
            case TapDecided(tap=tap, shown=shown):
                self._tell(f"{tap} no verdict in time, shown: {shown.name.lower()}")
            case TapVerdict():
                self._answered(event)
            case _:
                return

    def _answered(self, event: TapVerdict) -> None:
        said = event.verdict
        waited = None if event.waited is None else round(event.waited * 1000, 1)
        row = {
            "tap": f"{self._plan.serial}:{event.tap.boot}:{event.tap.counter}",
            "verdict": _name(said),
            "reason": said.reason,
            "text": said.text,
            "shown": event.shown.name.lower(),
            "ms": waited,
        }
        self._report.rows.append(row)
        self._tell(f"{event.tap} {row['verdict']} ({said.reason or ''}) {said.text or ''!r} after {waited} ms")
        if len(self._report.rows) >= self._plan.taps:
            self._done.set()

    def _tell(self, text: str) -> None:
        if self._say is not None:
            self._say(text)


def _name(verdict: VerdictMessage) -> str:
    known = {member.value for member in VerdictCode}
    return VerdictCode(verdict.verdict).name.lower() if verdict.verdict in known else f"{verdict.verdict:02X}"
