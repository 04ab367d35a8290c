"""A daemon taken apart: its journal is real, TPS and SMTP are what a test makes of them, and it has no lanes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import configurations
from tpsd.app import open_journal
from tpsd.config import load
from tpsd.daemon import Daemon, Ends, World
from tpsd.demo.clock import WarpClock
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.time import Micros
from tpsd.errors import MailError

BOUND_SECONDS = 60.0
COMMON = "common"


class ScriptedTps:
    """Answers what ``answer`` says of a request's number (from 1), once ``gate`` is open."""

    def __init__(self, answer: Callable[[int], Exchange] = lambda number: Answer(200, action_code="000")) -> None:
        self.answer = answer
        self.gate = asyncio.Semaphore(1000)
        self.started: list[bytes] = []
        self.ended = 0

    def close_gate(self) -> None:
        """From now on each answer waits for a ``gate.release()``."""
        self.gate = asyncio.Semaphore(0)

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        assert credential == COMMON
        self.started.append(body)
        number = len(self.started)
        await self.gate.acquire()
        self.ended += 1
        return self.answer(number)

    async def knock(self, credential: str) -> Exchange:
        return Answer(404)


class ScriptedPostman:
    """Refuses as often as ``refusals`` says for a subject's part; ``gate`` as in ScriptedTps."""

    def __init__(self) -> None:
        self.refusals: dict[str, int] = {}
        self.gate = asyncio.Semaphore(1000)  # an open one
        self.tried: list[MailRow] = []
        self.accepted: list[MailRow] = []

    def close_gate(self) -> None:
        """From now on each mail waits for a ``gate.release()``."""
        self.gate = asyncio.Semaphore(0)

    async def send(self, mail: MailRow, date: Micros) -> None:
        self.tried.append(mail)
        await self.gate.acquire()
        for part, left in self.refusals.items():
            if part in mail.subject and left:
                self.refusals[part] = left - 1
                raise MailError("not now")
        self.accepted.append(mail)


def configuration(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """A good one without lanes, its files made."""
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    kek = folder / "keys" / "kek"
    kek.touch(mode=0o600)
    kek.write_text(configurations.KEK_HEX)
    return configurations.changed(configurations.values(folder), {"lanes": None, "retry": {"jitter": 0.0}, **changes})


@asynccontextmanager
async def workshop(
    folder: Path,
    tps: ScriptedTps | None = None,
    postman: ScriptedPostman | None = None,
    clock: WarpClock | None = None,
    **changes: Any,
) -> AsyncIterator[Daemon]:
    """A daemon whose loops a test runs one by one. Its clock stands still."""
    if clock is None:
        clock = WarpClock()
        clock.stand_still()
    config = load(configurations.write(folder, configuration(folder, changes)))
    async with open_journal(config) as journal:
        world = World(clock, random.Random(1))
        by_mail = postman or ScriptedPostman()
        yield Daemon(config, world, journal, Ends(tps or ScriptedTps(), lambda _: by_mail, [], frozenset({COMMON})))


@asynccontextmanager
async def running(loop: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A loop of the daemon in a task; stopped and waited for at the end."""
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0)  # it has begun
    try:
        yield task
    finally:
        loop.stop()
        async with asyncio.timeout(BOUND_SECONDS):
            await task
