"""An operator's order where the operator, or the clock, does not play along."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.gate import until
from tests.store.builders import LANE, report, setting
from tests.unit.workshop import ScriptedTps, workshop
from tpsd.core.answering import Policy
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.intake import decide, prepare
from tpsd.daemon import Daemon
from tpsd.demo.clock import WarpClock
from tpsd.domain.tap import Kind
from tpsd.errors import NotFoundError, RefusedError
from tpsd.workers.authoriser import Terms

SHOP = replace(LANE, kinds=frozenset({Kind.RETAIL_PAYMENT}), kind=Kind.RETAIL_PAYMENT, realtime=True)


class UnsetClock(WarpClock):
    """A machine without a battery whom nobody has told the time."""

    @property
    def trusted(self) -> bool:
        return False


async def paid(daemon: Daemon) -> str:
    """The UUID of an approved payment."""
    wall = daemon.clock.wall()
    tap = report(received_at=wall, tapped_at=wall, age_ms=0)
    taken = await daemon.journal.take(
        prepare(tap, SHOP, setting(daemon.journal), uuid4()), decide, daemon.clock.schedule()
    )
    assert taken.asked is not None
    assert await daemon.authoriser.begin(taken.asked, Terms(Policy())) is not None
    return str(taken.asked.uuid)


async def test_an_operator_who_hangs_up_cuts_no_order_short(tmp_path: Path) -> None:
    tps = ScriptedTps()
    async with workshop(tmp_path, tps) as daemon:
        payment = await paid(daemon)
        order = asyncio.create_task(daemon.cashier.refund(payment, RefundOrder(), "alice (1000)", "a test"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it waits for the journal now
        order.cancel()
        with pytest.raises(asyncio.CancelledError):
            await order
        await until(lambda: tps.ended == 2 and not daemon.authoriser.in_flight, "the refund's answer")
        with pytest.raises(RefusedError, match="given back already, 250 in all"):
            await daemon.cashier.refund(payment, RefundOrder(), "alice (1000)", "once more")
        assert len(tps.started) == 2
        (audit,) = await daemon.journal.operations.audited(10)
        assert (audit.what, audit.who, audit.why) == ("refund", "alice (1000)", "a test")


async def test_an_operator_who_hangs_up_before_a_refusal_leaves_nothing(tmp_path: Path) -> None:
    async with workshop(tmp_path) as daemon:
        order = asyncio.create_task(daemon.cashier.check_out("7", CheckOutOrder(320), "alice (1000)", "a test"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.cancel()
        with pytest.raises(asyncio.CancelledError):
            await order
        with pytest.raises(NotFoundError, match="no journey '7'"):
            await daemon.cashier.check_out("7", CheckOutOrder(320), "alice (1000)", "a test")


async def test_no_request_carries_a_time_that_nobody_knows(tmp_path: Path) -> None:
    tps, clock = ScriptedTps(), UnsetClock()
    clock.stand_still()
    async with workshop(tmp_path, tps, clock=clock) as daemon:
        for work in (
            daemon.cashier.refund("1", RefundOrder(), "alice (1000)", "a test"),
            daemon.cashier.check_out("1", CheckOutOrder(320), "alice (1000)", "a test"),
        ):
            with pytest.raises(RefusedError, match="the time is not known yet"):
                await work
    assert tps.started == []
