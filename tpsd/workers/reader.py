"""A lane: bytes from its port, taps to the journal, verdicts back. A lost link is an event, never an exception.

Two tasks: one moves bytes and keeps the protocol's timers, the other takes taps in order, so that a commit never
delays an acknowledgement on the wire.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from tpsd.asking import Answered
from tpsd.core.asking import JourneyMovedError
from tpsd.core.candidate import JOURNEY_KINDS, LanePolicy, Setting
from tpsd.core.display import display
from tpsd.core.intake import decide, prepare, tokens_of
from tpsd.core.spooling import OUT_OF_SERVICE
from tpsd.core.texts import Catalogue
from tpsd.core.trouble import Trouble
from tpsd.domain.journey import Journey
from tpsd.domain.lane import LaneClosed
from tpsd.domain.tap import TapReport, Told
from tpsd.domain.time import Micros
from tpsd.errors import JournalError, JournalUnavailableError, PortError
from tpsd.metering import UNMETERED, Meter
from tpsd.ports import (
    CardMissed,
    Device,
    DeviceDown,
    DeviceEvent,
    DeviceStatus,
    DeviceUp,
    Journal,
    LinkLostError,
    Port,
    PortWanted,
    Taken,
    TapArrived,
    Timepiece,
    Transport,
    VerdictTaken,
)
from tpsd.uuids import Drawn, Uuids
from tpsd.witness import UNWITNESSED, Witness

TAPS_WAITING_MAX = 64  # taps: a validator has at most two under way; more is a flood, and dropped ones come again
MOVES_MAX = 5  # times a card's journey may move while its tap is prepared; more is a fault of ours
PREFLIGHT = "preflight"  # the reason of a lane of which nothing has been found yet
REOPEN_SECONDS = 1.0  # how often a lane that could not commit tries the journal again

log = structlog.get_logger("tpsd.lane")


@dataclass(slots=True)
class LaneState:
    """A lane as people see it. Times on the wall clock."""

    name: str
    alias: str
    port: str
    protocol: str
    state: str = "offline"  # offline, waiting (for the validator), ready, closed
    reason: str = ""
    since: Micros | None = None  # in this state
    serial: str | None = None
    terminal: str | None = None
    firmware: str | None = None
    taps: int = 0
    internal_errors: int = 0
    noise: int = 0  # runs of bytes that were no frame
    cards_lost: int = 0  # read, and their data was lost: a reader without a memory (links.md part 2)
    cards_unread: int = 0  # seen, and they could not be read
    last_tap_at: Micros | None = None
    stale_accepts_below: int | None = None  # minor units, while the deny list is too old; None: whoever comes


def terminal_of(state: LaneState) -> str | None:
    """``TYPE:SERIAL`` as Sfey knows it; None while one of them is not known."""
    type_name, _, serial = (state.terminal or "").partition(":")
    return state.terminal if type_name and serial else None


@dataclass(frozen=True, slots=True)
class LaneParts:
    """What a lane is made of; ``pause`` gives the seconds before the next try at a vanished port."""

    port: Port
    device: Device
    policy: LanePolicy
    catalogue: Catalogue
    pause: Callable[[], float]
    port_was_good: Callable[[], None]
    protocol: str = "vl1"


@dataclass(frozen=True, slots=True)
class Asking:
    """A realtime tap whose request is to be sent now. ``can_take_pin``: its validator can ask for it.

    ``send_away`` tells the passenger that nothing can be decided.
    """

    taken: Taken
    policy: LanePolicy
    can_take_pin: bool
    tell: Callable[[Answered], None] = field(compare=False)
    send_away: Callable[[], None] = field(compare=False)


class Lane:
    """One validator's loop. ``ask`` sends a realtime tap and tells what came of it."""

    def __init__(
        self,
        parts: LaneParts,
        alias: str,
        journal: Journal,
        setting: Setting,
        clock: Timepiece,
        rng: random.Random,
        on_taken: Callable[[Taken], None],
        ask: Callable[[Asking], None] | None = None,
    ) -> None:
        self._ask = ask
        self._can_take_pin = False
        self._untaken: dict[object, int] = {}  # accepting verdicts that the link has not acknowledged, with their taps
        self._shown: asyncio.Queue[int] = asyncio.Queue()  # taps whose verdict it has
        self._port = parts.port
        self._device = parts.device
        self._policy = parts.policy
        self._catalogue = parts.catalogue
        self._parts = parts
        self._journal = journal
        self._setting = setting
        self._clock = clock
        self._on_taken = on_taken
        self._wake = asyncio.Event()
        # With each tap, whether the time was known when it was stamped.
        self._taps: asyncio.Queue[tuple[TapArrived, bool]] = asyncio.Queue(TAPS_WAITING_MAX)
        self._journal_ok = True
        self._closed: LaneClosed | None = None
        self._idle_text: str | None = None  # instead of the lane's name
        self._held_back = ""  # why preflight keeps it closed
        self._undecided = False  # preflight has yet to say: the validator hears nothing meanwhile
        self._link = Trouble()
        self._validator = Trouble()
        self._flood = Trouble()
        self._disk = Trouble()
        self._missed = Trouble()
        self._lacking = Trouble()
        self._heard_of: str | None = None  # the serial that the log last said is there
        self._wanted: PortWanted | None = None
        self._rate: int | None = None  # of the port, where its device asked for one
        self.meter: Meter = UNMETERED
        self.witness: Witness = UNWITNESSED
        self.uuids: Uuids = Drawn(rng)
        self.list_is_stale: Callable[[], bool] = lambda: False  # TPS's deny list is too old
        self.on_up: Callable[[], None] = lambda: None  # the validator has said who it is
        self.state = LaneState(parts.policy.name, alias, parts.port.name, parts.protocol)
        self.state.stale_accepts_below = parts.policy.stale_accepts_below

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_taps(), name=f"taps of {self._policy.name}")
            tasks.create_task(self._move_bytes(), name=f"bytes of {self._policy.name}")
            tasks.create_task(self._note_shown(), name=f"verdicts of {self._policy.name}")

    def adopt(self, policy: LanePolicy, setting: Setting) -> None:
        """From the next tap on another fare, another configuration; the wire and its session are not disturbed."""
        self._policy, self._setting = policy, setting
        self.state.stale_accepts_below = policy.stale_accepts_below
        self._parts = replace(self._parts, policy=policy)

    def time_is_known(self) -> None:
        """Tell the validator what time it is; a lane that waited for that opens."""
        if self.state.state in ("ready", "closed"):
            self._say_open()

    def close_by_hand(self, closed: LaneClosed | None) -> None:
        """Passengers are sent elsewhere from now on, until None opens it; a tap that comes all the same is taken."""
        self._closed = closed
        if self.state.state in ("ready", "closed"):
            self._say_open()

    def stand_by_with(self, text: str | None) -> None:
        """What its validator shows while nothing happens, where it can show words of ours; None: the lane's name."""
        if text != self._idle_text:
            self._idle_text = text
            if self.state.state in ("ready", "closed"):
                self._say_open()
                self._wake.set()

    def await_preflight(self) -> None:
        """It opens once ``preflight_said`` so; until then its validator is told nothing."""
        self._undecided, self._held_back = True, PREFLIGHT
        if self.state.state in ("ready", "closed"):
            self._say_open()

    def preflight_said(self, why_not: str) -> None:
        """It may open where ``why_not`` is empty; a tap that comes to a closed lane all the same is taken."""
        undecided, self._undecided = self._undecided, False
        if why_not == self._held_back and not undecided:
            return
        self._held_back = why_not
        if self.state.state in ("ready", "closed"):
            self._say_open()

    @property
    def policy(self) -> LanePolicy:
        """What the lane allows and charges at present."""
        return self._policy

    # --- the wire ---

    async def _move_bytes(self) -> None:
        while True:
            try:
                transport = await self._port.open(self._wake)
            except PortError as exc:
                self._lost(str(exc))
            else:
                try:
                    await self._converse(transport)
                except LinkLostError as exc:
                    self._lost(str(exc))
                finally:
                    await transport.close()
            await asyncio.sleep(self._parts.pause())

    async def _converse(self, transport: Transport) -> None:
        self._show("waiting", "")
        if self._rate is not None:
            transport.set_rate(self._rate)
        self._device.open(self._clock.monotonic())
        while True:
            transport.write(self._device.output())
            await self._until_something()
            self._wake.clear()
            data = transport.take()
            now, wall, trusted = self._clock.monotonic(), self._clock.wall(), self._clock.trusted
            if data:
                self._parts.port_was_good()
                self._heed(self._device.receive(data, now, wall, trusted=trusted))
                self.state.noise = self._device.garbage
            deadline = self._device.deadline
            if deadline is not None and deadline <= now:
                self._heed(self._device.tick(now, wall, trusted=trusted))
            if self._wanted is not None:
                self._set_port(transport, self._wanted)

    def _set_port(self, transport: Transport, wanted: PortWanted) -> None:
        self._wanted, self._rate = None, wanted.baud
        if wanted.anew:
            raise LinkLostError("nobody answers on it")
        transport.set_rate(wanted.baud)
        self._device.open(self._clock.monotonic())

    async def _until_something(self) -> None:
        deadline = self._device.deadline
        if deadline is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _heed(self, events: list[DeviceEvent]) -> None:
        for event in events:
            match event:
                case TapArrived():
                    self._look_for_tags(event)
                    self._queue(event)
                case DeviceUp():
                    self._up(event)
                case VerdictTaken(answer_to):
                    if (tap := self._untaken.pop(answer_to, None)) is not None:
                        self._shown.put_nowait(tap)
                case DeviceDown(reason):
                    self._untaken.clear()  # they come again, and get their verdict from the row
                    self._show("waiting", reason)
                    if (times := self._link.happened(self._clock.monotonic(), reason)) is not None:
                        log.warning("session_lost", lane=self._policy.name, reason=reason, times=times)
                case DeviceStatus():
                    self._status(event)
                case CardMissed():
                    self._miss(event)
                case PortWanted():
                    self._wanted = event
                case _:
                    assert_never(event)

    def _up(self, event: DeviceUp) -> None:
        type_name = self._policy.terminal_type or event.type_name
        self.state.serial, self.state.firmware = event.serial, event.firmware
        self._can_take_pin = event.can_take_pin
        self.state.terminal = f"{type_name}:{self._policy.terminal_sn or event.serial}"
        lost = self._link.over(self._clock.monotonic())
        if lost is not None or self._heard_of != event.serial:
            self._heard_of = event.serial
            log.info("session_up", lane=self._policy.name, serial=event.serial, type=event.type_name, lost=lost or 0)
        if event.alarm:
            log.error("validator_alarm", lane=self._policy.name, serial=event.serial, what=event.alarm)
        self._has_type = bool(type_name)
        self.on_up()
        self._say_open()

    def _status(self, event: DeviceStatus) -> None:
        now, lane = self._clock.monotonic(), self._policy.name
        said = f"{event.state} {event.text}".strip()
        if event.state == "ready":
            if self.state.state != "closed":
                self.state.reason = ""
            if (times := self._validator.over(now)) is not None:
                log.info("validator_well", lane=lane, times=times)
            return
        self.state.reason = said
        if (times := self._validator.happened(now, said)) is not None:
            log.warning("validator_unwell", lane=lane, state=event.state, text=event.text, times=times)

    def _miss(self, event: CardMissed) -> None:
        if not event.read:
            self.state.cards_unread += 1
            return
        self.state.cards_lost += 1
        if (times := self._missed.happened(self._clock.monotonic(), event.why)) is not None:
            log.warning("card_lost", lane=self._policy.name, why=event.why, times=times)

    def _look_for_tags(self, event: TapArrived) -> None:
        """A reader that is not set up for transit is found here, or by what TPS refuses days later."""
        now = self._clock.monotonic()
        if not event.lacks:
            self._lacking.over(now)
        elif (times := self._lacking.happened(now, event.lacks)) is not None:
            serial = event.report.serial
            log.warning("tap_incomplete", lane=self._policy.name, serial=serial, lacks=event.lacks, times=times)

    def _queue(self, event: TapArrived) -> None:
        if not self._has_type:
            return  # no verdict: the validator keeps its tap until the lane is set up
        now = self._clock.monotonic()
        try:
            self._taps.put_nowait((event, self._clock.trusted))
            self._flood.over(now)
            self._missed.over(now)
        except asyncio.QueueFull:
            if (times := self._flood.happened(now)) is not None:
                log.warning("tap_flood", lane=self._policy.name, times=times)

    def _lost(self, why: str) -> None:
        if (times := self._link.happened(self._clock.monotonic(), why)) is not None:
            log.warning("port_lost", lane=self._policy.name, port=self._port.name, why=why, times=times)
        self._show("offline", why)

    def _say_open(self) -> None:
        if not self._has_type:
            self._show("closed", "the validator names no type: set terminal_type for this lane")
        elif not self._journal_ok:
            self._show("closed", "the journal cannot be written")
        elif self._closed is not None:
            self._show("closed", str(self._closed))
        elif self._policy.realtime and not self._clock.trusted:
            self._show("closed", "clock")
        elif self._held_back:
            self._show("closed", self._held_back)
            if self._undecided:
                return
        else:
            self._show("ready", "")
        wall = self._clock.wall() if self._clock.trusted else None
        self._device.configure(self.state.state == "ready", wall, self._clock.monotonic(), self._idle_text)
        self._wake.set()

    def _show(self, state: str, reason: str) -> None:
        if (self.state.state, self.state.reason) != (state, reason):
            self.witness.linked(self._policy.name, state, reason, self.state.serial)
        if self.state.state != state or self.state.since is None:
            self.state.since = self._clock.wall()
        self.state.state, self.state.reason = state, reason

    _has_type = True

    # --- the taps ---

    async def _take_taps(self) -> None:
        while True:
            event, timed = await self._taps.get()
            try:
                taken = await self._take(event, timed)
            except JournalUnavailableError as exc:
                await self._wait_for_journal(exc)
                continue
            self._answer(event, taken)
            self._on_taken(taken)

    def _answer(self, event: TapArrived, taken: Taken) -> None:
        if taken.new:
            self.state.taps += 1
            self.state.last_tap_at = event.report.received_at
        else:
            self.meter.repeated(self._policy.name)
        if taken.told is not None:
            self._tell(event, taken.number, taken.told)
            if taken.new:
                self.meter.tapped(self._policy.name, taken.kind, taken.told)
            return
        self._device.keep(event.answer_to, self._clock.monotonic())
        self._wake.set()
        if taken.asked is not None and self._ask is not None:

            def tell(answered: Answered) -> None:
                if answered.told is not None and answered.tap is not None:
                    self._tell(event, answered.tap, answered.told)
                    self.meter.tapped(self._policy.name, taken.kind, answered.told)

            def send_away() -> None:
                self._tell(event, taken.number, OUT_OF_SERVICE)
                self.meter.tapped(self._policy.name, taken.kind, OUT_OF_SERVICE)

            self._ask(Asking(taken, self._policy, self._can_take_pin, tell, send_away))

    def _tell(self, event: TapArrived, tap: int, told: Told) -> None:
        if self._policy.realtime and told.verdict.accepts:
            self._untaken[event.answer_to] = tap
        self._device.tell(event.answer_to, told, display(told, self._catalogue), self._clock.monotonic())
        self._wake.set()

    async def _note_shown(self) -> None:
        while True:
            tap = await self._shown.get()
            try:
                await self._journal.asked.delivered(tap)
            except JournalUnavailableError:
                self._shown.put_nowait(tap)
                await asyncio.sleep(REOPEN_SECONDS)

    async def _take(self, event: TapArrived, timed: bool) -> Taken:
        report, untrusted = event.report, None
        if not timed and self._clock.trusted:  # the time became known while it waited here
            report = replace(report, received_at=Micros(report.received_at + self._clock.shift_us))
        elif not timed:
            untrusted = self._clock.life
        try:
            return await self._decided(report, untrusted)
        except JournalError:
            raise
        except Exception as exc:  # one tap's surprise is that tap's alone (design 1)
            self.state.internal_errors += 1
            log.error("tap_undecidable", lane=self._policy.name, tap=str(report.tap_id), error=type(exc).__name__)
            terminal = self.state.terminal or f"{report.type_name}:{report.serial}"
            digest = self._setting.config_digest
            now = self._clock.schedule()
            taken = await self._journal.reject(report, self._policy.name, terminal, digest, now, untrusted)
            named = self._journal.digest(report.fingerprint)
            self.witness.rejected(report.masked(), self._policy.name, named, taken, timed=untrusted is None)
            return taken

    async def _decided(self, report: TapReport, untrusted: str | None) -> Taken:
        """Commit 1. A card whose journey moved between the look at it and the commit is prepared anew."""
        for moves in range(MOVES_MAX):
            uuid = self.uuids.of_tap(report)
            journey, stale = await self._journey(report), self.list_is_stale()
            candidate = prepare(report, self._policy, self._setting, uuid, untrusted, journey, list_is_stale=stale)
            try:
                now = self._clock.schedule()
                taken = await self._journal.take(candidate, decide, now)
            except JourneyMovedError:
                if moves + 1 == MOVES_MAX:
                    raise
                continue
            taken = replace(taken, kind=candidate.kind)
            self.witness.took(candidate, taken, now, can_take_pin=self._can_take_pin)
            return taken
        raise AssertionError("the loop returns or raises")

    async def _journey(self, report: TapReport) -> Journey | None:
        if not self._policy.realtime or not self._policy.kinds & JOURNEY_KINDS:
            return None
        operator = self._setting.operator.company_id
        with suppress(JournalUnavailableError):  # the commit meets it too, where a spool does not take the tap
            for token in tokens_of(report, self._setting):  # a journey may have begun under another token key
                if (journey := await self._journal.asked.journey(operator, token)) is not None:
                    return journey
        return None

    async def _wait_for_journal(self, exc: JournalUnavailableError) -> None:
        """Closed and silent until a commit succeeds: nothing was acknowledged, the validator keeps its taps."""
        if (times := self._disk.happened(self._clock.monotonic(), str(exc))) is not None:
            log.error("journal_unavailable", lane=self._policy.name, error=str(exc), times=times)
        self._journal_ok = False
        self._say_open()
        while not self._journal_ok:
            await asyncio.sleep(REOPEN_SECONDS)
            try:
                await self._journal.probe()
            except JournalUnavailableError:
                continue
            self._journal_ok = True
        while not self._taps.empty():
            self._taps.get_nowait()  # they come again, and by now they may be answered already
        if (times := self._disk.over(self._clock.monotonic())) is not None:
            log.info("journal_back", lane=self._policy.name, times=times)
        if self.state.state == "closed":
            self._say_open()
