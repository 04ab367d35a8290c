"""The doorkeeper: closes and opens lanes by order; a closed one shows "out of service" and takes what comes anyway.

A tap that a validator made before it heard is still the passenger's journey, so nothing is turned away here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from tpsd.closures import Closures
from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.errors import NotFoundError, RefusedError
from tpsd.ports import Clock
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.reader import Lane

log = structlog.get_logger("tpsd.doorkeeper")


class Doorkeeper:
    """One daemon's. ``lanes`` are those that the configuration names now."""

    def __init__(self, closures: Closures, lanes: Callable[[], Sequence[Lane]], clock: Clock) -> None:
        self._closures = closures
        self._lanes = lanes
        self._clock = clock
        self._closed: dict[str, LaneClosed] = {}
        self.witness: Witness = UNWITNESSED

    async def begin(self) -> None:
        """Close what was closed when the last life ended."""
        self._closed = await self._closures.closed()
        for lane in self._lanes():
            self.greet(lane)

    def greet(self, lane: Lane) -> None:
        """Tell a lane how it stands; one that a reload made knows nothing yet."""
        lane.close_by_hand(self._closed.get(lane.state.name))

    async def close(self, name: str, who: str, why: str) -> str:
        """Until ``open``, over restarts and reloads too; the lane's name.

        Raises NotFoundError; RefusedError for one that is closed.
        """
        lane = lane_named(self._lanes(), name)
        known = lane.state.name
        if (closed := self._closed.get(known)) is not None:
            raise RefusedError(f"lane {known} is closed already, {closed}; open it with 'tpsd lane open {known}'")
        closed, audit = self._order("close lane", who, why)
        self.witness.ordered("close_lane", known, who, {})
        await self._closures.close(known, closed, audit)
        self._closed[known] = closed
        self.greet(lane)
        log.info("lane_closed", lane=known, who=who)
        return known

    async def open(self, name: str, who: str, why: str) -> str:
        """The lane's name. Raises NotFoundError; RefusedError for one that nobody closed."""
        lane = lane_named(self._lanes(), name)
        known = lane.state.name
        if known not in self._closed:
            reason = f" ({lane.state.reason})" if lane.state.reason else ""
            raise RefusedError(f"nobody closed lane {known}; it is {lane.state.state}{reason}: see 'tpsd lanes'")
        _, audit = self._order("open lane", who, why)
        self.witness.ordered("open_lane", known, who, {})
        await self._closures.open(known, audit)
        del self._closed[known]
        self.greet(lane)
        log.info("lane_opened", lane=known, who=who)
        return known

    def _order(self, what: str, who: str, why: str) -> tuple[LaneClosed, AuditDraft]:
        at = self._clock.wall()
        return LaneClosed(who, at, why), AuditDraft(at, who, what, why)


def lane_named(lanes: Sequence[Lane], name: str) -> Lane:
    """By its name, else by an alias that one lane alone has. Raises NotFoundError."""
    found = [lane for lane in lanes if lane.state.name == name]
    found = found or [lane for lane in lanes if lane.state.alias == name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(lane.state.name for lane in found or lanes)
    if found:
        raise NotFoundError(f"several lanes are called {name!r}; give a name: {names}")
    raise NotFoundError(f"no lane {name!r}; the configuration has: {names}")
