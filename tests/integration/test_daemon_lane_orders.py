"""Lanes as operators see them, closed and opened by hand: the command line against the daemon at work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.integration.test_daemon_orders import WHO, answer, at_work, tapped, tpsd
from tests.integration.test_daemon_reload import lanes_of, reloaded, rewrite
from tpsd.sfey.fates import approve, bare, scripted


async def shown(stage: Stage) -> list[dict[str, Any]]:
    return list((await answer(stage, "lanes"))["lanes"])


async def refused(stage: Stage, amount: int) -> None:
    """A tap that is let in and sent once, in vain."""
    tap = stage.gate.tap(amount)
    assert (await stage.gate.verdict(tap)).verdict == 1
    dispatcher, ledger = stage.daemon.dispatcher, stage.tps.ledger
    await stage.until(
        lambda: ledger.requests_of(tap.serial, tap.tapped_at) and dispatcher.in_flight == 0, "the first send"
    )


async def close(stage: Stage, name: str = "door-1", why: str = "the lock sticks") -> None:
    assert await answer(stage, "lane", "close", name, "--reason", why) == {"lane": "door-1", "open": False}
    await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")


async def test_every_lane_with_what_waits_of_it(open_stage: Opens) -> None:
    fates = scripted({250: (bare(403),), 300: (bare(503), approve())})
    async with open_stage(choose=fates, lanes=2) as stage, at_work(stage):
        await refused(stage, 300)
        await refused(stage, 250)
        first, second = await shown(stage)
        assert (first["name"], first["protocol"], first["serial"], first["state"]) == (
            "door-1",
            "vl1",
            "VAL00001",
            "ready",
        )
        assert (first["pending"], first["held"], first["taps"]) == (1, 1, 2)
        assert None not in (first["firmware"], first["last_tap_at"], first["oldest_pending_seconds"])
        assert (second["pending"], second["held"], second["oldest_pending_seconds"]) == (0, 0, None)
        code, out, _ = await tpsd(stage, "lanes")
        assert code == 0
        assert "VAL00001" in out


async def test_a_lane_that_left_is_shown_while_its_taps_wait(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({300: (bare(503), approve())}), lanes=2) as stage, at_work(stage):
        await refused(stage, 300)
        rewrite(stage, lanes=lanes_of(stage)[1:])
        assert (await reloaded(stage)).accepted
        there, gone = await shown(stage)
        assert (there["name"], there["pending"]) == ("door-2", 0)
        assert (gone["name"], gone["state"], gone["pending"]) == ("door-1", "gone", 1)
        code, out, _ = await tpsd(stage, "lanes")
        assert code == 0
        assert "gone" in out


async def test_a_closed_lane_says_so_takes_what_comes_and_opens_again(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        await close(stage)
        (lane,) = await shown(stage)
        assert (lane["state"], lane["reason"]) == ("closed", f"by {WHO}: the lock sticks")
        await tapped(stage, 250)
        assert (await answer(stage, "status"))["health"]["reasons"] == [
            f"lane door-1 is closed: by {WHO}: the lock sticks"
        ]
        assert await answer(stage, "lane", "open", "door-1") == {"lane": "door-1", "open": True}
        await stage.until(lambda: stage.gate.validator.lane_open is True, "CONFIG open")
        assert [lane["state"] for lane in await shown(stage)] == ["ready"]
        audited = (await answer(stage, "audit"))["audit"]
        assert [(row["what"], row["subject"], row["why"], row["who"]) for row in audited] == [
            ("open lane", "door-1", "", WHO),
            ("close lane", "door-1", "the lock sticks", WHO),
        ]


async def test_it_stays_closed_over_a_restart_and_a_reload(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with at_work(stage):
            await close(stage)
        async with at_work(stage):
            await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane | {"alias": "Front door"}])
            assert (await reloaded(stage)).accepted
            await stage.gate.is_up()
            await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed, by the lane made anew")
            assert await answer(stage, "lane", "open", "Front door", "--reason", "mended") == {
                "lane": "door-1",
                "open": True,
            }
            await stage.until(lambda: stage.gate.validator.lane_open is True, "CONFIG open")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (("open", "door-1"), "nobody closed lane door-1; it is ready: see 'tpsd lanes'"),
        (("close", "door-9", "--reason", "x"), "no lane 'door-9'; the configuration has: door-1, door-2"),
        (("close", "door-1", "--reason", " "), "is empty; say why in a sentence"),
        (("close", "door-1", "--reason", "card 4761739001010010"), "could be a card number"),
        (("close", "door-1"), "Missing option '--reason'"),
        (("open", "Doors"), "several lanes are called 'Doors'; give a name: door-1, door-2"),
    ],
    ids=["open", "unknown", "no reason", "a card number", "no option", "two of one alias"],
)
async def test_wrong_orders(open_stage: Opens, order: tuple[str, ...], words: str) -> None:
    async with open_stage(lanes=2) as stage, at_work(stage):
        if order[1] == "Doors":
            rewrite(stage, lanes=[lane | {"alias": "Doors"} for lane in lanes_of(stage)])
            assert (await reloaded(stage)).accepted
        code, out, err = await tpsd(stage, "lane", *order)
        assert (code != 0, out) == (True, "")
        assert words in " ".join(err.split())
        assert (await answer(stage, "audit"))["audit"] == []


async def test_a_closed_lane_cannot_be_closed_again(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        await close(stage)
        code, _, err = await tpsd(stage, "lane", "close", "door-1", "--reason", "again")
        assert code == 1
        assert "is closed already, by" in err
        assert "tpsd lane open door-1" in err


async def test_without_a_daemon_there_are_no_lanes_to_show(open_stage: Opens) -> None:
    async with open_stage() as stage:
        code, _, err = await tpsd(stage, "lanes")
        assert code == 1
        assert "no daemon" in err
