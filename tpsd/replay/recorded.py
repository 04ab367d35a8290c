"""TPS as it was: each request of a transaction gets what its like got then, as long after; and names and chance too.

What was never asked then has no answer in a log: a request beyond the last gets the last one's answer again, and a
transaction that was never sent is approved, so that what follows from sending it can be seen.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from bisect import bisect_left
from collections import Counter
from typing import Any, Final
from uuid import UUID, uuid5

from tpsd.core.following import Original
from tpsd.domain.outcome import Answer, Exchange
from tpsd.domain.tap import Kind, TapReport
from tpsd.domain.time import SECOND, Micros
from tpsd.ports import Clock
from tpsd.replay.past import Past, Then
from tpsd.sfey.wire import Profile, pick

AS_THEN_US: Final = 2 * SECOND  # a request that leaves this close to when it did is answered when it was
PROBE_SECONDS: Final = 0.01

_NAMESPACE: Final = UUID("9f0a6f3c-5d0e-5c5b-8f0b-2f1f6d0a7b11")
_ASKING: contextvars.ContextVar[str | None] = contextvars.ContextVar("_ASKING", default=None)
_REACHED: Final = Answer(404, readable=False)
_NEVER_ASKED: Final = Answer(200, approved=True, action_code="000")


class Turn:
    """How far a log has been given. What it tells of later comes later, also where its clock stood still."""

    def __init__(self) -> None:
        self._next: tuple[float, int] = (0, 0)
        self._waiting: list[tuple[tuple[Micros, int], asyncio.Future[None]]] = []

    def reaches(self, at: float, n: int) -> None:
        """What is given next stands there: whoever waits for what stands before it goes on."""
        self._next = (at, n)
        free = [one for one in self._waiting if one[0] < self._next]
        self._waiting = [one for one in self._waiting if one[0] >= self._next]
        for _, waiter in sorted(free, key=lambda one: one[0]):
            if not waiter.done():
                waiter.set_result(None)

    async def after(self, at: Micros, n: int) -> None:
        """Wait until everything before that line was given."""
        if (at, n) > self._next:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(((at, n), waiter))
            await waiter


class RecordedTps:
    """``ports.Tps``, and by ``ask`` an AFC API; within ``TurnedTps``, which says what is asked about."""

    def __init__(self, past: Past, clock: Clock, turn: Turn) -> None:
        self._past = past
        self._clock = clock
        self._turn = turn
        self._posts: Counter[str] = Counter()  # of those that a crash met
        self._last: dict[str, Exchange] = {}

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """As then."""
        uuid = _ASKING.get() or ""
        if self._was_cut_off(uuid):
            await asyncio.get_running_loop().create_future()  # as then: the same crash ends this
        then = self._next(self._past.exchanges, uuid)
        if then is None:
            return self._last.get(uuid, _NEVER_ASKED)
        if not (isinstance(then.exchange, Answer) and then.exchange.approved):  # that one is not asked again
            self._last[uuid] = then.exchange
        await self._as_long(then)
        return then.exchange

    def _was_cut_off(self, uuid: str) -> bool:
        """Whether a crash met this attempt then, before its answer came."""
        if uuid not in self._past.crashed:
            return False
        self._posts[uuid] += 1
        return self._posts[uuid] in self._past.crashed[uuid]

    async def knock(self, credential: str) -> Exchange:
        """As the next probe of then; where there was none any more, it is reached."""
        await asyncio.sleep(PROBE_SECONDS)
        since = self._clock.schedule() - AS_THEN_US
        place = bisect_left(self._past.probes, since, key=lambda one: one[0])
        return self._past.probes[place][1] if place < len(self._past.probes) else _REACHED

    async def ask(self, uuid: UUID) -> Exchange:
        """As then; what was not asked about then is not found."""
        then = self._next(self._past.enquiries, str(uuid))
        if then is None:
            return Answer(404, readable=False)
        await self._as_long(then)
        return then.exchange

    @staticmethod
    def _next(kept: dict[str, list[Then]], uuid: str) -> Then | None:
        waiting = kept.get(uuid)
        if waiting is None:
            return None
        then = waiting.pop(0)
        if not waiting:
            del kept[uuid]
        return then

    async def _as_long(self, then: Then) -> None:
        now = self._clock.schedule()
        as_then = abs(now - then.began) <= AS_THEN_US
        took = then.ended - (now if as_then else then.began)
        if took > 0:
            await asyncio.sleep(took / SECOND)
        if as_then:
            await self._turn.after(then.ended, then.n)


class TurnedTps:
    """Around either TPS: says whose attempt is under way, so that chance can be as it was."""

    def __init__(self, tps: Any, profile: Profile) -> None:
        self._tps = tps
        self._uuid = profile.fields["uuid"]

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """As the one inside."""
        _ASKING.set(str(pick(json.loads(body), self._uuid)))
        exchange: Exchange = await self._tps.post(credential, path, body, within=within)
        return exchange

    async def knock(self, credential: str) -> Exchange:
        """As the one inside."""
        exchange: Exchange = await self._tps.knock(credential)
        return exchange


class RecordedDraws:
    """``draws.Draws``: as they were drawn then; none where nothing was."""

    def __init__(self, past: Past) -> None:
        self._past = past

    def of_attempt(self, uuid: UUID) -> float:
        """The next of that transaction's; the last attempt of then had none that counted."""
        return _next_draw(self._past.jitter, str(uuid))

    def of_release(self, uuid: str) -> float:
        """The next of that transaction's."""
        return _next_draw(self._past.draws, uuid)


class RecordedUuids:
    """``uuids.Uuids``: as they were called then, and by their tap or original where they were not."""

    def __init__(self, past: Past) -> None:
        self._followers = past.followers
        self._rebuilt = past.rebuilt
        self._made: Counter[str] = Counter()
        self.next: UUID | None = None  # of the tap that is being taken

    def of_tap(self, report: TapReport) -> UUID:
        """The logged one, else one made of the tap's name."""
        if self.next is not None:
            return self.next
        return uuid5(_NAMESPACE, f"{report.serial} {report.boot} {report.counter} {report.fingerprint.hex()}")

    def of_follower(self, original: Original, kind: Kind) -> UUID:
        """The next of those that followed it then."""
        waiting = self._followers.get((original.uuid, kind.value))
        if waiting:
            return UUID(waiting.pop(0))
        return self._make(f"{original.uuid} {kind.value}")

    def of_rebuilt(self, old: str) -> UUID:
        """The one that took its place then."""
        waiting = self._rebuilt.get(old)
        return UUID(waiting.pop(0)) if waiting else self._make(f"{old} rebuilt")

    def _make(self, name: str) -> UUID:
        self._made[name] += 1
        return uuid5(_NAMESPACE, f"{name} {self._made[name]}")


def _next_draw(kept: dict[str, list[float]], uuid: str) -> float:
    draws = kept.get(uuid)
    return draws.pop(0) if draws else 0.0
