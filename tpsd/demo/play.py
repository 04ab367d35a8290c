"""Playing the demo: tap, let the ladder's hours pass, judge by the ledgers of those outside the daemon."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import TypeVar

from tpsd.app import assembled
from tpsd.daemon import Daemon, World
from tpsd.demo.clock import WarpClock
from tpsd.demo.debtor import Debt, Debtor
from tpsd.demo.mix import NEVER_ANSWERED, PlannedTap, plan
from tpsd.demo.reader import Passed, Reader
from tpsd.demo.riders import Riders, summary
from tpsd.demo.stage import LANES, Stage, built
from tpsd.demo.validator import Told, Validator
from tpsd.domain.time import MINUTE
from tpsd.domain.views import TapFilter
from tpsd.errors import TpsdError
from tpsd.sfey.ledger import Ledger
from tpsd.waits import spread

ROWS_MAX = 1000  # of one lane: more than anybody watches
ANSWER_SECONDS = 20.0  # for the verdicts of all taps, per 60 of them
LADDER_SECONDS = 120.0  # real seconds that the ladder's 22 hours may take before something is wrong
STATUS_SECONDS = 0.1
SETTLE_SECONDS = 0.002  # how often the clock's driver looks whether everything waits
LOOPS_ON_THE_CLOCK = 6  # dispatcher, enquirer, mailer, uplink, attendant and feed; the warden counts real time

T = TypeVar("T")
OUTCOMES = ("approved", "declined", "tap_refused", "held", "permanently_failed", "in_doubt", "pending")

Show = Callable[[dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the ledgers say. ``summary`` is the JSON object; ``good`` is the exit code's question."""

    summary: dict[str, object]
    mails: tuple[EmailMessage, ...]
    folder: Path | None
    good: bool
    passed: Passed
    fates: dict[str, int] = field(default_factory=dict)
    debt: Debt = field(default_factory=Debt)


def run(
    taps: int = 60, seed: int = 1, keep: bool = False, show: Show | None = None, record: Path | None = None
) -> DemoResult:
    """Play the demo in a folder of its own. ``show`` is called with the daemon's status ten times a second.

    ``record`` is a folder for the daemon's tap log; it is made where it is not there.
    """
    folder = Path(tempfile.mkdtemp(prefix="tpsd-demo-"))
    try:
        return asyncio.run(_play(folder, taps, seed, show, folder if keep else None, record))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _play(
    folder: Path, taps: int, seed: int, show: Show | None, kept: Path | None, record: Path | None
) -> DemoResult:
    clock = WarpClock()
    async with (
        built(folder, clock, record) as stage,
        assembled(stage.config, World(clock, random.Random(seed))) as daemon,
    ):
        running = asyncio.ensure_future(daemon.run())
        gate_in, gate_out = _gates(stage, seed, clock)
        riders = Riders(gate_in, gate_out)
        debtor = Debtor(gate_in, gate_out, stage.tps.updates, folder / "salt.hex")
        reader = Reader(stage.lines[-1].descriptor, clock)
        watching = asyncio.ensure_future(_watch(daemon, show))
        try:
            planned = plan(taps, seed, len(LANES))
            told = await _or_failure(
                running, _tap_all(stage, planned, seed, clock, partial(_ride, riders, debtor, daemon), reader)
            )
            clock.stand_still()
            await _or_failure(running, _let_time_pass(daemon, clock))
            await _or_failure(running, riders.put_right(daemon))
        finally:
            riders.stop()
            reader.stop()
            daemon.stop()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await running
        if show is not None:
            show(await daemon.status())
        totals = await daemon.journal.totals()
        rode = await summary(riders, daemon, stage.tps.ledger)
        lanes = {lane.state.name: lane.state.taps for lane in daemon.lanes}
        besides = {"taps_by_lane": lanes, **rode, "deny_list": asdict(debtor.debt)}
        passed = reader.passed(daemon, stage.tps.ledger)
        outcomes = await _outcomes(daemon)
        judged = _judged(told, riders.told, passed, stage, outcomes, totals.sends, besides, kept)
        return replace(judged, debt=debtor.debt)


async def _or_failure(running: asyncio.Future[None], work: Coroutine[None, None, T]) -> T:
    """What ``work`` returns; if the daemon ends first, its error."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((running, task), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        running.result()
        raise TpsdError("the daemon stopped in the middle of the demo")
    return task.result()


async def _tap_all(
    stage: Stage,
    planned: list[PlannedTap],
    seed: int,
    clock: WarpClock,
    ride: Callable[[], Coroutine[None, None, None]],
    reader: Reader,
) -> list[Told]:
    """Tap everything on the validators, in parallel, and wait for every verdict."""
    lanes = [
        Validator(f"VAL{number:05d}", line.descriptor, random.Random(seed + number), clock)
        for number, line in enumerate(stage.lines[: len(LANES)], start=1)
    ]
    try:
        async with asyncio.TaskGroup() as tapping:
            for number, lane in enumerate(lanes):
                tapping.create_task(lane.tap_all([tap for tap in planned if tap.validator == number]))
            tapping.create_task(ride())
            tapping.create_task(_in_time(reader.pass_all()))
        async with asyncio.timeout(ANSWER_SECONDS * max(1, len(planned) / 60)):
            await asyncio.gather(*(lane.answered.wait() for lane in lanes))
    except TimeoutError:
        pass  # taps without a verdict are counted as lost: that is what the demo is for
    finally:
        for lane in lanes:
            lane.stop()
    return [told for lane in lanes for told in lane.told.values()]


async def _ride(riders: Riders, debtor: Debtor, daemon: Daemon) -> None:
    """Everybody at the gates, one after another."""
    await _in_time(riders.ride())
    await _in_time(debtor.ride(daemon))


async def _in_time(riding: Coroutine[None, None, None]) -> None:
    """A passenger whose verdict never comes is counted as lost, like any other tap."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            await riding


def _gates(stage: Stage, seed: int, clock: WarpClock) -> list[Validator]:
    return [
        Validator(f"VAL{number:05d}", line.descriptor, random.Random(seed + number), clock)
        for number, line in enumerate(stage.lines[len(LANES) : -1], start=len(LANES) + 1)
    ]


async def _outcomes(daemon: Daemon) -> Counter[str]:
    """The states of the deferred lanes' taps."""
    found: Counter[str] = Counter()
    for lane in LANES:
        rows = await daemon.journal.taps(TapFilter(lane=lane, limit=ROWS_MAX))
        found.update(row.state for row in rows if row.state is not None)
    return found


async def _let_time_pass(daemon: Daemon, clock: WarpClock) -> None:
    """Jump from due time to due time while no send is in flight, until nothing is due any more."""
    async with asyncio.timeout(LADDER_SECONDS):
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            busy = daemon.dispatcher.in_flight or daemon.authoriser.in_flight or daemon.mailer.busy
            busy = busy or (daemon.enquirer is not None and daemon.enquirer.busy)
            busy = busy or (daemon.feed is not None and daemon.feed.busy)
            if busy or not clock.quiet(LOOPS_ON_THE_CLOCK):
                continue
            due = clock.next_due()
            if due is None or clock.next_due(apart_from=None if daemon.feed is None else daemon.feed.wake) is None:
                return  # the list is polled for ever
            clock.jump(due)


async def _watch(daemon: Daemon, show: Show | None) -> None:
    while show is not None:
        show(await daemon.status())
        await asyncio.sleep(STATUS_SECONDS)


def _judged(
    told: list[Told],
    riders: list[Told],
    passed: Passed,
    stage: Stage,
    states: Mapping[str, int],
    sends: int,
    besides: dict[str, object],
    kept: Path | None,
) -> DemoResult:
    ledger = stage.tps.ledger
    answered = [tap for tap in told if tap.verdict is not None]
    accepted = [tap for tap in answered if tap.verdict is not None and tap.verdict.verdict.accepts]
    seen = {(request.serial, request.tapped_at // 1000) for request in ledger.requests() if request.tapped_at}
    let_in = [tap for tap in riders if tap.verdict is not None and tap.verdict.verdict.accepts]
    lost = sum((tap.serial, tap.tapped_at // 1000) not in seen for tap in (*accepted, *let_in))
    lost += sum(tap.verdict is None for tap in riders) + passed.missing
    waits = (tap.verdict.waited * 1000 for tap in answered if tap.verdict and tap.verdict.waited is not None)
    duplicates = len(ledger.duplicates()) + passed.charged_beyond
    outcomes = {name: states.get(name, 0) for name in OUTCOMES}
    outcomes["pending"] += states.get("sending", 0)
    result: dict[str, object] = {
        "taps_sent": len(told),
        "taps_kept": len(answered),
        "lost": lost,
        "duplicate_charges": duplicates,
        "accepted": len(accepted),
        "denied": len(answered) - len(accepted),
        "outcomes": outcomes,
        "sends": sends,
        "emails_received": len(stage.mailbox.mails),
        "verdict_ms": spread(waits, 2),
        "ladder_minutes": _ladder_minutes(told, ledger),
        "charged": ledger.charged_total,
        "violations": len(ledger.violations),
        "reader": asdict(passed),
        **besides,
    }
    good = not lost and not duplicates and len(answered) == len(told) and not ledger.violations
    fates = Counter(tap.planned.fate for tap in told if tap.planned is not None)
    return DemoResult(result, tuple(stage.mailbox.mails), kept, good, passed, fates)


def _ladder_minutes(told: list[Told], ledger: Ledger) -> list[float]:
    """When the never-answered tap was sent again, in minutes of TPS's clock after it first saw it."""
    never = next((tap for tap in told if tap.planned and tap.planned.amount == NEVER_ANSWERED), None)
    if never is None:
        return []
    times = [request.at for request in ledger.requests_of(never.serial, never.tapped_at)]
    # To a tenth: the first send is stamped where it arrives, on a busy machine a second late, the others at due times.
    minutes = (round((at - times[0]) / MINUTE, 1) for at in times[1:])
    return [int(minute) if minute.is_integer() else minute for minute in minutes]
