"""The demo's ViVOpay reader and its passengers.

It has no memory: one card's answer is damaged on the line, another card is gone too early, and both tap again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from device.vivopay.cards import ENCRYPTED_MASTERCARD, varied
from device.vivopay.codes import Status, Text
from device.vivopay.simulator import SimulatedReader
from device.vivopay.simulator_events import Activated, Ended, Shown, SimulatorEvent
from device.vivopay.tap import READER_KSN
from tpsd.daemon import Daemon
from tpsd.demo.clock import WarpClock
from tpsd.demo.stage import READER
from tpsd.domain.time import Micros
from tpsd.sfey.ledger import Ledger
from tpsd.simulated_reader import SimulatedReaderLine

SERIAL: Final = "630Z000001"
TAKEN_AWAY: Final = (0x24, 0x0000, 0x05)  # error, status word and place of a published answer (FFEE1F)


class Mishap(Enum):
    """What goes wrong with a card once."""

    DAMAGED = "its answer is damaged on the line"
    UNREAD = "it is gone before it was read"


PASSENGERS: Final = (None, Mishap.DAMAGED, Mishap.UNREAD)


@dataclass(slots=True)
class Passenger:
    """One of them. ``answered_at``: the reader's last answer left; ``shown_at``: what it showed for it."""

    answered_at: Micros | None = None
    shown_at: Micros | None = None
    let_in: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """All of them. ``missing``: who got no good verdict, or of whose tap TPS has not heard."""

    cards_held: int
    let_in: int
    cards_lost: int
    cards_unread: int
    charges: int
    missing: int

    @property
    def charged_beyond(self) -> int:
        """Charges beyond one for each who was let in: of a card that went wrong, say."""
        return max(0, self.charges - self.let_in)


class Reader:
    """A simulated reader with a key of its own, so that nobody here can read its cards. It begins to speak at once."""

    def __init__(self, descriptor: int, clock: WarpClock) -> None:
        self._clock = clock
        self._changed = asyncio.Event()
        self._screen: Text | None = None
        self._held = 0  # cards
        self._passengers = [Passenger() for _ in PASSENGERS]
        self._now = self._passengers[0]
        self._reader = SimulatedReader(serial=SERIAL)
        self._line = SimulatedReaderLine(self._reader, descriptor, self._on_event, patient=True)
        self._line.start()

    async def pass_all(self) -> None:
        """Everybody, one after another; whose card went wrong is asked to tap again, and does."""
        for passenger, mishap in zip(self._passengers, PASSENGERS, strict=True):
            self._now = passenger
            if mishap is not None:
                await self._hold(mishap)
            await self._hold(None)

    def stop(self) -> None:
        """Fall silent."""
        self._line.stop()

    def passed(self, daemon: Daemon, ledger: Ledger) -> Passed:
        """By the reader's own screens, the daemon's counts and TPS's ledger."""
        [lane] = [lane.state for lane in daemon.lanes if lane.state.name == READER]
        heard = [one.tapped_at // 1000 for one in ledger.requests() if one.serial == SERIAL and one.tapped_at]
        return Passed(
            cards_held=self._held,
            let_in=sum(one.let_in for one in self._passengers),
            cards_lost=lane.cards_lost,
            cards_unread=lane.cards_unread,
            charges=sum(charge.serial == SERIAL for charge in ledger.charges()),
            missing=sum(not _is_there(one, heard) for one in self._passengers),
        )

    async def _hold(self, mishap: Mishap | None) -> None:
        """A card, until something is shown for it."""
        await self._until(lambda: self._reader.is_waiting)
        self._held += 1
        self._screen = None
        if mishap is Mishap.UNREAD:
            self._line.act(lambda now: self._reader.fail(*TAKEN_AWAY, now))
        else:
            self._reader.faults.wrong_crc = int(mishap is Mishap.DAMAGED)
            ksn = b"\xff\xff" + self._held.to_bytes(8, "big")
            self._line.act(lambda now: self._reader.tap(varied(ENCRYPTED_MASTERCARD, {READER_KSN: ksn}), now))
        await self._until(lambda: self._screen is not None)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case Ended(Status.REQUEST_ONLINE):
                self._now.answered_at = self._clock.wall()
            case Shown(text):
                self._screen = Text(text)
                self._now.shown_at = self._clock.wall()
                self._now.let_in = text == Text.THANK_YOU
            case Activated():
                pass
            case _:
                return
        self._changed.set()


def _is_there(one: Passenger, heard: list[int]) -> bool:
    """The daemon stamps a reader's tap between its answer and its verdict; the wire carries milliseconds."""
    if not one.let_in or one.answered_at is None or one.shown_at is None:
        return False
    return any(one.answered_at // 1000 <= tapped_at <= one.shown_at // 1000 for tapped_at in heard)
