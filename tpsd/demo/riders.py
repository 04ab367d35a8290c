"""The demo's riders: they check in at one gate and out at the other, and what goes wrong is put right by hand.

Some simply ride; one's check-out is declined three times; one never checks out; one's check-in is charged and its
answer lost, which an enquiry finds. Days later an operator sends a check-out and gives a fare back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from device.vl1.cards import CARDS
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.daemon import Daemon
from tpsd.demo.validator import Told, Validator
from tpsd.domain.journey import TRIES_MAX, JourneyState
from tpsd.sfey.ledger import Ledger

HELD, FARE, BACK = 500, 320, 100  # minor units: what a check-in holds, what a ride costs, what is given back
DECLINED = 90_116  # the simulator's amounts (tpsd.sfey.fates)
LOST = 60_002
WHO = "demo"
COUNTED: Final = (JourneyState.CLOSED, JourneyState.ENDED_UNPAID, JourneyState.OPEN, JourneyState.EXPIRED)


@dataclass(slots=True)
class Riders:
    """Both gates, and what happened there. ``back``: the tap whose fare is given back in part."""

    gate_in: Validator
    gate_out: Validator
    back: str = ""
    by_hand: list[int] = field(default_factory=list)

    @property
    def told(self) -> list[Told]:
        """Every rider's tap."""
        return [*self.gate_in.told.values(), *self.gate_out.told.values()]

    async def ride(self) -> None:
        """All riders, one after another, as people pass a gate."""
        honest, unlucky, forgetful, lost, last = CARDS[:5]
        for card in (honest, last):
            await self.gate_in.ride(card, HELD)
            paid = await self.gate_out.ride(card, FARE)
            self.back = self.gate_out.name(paid)
        await self.gate_in.ride(unlucky, HELD)
        for _ in range(TRIES_MAX):
            await self.gate_out.ride(unlucky, DECLINED)
        await self.gate_in.ride(forgetful, HELD)
        await self.gate_in.ride(lost, LOST)

    async def put_right(self, daemon: Daemon) -> None:
        """What an operator does the next day: no card is needed for it, and none is there."""
        for row in await daemon.journal.asked.rows((JourneyState.ENDED_UNPAID,), 10):
            await daemon.cashier.check_out(str(row.id), CheckOutOrder(FARE), WHO, "the gate's camera shows the exit")
            self.by_hand.append(row.id)
        if self.back:
            await daemon.cashier.refund(self.back, RefundOrder(BACK), WHO, "the line was cut short")

    def stop(self) -> None:
        """Fall silent."""
        self.gate_in.stop()
        self.gate_out.stop()


async def summary(riders: Riders, daemon: Daemon, ledger: Ledger) -> dict[str, object]:
    """The demo's part about journeys, by the journal and TPS's ledger; each journey counts once."""
    rows = await daemon.journal.asked.rows((), 100)
    states = Counter(row.state for row in rows if row.id not in riders.by_hand)
    by_hand = sum(row.state == JourneyState.CLOSED.value for row in rows if row.id in riders.by_hand)
    found = await daemon.journal.asked.found_in_doubt()
    return {
        "journeys": {state.value: states.get(state.value, 0) for state in COUNTED} | {"by_hand": by_hand},
        "in_doubt_found": found,
        "refunds": sum(charge.type == "RETAIL_REFUND" for charge in ledger.charges()),
    }
