"""A simulated ViVOpay reader on a line, for tests of the whole daemon, and cards for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from device.tlv import Form
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA, varied
from device.vivopay.codes import Beep, Led, Status, Text
from device.vivopay.simulator import Faults, SimulatedReader
from device.vivopay.simulator_events import Activated, Ended, Shown, SimulatorEvent
from device.vl1.cards import SimulatedCard
from tests.integration.conftest import Opens
from tests.integration.gate import VISA, Line
from tests.integration.stage import Stage
from tpsd.domain.time import Micros
from tpsd.domain.views import TapRow
from tpsd.simulated_reader import SimulatedReaderLine
from tpsd.workers.reader import LaneState

SERIAL = "630Z000001"
READ_SECONDS = 0.01

GOOD = Shown(Text.THANK_YOU, Beep.SHORT_1, Led.LED_2, 1)
NO = Shown(Text.FAIL, Beep.LONG_2, Led.LED_3, 1)
AGAIN = Shown(Text.TRY_AGAIN, Beep.SHORT_2, Led.ALL, 0)
PATIENCE = Shown(Text.PROCESSING, Beep.NONE, Led.ALL, 0)


def clear(counter: int, card: SimulatedCard = VISA) -> bytes:
    """What a reader without a key answers for a test card; ``counter`` is the card's own (9F36)."""
    return varied(
        PLAIN_VISA,
        {
            0x57: card.track2,
            0x5F2A: bytes.fromhex("0978"),
            0x9F02: bytes.fromhex("000000000250"),
            0x9F36: counter.to_bytes(2, "big"),
            0x9F26: counter.to_bytes(8, "big"),
        },
    )


def sealed(counter: int, *, aes: bool = False) -> bytes:
    """What a reader with a key answers: masked, encrypted, under a key serial number of its own."""
    changes: dict[tuple[int, Form] | int, bytes] = {0xDFEE12: ksn(counter)}
    if aes:
        changes |= {0xDFEE26: bytes.fromhex("E300"), (0x57, Form.ENCRYPTED): bytes(range(32))}
    return varied(ENCRYPTED_MASTERCARD, changes)


def ksn(counter: int) -> bytes:
    """Of one tap; no other has the same."""
    return bytes.fromhex("FFFFFF0200223D20") + counter.to_bytes(2, "big")


class Door:
    """A simulated reader. ``shown`` are its screens, in order."""

    def __init__(self, stage: Stage, **reader: Any) -> None:
        self.stage = stage
        self.events: list[SimulatorEvent] = []
        given: dict[str, Any] = {"serial": SERIAL, "read_seconds": READ_SECONDS} | reader
        self.reader = SimulatedReader(**given)
        self.when_read: Callable[[], None] | None = None  # called once, when the next card's answer is on the line
        self._line: SimulatedReaderLine | None = None

    @property
    def faults(self) -> Faults:
        return self.reader.faults

    @property
    def shown(self) -> list[Shown]:
        return self.reader.shown

    @property
    def asked(self) -> list[Activated]:
        return [event for event in self.events if isinstance(event, Activated)]

    @property
    def lane(self) -> LaneState:
        return self.stage.daemon.lanes[0].state

    def plug(self, line: Line | None = None) -> None:
        line = self.stage.lines[0] if line is None else line
        self._line = SimulatedReaderLine(self.reader, line.master, self._on_event, patient=True)
        self._line.start()

    def plug_at(self, descriptor: int) -> None:
        """At the far end of a connection, which has no rate."""
        self._line = SimulatedReaderLine(self.reader, descriptor, self._on_event, listens=False)
        self._line.start()

    def unplug(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None

    def tamper(self, *lines: str) -> None:
        assert self._line is not None
        self._line.act(lambda now: self.reader.tamper(lines, now))

    def fail(self) -> None:
        assert self._line is not None
        assert self._line.act(lambda now: self.reader.fail(0x24, 0x6985, 0x05, now))

    async def waits(self) -> None:
        """Until a card would be read."""
        await self.stage.until(lambda: self.reader.is_waiting, "a reader that waits for a card")

    async def hold(self, data: bytes) -> None:
        """A card is held to it as soon as it waits for one."""
        await self.waits()
        self.stage.clock.jump(Micros(self.stage.clock.wall() + 1000))  # TPS knows a tap by its validator and time
        assert self._line is not None
        assert self._line.act(lambda now: self.reader.tap(data, now))

    async def tap(self, data: bytes) -> Shown:
        """A card is held to it; what is shown in the end."""
        await self.waits()
        before = len(self.shown)
        await self.hold(data)
        return await self.verdict(before)

    async def verdict(self, before: int) -> Shown:
        """The first screen after so many that asks for no patience."""

        def there() -> Shown | None:
            return next((screen for screen in self.shown[before:] if screen != PATIENCE), None)

        found: Shown = await self.stage.until(there, "a screen")
        return found

    def _on_event(self, event: SimulatorEvent) -> None:
        self.events.append(event)
        if isinstance(event, Ended) and event.status == Status.REQUEST_ONLINE and self.when_read is not None:
            do, self.when_read = self.when_read, None
            do()

    async def rows(self) -> list[TapRow]:
        return list(await self.stage.rows())

    async def settled(self) -> TapRow:
        """The newest row, once its authorisation is neither pending nor being sent."""

        async def done() -> TapRow | None:
            rows = await self.stage.rows()
            return rows[-1] if rows and rows[-1].state not in ("pending", "sending") else None

        row: TapRow = await self.stage.until(done, "the end of the newest tap")
        return row


@asynccontextmanager
async def at_the_door(open_stage: Opens, *, plug: bool = True, **options: Any) -> AsyncIterator[Door]:
    """A stage whose one lane is a reader's, the daemon running; the books are checked at the end."""
    lane = {"protocol": "vivopay"} | options.pop("lane_changes", {})
    reader = options.pop("reader", {})
    async with open_stage(lane_changes=lane, **options) as stage, stage.daemon_running(plug=False):
        door = Door(stage, **reader)
        if plug:
            door.plug()
            await door.waits()
        try:
            yield door
        finally:
            door.unplug()
        stage.check_books()
        await stage.check_money()
