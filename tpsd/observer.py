"""The daemon looked at: one picture of a moment for health, metrics and the status screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tpsd.admin.health import health_page
from tpsd.admin.metrics import Metrics
from tpsd.admin.watching import queue_lines, queue_page, resting_lines
from tpsd.core.health import Health, judge
from tpsd.domain.outcome import Exchange
from tpsd.domain.picture import JournalFigures, LaneFacts, Picture, UplinkFacts
from tpsd.errors import JournalError
from tpsd.metering import Meter
from tpsd.ports import Clock, Tps
from tpsd.store.sqlite import SqliteJournal
from tpsd.workers.reader import LaneState

FRESH_SECONDS = 1.0  # several watchers, or one in a hurry, share what was counted once
COST_SHARE = 20  # counting takes at most a twentieth of the time, however long the queue is
ANSWER_SECONDS = 3.0  # below what watchers wait; a journal that takes longer is what they must hear of


class Told(Protocol):
    """What the loops say of themselves."""

    def __call__(self) -> Sequence[Mapping[str, object]]:
        """``host``, ``state``, ``seconds`` and ``cause`` of every host."""


class Observer:
    """``metrics`` is the meter that the loops were given."""

    def __init__(
        self,
        journal: SqliteJournal,
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
        self._counting = asyncio.Lock()
        self._counted: JournalFigures | None = None
        self._stale_at = float("-inf")
        self.metrics = metrics
        self.clock_trusted: Callable[[], bool] = lambda: True
        journal.pulse.on_commit = metrics.committed

    async def picture(self) -> Picture:
        """Now; the journal's figures may be up to FRESH_SECONDS old."""
        trouble = self._journal.pulse.trouble
        figures = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                figures = await self._figures()
        except TimeoutError:
            pass  # the picture says that there are none
        except JournalError as exc:
            trouble = trouble or str(exc)
        return Picture(
            at=self._clock.schedule(),
            lanes=tuple(_lane(state) for state in self._lanes()),
            figures=figures,
            journal_trouble=trouble,
            uplinks=tuple(_uplink(told) for told in self._uplinks()),
            clock_trusted=self.clock_trusted(),
            in_flight=self._in_flight(),
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
            "queue": [] if figures is None else queue_lines(figures, picture.at),
            "resting": [] if figures is None else resting_lines(figures, picture.at),
        }

    async def queue(self) -> dict[str, Any]:
        """``GET /queue``. Raises JournalError."""
        return queue_page(await self._figures(), self._clock.schedule())

    async def _figures(self) -> JournalFigures:
        async with self._counting:
            began = self._clock.monotonic()
            if self._counted is None or began >= self._stale_at:
                self._counted = await self._journal.numbers.now()
                ended = self._clock.monotonic()
                self._stale_at = ended + max(FRESH_SECONDS, COST_SHARE * (ended - began))
            return self._counted


class MeteredTps:
    """``ports.Tps`` whose exchanges are timed."""

    def __init__(self, tps: Tps, meter: Meter, clock: Clock) -> None:
        self._tps = tps
        self._meter = meter
        self._clock = clock

    async def post(self, credential: str, path: str, body: bytes) -> Exchange:
        """As the line itself."""
        began = self._clock.monotonic()
        exchange = await self._tps.post(credential, path, body)
        self._meter.sent(self._clock.monotonic() - began)
        return exchange

    async def knock(self, credential: str) -> Exchange:
        """As the line itself; a probe is no send."""
        return await self._tps.knock(credential)


def _lane(state: LaneState) -> LaneFacts:
    return LaneFacts(state.name, state.alias, state.state, state.reason, state.internal_errors, state.noise)


def _uplink(told: Mapping[str, object]) -> UplinkFacts:
    return UplinkFacts(
        host=str(told["host"]),
        up=told["state"] == "up",
        seconds=float(str(told["seconds"])),
        cause=str(told["cause"]),
    )
