"""When a process dies: some steps after some event, so that every await between two effects has its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.sim.events import Born, Committed, Event, Heard, LaneTold, MailTaken, Sent, VerdictTold
from tpsd.sfey.ledger import Charge, Request

TRIGGERS: Final[dict[str, type[Event]]] = {
    "born": Born,
    "commit": Committed,
    "verdict": VerdictTold,
    "lane": LaneTold,
    "sent": Sent,
    "request": Request,
    "charge": Charge,
    "heard": Heard,
    "mail": MailTaken,
}


@dataclass(slots=True)
class _Death:
    trigger: type[Event]
    skip: int
    steps: int
    counting: bool = False


class Reaper:
    """Holds the deaths to come."""

    def __init__(self) -> None:
        self._deaths: list[_Death] = []

    def arm(self, trigger: str, skip: int, steps: int) -> None:
        """One death, ``steps`` steps after the event that comes when ``skip`` others of its kind have passed."""
        self._deaths.append(_Death(TRIGGERS[trigger], skip, steps))

    def at_once(self) -> None:
        """One death, now."""
        self._deaths.append(_Death(Born, 0, 0, counting=True))

    def heard(self, event: Event) -> None:
        """Something happened."""
        for death in self._deaths:
            if not death.counting and isinstance(event, death.trigger):
                death.skip -= 1
                death.counting = death.skip < 0

    def wants_one(self) -> bool:
        """Asked once a step."""
        for death in self._deaths:
            if death.counting:
                death.steps -= 1
                if death.steps < 0:
                    self._deaths.remove(death)
                    return True
        return False
