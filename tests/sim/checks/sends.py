"""I3, I4, I5 and the horizon: each request against the row that it is of, at the moment it leaves the daemon."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Born, Died, Event, Heard, Sent
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

_ROW: Final = """
SELECT a.state, a.attempt, a.sends, a.release, l.tiers,
       (SELECT count(*) FROM attempt x WHERE x.uuid = a.uuid AND x.reason <> 'enquiry'),
       (SELECT x.reason FROM attempt x WHERE x.uuid = a.uuid AND x.number = a.attempt),
       (SELECT count(*) FROM attempt x WHERE x.uuid = a.uuid AND x.outcome = 'not_found')
FROM authorisation a JOIN ladder l ON l.id = a.ladder WHERE a.uuid = ?
"""
_DATE_US: Final = SECOND  # to the second is what a clock that took TPS's Date knows
_HORIZON_SLACK_US: Final = MINUTE  # a row is judged at its claim, and sent a commit later


_CLAIM_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Rung:
    """When a send left, and by whose schedule clock."""

    life: int
    at: Micros
    seconds: float


class Sends(Checker):
    """Rungs by the daemon's schedule clock, as the ladder promises; the horizon by the true time, as TPS forgets."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._in_flight: set[str] = set()
        self._sent: dict[str, int] = {}
        self._attempt: dict[str, int] = {}
        self._rungs: dict[tuple[str, int, int], _Rung] = {}
        self._begun: dict[int, Micros] = {}
        self._since: dict[str, Micros] = {}  # the first request of each that is in flight or may have charged
        self._doubtful: set[str] = set()
        self._not_found: dict[str, int] = {}
        self._slack_us = round((0.01 + 20 * self.world.plan.commit_seconds) * SECOND)

    def heard(self, event: Event) -> None:
        match event:
            case Sent(uuid=uuid):
                self._leaves(uuid)
            case Heard(uuid=uuid, clean=clean):
                self._in_flight.discard(uuid)
                if not clean:
                    self._doubtful.add(uuid)
                elif uuid not in self._doubtful:
                    self._since.pop(uuid, None)
            case Born(life=life):
                self._begun[life] = self._rung_now().at
            case Died():
                self._doubtful |= self._in_flight
                self._in_flight.clear()
            case _:
                return

    def _leaves(self, uuid: str) -> None:
        if uuid in self._in_flight:
            raise Violated(f"I5: {uuid} is in flight already")
        rows = self.world.eye.rows(_ROW, uuid)
        if not rows:
            raise Violated(f"I1: {uuid} is sent, and the journal does not know it")
        state, attempt, sends, release, tiers, attempts, reason, not_found = rows[0]
        if state != "sending":
            raise Violated(f"I4: {uuid} is sent while it is {state}")
        if attempt <= self._attempt.get(uuid, 0):
            raise Violated(f"I3: {uuid} goes from attempt {self._attempt[uuid]} to {attempt}")
        self._attempt[uuid] = attempt
        self._sent[uuid] = self._sent.get(uuid, 0) + 1
        if self._sent[uuid] > attempts:
            raise Violated(f"I4: {uuid} was sent {self._sent[uuid]} times in {attempts} attempts")
        if reason == "ladder":
            self._rung(uuid, release, sends, json.loads(tiers))
        self._horizon(uuid, not_found)
        self._in_flight.add(uuid)

    def _rung(self, uuid: str, release: int, sends: int, tiers: list[list[int]]) -> None:
        if sends > 1 + sum(tries for tries, _ in tiers):
            raise Violated(f"I3: {uuid} is sent the {sends}th time on its ladder")
        before, now = self._rungs.get((uuid, release, sends - 1)), self._rung_now()
        if before is not None:
            ends = accumulate(tries for tries, _ in tiers)
            wait_us = next(every for (_, every), end in zip(tiers, ends, strict=True) if sends - 1 <= end)
            # A life whose clock is behind the one before pulls in what would be due later than a tier from its start.
            since = min([before.at, *(at for life, at in self._begun.items() if before.life < life <= now.life)])
            waited_us, slack_us = now.at - since, self._slack_us
            if before.life < now.life:  # one that knows how far that clock was off goes by the true time instead
                waited_us = max(waited_us, round((now.seconds - before.seconds) * SECOND))
                slack_us += _DATE_US
            if waited_us < wait_us - slack_us and not self._slept_before(before):
                raise Violated(
                    f"I3: {uuid} send {sends} left {(now.at - before.at) / SECOND:.3f} s after the one before"
                )
        self._rungs[uuid, release, sends] = now

    def _rung_now(self) -> _Rung:
        life = self.world.life
        assert life is not None
        return _Rung(life.number, life.clock.schedule(), self.world.loop.time())

    def _slept_before(self, rung: _Rung) -> bool:
        """Whether the machine slept between the claim and the send: the attempt began before that."""
        return any(0 <= rung.seconds - at < _CLAIM_SECONDS for at in self.world.machine.slept_at)

    def _horizon(self, uuid: str, not_found: int) -> None:
        now = self.world.machine.true()
        if not_found > self._not_found.get(uuid, 0):  # TPS never had it, and remembers others as old: it is young again
            self._not_found[uuid] = not_found
            self._since[uuid] = now
        since = self._since.setdefault(uuid, now)
        if now - since > self.world.plan.style.horizon_hours * HOUR + _HORIZON_SLACK_US:
            raise Violated(f"horizon: {uuid} may have been charged {(now - since) / HOUR:.2f} h ago and is sent")
