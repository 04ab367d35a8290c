"""Running a simulated ViVOpay reader on a port from the command line."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from device.tlv import Form, find
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA, varied
from device.vivopay.codes import Status, Text
from device.vivopay.simulator import SimulatedReader
from device.vivopay.simulator_events import Activated, Ended, Shown, SimulatorEvent
from device.vl1.cards import CARDS
from tpsd.cli.simulated import Answers, Say, at_work, opened
from tpsd.simulated_reader import SimulatedReaderLine


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. ``interval`` in seconds; ``first`` is the first card's transaction counter, different in each run."""

    serial: str
    taps: int
    interval: float
    seed: int
    encrypted: bool
    baud: int
    first: int


class Report(Answers):
    """What came of it: one row a card."""

    def summary(self, plan: Plan) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "serial": plan.serial,
            "taps": self.made,
            "waiting": self.waiting,
            "shown": dict(Counter(row["text"] for row in self.rows)),
            "verdict_ms": self.verdict_ms(),
            "rows": self.rows,
        }


async def run_reader(port: str, plan: Plan, report: Report, say: Say | None) -> None:
    """Be a reader on ``port`` until all cards of the plan have been answered. Raises PortError when the port goes."""
    with opened(port, plan.baud) as descriptor:
        run = _Run(descriptor, plan, report, say)
        await at_work(run.line, port, run.tap_all)


class _Run:
    """One run; its clock is the loop's."""

    def __init__(self, descriptor: int, plan: Plan, report: Report, say: Say | None) -> None:
        self._plan = plan
        self._report = report
        self._say = say
        self._rng = random.Random(plan.seed)
        self._loop = asyncio.get_running_loop()
        self._answered = asyncio.Event()
        self._ready = asyncio.Event()  # a transaction began
        self._read_at: float | None = None  # when a card's answer left that has no verdict yet
        self._asked: Activated | None = None
        reader = SimulatedReader(serial=plan.serial, baud=plan.baud)
        self.line = SimulatedReaderLine(reader, descriptor, self._on_event, listens=False)

    async def tap_all(self) -> None:
        """Every tap of the plan, until all are answered."""
        reader = self.line.reader
        for number in range(self._plan.taps):
            if number:
                await asyncio.sleep(self._plan.interval)
            self._answered.clear()
            while not reader.is_waiting:
                self._ready.clear()
                await self._ready.wait()
            data = self._card(self._plan.first + number)
            self.line.act(lambda now, data=data: reader.tap(data, now))  # type: ignore[misc]
            self._report.made += 1
            await self._answered.wait()

    def _card(self, counter: int) -> bytes:
        number = counter.to_bytes(8, "big")
        if self._plan.encrypted:
            return varied(ENCRYPTED_MASTERCARD, {0xDFEE12: b"\xff\xff" + number})
        card = self._rng.choice(CARDS)
        changes: dict[tuple[int, Form] | int, bytes] = {
            0x57: card.track2,
            0x5F24: card.expiry_date,
            0x84: bytes.fromhex(card.aid),
        }
        changes |= {0x9F36: number[-2:], 0x9F26: number}
        objects = () if self._asked is None else self._asked.objects
        changes |= {tag: item.value for tag in (0x9F02, 0x5F2A) if (item := find(objects, tag)) is not None}
        return varied(PLAIN_VISA, changes)

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case Activated():
                self._asked = event
                self._ready.set()
            case Ended(status) if status == Status.REQUEST_ONLINE:
                self._read_at = self._loop.time()
            case Shown(text) if text != Text.PROCESSING and self._read_at is not None:
                self._told(event, self._loop.time() - self._read_at)
                self._read_at = None
                self._answered.set()
            case _:
                return

    def _told(self, shown: Shown, seconds: float) -> None:
        row = {
            "card": len(self._report.rows) + 1,
            "text": _name(shown.text),
            "beep": shown.beep,
            "led": shown.led,
            "ms": round(seconds * 1000, 1),
        }
        self._report.rows.append(row)
        if self._say is not None:
            self._say(f"card {row['card']}: {row['text']!r}, beep {row['beep']}, LED {row['led']} after {row['ms']} ms")


def _name(text: int) -> str:
    return Text(text).name.lower().replace("_", " ") if text in set(Text) else f"{text:02X}"
