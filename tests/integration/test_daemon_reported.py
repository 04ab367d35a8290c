"""Reports of real taps: the daemon and the journal it leaves behind say the same, and what TPS charged is in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.integration.test_daemon_orders import answer, at_work, tpsd
from tests.integration.test_daemon_receipts import tapped
from tpsd.domain.time import HOUR, later
from tpsd.sfey.fates import Fate, Key, close_after, decline, scripted

FATES: dict[Key, Sequence[Fate]] = {260: (decline("116"),), 270: (close_after(),)}
SPLITS = ("day", "lane,kind,code", "code")


async def reported(stage: Stage) -> list[dict[str, Any]]:
    """Under every split; each line's CSV says the same."""
    found = []
    for by in SPLITS:
        page = await answer(stage, "report", "--by", by)
        code, text, _ = await tpsd(stage, "report", "--by", by, "--format", "csv")
        assert code == 0
        start = text.index(by.split(",", maxsplit=1)[0])  # the daemon of this process logs there too
        rows = list(csv.DictReader(io.StringIO(text[start:])))
        assert [(row["taps"], row["charged_amount"], row["refunded_amount"]) for row in rows] == [
            (str(line["taps"]), str(line["money"]["charged"]), str(line["money"]["refunded"])) for line in page["lines"]
        ]
        code, text, _ = await tpsd(stage, "report", "--by", by)
        assert code == 0
        assert "Taps" in text
        assert "Money" in text
        found.append(page)
    return found


async def test_payments_by_everything(open_stage: Opens) -> None:
    shop = {"kind": "RETAIL_PAYMENT"}
    async with open_stage(choose=scripted(FATES), lane_changes=shop) as stage:
        async with at_work(stage):
            taps = [await tapped(stage, amount) for amount in (250, 250, 260, 270, 100_000)]
            await answer(stage, "refund", taps[0].id, "--amount", "100", "--reason", "a broken seat")
            by_day, by_all, by_code = told = await reported(stage)
            (total,) = by_day["totals"]
            assert total["money"] == {
                "charged": 500, "held": 0, "refunded": 100, "released": 0, "in_doubt": 270, "refunds_in_doubt": 0,
                "waiting": 0, "not_known": 0,
            }  # fmt: skip
            assert (total["taps"], total["untapped"]) == (5, 1)
            assert total["outcomes"] == {"approved": 3, "declined": 1, "in doubt": 1, "denied": 1}
            assert by_all["totals"] == by_code["totals"] == by_day["totals"]
            assert [(line["lane"], line["kind"], line["code"], line["taps"]) for line in by_all["lines"]] == [
                ("door-1", "RETAIL_PAYMENT", "action.000", 2),
                ("door-1", "RETAIL_PAYMENT", "action.116", 1),
                ("door-1", "RETAIL_PAYMENT", "amount_limit", 1),
                ("door-1", "RETAIL_PAYMENT", "closed", 1),
                ("door-1", "RETAIL_REFUND", "action.000", 0),
            ]
            meanings = {line["code"]: line["meaning"] for line in by_code["lines"]}
            assert meanings["action.116"] == "action code 116, the account holds too little"
        assert await reported(stage) == told, "from the journal itself"


async def test_a_journey_by_what_was_captured(open_stage: Opens) -> None:
    gate = {"kind": "RETAIL_CHECK_IN_OUT", "zone": "centre"}
    async with open_stage(lane_changes=gate) as stage, at_work(stage):
        await tapped(stage, 500)
        (held,) = (await answer(stage, "report"))["totals"]
        stage.clock.jump(later(stage.clock.schedule(), HOUR))
        await tapped(stage, 320, stop="harbour")
        (captured,) = (await answer(stage, "report"))["totals"]
    assert (held["money"]["held"], held["money"]["charged"]) == (500, 0)
    assert (captured["money"]["held"], captured["money"]["charged"]) == (0, 320)


async def test_a_span_of_nothing_and_a_wrong_question(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with at_work(stage):
            await tapped(stage, 250)
            code, out, err = await tpsd(stage, "report", "--until", "2026-01-01")
            assert (code, "nothing was tapped in that time" in err) == (0, True)
            assert "Taps" not in out
            assert (await answer(stage, "report", "--until", "2026-01-01"))["lines"] == []
            code, _, err = await tpsd(stage, "report", "--by", "month")
            assert (code, "'month' is none of day, lane, kind, code" in err) == (2, True)
        code, out, _ = await tpsd(stage, "report", "--until", "2026-01-01", "--format", "csv")
        assert (code, len(out.splitlines())) == (0, 1)
