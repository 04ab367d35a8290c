"""I1 and the first half of I10: what a validator was told is in the journal, and is told again in the same words."""

from __future__ import annotations

from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Event, VerdictTold

_TAP: Final = "SELECT verdict, reason FROM tap WHERE serial = ? AND boot = ? AND counter = ?"
_ENDS: Final = """
SELECT tap.serial, tap.boot, tap.counter, tap.disposition, authorisation.state
FROM tap LEFT JOIN authorisation USING (uuid)
"""
_SURPRISES: Final = "SELECT cause, detail FROM notice WHERE cause LIKE '%/seal%' OR cause LIKE '%/internal%'"
_REST: Final = frozenset(
    {"approved", "declined", "tap_refused", "failed", "not_charged", "closed", "held", "permanently_failed", "in_doubt"}
)


class Taps(Checker):
    """Every verdict against its row, at once; every tap's end, at last."""

    def heard(self, event: Event) -> None:
        if isinstance(event, VerdictTold):
            rows = self.world.eye.rows(_TAP, event.serial, event.number.boot, event.number.counter)
            told = (event.code, event.reason)
            if rows != [told]:
                raise Violated(f"I1: {event.serial} {event.number} was told {told}, and the journal says {rows}")

    def finish(self) -> None:
        for cause in self.world.eye.rows(_SURPRISES):
            raise Violated(f"I1: a tap could not be kept or opened: {cause}")
        rows = {(serial, boot, counter): rest for serial, boot, counter, *rest in self.world.eye.rows(_ENDS)}
        for door in self.world.doors:
            for number, made in door.taps.items():
                if not made.told:
                    raise Violated(f"I1: {door.serial} {number} never got a verdict")
                if len(set(made.told)) > 1:
                    raise Violated(f"I10: {door.serial} {number} was told {made.told}")
                disposition, state = rows.pop((door.serial, number.boot, number.counter), (None, None))
                if disposition is None and state not in _REST:
                    raise Violated(f"I1: {door.serial} {number} ended in state {state}, disposition {disposition}")
        if rows:
            raise Violated(f"I1: the journal holds taps that nobody made: {sorted(rows)}")
