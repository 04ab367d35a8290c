"""I8: one journey a card, one capture a journey, of the card that checked in; and never more given back than taken."""

from __future__ import annotations

from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.doors import token_of
from tests.sim.events import Committed, Event, Sent
from tpsd.sfey.ledger import Charge, Request

_TWICE: Final = """
SELECT token, count(*) FROM journey WHERE state IN ('open', 'checking_out') GROUP BY operator, token HAVING count(*) > 1
"""
_ROWS: Final = """
SELECT j.id, j.state, j.check_in, j.token, i.type, i.state, j.check_out, o.state, o.may_have_charged
FROM journey j JOIN authorisation i ON i.uuid = j.check_in LEFT JOIN authorisation o ON o.uuid = j.check_out
"""
_ALARMED: Final = "SELECT 1 FROM notice WHERE uuid = ? AND kind = 'alarm' AND mail IS NOT NULL LIMIT 1"
_DOUBTFUL: Final = ("in_doubt", "permanently_failed", "held")
"""A ladder that ends in silence says so in its mail; a canary that ended so rests on for a person."""
_EVERY: Final = 8  # commits between two looks


class Journeys(Checker):
    """By TPS's books, by the cards that were held to the doors, and by the journal's journeys."""

    _commits = 0

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._carded: set[str] = set()
        self._cards: dict[str, int] = {}

    def heard(self, event: Event) -> None:
        match event:
            case Sent(uuid=uuid, carded=True):
                self._carded.add(uuid)
            case Request(uuid=str(uuid)) if uuid in self._carded:
                self._cards[uuid] = self.world.made(event).plan.card
            case Charge(type="RETAIL_CHECK_OUT"):
                self._captured(event)
            case Charge(type="RETAIL_REFUND", initial=str(initial)):
                if self.world.ledger.charged(initial) < 0:
                    raise Violated(f"refunds: more than its charge was given back of {initial}")
            case Committed():
                self._commits += 1
                if self._commits % _EVERY == 0:
                    self._look()
            case _:
                return

    def _captured(self, charge: Charge) -> None:
        check_in = str(charge.initial)
        if len(self.world.ledger.checked_out(check_in)) > 1:
            raise Violated(f"I8: {check_in} is checked out twice, the second time by {charge.uuid}")
        if charge.carded and self._cards[charge.uuid] != self._cards[check_in]:
            raise Violated(f"I8: {charge.uuid} checks out another card's check-in {check_in}")

    def _look(self) -> None:
        for token, count in self.world.eye.rows(_TWICE):
            raise Violated(f"I8: the card {token} has {count} journeys")

    def finish(self) -> None:
        self._look()
        ledger = self.world.ledger
        held = {charge.uuid for charge in ledger.charges() if charge.type == "RETAIL_CHECK_IN"}
        for row in self.world.eye.rows(_ROWS):
            number, state, check_in, token, kind, in_state, check_out, out_state, doubtful = row
            if check_in not in held or kind != "RETAIL_CHECK_IN" or in_state != "approved":
                raise Violated(f"I8: journey {number} began with {check_in}, a {kind} that is {in_state}")
            if check_in in self._cards and token_of(self._cards[check_in]) != bytes.fromhex(token):
                raise Violated(f"I8: journey {number} is another card's than its check-in")
            ended = [charge.uuid for charge in ledger.checked_out(check_in)]
            if state == "closed" and ended != [check_out]:
                raise Violated(f"I8: journey {number} is closed by {check_out}, and TPS says {ended}")
            in_doubt = check_out in ended and out_state in _DOUBTFUL and doubtful
            if state != "closed" and ended and not in_doubt and not self.world.eye.rows(_ALARMED, ended[0]):
                raise Violated(f"I8: journey {number} is {state}, its check-out {out_state}, and TPS says {ended}")
