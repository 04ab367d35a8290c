"""I6: one failure notice per cause and window, each mail once but for crashes and lost replies, and nothing untold."""

from __future__ import annotations

from collections import Counter
from typing import Final

from device.vl1.cards import CARDS
from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Died, Event, MailTaken
from tpsd.core.notices import WINDOWS

_FAILURES: Final = """
SELECT n.kind, n.cause, m.created_at FROM mail m JOIN notice n ON n.mail = m.id
GROUP BY m.id ORDER BY n.kind, n.cause, m.created_at
"""
_UNTOLD: Final = """
SELECT a.uuid, a.state FROM authorisation a
WHERE a.state IN ('permanently_failed', 'tap_refused')
  AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.uuid = a.uuid AND n.kind = a.state AND n.mail IS NOT NULL)
"""
_UNTOLD_DOUBTS: Final = """
SELECT a.uuid, a.type, a.cause FROM authorisation a
WHERE a.state = 'in_doubt' AND a.enquiry_due IS NULL
  AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.uuid = a.uuid AND n.kind = 'in_doubt' AND n.mail IS NOT NULL)
"""
_UNTOLD_JOURNEYS: Final = """
SELECT j.id, j.state FROM journey j
WHERE j.state IN ('ended_unpaid', 'expired')
  AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.uuid = j.check_in AND n.kind = 'journey' AND n.mail IS NOT NULL)
"""


class Mails(Checker):
    """By what the mail server took, and by the journal's notices."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._times: Counter[str] = Counter()
        self._deaths = 0

    def heard(self, event: Event) -> None:
        match event:
            case MailTaken(message_id=message_id):
                self._times[message_id] += 1
                allowed = 1 + self._deaths + self.world.mailbox.unanswered
                if self._times[message_id] > allowed:
                    raise Violated(f"I6: {message_id} was delivered {self._times[message_id]} times")
            case Died():
                self._deaths += 1
            case _:
                return

    def finish(self) -> None:
        for message_id, accepted in self.world.eye.rows("SELECT message_id, accepted_at FROM mail"):
            if accepted is not None and message_id not in self._times:
                raise Violated(f"I6: {message_id} counts as delivered, and the mail server never took it")
        texts: dict[str, tuple[str, str]] = {}
        for message_id, *content in self.world.mailbox.taken:
            if texts.setdefault(message_id, (content[0], content[1])) != tuple(content):
                raise Violated(f"I6: {message_id} came with two contents")
            if any(card.pan in text for card in CARDS for text in content):
                raise Violated(f"I7: {message_id} holds a card number")
        for uuid, state in self.world.eye.rows(_UNTOLD):
            raise Violated(f"I6: {uuid} is {state}, and nobody was told")
        self._nobody_left_alone()
        self._windows()

    def _nobody_left_alone(self) -> None:
        """What only a person can settle, a person has been told of."""
        for uuid, kind, cause in self.world.eye.rows(_UNTOLD_DOUBTS):
            raise Violated(f"I6: {uuid} ({kind}) is in doubt for {cause}, TPS is not asked any more, nobody was told")
        for number, state in self.world.eye.rows(_UNTOLD_JOURNEYS):
            raise Violated(f"I6: journey {number} is {state}, and nobody was told")

    def _windows(self) -> None:
        """Two mails of one cause are never closer than the second window; only clocks that stepped may seem so."""
        if self.world.machine.steps > 1:  # the one is the clock's repair at the calm
            return
        before: tuple[str, str, int] | None = None
        for kind, cause, at in self.world.eye.rows(_FAILURES):
            if before is not None and before[:2] == (kind, cause) and at - before[2] < WINDOWS[1]:
                raise Violated(f"I6: two mails of {cause} within {(at - before[2]) / 1e6:.0f} s")
            before = (kind, cause, at)
