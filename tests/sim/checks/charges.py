"""Money: nothing is charged twice, repeats are the first request, and the journal knows what TPS charged (I2, I10)."""

from __future__ import annotations

from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.doors import Made, Stamp
from tests.sim.events import Event, Sent
from tpsd.domain.time import SECOND
from tpsd.sfey.ledger import Charge, Request, Violation

_ON_THE_LINE_US: Final = 20 * SECOND  # five tries and a queue: an age is as old as its frame
_ROWS: Final = "SELECT uuid, state, amount, approved_amount, may_have_charged FROM authorisation"


class Charges(Checker):
    """By TPS's own books, and by the amounts that name the taps."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._charged: dict[str, int] = {}
        self._amounts: dict[str, int] = {}
        self._credentials: dict[str, str] = {}
        self._cardless: set[str] = set()
        self._taps: dict[str, Made] = {}
        self._paid: set[int] = set()

    def heard(self, event: Event) -> None:
        match event:
            case Violation(what=what, uuid=uuid):
                raise Violated(f"I2: TPS refused a request of {uuid}, which {what}")
            case Sent(uuid=uuid, credential=credential, carded=carded):
                if not carded:
                    self._cardless.add(uuid)
                if self._credentials.setdefault(uuid, credential) != credential:
                    raise Violated(f"I2: {uuid} went out under two credentials")
            case Request(uuid=str(uuid), amount=int(amount)):
                self._amounts[uuid] = amount
                if uuid not in self._cardless:
                    self._taps[uuid] = self.world.made(event)
                    self._stamped(event, self._taps[uuid])
            case Charge():
                self._charge(event)
            case _:
                return

    def _charge(self, charge: Charge) -> None:
        if charge.uuid in self._charged:
            raise Violated(f"I10: {charge.uuid} was charged twice")
        self._charged[charge.uuid] = charge.amount
        if charge.uuid not in self._cardless:
            tap = self._taps[charge.uuid].plan.amount
            if tap in self._paid:
                raise Violated(f"I10: the tap of {tap} was charged under two UUIDs")
            self._paid.add(tap)

    def _stamped(self, request: Request, made: Made) -> None:
        """A tap that its validator stamped is sent under that time; any other under nearly the true one."""
        off = abs((request.tapped_at or 0) - made.tapped_at)
        if made.plan.stamp is Stamp.TRUE:
            allowed = 0
        elif made.forgotten or self.world.time_was_lost or self.world.machine.slept_since(made.seconds):
            return  # nobody can know
        else:
            allowed = _ON_THE_LINE_US
        if off > allowed:
            raise Violated(f"time: {request.uuid} is sent as of {off / SECOND:.3f} s beside the time of its tap")

    def finish(self) -> None:
        rows = self.world.eye.rows(_ROWS)
        for uuid in self._charged.keys() - {row[0] for row in rows}:
            raise Violated(f"I10: TPS charged {uuid}, and the journal does not know it")
        for uuid, state, amount, approved, doubtful in rows:
            charged = self._charged.get(uuid)
            if state == "approved" and charged is None:
                raise Violated(f"I10: {uuid} is approved, and TPS never charged it")
            if charged is not None and state != "approved" and not doubtful:
                raise Violated(f"I10: TPS charged {uuid}, which is {state} and in no doubt")
            if charged is not None and approved is not None and approved != charged:
                raise Violated(f"I10: {uuid} is approved for {approved}, and TPS charged {charged}")
            if uuid in self._amounts and self._amounts[uuid] != amount:
                raise Violated(f"I2: {uuid} is of {amount}, and {self._amounts[uuid]} was asked for")
