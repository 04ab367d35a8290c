"""Lanes: a simulated validator, the two directions of its line, and the port that a daemon opens at the other end."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from device.vl1.cards import CARDS, read
from device.vl1.codes import Oda, Shown
from device.vl1.greeting import TapNumber
from device.vl1.simulator import KEPT_LIMIT_SECONDS, SimulatedValidator
from device.vl1.simulator_events import (
    ConfigReceived,
    Misunderstood,
    SimulatorEvent,
    StrayVerdict,
    TapDecided,
    TapVerdict,
)
from tests.sim.events import Event, LaneTold, TapMade, TapShown, VerdictTold
from tests.sim.vl1_world import PERFECT, Faults, Line
from tpsd.domain.time import DAY, Micros
from tpsd.errors import PortError
from tpsd.ports import LinkLostError
from tpsd.replay.loop import VirtualLoop

CURRENCY = "978"
PARK_SECONDS = 1.0  # after the last verdict: its acknowledgement is through by then


class Stamp(Enum):
    """What a validator's own clock says of a tap."""

    TRUE = "true"
    NONE = "none"
    UNSET = "unset"  # 1970


@dataclass(frozen=True, slots=True)
class PlannedTap:
    """One tap of a plan. ``at`` in seconds after the beginning; ``amount`` names it.

    ``again``: the amount of the tap it repeats, and brings instead of its own; both are stamped by their validators.
    """

    amount: int
    door: int
    at: float
    card: int
    kind: int
    stamp: Stamp = Stamp.TRUE
    oda: Oda = Oda.GOOD
    again: int | None = None

    @property
    def brings(self) -> int:
        """The amount that it says."""
        return self.amount if self.again is None else self.again


@dataclass(frozen=True, slots=True)
class DoorPlan:
    """How a validator and its line are. ``patience`` in seconds, None for ever. ``stays``: never parked.

    ``kept_patience``: for what it knows to be kept, while TPS is asked.
    """

    faults: Faults = field(default_factory=lambda: PERFECT)
    patience: float | None = None
    kept_patience: float = KEPT_LIMIT_SECONDS
    when_late: Shown = Shown.LET_IN
    chunked: bool = False
    stays: bool = False
    tokens: bool = True
    can_take_pin: bool = False


@dataclass(slots=True)
class Made:
    """A tap as its validator knows it, with all it was ever told of it."""

    plan: PlannedTap
    number: TapNumber
    serial: str
    tapped_at: Micros  # in truth
    seconds: float  # of the loop
    shown: bool | None = None  # what it decided by itself: let in or turned away
    told: list[tuple[int, str | None]] = field(default_factory=list)
    forgotten: bool = False  # how old it is, over a reboot


class Door:
    """One lane. It outlives every daemon. A parked one has nothing to say, and its port opens when it has."""

    def __init__(
        self,
        number: int,
        seed: object,
        plan: DoorPlan,
        loop: VirtualLoop,
        true_time: Callable[[], Micros],
        emit: Callable[[Event], None],
    ) -> None:
        self.serial = f"VAL{number:05d}"
        self.taps: dict[TapNumber, Made] = {}
        self.plugged = False
        self.parked = True
        self.busy_until = 0.0  # no parking before
        self.plan = plan
        self._rng = random.Random(f"{seed} door {number}")
        self._loop = loop
        self._context = contextvars.copy_context()
        self._true_time = true_time
        self._emit = emit
        self._validator = SimulatedValidator(
            serial=self.serial,
            limit_seconds=plan.patience,
            kept_limit_seconds=plan.kept_patience,
            when_late=plan.when_late,
            can_take_pin=plan.can_take_pin,
        )
        self.up, self.down = Line(self._rng, plan.faults), Line(self._rng, plan.faults)
        self._plugs = 0
        self._available = asyncio.Event()
        self._transport: DoorTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_at = Micros(0)

    @property
    def waiting(self) -> int:
        """Taps without a verdict."""
        return self._validator.waiting

    # --- what a plan does with it ---

    def plug(self) -> None:
        """The device is there."""
        self.parked = False
        if not self.plugged:
            self.plugged = True
            self._plugs += 1
            self._available.set()
            self._validator.open(self._loop.time())
            self._carry_on([])

    def unplug(self, *, parked: bool = False) -> None:
        """The device is gone: in a hurry, or because it has nothing more to say."""
        self.parked = parked
        self.plugged = False
        self._plugs += 1
        self._available.clear()
        if self._transport is not None:
            self._transport.lose()
            self._transport = None

    def tap(self, tap: PlannedTap) -> None:
        """A card is held to it."""
        true = Micros(max(self._true_time(), self._last_at + 1000) // 1000 * 1000)
        self._last_at = true
        stamped = {Stamp.TRUE: true, Stamp.NONE: None, Stamp.UNSET: Micros(true % DAY)}[tap.stamp]
        card = CARDS[tap.card]
        tlvs = read(card, self._rng, amount=tap.brings, currency=CURRENCY, tapped_at=true, counter=len(self.taps) + 1)
        number = self._validator.tap(
            self._loop.time(),
            card=tlvs,
            tapped_at=stamped,
            kind=tap.kind,
            amount=tap.brings,
            currency=CURRENCY,
            oda=tap.oda,
            token=token_of(tap.card) if self.plan.tokens else None,
        )
        self.taps[number] = Made(tap, number, self.serial, true, self._loop.time())
        self._emit(TapMade(self.serial, number, tap.amount))
        self._carry_on([])

    def reboot(self) -> None:
        """Power off and on."""
        self._validator.reboot(self._loop.time())
        for made in self.taps.values():
            made.forgotten = True
        self._carry_on([])

    def mend(self) -> None:
        """The line is whole again, as good or bad as it was."""
        self.up.cut = self.down.cut = False

    def calm(self) -> None:
        """From now on the line does what it should."""
        self.up.faults = self.down.faults = PERFECT
        self.mend()

    # --- the port's side ---

    async def open(self, wake: asyncio.Event) -> DoorTransport:
        """As ``ports.Port``."""
        if self.parked:
            await self._available.wait()
        if not self.plugged:
            raise PortError(f"{self.serial} is not there")
        self._transport = DoorTransport(self, wake)
        return self._transport

    def write(self, data: bytes) -> None:
        """The daemon's bytes, on their way to the validator."""
        self._send(self.down, data, self._to_validator)

    def hang_up(self) -> None:
        """The process at the other end is dead; the line itself says nothing of that."""
        if self._transport is not None:
            self._transport.lose()
            self._transport = None

    def closed(self, transport: DoorTransport) -> None:
        """The daemon let go of the port, or died."""
        if self._transport is transport:
            self._transport = None

    # --- the wire ---

    def _send(self, line: Line, data: bytes, arrive: Callable[[bytes, int], None]) -> None:
        if not self.plugged or not data:
            return
        for when, frame in line.carry(data, self._loop.time()):
            for part in self._parts(frame):
                self._loop.call_at(when, arrive, part, self._plugs, context=self._context)

    def _parts(self, frame: bytes) -> list[bytes]:
        if not self.plan.chunked or not frame:
            return [frame]
        cut = self._rng.randrange(len(frame) + 1)
        return [frame[:cut], frame[cut:]]

    def _to_daemon(self, data: bytes, plugs: int) -> None:
        if plugs == self._plugs and self._transport is not None:
            self._transport.arrived(data)

    def _to_validator(self, data: bytes, plugs: int) -> None:
        if plugs == self._plugs:
            self._carry_on(self._validator.receive(data, self._loop.time()))

    def _carry_on(self, events: list[SimulatorEvent]) -> None:
        for event in events:
            self._heed(event)
        self._send(self.up, self._validator.output(), self._to_daemon)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._validator.deadline
        if deadline is not None and self.plugged:
            self._timer = self._loop.call_at(deadline, self._tick, context=self._context)

    def _tick(self) -> None:
        self._timer = None
        self._carry_on(self._validator.tick(self._loop.time()))

    def _heed(self, event: SimulatorEvent) -> None:
        match event:
            case TapVerdict(tap=number, verdict=verdict):
                self._told(number, verdict.verdict, verdict.reason, first=True)
            case StrayVerdict(verdict=verdict) if verdict.tap in self.taps:
                self._told(verdict.tap, verdict.verdict, verdict.reason, first=False)
            case TapDecided(tap=number, shown=shown):
                self.taps[number].shown = shown is Shown.LET_IN
                self._emit(TapShown(self.serial, number, shown is Shown.LET_IN))
            case ConfigReceived(config=config):
                self._emit(LaneTold(self.serial, config.lane_open))
            case Misunderstood(what=what):
                raise AssertionError(f"{self.serial} did not understand the daemon: {what}")
            case _:
                return

    def _told(self, number: TapNumber, code: int, reason: str | None, *, first: bool) -> None:
        self.taps[number].told.append((code, reason))
        self._emit(VerdictTold(self.serial, number, code, reason, first))
        if not self.waiting and not self.plan.stays:
            self._loop.call_later(PARK_SECONDS, self._park, context=self._context)

    def _park(self) -> None:
        if self.plugged and not self.waiting and self._loop.time() >= self.busy_until:
            self.unplug(parked=True)


class DoorTransport:
    """``ports.Transport`` of one opening."""

    def __init__(self, door: Door, wake: asyncio.Event) -> None:
        self._door = door
        self._wake = wake
        self._received = bytearray()
        self._lost = False

    def arrived(self, data: bytes) -> None:
        self._received += data
        self._wake.set()

    def lose(self) -> None:
        """The device went, or the process is dead."""
        self._lost = True
        self._wake.set()

    def take(self) -> bytes:
        if not self._received and self._lost:
            raise LinkLostError("the device is gone")
        data = bytes(self._received)
        self._received.clear()
        return data

    def set_rate(self, baud: int) -> None:
        raise AssertionError(f"a VL1 validator never asks for {baud} baud")

    def write(self, data: bytes) -> None:
        if not self._lost:
            self._door.write(data)

    async def close(self) -> None:
        self._door.closed(self)


def token_of(card: int) -> bytes:
    """The validator's own token of a card."""
    return hashlib.sha256(f"token of card {card}".encode()).digest()
