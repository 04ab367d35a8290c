"""The inspector: looks at each lane before it opens, and again until it may. Rules are in ``core.preflight``.

By real time, not by the schedule clock: whoever mends a certificate stands beside the lane. A lane that has opened
is not closed again by what is found later; health says what is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from tpsd.core.notices import cause_key
from tpsd.core.preflight import (
    AGAIN_FIRST_SECONDS,
    Check,
    Finding,
    Gravity,
    again_seconds,
    closing,
    reason,
    was_heard,
)
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock
from tpsd.workers.reader import Lane, terminal_of

OPEN_ANYWAY_SECONDS: Final = 3.0
"""How long a deferred lane waits for TPS's word at a start: a slow network is no reason to leave riders outside."""

REPEAT_SECONDS: Final = 3600.0
"""How often an open lane is looked at: certificates run out by days."""

assert OPEN_ANYWAY_SECONDS < AGAIN_FIRST_SECONDS < REPEAT_SECONDS

log = structlog.get_logger("tpsd.inspector")

Tell = Callable[[NoticeDraft, Micros], Awaitable[None]]
"""Keep a notice, at a time of the schedule clock."""


class Looks(Protocol):
    """How a lane is looked at (``tpsd.preflight``). ``terminal``: ``TYPE:SERIAL``."""

    def at_rest(self, name: str, terminal: str | None) -> list[Finding]:
        """What this machine alone shows; reads files, so not on the event loop."""

    async def asked(self, name: str, terminal: str) -> list[Finding]:
        """What TPS says; network trouble is a finding too."""


@dataclass(frozen=True, slots=True)
class Report:
    """A lane as it was found last. ``opens``: whether nothing of that closes it."""

    lane: str
    terminal: str | None
    realtime: bool
    opens: bool
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Standing:
    lane: Lane
    terminal: str | None = None  # whose word counts
    findings: tuple[Finding, ...] = ()
    said: list[Finding] = field(default_factory=list)  # those of TPS's last answer
    passed: bool = False  # TPS was heard and nothing closed it
    failures: int = 0
    due: float = 0.0  # of the next look, monotonic seconds
    told: tuple[Check, ...] = ()  # why it is closed, as people were told
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Inspector:
    """One daemon's. ``lanes`` are those that the configuration names now; ``on_notice`` hears that one was written."""

    def __init__(
        self,
        looks: Looks,
        lanes: Callable[[], Sequence[Lane]],
        clock: Clock,
        tell: Tell,
        on_notice: Callable[[], None],
    ) -> None:
        self._looks = looks
        self._lanes = lanes
        self._clock = clock
        self._tell = tell
        self._on_notice = on_notice
        self._standings: dict[str, _Standing] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as looks:
            while True:
                self._wake.clear()
                now = self._clock.monotonic()
                for standing in self._present():
                    if standing.task is None and standing.due <= now:
                        standing.task = looks.create_task(self._look(standing), name="preflight")
                await self._until_due()

    def greet(self, lane: Lane) -> None:
        """A lane that was just made waits for its first look."""
        lane.await_preflight()

    def terminal_is_known(self, lane: Lane) -> None:
        """Its validator has said who it is; another one than before is looked at before the lane opens."""
        standing, terminal = self._standing(lane), terminal_of(lane.state)
        if standing.terminal == terminal and (standing.passed or standing.failures):
            return
        if standing.terminal is not None:
            lane.await_preflight()
        standing.terminal, standing.passed, standing.failures, standing.due = terminal, False, 0, 0.0
        standing.said = []
        self._wake.set()

    def look(self) -> None:
        """Look at every lane at once: a certificate was renewed, the configuration read, the time found out."""
        for standing in self._present():
            standing.due = 0.0
        self._wake.set()

    async def reports(self) -> list[Report]:
        """Every lane, looked at now."""
        present = self._present()
        await asyncio.gather(*(self._examine(standing, asks=True) for standing in present))
        return [self._report(standing) for standing in present]

    def warnings(self) -> list[str]:
        """What is wrong with lanes that are not kept closed, for health."""
        found = []
        for standing in self._standings.values():
            realtime = standing.lane.policy.realtime
            for one in standing.findings:
                gravity = one.gravity(realtime=realtime)
                if one.check is Check.REACHED:
                    continue  # the uplink's matter
                if gravity is Gravity.WARNS or (gravity is Gravity.CLOSES and standing.passed):
                    found.append(f"lane {standing.lane.state.name}: {one.what}")
        return found

    # --- looks ---

    async def _look(self, standing: _Standing) -> None:
        try:
            await self._examine(standing, asks=not standing.passed)
        finally:
            standing.task = None
            self._wake.set()

    async def _examine(self, standing: _Standing, *, asks: bool) -> None:
        """TPS is not asked again about a lane that passed: its taps show what TPS thinks of it."""
        lane, terminal = standing.lane, standing.terminal
        name = lane.state.name
        found = await asyncio.to_thread(self._looks.at_rest, name, terminal)
        said = standing.said
        if terminal is not None and asks:
            asking = asyncio.create_task(self._looks.asked(name, terminal), name=f"preflight of {name}")
            try:
                if not standing.passed and not lane.policy.realtime and not closing(found, realtime=False):
                    done, _ = await asyncio.wait({asking}, timeout=OPEN_ANYWAY_SECONDS)
                    if not done and not standing.failures:
                        lane.preflight_said("")
                said = await asking
            finally:
                asking.cancel()
        if standing.terminal == terminal and standing.lane is lane:
            standing.said = said
            await self._conclude(standing, [*found, *said])

    async def _conclude(self, standing: _Standing, found: list[Finding]) -> None:
        lane, now = standing.lane, self._clock.monotonic()
        standing.findings = tuple(found)
        against = closing(found, realtime=lane.policy.realtime)
        heard = standing.terminal is not None and was_heard(found)
        if against or not heard:
            standing.failures += 1
            standing.due = now + again_seconds(standing.failures)
        if standing.passed and not against:
            standing.failures, standing.due = 0, now + REPEAT_SECONDS
            return
        if standing.passed:
            return
        if against:
            lane.preflight_said(reason(against))
            await self._alarm(standing, against)
        elif standing.terminal is not None:
            lane.preflight_said("")
            if standing.told:
                log.info("lane_passes", lane=lane.state.name)
                standing.told = ()
            if heard:
                standing.passed, standing.failures, standing.due = True, 0, now + REPEAT_SECONDS

    async def _alarm(self, standing: _Standing, against: list[Finding]) -> None:
        why, lane, checks = reason(against), standing.lane.state.name, tuple(one.check for one in against)
        if standing.told == checks:
            return
        log.error("lane_kept_closed", lane=lane, why=[one.what for one in against])
        if checks == (Check.REACHED,):
            standing.told = checks  # the uplink tells people of a host that stays away
            return
        notice = NoticeDraft(
            NoticeKind.ALARM, cause_key(NoticeKind.ALARM, "preflight", lane), f"lane {lane} stays closed: {why}"
        )
        try:
            await self._tell(notice, self._clock.schedule())
        except JournalUnavailableError as exc:
            log.error("alarm_not_written", lane=lane, error=str(exc))  # the next look tells of it
            return
        standing.told = checks
        self._on_notice()

    # --- standings ---

    def _present(self) -> list[_Standing]:
        lanes = list(self._lanes())
        names = {lane.state.name for lane in lanes}
        self._standings = {name: one for name, one in self._standings.items() if name in names}
        return [self._standing(lane) for lane in lanes]

    def _standing(self, lane: Lane) -> _Standing:
        standing = self._standings.get(lane.state.name)
        if standing is None or standing.lane is not lane:  # a reload made it anew
            standing = self._standings[lane.state.name] = _Standing(lane, terminal_of(lane.state))
        return standing

    def _report(self, standing: _Standing) -> Report:
        realtime = standing.lane.policy.realtime
        opens = not closing(standing.findings, realtime=realtime)
        return Report(standing.lane.state.name, standing.terminal, realtime, opens, standing.findings)

    async def _until_due(self) -> None:
        idle = [one.due for one in self._standings.values() if one.task is None]
        wait = max(0.0, min(idle) - self._clock.monotonic()) if idle else None
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return
