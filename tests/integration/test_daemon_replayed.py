"""Days on which more happened than taps, logged by a daemon at work: their replays come to the same."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_reload import lanes_of, reloaded, rewrite
from tpsd.core.operations import Order
from tpsd.domain.authorisation import State
from tpsd.domain.time import MINUTE, SECOND, later
from tpsd.operating import Ordered, Selection
from tpsd.replay import Asked, Aspect, Result, run
from tpsd.sfey.fates import approve, bare, close_before, never, scripted, system

FORBIDDEN = "http.403@GATE-X1:VAL00001"
CLOSED = "closed"
ONE_RESEND = [{"tries": 1, "every_minutes": 1}]


@pytest.fixture
def logging(open_stage: Opens, tmp_path: Path) -> Opens:
    """A stage whose daemon keeps a tap log in ``log``."""
    (tmp_path / "log").mkdir()

    @asynccontextmanager
    async def opened(changes: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Stage]:
        taplog = {"folder": str(tmp_path / "log")}
        async with open_stage(changes={**(changes or {}), "taplog": taplog}, **options) as stage:
            yield stage

    return opened


def replayed(stage: Stage, *changes: str) -> Result:
    return run(Asked([stage.folder / "log"], changes=changes))


def the_same(stage: Stage) -> int:
    """How many taps were replayed without a difference, and with nothing passed over."""
    result = replayed(stage)
    assert [str(one) for one in (*result.differences, *result.skipped)] == []
    assert result.missing == 0
    return result.taps


def lines_of(path: Path) -> list[str]:
    packed = path.read_bytes()
    return (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode().splitlines()


def events(stage: Stage, *wanted: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for path in (stage.folder / "log").iterdir() for line in lines_of(path)]
    return [line for line in sorted(lines, key=lambda line: (line["at"], line["n"])) if line["event"] in wanted]


async def tapped(stage: Stage, *amounts: int | None) -> list[Tap]:
    """Taps, a second apart, sent once."""
    taps = []
    for amount in amounts:
        taps.append(stage.gate.tap(amount))
        await stage.gate.verdict(taps[-1])
        await stage.until(partial(sent, stage, taps[-1]), "its first send")
        go_on(stage, SECOND)
    return taps


async def sent(stage: Stage, tap: Tap) -> bool:
    story = await stage.story(tap)
    return (bool(story.attempts) or story.tap.state == "held") and stage.daemon.dispatcher.in_flight == 0


def go_on(stage: Stage, micros: int) -> None:
    stage.clock.jump(later(stage.clock.schedule(), micros))


def another_life(stage: Stage, micros: int) -> None:
    """Later, and with other chance: it gives other names."""
    go_on(stage, micros)
    stage.seed += 1


def by_hand(order: Order) -> Ordered:
    return Ordered(order, "ann", "mended")


async def states(stage: Stage) -> list[str | None]:
    return [row.state for row in await stage.rows()]


# --- by hand


async def test_a_release_of_all_that_a_cause_holds(logging: Opens) -> None:
    fates = scripted({250: (bare(403), approve()), 300: (approve(),)})
    async with logging(choose=fates) as stage:
        async with stage.daemon_running() as daemon:
            await tapped(stage, 250)
            held = [stage.gate.tap(300) for _ in range(3)]
            for tap in held:
                await stage.gate.verdict(tap)
            go_on(stage, MINUTE)
            selection = Selection(FORBIDDEN, states=frozenset({State.HELD}))
            tally = await daemon.desk.many(by_hand(Order.RELEASE), selection, None, dry=False)
            assert tally.count == 4
            await stage.pass_time()
            assert await states(stage) == ["approved"] * 4
        assert [line["subject"] for line in events(stage, "ordered")] == [FORBIDDEN]
        assert len(events(stage, "freed")) == 4
        assert the_same(stage) == 4
        assert Aspect.MONEY in {one.aspect for one in without_orders(stage).differences}, "the order mattered"


async def test_what_a_canary_freed_is_spread_as_it_was(logging: Opens) -> None:
    fates = scripted({250: (bare(403), approve()), 300: (approve(),)})
    async with logging(choose=fates) as stage:
        async with stage.daemon_running():
            await tapped(stage, 250)
            for _ in range(5):
                await stage.gate.verdict(stage.gate.tap(300))
                go_on(stage, SECOND)
            await stage.pass_time()
            assert await states(stage) == ["approved"] * 6
        draws = [line["draw"] for line in events(stage, "freed")]
        assert len(set(draws)) == 5, "each its own"
        assert the_same(stage) == 6


async def test_orders_to_single_taps(logging: Opens) -> None:
    """A resend, a close, one resolved each way, and a rebuilt one, whose new transaction has its name of then."""
    gone = (close_before(), close_before(), close_before())
    fates = scripted({250: (system(41),), 300: (bare(404), approve()), 400: gone, 500: gone, 600: gone})
    async with logging(changes={"retry": {"tiers": ONE_RESEND}}, choose=fates) as stage:
        async with stage.daemon_running() as daemon:
            taps = {amount: (await tapped(stage, amount))[0] for amount in (400, 500, 600)}
            await stage.pass_time()
            assert set(await states(stage)) == {"permanently_failed"}
            orders = {400: Order.CHARGED, 500: Order.NOT_CHARGED, 600: Order.RESEND}
            for amount, order in orders.items():
                await daemon.desk.one(by_hand(order), str(taps[amount].id))
                go_on(stage, SECOND)
            await stage.pass_time()
            await daemon.desk.one(by_hand(Order.CHARGED), str(taps[600].id))
            held, refused = await tapped(stage, 250, 300)
            await daemon.desk.one(by_hand(Order.REBUILD), str(held.id))
            await daemon.desk.one(by_hand(Order.CLOSE), str(refused.id))
            await stage.until(lambda: daemon.dispatcher.in_flight == 0, "its first send under the new name")
            assert (await stage.settled(held)).state == "held", "it is refused under its new name too"
            assert (await states(stage))[4] == "closed"
        (new,) = [line["new"] for line in events(stage, "freed") if line["new"]]
        assert new in {line["uuid"] for line in events(stage, "sent")}
        assert the_same(stage) == 5


async def test_lanes_closed_and_opened(logging: Opens) -> None:
    async with logging() as stage:
        async with stage.daemon_running() as daemon:
            await tapped(stage, 250)
            await daemon.doorkeeper.close("door-1", "ann", "swept")
            await tapped(stage, 250)
            await daemon.doorkeeper.open("door-1", "ann", "")
            await tapped(stage, 250)
        assert [line["order"] for line in events(stage, "ordered")] == ["close_lane", "open_lane"]
        assert the_same(stage) == 3


def without_orders(stage: Stage) -> Result:
    """The same day, had nobody ordered anything."""
    return edited(stage, lambda line: line["event"] != "ordered")


def edited(stage: Stage, stays: Callable[[dict[str, Any]], bool]) -> Result:
    for path in (stage.folder / "log").iterdir():
        rest = [line for line in lines_of(path) if stays(json.loads(line))]
        path.unlink()
        path.with_suffix("" if path.suffix == ".gz" else ".jsonl").write_text("".join(f"{line}\n" for line in rest))
    return replayed(stage)


# --- reloads


async def test_reloads_change_fares_ladders_and_lanes(logging: Opens) -> None:
    async with logging(lanes=2) as stage:
        async with stage.daemon_running() as daemon:
            await tapped(stage, None)
            first, second = lanes_of(stage)
            rewrite(stage, {"retry": {"tiers": ONE_RESEND}}, lanes=[first | {"fare": 300}])
            assert (await reloaded(stage)).accepted
            go_on(stage, SECOND)
            await tapped(stage, None, 60_003)
            await stage.pass_time()
            rewrite(stage, lanes=[first | {"fare": 320}, second | {"fare": 410}])
            assert (await reloaded(stage)).accepted
            await stage.until(lambda: all(lane.state.state == "ready" for lane in daemon.lanes), "both lanes")
            go_on(stage, SECOND)
            await tapped(stage, None)
            late = stage.gates[1].tap(None)
            await stage.gates[1].verdict(late)
            await stage.settled(late)
            amounts = [row.amount for row in await stage.rows()]
            assert amounts == [250, 300, 60_003, 320, 410]
        assert the_same(stage) == 5
        found = replayed(stage, "lanes.door-2.fare=500").differences
        assert {one.lane for one in found} == {"door-2"}
        found = edited(stage, lambda line: line["event"] != "begin" or line["why"] != "reload").differences
        assert {one.aspect for one in found} >= {Aspect.REQUEST, Aspect.MONEY, Aspect.LADDER}, "the reloads mattered"


async def test_a_reload_that_would_be_refused_now_is_passed_over_and_said(logging: Opens) -> None:
    async with logging() as stage:
        async with stage.daemon_running():
            await tapped(stage, None)
            rewrite(stage, lanes=[lane | {"fare": 300} for lane in lanes_of(stage)])
            assert (await reloaded(stage)).accepted
            go_on(stage, SECOND)
            await tapped(stage, None)
        for path in (stage.folder / "log").iterdir():
            path.write_text(path.read_text().replace('"fare":300', '"fare":"much"'))
        result = replayed(stage)
        (skipped,) = result.skipped
        assert "reload at " in str(skipped)
        assert "its configuration is refused now" in str(skipped)
        assert {one.tap for one in result.differences} == {"VAL00001:1:2"}


# --- restarts


async def test_a_restart_between_two_rungs(logging: Opens) -> None:
    fates = scripted({250: (bare(503), bare(503), approve()), 300: (approve(),)})
    async with logging(choose=fates) as stage:
        async with stage.daemon_running():
            await tapped(stage, 300, 250)
        another_life(stage, 20 * MINUTE)
        async with stage.daemon_running():
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "what was due meanwhile")
            await tapped(stage, 300)
            await stage.pass_time()
            assert await states(stage) == ["approved"] * 3
        assert len({line["life"] for line in events(stage, "tap")}) == 2
        assert the_same(stage) == 3


async def test_a_crash_with_a_send_under_way(logging: Opens) -> None:
    """The start finds its attempt open, and the next rung sends it again."""
    fates = scripted({250: (never(), bare(503), approve()), 300: (approve(),)})
    async with logging(choose=fates) as stage:
        async with stage.daemon_running():
            await tapped(stage, 300)
            tap = stage.gate.tap(250)
            await stage.gate.verdict(tap)
            await stage.until(lambda: len(stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)) == 1, "its send")
            (sending,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("send ")]
            sending.cancel()
        another_life(stage, 10 * SECOND)
        async with stage.daemon_running():
            await tapped(stage, 300)
            await stage.pass_time()
            assert await states(stage) == ["approved"] * 3
        last = max(line["n"] for line in events(stage, "end"))
        crashed = edited(stage, lambda line: line["event"] != "end" or line["n"] == last)
        assert [str(one) for one in (*crashed.differences, *crashed.skipped)] == []
        assert crashed.taps == 3
        causes = [line["outcome_cause"] for line in events(stage, "settled")]
        assert causes.count("crash") == 1


async def test_a_crash_while_a_passenger_waits(logging: Opens) -> None:
    """TPS has charged, the start leaves it in doubt."""
    fates = scripted({250: (never(charged=True),), 300: (approve(),)})
    lane = {"kind": "RETAIL_PAYMENT"}
    async with logging(choose=fates, lane_changes=lane) as stage:
        async with stage.daemon_running() as daemon:
            await stage.gate.verdict(stage.gate.tap(300))
            go_on(stage, SECOND)
            tap = stage.gate.tap(250)
            await stage.until(lambda: len(stage.tps.ledger.charges()) == 2, "the charge that nobody hears of")
            for task in list(daemon.authoriser._tasks):
                task.cancel()
        another_life(stage, 10 * SECOND)
        async with stage.daemon_running():
            assert (await stage.gate.verdict(tap)).reason == "crash"
            go_on(stage, SECOND)
            await stage.gate.verdict(stage.gate.tap(300))
            await stage.pass_time()
            assert await states(stage) == ["approved", "in_doubt", "approved"]
        last = max(line["n"] for line in events(stage, "end"))
        crashed = edited(stage, lambda line: line["event"] != "end" or line["n"] == last)
        assert [str(one) for one in (*crashed.differences, *crashed.skipped)] == []
        assert crashed.taps == 4, "the validator sent it again"
