"""What was done by hand, done again: through the same desk, cashier and doorkeeper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.taplog import Ordered
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.operations import Order
from tpsd.daemon import Daemon
from tpsd.domain.authorisation import State
from tpsd.domain.time import micros_of
from tpsd.errors import TpsdError
from tpsd.operating import START, Selection
from tpsd.operating import Ordered as ByHand

WHO: Final = "replay"

_RESTING: Final[Mapping[str, Order]] = {order.name.lower(): order for order in Order}


async def order(daemon: Daemon, line: Ordered) -> None:
    """Carry it out; what is refused was refused then as well, or what would have come of it is found missing."""
    try:
        await _carry_out(daemon, line)
    except TpsdError:
        return


async def _carry_out(daemon: Daemon, line: Ordered) -> None:
    match line.order:
        case "checkout":
            given = CheckOutOrder(line.amount or 0, line.currency, line.release)
            await daemon.cashier.check_out(line.subject, given, WHO, WHO)
        case "refund":
            await daemon.cashier.refund(line.subject, RefundOrder(line.amount, line.again), WHO, WHO)
        case "close_lane":
            await daemon.doorkeeper.close(line.subject, WHO, WHO)
        case "open_lane":
            await daemon.doorkeeper.open(line.subject, WHO, WHO)
        case _:
            await _rests(daemon, line, ByHand(_RESTING[line.order], WHO, WHO))


async def _rests(daemon: Daemon, line: Ordered, ordered: ByHand) -> None:
    if not line.states:
        await daemon.desk.one(ordered, line.subject)
        return
    since = START if line.since is None else micros_of(line.since)
    selection, after = Selection(line.subject, since, frozenset(map(State, line.states))), None
    while True:
        tally = await daemon.desk.many(ordered, selection, after, dry=False)
        if tally.after is None:
            return
        after = tally.after
