"""A deny list that TPS has not completed for too long, from the feed's polls to verdicts, mails and what people see."""

from __future__ import annotations

from typing import Any

import pytest

from device.vl1.codes import Shown
from device.vl1.tap_memory import KeptTap, ValidatorState
from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.integration.test_daemon_clock import World, learns, options, reboot
from tests.integration.test_daemon_explained import explained
from tests.integration.test_daemon_feed import DENIED, FED, MASTERCARD, OK, VISA, mailed, poll, polled, token_of, told
from tests.integration.test_daemon_orders import answer, at_work, tpsd
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.sfey.update_desk import Fault

STALE = "list_stale"
DENIES: dict[str, Any] = {"stale_list": "deny"}


def silent(stage: Stage) -> None:
    stage.tps.updates.fault = lambda number: Fault.UNAVAILABLE


async def ages(stage: Stage, us: int) -> None:
    """So long nothing comes of any poll."""
    before = len(stage.tps.updates.asked)
    stage.clock.jump(Micros(stage.clock.schedule() + us))
    await polled(stage, done=lambda: len(stage.tps.updates.asked) > before)


def words_of_mails(stage: Stage) -> list[str]:
    return [mail["Subject"] for mail in stage.post.mails]


async def test_past_its_age_the_lane_denies_one_mail_says_so_and_another_that_it_is_over(open_stage: Opens) -> None:
    async with open_stage(changes=FED, lane_changes=DENIES) as stage:
        stage.tps.updates.add([token_of(stage, VISA)])
        async with stage.daemon_running() as daemon:
            await polled(stage)
            silent(stage)
            await ages(stage, 24 * HOUR)
            assert (await told(stage.gate), await told(stage.gate, MASTERCARD)) == (DENIED, OK)
            await ages(stage, 6 * MINUTE)
            assert (await told(stage.gate), await told(stage.gate, MASTERCARD)) == (DENIED, STALE)
            reasons = [reason for _, reason in (await daemon.observer.health()).reasons]
            assert "the deny list is too old: turned away at door-1" in reasons
            assert b"tpsd_deny_list_stale 1.0" in await daemon.observer.page()
            for _ in range(4):
                await ages(stage, 6 * MINUTE)
            await mailed(stage, "more than 24.0 h are too old; the last poll failed: http.503")
        async with stage.daemon_running() as daemon:
            await polled(stage)
            assert await told(stage.gate, MASTERCARD) == STALE, "a restart makes no list fresh"
            for _ in range(4):
                await ages(stage, 6 * MINUTE)
            assert words_of_mails(stage) == ["[tpsd] 1 word on an outage: feed.stale"]
            stage.tps.updates.fault = lambda number: None
            await poll(stage)
            assert (await told(stage.gate), await told(stage.gate, MASTERCARD)) == (DENIED, OK)
            assert (await daemon.observer.health()).reasons == ()
            await mailed(stage, "TPS has completed the deny list again")
            assert words_of_mails(stage)[1:] == ["[tpsd] 1 word on an outage: feed.fresh"]
            stage.check_books()


@pytest.mark.parametrize(
    ("lane", "cheap", "dear"),
    [({}, OK, OK), ({"stale_list": {"accept_below": 251}}, OK, STALE), (DENIES, STALE, STALE)],
)
async def test_whom_a_lane_lets_in_under_a_stale_list(
    open_stage: Opens, lane: dict[str, Any], cheap: str, dear: str
) -> None:
    async with open_stage(changes=FED, lane_changes=lane) as stage:
        stage.tps.updates.add([token_of(stage, MASTERCARD)])
        async with stage.daemon_running():
            await polled(stage)
            silent(stage)
            await ages(stage, 25 * HOUR)
            assert (await stage.gate.verdict(stage.gate.tap(250))).reason == cheap
            assert (await stage.gate.verdict(stage.gate.tap(251))).reason == dear
            assert await told(stage.gate, MASTERCARD) == DENIED


async def test_a_list_that_never_came_is_stale(open_stage: Opens) -> None:
    async with open_stage(changes=FED, lane_changes=DENIES) as stage:
        silent(stage)
        async with stage.daemon_running() as daemon:
            await polled(stage)
            assert await told(stage.gate) == STALE
            assert b"tpsd_deny_list_age_seconds" not in await daemon.observer.page()
            stage.tps.updates.fault = lambda number: None
            await poll(stage)
            assert await told(stage.gate) == OK
            assert b"tpsd_deny_list_age_seconds 0.0" in await daemon.observer.page()


async def test_who_was_let_in_already_is_charged(open_stage: Opens) -> None:
    async with open_stage(changes=FED, lane_changes=DENIES) as stage:
        silent(stage)
        async with stage.daemon_running():
            await polled(stage)
            gate = stage.gate
            gate.unplug()
            tap = gate.tap(250)
            kept = KeptTap(tap.number, tap.payload, Shown.LET_IN)
            gate.replace(ValidatorState(tap.number.boot, tap.number.counter, (kept,)))
            gate.plug(stage.lines[0].master)
            verdict = await gate.verdict(tap)
            assert (verdict.verdict, verdict.reason) == (1, "let_in")
            assert (await stage.settled(tap)).state == "approved"
            stage.check_books()


async def test_a_boot_in_1970_makes_no_list_fresh(open_stage: Opens) -> None:
    world = World(tells=True)
    async with open_stage(changes=FED, lane_changes=DENIES, **options(world)) as stage:
        async with stage.daemon_running() as daemon:
            await learns(stage, world)
            await poll(stage)
            assert await told(stage.gate) == OK
            assert (await daemon.journal.feed.state()).whole_at is not None
        reboot(stage, world, HOUR, "life-2")
        world.tells = False
        async with stage.daemon_running() as daemon:
            await polled(stage, done=lambda: daemon.feed is not None and daemon.feed.facts().cause == "tls.server")
            assert await told(stage.gate) == STALE, "an hour old in truth, and in 1970 nobody knows"
            assert b"tpsd_deny_list_stale 1.0" in await daemon.observer.page()
            silent(stage)
            await learns(stage, world)
            assert await told(stage.gate) == OK, "now the time is known"
            assert b"tpsd_deny_list_stale 0.0" in await daemon.observer.page()


async def test_explain_and_lanes_say_it(open_stage: Opens) -> None:
    async with open_stage(changes=FED, lane_changes={"stale_list": {"accept_below": 251}}) as stage, at_work(stage):
        stage.tps.updates.add([token_of(stage, MASTERCARD)])
        await poll(stage)
        lane, *_ = (await answer(stage, "lanes"))["lanes"]
        assert (lane["list_age_seconds"], lane["list_is_stale"], lane["stale_accepts_below"]) == (0.0, False, 251)
        silent(stage)
        await ages(stage, 26 * HOUR)
        taps = [stage.gate.tap(amount) for amount in (251, 250)]
        for tap in taps:
            await stage.gate.verdict(tap)
        await stage.settled(taps[1])
        denied, let_in = ([event["text"] for event in story][2] for story in await explained(stage, *taps))
        assert denied.startswith("Decided: denied (list_stale). The deny list was older than [feed] max_age_hours")
        assert "Deny list version 1." in denied
        assert "Noted: list_stale: The deny list was older than [feed] max_age_hours" in let_in
        lane, *_ = (await answer(stage, "lanes"))["lanes"]
        assert (lane["list_age_seconds"], lane["list_is_stale"]) == (26 * 3600.0, True)
        _, out, _ = await tpsd(stage, "lanes")
        assert "accepts below 251" in " ".join(out.split())
