"""The daemon's payments while its database is away: TPS's answer is the verdict, and each is charged and kept once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from device.vl1.codes import TapKind
from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_spool import Remote, drained, journal_of, remote
from tpsd.core.spooling import NOTE
from tpsd.domain.tap import Verdict
from tpsd.replay import Asked, run
from tpsd.sfey.fates import approve, close_after, decline, scripted, slow, system

__all__ = ["remote"]

CUTS = 10
PAYMENT = {"kind": "RETAIL_PAYMENT", "verdict_seconds": 5.0}
KNOWN_FARE = {"kind": "KFT", "timing": "realtime", "verdict_seconds": 5.0}
CODES = {"RETAIL_PAYMENT": TapKind.RETAIL_PAYMENT, "KFT": TapKind.KFT_REALTIME}

SLOW, APPROVED, DECLINED, LOST, REFUSED = 100, 250, 116, 911, 60  # amounts, and what TPS does about them
FATES = scripted(
    {
        SLOW: (slow(1.0),),
        APPROVED: (approve(),),
        DECLINED: (decline("116"),),
        LOST: (close_after(),),
        REFUSED: (system(60),),
    }
)
ENDS = {
    APPROVED: (Verdict.ACCEPTED, "approved"),
    DECLINED: (Verdict.DENIED, "declined"),
    LOST: (Verdict.DENIED, "in_doubt"),
    REFUSED: (Verdict.DENIED, "tap_refused"),
}


def pay(stage: Stage, amount: int, kind: str = "RETAIL_PAYMENT") -> Tap:
    return stage.gate.tap(amount, kind=CODES[kind], age_ms=0)


async def all_seen(stage: Stage) -> bool:
    return not any(row.unseen for row in await stage.rows())


async def agreed(stage: Stage, taps: list[Tap]) -> None:
    """Journal, TPS's books and what the passengers were shown: nobody rides unpaid, nobody pays twice or unheard."""
    await drained(stage)
    await stage.pass_time()
    rows = {row.tap_id: row for row in await stage.rows()}
    assert set(rows) == {tap.id for tap in taps}
    told = {tap.id: (await stage.gate.verdict(tap)).verdict for tap in taps}
    charged = {(charge.serial, charge.tapped_at) for charge in stage.tps.ledger.charges()}
    let_in = {(tap.serial, tap.tapped_at) for tap in taps if told[tap.id] == Verdict.ACCEPTED}
    doubtful = {(tap.serial, tap.tapped_at) for tap in taps if rows[tap.id].state == "in_doubt"}
    assert let_in <= charged <= let_in | doubtful
    assert {identity: row.verdict for identity, row in rows.items()} == told
    await stage.until(lambda: all_seen(stage), "acknowledgements of all verdicts")
    assert len(stage.tps.ledger.requests()) <= len(taps), "each is asked once"
    assert await journal_of(stage).upkeep.check() == []
    stage.check_books()
    await stage.check_money()


@pytest.mark.parametrize("lane", [PAYMENT, KNOWN_FARE], ids=["payment", "known fare"])
async def test_payments_go_on_while_the_database_is_away(playing: Opens, remote: Remote, lane: dict[str, Any]) -> None:
    kind = lane["kind"]
    async with playing(changes=remote.changes, lane_changes=lane, choose=FATES) as stage:
        before = pay(stage, APPROVED, kind)
        assert (await stage.gate.verdict(before)).verdict == Verdict.ACCEPTED
        await remote.shut()
        taps = []
        for amount, (verdict, _) in ENDS.items():
            taps.append(pay(stage, amount, kind))
            assert (await stage.gate.verdict(taps[-1])).verdict == verdict
        again = taps[0]
        stage.gate.again(again)
        assert (await stage.gate.verdict(again)).verdict == Verdict.ACCEPTED
        assert stage.daemon.lanes[0].state.state == "ready"
        health = await stage.daemon.observer.health()
        assert any("taps go to the spool, which holds 4" in reason for _, reason in health.reasons)
        await remote.unshut()
        await agreed(stage, [before, *taps])
        ends = [(row.verdict, row.state, row.attempts) for row in await stage.rows()]
        assert ends == [(1, "approved", 1), *((verdict, state, 1) for verdict, state in ENDS.values())]
        assert (await stage.daemon.journal.histories.of(again.id)).note == NOTE
        assert stage.tps.ledger.charged_total == 2 * APPROVED + LOST


LIVES = "SELECT gone_at IS NOT NULL FROM daemon"
STATES = "SELECT state FROM authorisation"


@pytest.mark.parametrize("away", [False, True])
async def test_a_stop_in_order_hands_over_what_was_told(open_stage: Opens, remote: Remote, away: bool) -> None:
    """Others take over at once, and ask TPS about a payment whose answer is here alone; else they wait for a lease."""
    async with open_stage(changes=remote.changes, lane_changes=PAYMENT, choose=FATES) as stage:
        async with stage.daemon_running():
            first = pay(stage, APPROVED)
            assert (await stage.gate.verdict(first)).verdict == Verdict.ACCEPTED
            with remote.asleep():
                assert (await stage.gate.verdict(pay(stage, APPROVED))).verdict == Verdict.ACCEPTED
            if away:
                await remote.shut()
        if away:
            await remote.unshut()
        assert await remote.ask(LIVES) == [not away]
        if not away:
            assert await remote.ask(STATES) == ["approved", "approved"]


async def test_an_answer_that_comes_after_the_database_went(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes, lane_changes=PAYMENT, choose=FATES) as stage:
        tap = pay(stage, SLOW)
        await stage.until(stage.tps.ledger.requests, "the request")
        await remote.shut()
        assert (await stage.gate.verdict(tap)).verdict == Verdict.ACCEPTED
        assert journal_of(stage).waiting == 1
        await remote.unshut()
        await agreed(stage, [tap])


async def test_an_answer_that_comes_after_the_database_is_back(playing: Opens, remote: Remote) -> None:
    """And what is under way keeps neither the spool from becoming empty nor other payments from the database."""
    async with playing(changes=remote.changes, lane_changes=PAYMENT, choose=FATES) as stage:
        await remote.shut()
        tap = pay(stage, SLOW)
        await stage.until(stage.tps.ledger.requests, "the request")
        await remote.unshut()
        await drained(stage)
        assert stage.daemon.authoriser.in_flight == 1
        other = pay(stage, DECLINED)
        assert (await stage.gate.verdict(other)).verdict == Verdict.DENIED
        assert (await stage.gate.verdict(tap)).verdict == Verdict.ACCEPTED
        await agreed(stage, [tap, other])


async def test_connections_lost_at_any_moment(playing: Opens, remote: Remote) -> None:
    rng, taps = random.Random(11), list[Tap]()
    async with playing(changes=remote.changes, lane_changes=PAYMENT, choose=FATES) as stage:
        for _ in range(CUTS):
            some = [pay(stage, rng.choice((APPROVED, DECLINED, LOST, SLOW))) for _ in range(3)]
            taps.extend(some)
            for tap in some[: rng.randrange(3)]:
                await stage.gate.verdict(tap)
            if rng.random() < 0.5:
                await remote.cut()
            else:
                await remote.shut()
                await stage.gate.verdict(some[0])
                await remote.unshut()
        await agreed(stage, taps)


async def test_a_server_that_stands_still(playing: Opens, remote: Remote) -> None:
    async with playing(changes=remote.changes, lane_changes=PAYMENT, choose=FATES) as stage:
        asked = pay(stage, SLOW)
        await stage.until(stage.tps.ledger.requests, "the request")
        with remote.asleep():
            taps = [pay(stage, APPROVED), pay(stage, DECLINED)]
            for tap in (asked, *taps):
                await stage.gate.verdict(tap)
        assert (await stage.gate.verdict(asked)).verdict == Verdict.ACCEPTED
        await agreed(stage, [asked, *taps])


async def test_what_a_former_life_was_asking_is_in_doubt(open_stage: Opens, remote: Remote) -> None:
    """It ended before the answer came; the next one drains its row, and only then ends what nobody waits for."""
    options = {"changes": remote.changes, "lane_changes": PAYMENT, "choose": FATES}
    async with open_stage(**options) as stage:
        async with stage.daemon_running():
            await remote.shut()
            tap = pay(stage, SLOW)
            await stage.until(stage.tps.ledger.requests, "the request")
            for task in list(stage.daemon.authoriser._tasks):
                task.cancel()
            await asyncio.sleep(0)
        await remote.unshut()
        stage.seed += 1
        async with stage.daemon_running():
            await drained(stage)
            row = await stage.settled(tap)
            assert (row.state, row.cause, row.verdict, row.attempts) == ("in_doubt", "crash", Verdict.DENIED, 1)
            assert (await stage.gate.verdict(tap)).verdict == Verdict.DENIED
            await stage.pass_time()
            assert len(stage.tps.ledger.requests()) == 1
            stage.check_books()


async def test_its_log_is_replayed_without_a_difference(open_stage: Opens, remote: Remote) -> None:
    """With a database at hand each tap comes to what it came to without one."""
    changes = remote.changes | {"taplog": {"folder": "log"}}
    async with open_stage(changes=changes, lane_changes=PAYMENT, choose=FATES) as stage:
        (stage.folder / "log").mkdir()
        async with stage.daemon_running():
            taps = [pay(stage, APPROVED)]
            await stage.gate.verdict(taps[0])
            slow = pay(stage, SLOW)
            await stage.until(lambda: len(stage.tps.ledger.requests()) == 2, "the request")
            await remote.shut()
            await stage.gate.verdict(slow)
            for amount in ENDS:
                taps.append(pay(stage, amount))
                await stage.gate.verdict(taps[-1])
            stage.gate.again(taps[-1])
            await stage.gate.verdict(taps[-1])
            await remote.unshut()
            await agreed(stage, [*taps, slow])
    found = await asyncio.to_thread(run, Asked([stage.folder / "log"]))
    assert [str(one) for one in (*found.differences, *found.skipped)] == []
    assert found.taps == len(taps) + 2


async def test_a_check_in_whose_answer_cannot_be_kept_is_out_of_service(playing: Opens, remote: Remote) -> None:
    """In the lane's time, since its journey can be opened in the database alone; what is kept later knows of it."""
    lane = {"kind": "RETAIL_CHECK_IN", "verdict_seconds": 2.0}
    async with playing(changes=remote.changes, lane_changes=lane, choose=scripted({SLOW: (slow(0.5),)})) as stage:
        tap = stage.gate.tap(SLOW, kind=TapKind.CHECK_IN, age_ms=0)
        await stage.until(stage.tps.ledger.requests, "the request")
        await remote.shut()
        verdict = await stage.gate.verdict(tap)
        assert (verdict.verdict, verdict.reason) == (Verdict.OUT_OF_SERVICE, "database")
        await remote.unshut()
        await drained(stage)
        row = await stage.settled(tap)
        assert (row.state, row.verdict, row.reason, row.unseen) == ("approved", Verdict.DENIED, "turned_away", True)
        assert await stage.daemon.journal.asked.rows([], 10) == []
        assert stage.gate.verdicts[tap.number].verdict == verdict
        told_of = [notice.cause for notice in (await stage.story(tap)).notices]
        assert told_of == ["unseen/turned_away@GATE-X1:VAL00001"]
        stage.check_books()
