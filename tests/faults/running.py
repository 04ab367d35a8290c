"""One cell from its beginning to TPS's books: the real daemon behind the proxy, TPS behind TLS with certificates."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cells import ENDS, LANES, PATIENT_SECONDS, Cell, Phase, Sent
from tests.faults.proxy import Proxy, Way
from tests.integration.stage import LOOPS_ON_THE_CLOCK, Stage, Tap, opened
from tpsd.domain.views import AttemptRow
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.ledger import Charge, Request

BATCH = 12  # cells at once: each is a daemon with some twenty descriptors, and 1,024 is what a process may have


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the tap that was hit.

    ``state`` and ``charged`` are as they were when the first attempt had ended, the rest as it was at the end.
    """

    state: str | None
    charged: int
    final: str | None
    attempts: tuple[AttemptRow, ...]
    requests: list[Request]
    charges: list[Charge]


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell set up: daemon, validator, proxy and TPS, and nothing wrong yet."""

    cell: Cell
    stage: Stage
    proxy: Proxy

    async def happens(self) -> Seen:
        """The tap, its first send into the harm, and after healing whatever the ladder sends."""
        stage, proxy = self.stage, self.proxy
        if self.cell.phase not in (Phase.REQUEST, Phase.RESPONSE):
            await proxy.drop()  # what was kept would be used again, and nothing would connect
        self.cell.begin(proxy)
        tap = await self._tap()
        state = (await stage.row(tap)).state
        charged = len(self._charges(tap))
        await proxy.heal()
        if state == "pending":
            await stage.pass_time()
        if self.cell.harm == "late":
            await stage.until(lambda: proxy.left[Way.UP] == proxy.arrived[Way.UP], "what was late")
        story = await stage.story(tap)
        requests = stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)
        stage.check_books()
        return Seen(state, charged, story.tap.state, story.attempts, requests, self._charges(tap))

    async def prove(self) -> None:
        """A tap that nothing happens to; TPS answers, and the connection is kept."""
        tap = await self._tap()
        await self.stage.pass_time()
        assert (await self.stage.row(tap)).state == "approved"

    async def _tap(self) -> Tap:
        """A tap, until its first send has ended."""
        stage = self.stage
        tap = stage.gate.tap(250)
        await stage.gate.verdict(tap, 2 * PATIENT_SECONDS)
        await stage.until(
            lambda: not stage.daemon.dispatcher.in_flight and stage.clock.quiet(LOOPS_ON_THE_CLOCK),
            "the end of the first send",
            2 * PATIENT_SECONDS,
        )
        return tap

    def _charges(self, tap: Tap) -> list[Charge]:
        charges = self.stage.tps.ledger.charges()
        return [one for one in charges if (one.serial, one.tapped_at) == (tap.serial, tap.tapped_at)]


@contextlib.asynccontextmanager
async def standing(cell: Cell, folder: Path, files: Files) -> AsyncIterator[Standing]:
    """The daemon in session with its validator, and, where the cell wants it, its credential proven."""
    folder.mkdir()
    tls = server_context(files.server_cert, files.server_key, files.ca)
    async with Proxy() as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        changes = {"sfey": {"base_url": url, "timeout_seconds": cell.timeout_seconds}}
        async with (
            opened(folder, files, tps_listens=False, changes=changes, lane_changes=LANES[cell.timing]) as stage,
            stage.tps.serving(ssl_context=tls) as serving,
        ):
            proxy.target = serving.port
            async with stage.daemon_running():
                made = Standing(cell, stage, proxy)
                if cell.sent is Sent.PROVEN:
                    await made.prove()
                yield made


async def play(cells: Iterable[Cell], folder: Path, files: Files) -> dict[Cell, Seen | BaseException]:
    """All cells, a batch at once: set up one by one, so that no other's setting up makes a cell late."""
    found: dict[Cell, Seen | BaseException] = {}
    waiting = sorted(cells, key=lambda cell: cell.is_silent)
    for first in range(0, len(waiting), BATCH):
        batch = waiting[first : first + BATCH]
        async with contextlib.AsyncExitStack() as stack:
            places = [folder / f"cell-{number}" for number in range(first, first + len(batch))]
            stood = [
                await stack.enter_async_context(standing(cell, place, files))
                for cell, place in zip(batch, places, strict=True)
            ]
            seen = await asyncio.gather(*(one.happens() for one in stood), return_exceptions=True)
            found.update(zip(batch, seen, strict=True))
    return found


def ends_as(cell: Cell) -> str:
    """The state that the first attempt must leave."""
    return ENDS[cell.timing][cell.outcome]
