"""Money: nothing is charged twice, every repeat is the first request, and the journal knows what TPS charged (I2, I10)."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Event, Sent
from tpsd.sfey.ledger import Charge, Violation

_ROWS: Final = "SELECT uuid, state, amount, approved_amount, may_have_charged FROM authorisation"


class Charges(Checker):
    """By TPS's own books, and by the amounts that name the taps."""

    _charged: set[str]

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._uuids: set[str] = set()
        self._amounts: Counter[int] = Counter()
        self._credentials: dict[str, str] = {}

    def heard(self, event: Event) -> None:
        match event:
            case Violation(what=what, uuid=uuid):
                raise Violated(f"I2: TPS refused a request of {uuid}, which {what}")
            case Sent(uuid=uuid, credential=credential):
                if self._credentials.setdefault(uuid, credential) != credential:
                    raise Violated(f"I2: {uuid} went out under two credentials")
            case Charge(uuid=uuid):
                self._charge(event)
            case _:
                return

    def _charge(self, charge: Charge) -> None:
        if charge.uuid in self._uuids:
            raise Violated(f"{charge.uuid} was charged twice")
        self._uuids.add(charge.uuid)

    def finish(self) -> None:
        for uuid, state, _, _, doubtful in self.world.eye.rows(_ROWS):
            charged = uuid in self._uuids
            if state == "approved" and not charged:
                raise Violated(f"I10: {uuid} is approved, and TPS never charged it")
            if charged and state != "approved" and not doubtful:
                raise Violated(f"I10: TPS charged {uuid}, which is {state} and in no doubt")
