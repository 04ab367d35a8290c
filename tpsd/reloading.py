"""Reload: on a signal the configuration file is read anew; what is refused changes nothing and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from schemas.config import Configuration
from tpsd.config.changes import Changes
from tpsd.domain.time import Micros
from tpsd.errors import TpsdError
from tpsd.ports import Clock

log = structlog.get_logger("tpsd.reload")


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The last reload. ``why`` it was refused, empty where it was not; ``at`` on the wall clock."""

    at: Micros
    accepted: bool
    why: str
    changed: tuple[str, ...]


class Reloading:
    """``adopt`` puts a checked configuration in force or raises TpsdError, having changed nothing."""

    def __init__(self, adopt: Callable[[Configuration], Awaitable[Changes]], clock: Clock) -> None:
        self._adopt = adopt
        self._clock = clock
        self._asked = asyncio.Event()
        self.read: Callable[[], Configuration] | None = None
        self.last: ReloadResult | None = None

    def ask(self) -> None:
        """A reload is wanted; asked several times before it begins, it is one."""
        self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self.last = await self.once()

    async def once(self) -> ReloadResult:
        """One reload; a refusal is logged and returned."""
        try:
            if self.read is None:
                raise TpsdError("this daemon was not started from a file")
            changes = await self._adopt(await asyncio.to_thread(self.read))
        except TpsdError as exc:
            log.error("reload_refused", why=str(exc))
            return ReloadResult(self._clock.wall(), False, str(exc), ())
        lanes = changes.lanes
        log.info(
            "reloaded",
            changed=list(changes.keys),
            lanes_added=list(lanes.added),
            lanes_removed=list(lanes.removed),
            lanes_relinked=list(lanes.relinked),
        )
        return ReloadResult(self._clock.wall(), True, "", changes.keys)
