"""Stop list and EMV parameters: asked for beside the deny list, and kept as they come. Rules are in ``core.feed``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tpsd.core.feed import against_contract
from tpsd.core.trouble import Trouble
from tpsd.denylist import ParameterStore
from tpsd.domain.feed import BadPage, Parameters, RawHeard, RawPage
from tpsd.domain.time import HOUR, Micros, later
from tpsd.errors import RefusedError
from tpsd.ports import Clock

EVERY_US: Final = HOUR
"""They change with a scheme's release or a card that is gone for good, not with a passenger's debt."""

log = structlog.get_logger("tpsd.parameters")

AskRaw = Callable[[Parameters, str | None], Awaitable[RawHeard]]


class ParameterFeed:
    """One daemon's. ``look`` after each poll of the deny list."""

    def __init__(self, store: ParameterStore, ask: AskRaw, clock: Clock) -> None:
        self._store = store
        self._ask = ask
        self._clock = clock
        self._due = Micros(0)
        self._trouble = {kind: Trouble() for kind in Parameters}

    async def look(self) -> None:
        """Ask for each type until there is no more, if it is time. Raises JournalUnavailableError."""
        now = self._clock.schedule()
        if now < self._due:
            return
        self._due = later(now, EVERY_US)
        for kind in Parameters:
            wrong = await self._all_of(kind)
            trouble = self._trouble[kind]
            if wrong is None:
                trouble.over(self._clock.monotonic())
            elif (times := trouble.happened(self._clock.monotonic(), wrong)) is not None:
                log.warning("parameters_not_fed", kind=kind.value, cause=wrong, times=times)

    async def _all_of(self, kind: Parameters) -> str | None:
        """None once TPS has no more, else why not."""
        seen: set[str] = set()
        state = await self._store.state(kind)
        before = state.version
        while True:
            asked_with = state.token
            heard = await self._ask(kind, asked_with)
            if not isinstance(heard, RawPage):
                return heard.cause
            if (wrong := against_contract(heard, len(heard.records), asked_with, seen)) is not None:
                return wrong.cause
            try:
                anew = asked_with is None and bool(state.records)
                state = await self._store.keep(kind, heard, self._clock.wall(), anew=anew, timed=self._clock.trusted)
            except RefusedError:
                return BadPage("list.length").cause
            if heard.complete:
                break
            if heard.token is not None:
                seen.add(heard.token)
        if state.version != before:
            log.info("parameters_fed", kind=kind.value, version=state.version, records=state.records)
        return None
