"""Playing the demo: tap, let the ladder's hours pass, judge by the ledgers of those outside the daemon."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

from device.vl1.cards import read
from device.vl1.events import SessionUp
from device.vl1.greeting import TapNumber
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tpsd.app import Daemon, World, assembled
from tpsd.demo.clock import WarpClock
from tpsd.demo.mix import NEVER_ANSWERED, PlannedTap, plan
from tpsd.demo.stage import LANES, Stage, built
from tpsd.domain.time import MINUTE, Micros
from tpsd.errors import TpsdError
from tpsd.sfey.ledger import Ledger
from tpsd.simulated_lane import SimulatedLane

TAP_SECONDS = 0.08  # between two taps of one validator: brisk, and a person can still watch
ANSWER_SECONDS = 20.0  # for the verdicts of all taps, per 60 of them
LADDER_SECONDS = 120.0  # real seconds that the ladder's 22 hours may take before something is wrong
STATUS_SECONDS = 0.1
SETTLE_SECONDS = 0.002  # how often the clock's driver looks whether everything waits
LOOPS_ON_THE_CLOCK = 4  # dispatcher, mailer, uplink and attendant; the warden counts real time

T = TypeVar("T")
OUTCOMES = ("approved", "declined", "tap_refused", "held", "permanently_failed", "in_doubt", "pending")

Show = Callable[[dict[str, object]], None]


@dataclass(slots=True)
class _Told:
    """One tap as its validator saw it."""

    planned: PlannedTap
    serial: str
    tapped_at: Micros
    verdict: TapVerdict | None = None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the ledgers say. ``summary`` is the JSON object; ``good`` is the exit code's question."""

    summary: dict[str, object]
    mails: tuple[EmailMessage, ...]
    folder: Path | None
    good: bool
    fates: dict[str, int] = field(default_factory=dict)


def run(taps: int = 60, seed: int = 1, keep: bool = False, show: Show | None = None) -> DemoResult:
    """Play the demo in a folder of its own. ``show`` is called with the daemon's status ten times a second."""
    folder = Path(tempfile.mkdtemp(prefix="tpsd-demo-"))
    try:
        return asyncio.run(_play(folder, taps, seed, show, folder if keep else None))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _play(folder: Path, taps: int, seed: int, show: Show | None, kept: Path | None) -> DemoResult:
    clock = WarpClock()
    async with built(folder, clock) as stage, assembled(stage.config, World(clock, random.Random(seed))) as daemon:
        running = asyncio.ensure_future(daemon.run())
        watching = asyncio.ensure_future(_watch(daemon, show))
        try:
            told = await _or_failure(running, _tap_all(stage, plan(taps, seed, len(LANES)), seed, clock))
            clock.stand_still()
            await _or_failure(running, _let_time_pass(daemon, clock))
        finally:
            daemon.stop()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await running
        if show is not None:
            show(await daemon.status())
        totals = await daemon.journal.totals()
        return _judged(told, stage, totals.states, totals.sends, kept)


async def _or_failure(running: asyncio.Future[None], work: Coroutine[None, None, T]) -> T:
    """What ``work`` returns; if the daemon ends first, its error."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((running, task), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        running.result()
        raise TpsdError("the daemon stopped in the middle of the demo")
    return task.result()


async def _tap_all(stage: Stage, planned: list[PlannedTap], seed: int, clock: WarpClock) -> list[_Told]:
    """Tap everything on the validators, in parallel, and wait for every verdict."""
    lanes = [
        _Validator(f"VAL{number:05d}", line.descriptor, random.Random(seed + number), clock)
        for number, line in enumerate(stage.lines, start=1)
    ]
    try:
        async with asyncio.TaskGroup() as tapping:
            for number, lane in enumerate(lanes):
                tapping.create_task(lane.tap_all([tap for tap in planned if tap.validator == number]))
        async with asyncio.timeout(ANSWER_SECONDS * max(1, len(planned) / 60)):
            await asyncio.gather(*(lane.answered.wait() for lane in lanes))
    except TimeoutError:
        pass  # taps without a verdict are counted as lost: that is what the demo is for
    finally:
        for lane in lanes:
            lane.stop()
    return [told for lane in lanes for told in lane.told.values()]


class _Validator:
    """One simulated validator with the taps it was given."""

    def __init__(self, serial: str, descriptor: int, rng: random.Random, clock: WarpClock) -> None:
        self._serial = serial
        self._rng = rng
        self._clock = clock
        self._up = asyncio.Event()
        self._last_at = Micros(0)
        self.answered = asyncio.Event()
        self.told: dict[TapNumber, _Told] = {}
        validator = SimulatedValidator(serial=serial, type_name="GATE-X1")
        self._lane = SimulatedLane(validator, descriptor, self._on_event, patient=True)
        self._lane.start()

    async def tap_all(self, planned: list[PlannedTap]) -> None:
        """Tap them in order; ``answered`` is set once each has its verdict."""
        self._planned = len(planned)
        await self._up.wait()
        for tap in planned:
            self._tap(tap)
            await asyncio.sleep(TAP_SECONDS)
        self._see_whether_answered()

    def stop(self) -> None:
        """Fall silent."""
        self._lane.stop()

    def _tap(self, planned: PlannedTap) -> None:
        # The wire carries milliseconds, and the ledgers know a tap by its validator and time.
        tapped_at = Micros(max(self._clock.wall(), self._last_at + 1000))
        self._last_at = tapped_at
        card = read(
            planned.card,
            self._rng,
            amount=planned.amount,
            currency="978",
            tapped_at=tapped_at,
            counter=len(self.told) + 1,
        )

        def tap(now: float) -> TapNumber:
            number = self._lane.validator.tap(
                now, card=card, tapped_at=tapped_at, amount=planned.amount, currency="978", oda=planned.oda
            )
            self.told[number] = _Told(planned, self._serial, tapped_at)
            return number

        self._lane.act(tap)

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case SessionUp():
                self._up.set()
            case TapVerdict(tap=number):
                self.told[number].verdict = event
                self._see_whether_answered()
            case _:
                return

    def _see_whether_answered(self) -> None:
        if len(self.told) == self._planned and all(told.verdict for told in self.told.values()):
            self.answered.set()


async def _let_time_pass(daemon: Daemon, clock: WarpClock) -> None:
    """Jump from due time to due time while no send is in flight, until nothing is due any more."""
    async with asyncio.timeout(LADDER_SECONDS):
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            busy = daemon.dispatcher.in_flight or daemon.authoriser.in_flight or daemon.mailer.busy
            if busy or not clock.quiet(LOOPS_ON_THE_CLOCK):
                continue
            due = clock.next_due()
            if due is None:
                return
            clock.jump(due)


async def _watch(daemon: Daemon, show: Show | None) -> None:
    while show is not None:
        show(await daemon.status())
        await asyncio.sleep(STATUS_SECONDS)


def _judged(told: list[_Told], stage: Stage, states: dict[str, int], sends: int, kept: Path | None) -> DemoResult:
    ledger = stage.tps.ledger
    answered = [tap for tap in told if tap.verdict is not None]
    accepted = [tap for tap in answered if tap.verdict is not None and tap.verdict.verdict.accepts]
    seen = {(request.serial, request.tapped_at // 1000) for request in ledger.requests() if request.tapped_at}
    lost = sum((tap.serial, tap.tapped_at // 1000) not in seen for tap in accepted)
    waits = sorted(tap.verdict.waited * 1000 for tap in answered if tap.verdict and tap.verdict.waited is not None)
    duplicates = len(ledger.duplicates())
    outcomes = {name: states.get(name, 0) for name in OUTCOMES}
    outcomes["pending"] += states.get("sending", 0)
    summary: dict[str, object] = {
        "taps_sent": len(told),
        "taps_kept": len(answered),
        "lost": lost,
        "duplicate_charges": duplicates,
        "accepted": len(accepted),
        "denied": len(answered) - len(accepted),
        "outcomes": outcomes,
        "sends": sends,
        "emails_received": len(stage.mailbox.mails),
        "verdict_ms": {"p50": _quantile(waits, 0.50), "p99": _quantile(waits, 0.99)},
        "ladder_minutes": _ladder_minutes(told, ledger),
        "charged": ledger.charged_total,
        "violations": len(ledger.violations),
    }
    good = not lost and not duplicates and len(answered) == len(told) and not ledger.violations
    return DemoResult(summary, tuple(stage.mailbox.mails), kept, good, Counter(tap.planned.fate for tap in told))


def _ladder_minutes(told: list[_Told], ledger: Ledger) -> list[float]:
    """When the never-answered tap was sent again, in minutes of TPS's clock after it first saw it."""
    never = next((tap for tap in told if tap.planned.amount == NEVER_ANSWERED), None)
    if never is None:
        return []
    times = [request.at for request in ledger.requests_of(never.serial, never.tapped_at)]
    # To a hundredth: the first send is stamped some milliseconds after its due time, the others at theirs.
    minutes = (round((at - times[0]) / MINUTE, 2) for at in times[1:])
    return [int(minute) if minute.is_integer() else minute for minute in minutes]


def _quantile(values: list[float], share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else None
