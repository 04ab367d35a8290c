"""One cell from its beginning to TPS's books: the real daemon behind the proxy, TPS behind TLS with certificates."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.cells import ENDS, KINDS, LANES, Cell, Phase, Sent
from tests.faults.proxy import Proxy, Way
from tests.integration.stage import Stage, Tap, opened
from tpsd.daemon import Daemon
from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import Timing
from tpsd.domain.views import AttemptRow
from tpsd.metering import Unmetered
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.ledger import Charge, Request

BOUND_SECONDS = 120.0  # for one cell: far above what it takes on a busy machine
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


class Ends(Unmetered):
    """The dispatcher's meter: says when an attempt is in the journal, so that nobody has to look again and again."""

    def __init__(self) -> None:
        self.one = asyncio.Event()

    def settled(self, outcome: Outcome) -> None:
        del outcome
        self.one.set()


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell set up: daemon, validator, proxy and TPS, and nothing wrong yet."""

    cell: Cell
    stage: Stage
    proxy: Proxy
    ends: Ends
    certificate: Path

    async def happens(self, turn: asyncio.Lock) -> Seen:
        """The tap, its first send into the harm, and after healing whatever the ladder sends.

        ``turn`` is held until the harm is met: what others do must not make a kept connection old, nor a handshake
        longer than the client's patience.
        """
        async with asyncio.timeout(BOUND_SECONDS):
            async with turn:
                await self.prepare()
                await self.begin()
                tap = self.tap()
                if self.cell.first_met is not None:
                    await self.proxy.met(*self.cell.first_met)
            await self.ended(tap)
        first = await self.noted(tap)
        await self.proxy.heal()
        return await self.concluded(tap, first)

    async def prepare(self) -> None:
        """A credential that was answered just now where the cell wants one."""
        if self.cell.sent is Sent.FIRST:  # what preflight proved is forgotten with another certificate
            self.certificate.touch()
            await self.stage.daemon.renewal.look()
        if self.cell.sent is Sent.PROVEN:
            tap = self.tap()
            await self.ended(tap)
            if (await self.stage.row(tap)).state == "pending":
                await self.stage.pass_time()
            assert (await self.stage.row(tap)).state == "approved"

    async def begin(self) -> None:
        """The harm is in place."""
        if self.cell.phase not in (Phase.REQUEST, Phase.RESPONSE):
            await self.proxy.drop()  # what was kept would be used again, and nothing would connect
        self.cell.begin(self.proxy)

    async def ended(self, tap: Tap) -> None:
        """The verdict was told, and the first send is in the journal."""
        await self.stage.gate.verdict(tap, BOUND_SECONDS)
        if self.cell.timing is Timing.DEFERRED:  # a realtime verdict is TPS's answer
            await self.ends.one.wait()

    async def noted(self, tap: Tap) -> tuple[str | None, int]:
        """State and charges when the first attempt has ended."""
        return (await self.stage.row(tap)).state, len(self._charges(tap))

    async def concluded(self, tap: Tap, first: tuple[str | None, int]) -> Seen:
        """After healing: whatever the ladder sends, and what came of it."""
        stage, proxy = self.stage, self.proxy
        state, charged = first
        if state == "pending":
            await stage.pass_time()
        if self.cell.harm == "late":
            await stage.until(lambda: not proxy.is_waiting(Way.UP), "what was late")
        story = await stage.story(tap)
        requests = stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)
        stage.check_books()
        return Seen(state, charged, story.tap.state, story.attempts, requests, self._charges(tap))

    def tap(self) -> Tap:
        """Of the cell's kind."""
        self.ends.one.clear()
        return self.stage.gate.tap(250, kind=KINDS[self.cell.timing])

    def _charges(self, tap: Tap) -> list[Charge]:
        charges = self.stage.tps.ledger.charges()
        return [one for one in charges if (one.serial, one.tapped_at) == (tap.serial, tap.tapped_at)]


def watched(ends: Ends) -> Callable[[Daemon], None]:
    """For ``Stage.daemon_running``: attempts that end are told."""

    def watch(daemon: Daemon) -> None:
        daemon.dispatcher.meter = ends

    return watch


@contextlib.asynccontextmanager
async def standing(cell: Cell, folder: Path, files: Files) -> AsyncIterator[Standing]:
    """The daemon in session with its validator, the proxy before TPS."""
    files = own_certificate(folder, files)
    tls = server_context(files.server_cert, files.server_key, files.ca)
    ends = Ends()
    async with Proxy() as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        changes = {"sfey": {"base_url": url, "timeout_seconds": cell.timeout_seconds}}
        async with (
            opened(folder, files, tps_listens=False, changes=changes, lane_changes=LANES[cell.timing]) as stage,
            stage.tps.serving(ssl_context=tls) as serving,
        ):
            proxy.target = serving.port
            async with stage.daemon_running(before=watched(ends)):
                yield Standing(cell, stage, proxy, ends, files.client_cert)


def own_certificate(folder: Path, files: Files) -> Files:
    """A new folder, and in it a copy of the client's certificate that may be changed."""
    folder.mkdir()
    return replace(files, client_cert=Path(shutil.copy(files.client_cert, folder)))


async def play(cells: Iterable[Cell], folder: Path, files: Files) -> dict[Cell, Seen | BaseException]:
    """All cells, a batch at once, those together whose client waits for its time-out."""
    found: dict[Cell, Seen | BaseException] = {}
    waiting = sorted(cells, key=lambda cell: cell.is_silent)
    turn = asyncio.Lock()
    for first in range(0, len(waiting), BATCH):
        batch = waiting[first : first + BATCH]
        async with contextlib.AsyncExitStack() as stack:
            places = [folder / f"cell-{number}" for number in range(first, first + len(batch))]
            stood = [
                await stack.enter_async_context(standing(cell, place, files))
                for cell, place in zip(batch, places, strict=True)
            ]
            seen = await asyncio.gather(*(one.happens(turn) for one in stood), return_exceptions=True)
            found.update(zip(batch, seen, strict=True))
    return found


def ends_as(cell: Cell) -> str:
    """The state that the first attempt must leave."""
    return ENDS[cell.timing][cell.outcome]


def judge(cell: Cell, seen: Seen | BaseException) -> None:
    """What must hold of it, wherever the journal is and however many daemons share it."""
    if isinstance(seen, BaseException):
        raise seen
    first = seen.attempts[0]
    assert (first.outcome, first.cause) == (cell.outcome, cell.cause)
    assert seen.state == ends_as(cell)
    if cell.harm not in ("late", "starved") or cell.outcome == "not_sent":  # those may arrive at any time after it
        assert seen.charged == (cell.outcome == "approved" or cell.phase is Phase.RESPONSE)
    again = seen.state == "pending"
    assert seen.final == ("approved" if again else seen.state)
    assert len(seen.charges) in {"approved": (1,), "in_doubt": (0, 1)}.get(seen.final or "", (0,))
    assert len(seen.attempts) > 1 or not again
    doubtful = [attempt for attempt in seen.attempts if attempt.may_have_charged]
    assert (first in doubtful) == (cell.outcome != "not_sent")
    assert len(seen.requests) <= len(doubtful), "an attempt that is called clean reached TPS"
    assert len({(sent.uuid, sent.digest) for sent in seen.requests}) <= 1
