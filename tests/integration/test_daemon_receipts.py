"""Receipts of real taps: each has one, the same from the daemon and from the journal it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from device.vl1.codes import Oda, TapKind
from device.vl1.tap_message import TapMessage
from tests.card_search import findings
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage, Tap
from tests.integration.test_daemon_orders import answer, at_work, tpsd
from tpsd.cli.receipts import COLUMNS
from tpsd.domain.time import HOUR, later
from tpsd.sfey.fates import Fate, Key, close_after, decline, partial, scripted

NAMED = {"operator": {"merchant": "City Transit"}}
DOOR = {"alias": "Front door"}
FATES: dict[Key, Sequence[Fate]] = {260: (decline("112"),), 270: (close_after(),), 280: (partial(100),)}


async def tapped(stage: Stage, amount: int | None, **fields: Any) -> Tap:
    """A tap with its verdict; the next is a younger one."""
    tap = stage.gate.tap(amount, **fields)
    await stage.gate.verdict(tap)
    stage.clock.jump(later(stage.clock.schedule(), 1000))
    return tap


async def tapped_a_moment_ago(stage: Stage, amount: int) -> Tap:
    """A tap older than what follows it unasked: TPS's ledger knows transactions by validator and time."""
    gate = stage.gate
    number, tapped_at = gate.next()
    stage.clock.jump(later(stage.clock.schedule(), 1000))
    card = gate.reading(VISA, amount, tapped_at, number)
    message = TapMessage(tap=number, tapped_at=tapped_at, amount=amount, currency="978", oda=Oda.GOOD, card=card)
    tap = gate.send(message.encode(), number, tapped_at, amount)
    await gate.verdict(tap)
    stage.clock.jump(later(stage.clock.schedule(), 1000))
    return tap


async def receipts(stage: Stage, *taps: Tap | str) -> list[dict[str, Any]]:
    """The receipts, looked at as text too."""
    found = []
    for tap in taps:
        name = tap.id if isinstance(tap, Tap) else tap
        found.append(await answer(stage, "receipt", name))
        code, text, _ = await tpsd(stage, "receipt", name)
        lines = [line for line in text.splitlines() if not re.match(r"\S+ \S+ \[info", line)]
        assert code == 0
        assert max(map(len, lines)) <= COLUMNS
        assert f"Result    {found[-1]['result']}" in lines
        assert findings(name, (text + str(found[-1])).encode(), [VISA.pan]) == []
    return found


async def test_payments_of_every_end(open_stage: Opens) -> None:
    shop = DOOR | {"kind": "RETAIL_PAYMENT"}
    async with open_stage(choose=scripted(FATES), changes=NAMED, lane_changes=shop) as stage:
        async with at_work(stage):
            taps = [await tapped(stage, amount) for amount in (250, 260, 270)]
            taps.append(await tapped_a_moment_ago(stage, 280))
            taps.append(await tapped(stage, 100_000))
            taps.append(await tapped(stage, 250, kind=TapKind.KFT_DEFERRED))
            taps.append(await tapped(stage, 250, card=()))
            await answer(stage, "refund", taps[0].id, "--amount", "100", "--reason", "a broken seat")
            partly_back = (await stage.row(taps[3])).uuid

            async def given_back() -> bool:
                return any(charge.amount == 100 for charge in stage.tps.ledger.charges()[-1:])

            await stage.until(given_back, "the refund of a partial approval")
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "its answer")
            found = await receipts(stage, *taps)
        assert [(one["result"], one["charged"], one["verdict"]) for one in found] == [
            ("approved", 250, "accepted"),
            ("declined", 0, "denied"),
            ("in doubt", None, "denied"),
            ("approved in part", 100, "denied"),
            ("denied", 0, "denied"),
            ("denied", 0, "denied"),
            ("not readable", 0, "try_again"),
        ]
        paid, declined, _, partly, refused, *_ = found
        assert (paid["merchant"], paid["alias"], paid["kind"], paid["card"]) == (
            "City Transit", "Front door", "RETAIL_PAYMENT", "476173******0119",
        )  # fmt: skip
        assert (paid["aid"], paid["tvr"], paid["iad"]) == ("a0000000031010", "0000000000", "06011203a00000")
        assert (paid["action_code"], paid["action"], paid["why"]) == ("000", "approved", "")
        assert [(one["kind"], one["amount"], one["result"], one["by"]) for one in paid["refunds"]] == [
            ("RETAIL_REFUND", 100, "approved", "hand")
        ]
        assert (declined["action_code"], declined["action"]) == ("112", "a PIN is needed")
        assert (partly["uuid"], [(one["amount"], one["by"]) for one in partly["refunds"]]) == (
            partly_back, [(100, "itself")],
        )  # fmt: skip
        assert (refused["uuid"], refused["why"], refused["words"]) == (None, "amount_limit", "Amount not allowed")
        assert await receipts(stage, *taps) == found, "from the journal itself, under the same configuration"


async def test_a_transit_tap_before_and_after_it_is_settled(open_stage: Opens) -> None:
    async with open_stage(lane_changes={"amount_limit": 99_999}) as stage, at_work(stage):
        tap = await tapped(stage, 250)
        await stage.settled(tap)
        (found,) = await receipts(stage, tap)
        assert (found["merchant"], found["alias"], found["kind"], found["result"]) == ("", "door-1", "MTT", "approved")
        waits = await tapped(stage, 90_911)
        await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "its first send")
        (found,) = await receipts(stage, waits)
        assert (found["result"], found["charged"], found["verdict"]) == ("not settled yet", None, "accepted")


async def test_both_ends_of_a_journey_by_any_name_of_it(open_stage: Opens) -> None:
    gate = DOOR | {"kind": "RETAIL_CHECK_IN_OUT", "zone": "centre"}
    async with open_stage(lanes=1, changes=NAMED, lane_changes=gate) as stage:
        async with at_work(stage):
            first_in = await tapped(stage, 500)
            stage.clock.jump(later(stage.clock.schedule(), HOUR))
            first_out = await tapped(stage, 320, stop="harbour")
            second_in = await tapped(stage, 500)
            await answer(stage, "checkout", "2", "--amount", "310", "--reason", "she called")
            by_hand = (await answer(stage, "journeys"))["journeys"][0]["check_out"]
            begun, ended, called, called_too = found = await receipts(stage, first_in, first_out, second_in, by_hand)
        assert begun["journey"] == ended["journey"]
        assert (begun["amount"], ended["amount"], begun["journey"]["state"]) == (500, 320, "closed")
        ends = [begun["journey"]["check_in"], begun["journey"]["check_out"]]
        assert [(end["lane"], end["zone"], end["amount"], end["by"]) for end in ends] == [
            ("Front door", "centre", 500, "tap"), ("Front door", "harbour", 320, "tap"),
        ]  # fmt: skip
        assert (ends[0]["time"], ends[1]["time"]) == (begun["time"], ended["time"])
        assert called == called_too
        out = called["journey"]["check_out"]
        assert (out["uuid"], out["by"], out["amount"], out["lane"], out["zone"]) == (by_hand, "hand", 310, None, None)
        assert await receipts(stage, first_in, first_out, second_in, by_hand) == found


async def test_there_is_none_of_a_tap_that_nobody_made(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        code, _, err = await tpsd(stage, "receipt", "99")
        assert (code, "no tap '99'" in err) == (1, True)
