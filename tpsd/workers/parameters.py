"""Stop list and EMV parameters: asked for beside the deny list, and kept as they come. Rules are in ``core.feed``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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

Stream = tuple[Parameters, str]
"""A type, and the terminal (``TYPE:SERIAL``) whose own it is; empty: all have the same."""

AskRaw = Callable[[Stream, str | None], Awaitable[RawHeard]]


class ParameterFeed:
    """One daemon's. ``look`` after each poll of the deny list. ``streams``: what there is to ask for now."""

    def __init__(
        self, store: ParameterStore, ask: AskRaw, clock: Clock, streams: Callable[[], Sequence[Stream]]
    ) -> None:
        self._store = store
        self._ask = ask
        self._clock = clock
        self._due = Micros(0)
        self._streams = streams
        self._trouble: dict[Stream, Trouble] = {}

    async def look(self) -> None:
        """Ask for each stream until there is no more, if it is time. Raises JournalUnavailableError."""
        now = self._clock.schedule()
        if now < self._due:
            return
        self._due = later(now, EVERY_US)
        for stream in self._streams():
            wrong = await self._all_of(stream)
            trouble = self._trouble.setdefault(stream, Trouble())
            if wrong is None:
                trouble.over(self._clock.monotonic())
            elif (times := trouble.happened(self._clock.monotonic(), wrong)) is not None:
                log.warning("parameters_not_fed", kind=stream[0].value, terminal=stream[1], cause=wrong, times=times)

    async def _all_of(self, stream: Stream) -> str | None:
        """None once TPS has no more, else why not."""
        kind, terminal = stream
        seen: set[str] = set()
        state = await self._store.state(kind, terminal)
        before = state.version
        while True:
            asked_with = state.token
            heard = await self._ask(stream, asked_with)
            if not isinstance(heard, RawPage):
                return heard.cause
            if (wrong := against_contract(heard, len(heard.records), asked_with, seen)) is not None:
                return wrong.cause
            try:
                anew = asked_with is None and bool(state.records)
                at, timed = self._clock.wall(), self._clock.trusted
                state = await self._store.keep(kind, heard, at, anew=anew, timed=timed, terminal=terminal)
            except RefusedError:
                return BadPage("list.length").cause
            if heard.complete:
                break
            if heard.token is not None:
                seen.add(heard.token)
        if state.version != before:
            log.info("parameters_fed", kind=kind.value, terminal=terminal, version=state.version, records=state.records)
        return None
