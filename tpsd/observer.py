"""The daemon looked at: one picture of a moment for health, metrics and the status screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Generic, Protocol, TypeVar

from tpsd.admin.health import fleet_page, health_page
from tpsd.admin.lanes import lanes_page
from tpsd.admin.metrics import Metrics
from tpsd.admin.watching import queue_lines, queue_page, resting_lines
from tpsd.core.health import Health, judge
from tpsd.domain.outcome import Exchange
from tpsd.domain.picture import FeedFacts, FleetFacts, LaneFacts, Picture, TapLogFacts, UplinkFacts
from tpsd.domain.views import JournalTotals
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.metering import Meter
from tpsd.ports import Clock, Tps
from tpsd.store.journal import SqlJournal
from tpsd.workers.reader import LaneState

COST_SHARE = 20  # counting takes at most a twentieth of the time, however long the queue is
ANSWER_SECONDS = 3.0  # below what watchers wait; a journal that takes longer is what they must hear of

T = TypeVar("T")


class Told(Protocol):
    """What the loops say of themselves."""

    def __call__(self) -> Sequence[Mapping[str, object]]:
        """``host``, ``state``, ``seconds`` and ``cause`` of every host."""


class Observer:
    """``metrics`` is the meter that the loops were given."""

    def __init__(
        self,
        journal: SqlJournal,
        clock: Clock,
        metrics: Metrics,
        lanes: Callable[[], Sequence[LaneState]],
        uplinks: Told,
        in_flight: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._lanes = lanes
        self._uplinks = uplinks
        self._in_flight = in_flight
        self._figures = _Counted(journal.numbers.now, clock)
        self._totals = _Counted(journal.totals, clock)
        self._waits = _Counted(journal.numbers.by_lane, clock)
        self.metrics = metrics
        self.time: Callable[[], tuple[bool, float]] = lambda: (True, 0.0)
        self.feed: Callable[[], FeedFacts | None] = lambda: None
        self.preflight: Callable[[], Sequence[str]] = list
        self.taplog: Callable[[], TapLogFacts | None] = lambda: None
        self.fleet: Callable[[], FleetFacts | None] = lambda: None
        journal.pulse.on_commit = metrics.committed

    async def picture(self) -> Picture:
        """Now; the journal's figures may be as old as counting them took, COST_SHARE times."""
        trouble, figures = self._journal.pulse.trouble, None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._journal.next_due()
                figures = await self._figures.get()
        except TimeoutError:
            figures = self._figures.last  # a long queue takes long to count
            if not self._figures.counting:
                trouble = trouble or "the journal does not answer"
        except JournalError as exc:
            trouble = trouble or str(exc)
        trusted, offset = self.time()
        return Picture(
            at=self._clock.schedule(),
            lanes=tuple(_lane(state) for state in self._lanes()),
            figures=figures,
            journal_trouble=trouble,
            uplinks=tuple(_uplink(told) for told in self._uplinks()),
            clock_trusted=trusted,
            in_flight=self._in_flight(),
            clock_offset_seconds=offset,
            feed=self.feed(),
            preflight=tuple(self.preflight()),
            taplog=self.taplog(),
            spool=await self._journal.spool_facts(self._clock.wall()),
            fleet=self.fleet(),
        )

    async def health(self) -> Health:
        """What is wrong now."""
        return judge(await self.picture())

    async def page(self) -> bytes:
        """``/metrics``."""
        picture = await self.picture()
        return self.metrics.text(picture, judge(picture))

    async def report(self) -> dict[str, object]:
        """The part of ``tpsd status`` that watchers see too, as plain values."""
        picture = await self.picture()
        figures = picture.figures
        return {
            "health": health_page(judge(picture)),
            "clock_trusted": picture.clock_trusted,
            "clock_offset_seconds": picture.clock_offset_seconds,
            "queue": [] if figures is None else queue_lines(figures, picture.at),
            "resting": [] if figures is None else resting_lines(figures, picture.at),
            "spool": None if picture.spool is None else asdict(picture.spool),
            "fleet": None if picture.fleet is None else fleet_page(picture.fleet),
        }

    async def queue(self) -> dict[str, Any]:
        """``GET /queue``. Raises JournalError."""
        return queue_page(await self._figures.get(), self._clock.schedule())

    async def lanes(self) -> dict[str, Any]:
        """``GET /lanes``. Raises JournalError."""
        lanes = [asdict(state) for state in self._lanes()]
        spool = await self._journal.spool_facts(self._clock.wall())
        try:
            waits = await self._waits.get()
        except JournalUnavailableError:
            if spool is None:
                raise
            waits = self._waits.last or {}  # the database is away, and lanes work all the same
        return lanes_page(lanes, waits, self._clock.schedule(), self.feed(), spool)

    async def totals(self) -> JournalTotals:
        """Everything that was ever kept. Raises JournalError."""
        return await self._totals.get()


class _Counted(Generic[T]):
    """A count that is made anew when somebody asks, unless counting took long a short time ago."""

    def __init__(self, count: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._task: asyncio.Task[T] | None = None
        self._good_until = float("-inf")
        self.last: T | None = None

    @property
    def counting(self) -> bool:
        """Whether a count is under way."""
        return self._task is not None and not self._task.done()

    async def get(self) -> T:
        """The count; those who ask meanwhile share it, and it goes on when they stop waiting."""
        if self._task is None or (self._task.done() and self._clock.monotonic() >= self._good_until):
            self._task = asyncio.create_task(self._once(), name="count")
            self._task.add_done_callback(_heard)
        return await asyncio.shield(self._task)

    async def _once(self) -> T:
        began = self._clock.monotonic()
        self.last = await self._count()
        ended = self._clock.monotonic()
        self._good_until = ended + COST_SHARE * (ended - began)
        return self.last


def _heard(task: asyncio.Task[T]) -> None:
    """An error of a count that nobody waits for any more is nobody's: the next one meets it too."""
    if not task.cancelled():
        task.exception()


class MeteredTps:
    """``ports.Tps`` whose exchanges are timed."""

    def __init__(self, tps: Tps, meter: Meter, clock: Clock) -> None:
        self._tps = tps
        self._meter = meter
        self._clock = clock

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """As the line itself."""
        began = self._clock.monotonic()
        exchange = await self._tps.post(credential, path, body, within=within)
        self._meter.sent(self._clock.monotonic() - began)
        return exchange

    async def knock(self, credential: str) -> Exchange:
        """As the line itself; a probe is no send."""
        return await self._tps.knock(credential)


def _lane(state: LaneState) -> LaneFacts:
    return LaneFacts(
        state.name,
        state.alias,
        state.state,
        state.reason,
        state.internal_errors,
        state.noise,
        state.cards_lost,
        state.cards_unread,
        state.stale_accepts_below is not None,
    )


def _uplink(told: Mapping[str, object]) -> UplinkFacts:
    return UplinkFacts(
        host=str(told["host"]),
        up=told["state"] == "up",
        seconds=float(str(told["seconds"])),
        cause=str(told["cause"]),
    )
