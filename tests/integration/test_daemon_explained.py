"""Stories of real taps: each is told the same by the daemon and from the journal it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.card_search import findings
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage, Tap
from tests.integration.test_daemon_orders import answer, at_work, tpsd
from tests.integration.test_daemon_receipts import tapped
from tpsd.core.device_keys import check_value
from tpsd.domain.time import HOUR, later
from tpsd.sfey.fates import Fate, Key, close_after, decline, scripted

FATES: dict[Key, Sequence[Fate]] = {260: (decline("116"),), 270: (close_after(),)}


async def explained(stage: Stage, *taps: Tap) -> list[list[dict[str, Any]]]:
    """The events of each tap's story, looked at as text too; without what depends on the moment of telling."""
    found = []
    for tap in taps:
        page = await answer(stage, "explain", tap.id)
        code, text, _ = await tpsd(stage, "explain", tap.id)
        assert code == 0
        words = " ".join(text.split())
        for event in page["events"]:
            assert event["kind"] == "kept" or " ".join(event["text"].split()) in words, event
        assert findings(tap.id, (text + str(page)).encode(), [VISA.pan]) == []
        found.append([event for event in page["events"] if event["kind"] not in ("next", "kept")])
    return found


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


async def test_transit_taps_on_the_ladder_and_after_it(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with at_work(stage):
            paid, waits, refused = [await tapped(stage, amount) for amount in (250, 90_911, 80_041)]
            for tap in (paid, refused):
                await stage.settled(tap)
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "every first send")
            await answer(stage, "close", refused.id, "--reason", "an old validator")
            told = await explained(stage, paid, waits, refused)
            page = await answer(stage, "explain", waits.id)
        assert kinds(told[0]) == ["tapped", "received", "decided", "sent", "answered", "stands"]
        assert told[0][-1]["text"] == "It stands: approved. 2.50 978 was charged."
        assert kinds(told[1])[-2:] == ["answered", "stands"]
        assert page["events"][-2]["facts"]["send"] == 2
        assert "(tier 1 of the ladder, 1 min after the send before)" in page["events"][-2]["text"]
        assert kinds(told[2])[3:] == ["sent", "answered", "told", "ordered", "stands"]
        assert told[2][-1]["facts"]["state"] == "closed"
        assert [one[2]["facts"]["configuration"] for one in told] == [told[0][2]["facts"]["configuration"]] * 3
        assert await explained(stage, paid, waits, refused) == told, "from the journal itself"


async def test_payments_and_a_refund(open_stage: Opens) -> None:
    shop = {"kind": "RETAIL_PAYMENT"}
    async with open_stage(choose=scripted(FATES), lane_changes=shop) as stage:
        async with at_work(stage):
            taps = [await tapped(stage, amount) for amount in (250, 260, 270, 100_000)]
            await answer(stage, "refund", taps[0].id, "--amount", "100", "--reason", "a broken seat")
            paid, declined, doubtful, denied = told = await explained(stage, *taps)
        assert kinds(paid) == [
            "tapped", "received", "sent", "answered", "decided", "ordered", "followed", "shown", "stands",
        ]  # fmt: skip
        refund = paid[6]
        assert (refund["facts"]["amount"], refund["facts"]["state"], refund["facts"]["by"]) == (100, "approved", "hand")
        assert "action code 116, the account holds too little" in declined[3]["text"]
        assert declined[-1]["text"].startswith("It stands: declined. Nothing was charged.")
        assert doubtful[-1]["text"].startswith("It stands: in doubt (in_doubt). 2.70 978 may have been charged.")
        salt = bytes.fromhex((stage.folder / "salt.hex").read_text())
        assert denied[2]["facts"] | {"configuration": ""} == {
            "verdict": "denied", "reason": "amount_limit", "disposition": "denied", "note": None, "list_version": None,
            "token_key": check_value("SALT", salt), "configuration": "",
        }  # fmt: skip
        assert await explained(stage, *taps) == told, "from the journal itself"


async def test_both_ends_of_a_journey(open_stage: Opens) -> None:
    gate = {"kind": "RETAIL_CHECK_IN_OUT", "zone": "centre"}
    async with open_stage(lane_changes=gate) as stage:
        async with at_work(stage):
            begun = await tapped(stage, 500)
            stage.clock.jump(later(stage.clock.schedule(), HOUR))
            ended = await tapped(stage, 320, stop="harbour")
            told = await explained(stage, begun, ended)
        for events in told:
            ends = [event for event in events if event["kind"] == "journey"]
            assert [(end["facts"]["end"], end["facts"]["amount"]) for end in ends] == [
                ("check-in", 500), ("check-out", 320),
            ]  # fmt: skip
        assert told[0][-1]["text"] == "It stands: approved. 5.00 978 was held until its check-out."
        assert told[1][-1]["text"] == "It stands: approved. 3.20 978 was charged."
        assert await explained(stage, begun, ended) == told, "from the journal itself"


async def test_there_is_none_of_a_tap_that_nobody_made(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with at_work(stage):
            code, _, err = await tpsd(stage, "explain", "99")
            assert (code, "no tap '99'" in err) == (1, True)
        code, _, err = await tpsd(stage, "explain", "99")
        assert (code, "no tap '99'" in err) == (1, True)
