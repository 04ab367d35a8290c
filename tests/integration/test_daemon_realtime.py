"""Realtime taps from the bytes on a pty to TPS's ledger: the verdict is TPS's answer, and nothing is charged unseen."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from device.vl1.codes import Shown, TapKind
from device.vl1.simulator_events import TapKept
from tests import configurations
from tests.integration.conftest import Opens
from tests.integration.stage import Gate, Stage, Tap
from tpsd.domain.tap import Verdict
from tpsd.sfey.fates import (
    action,
    approve,
    bare,
    close_after,
    close_before,
    decline,
    in_progress,
    never,
    partial,
    scripted,
    slow,
    system,
)
from tpsd.sfey.simulator import AFC_BASE_PATH

PAYMENTS = {"kind": "RETAIL_PAYMENT"}


def pay(stage: Stage, amount: int = 250, gate: int = 0, **fields: Any) -> Tap:
    """A card is held to a validator for a retail payment."""
    return stage.gates[gate].tap(amount, **({"kind": TapKind.RETAIL_PAYMENT} | fields))


async def verdict(stage: Stage, tap: Tap, gate: int = 0) -> tuple[Verdict, str | None]:
    message = await stage.gates[gate].verdict(tap)
    return Verdict(message.verdict), message.reason


@asynccontextmanager
async def asking(open_stage: Opens, **options: Any) -> AsyncIterator[Stage]:
    """A stage whose TPS answers enquiries too."""
    async with open_stage(**options) as stage:
        given = tomllib.loads(stage.config_file.read_text())
        given["sfey"]["afc_base_url"] = given["sfey"]["base_url"] + AFC_BASE_PATH
        configurations.write(stage.folder, given)
        yield stage
        stage.check_books()


async def test_an_approval_is_the_verdict_and_the_tap_was_kept_at_once(playing: Opens) -> None:
    async with playing(lane_changes=PAYMENTS) as stage:
        tap = pay(stage)
        message = await stage.gate.verdict(tap)
        assert (message.verdict, message.reason, message.amount) == (Verdict.ACCEPTED, "approved", 250)
        assert [event.tap for event in stage.gate.events if isinstance(event, TapKept)] == [tap.number]
        row = await stage.row(tap)
        assert (row.state, row.verdict, row.reason, row.kind) == ("approved", 1, "approved", "RETAIL_PAYMENT")
        assert not (await stage.story(tap)).body_kept
        assert stage.tps.ledger.charged_total == 250
        await stage.until(lambda: _taken(stage, tap), "the link has the verdict")


async def _taken(stage: Stage, tap: Tap) -> bool:
    return not (await stage.row(tap)).unseen


@pytest.mark.parametrize(
    ("fate", "told", "state"),
    [
        (decline("116"), (Verdict.DENIED, "action.116"), "declined"),
        (system(60), (Verdict.DENIED, "system.60"), "tap_refused"),
        (system(41), (Verdict.DENIED, "system.41"), "failed"),
        (bare(503), (Verdict.DENIED, "http.503"), "failed"),
        (action("911"), (Verdict.DENIED, "action.911"), "failed"),
        (in_progress(), (Verdict.DENIED, "system.303"), "in_doubt"),
        (close_before(), (Verdict.DENIED, "closed"), "in_doubt"),
        (close_after(), (Verdict.DENIED, "closed"), "in_doubt"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_whatever_is_no_approval_denies_is_saved_and_never_sent_again(
    playing: Opens, fate: Any, told: tuple[Verdict, str], state: str
) -> None:
    async with playing(lane_changes=PAYMENTS, choose=scripted({250: (fate, approve())})) as stage:
        tap = pay(stage)
        assert await verdict(stage, tap) == told
        await stage.pass_time()
        row = await stage.row(tap)
        assert (row.state, row.attempts) == (state, 1)
        assert not (await stage.story(tap)).body_kept
        assert len(stage.tps.ledger.requests()) == 1


async def test_the_lanes_time_is_the_longest_that_anybody_waits(playing: Opens) -> None:
    lane = PAYMENTS | {"verdict_seconds": 2.0}
    async with playing(lane_changes=lane, choose=scripted({250: (slow(30),)})) as stage:
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "timeout")
        assert (await stage.row(tap)).state == "in_doubt"


async def test_a_repeat_is_told_the_same_and_asks_nothing(playing: Opens) -> None:
    async with playing(lane_changes=PAYMENTS) as stage:
        tap = pay(stage)
        first = await stage.gate.verdict(tap)
        stage.gate.again(tap)
        assert await stage.gate.verdict(tap) == first
        assert len(stage.tps.ledger.requests()) == 1


async def test_a_lost_answer_is_found_by_the_enquiry_and_a_person_is_told(open_stage: Opens) -> None:
    lost = scripted({250: (close_after(),)})
    async with asking(open_stage, lane_changes=PAYMENTS, choose=lost) as stage, stage.daemon_running():
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "closed")
        await stage.pass_time()
        row = await stage.row(tap)
        assert (row.state, row.verdict, row.reason) == ("approved", 2, "closed")
        assert [str(mail["Subject"]) for mail in stage.post.mails] == [
            "[tpsd] 1 tap with another end than shown: approved@GATE-X1:VAL00001"
        ]
        assert stage.tps.ledger.charged_total == 250


async def test_a_lost_answer_is_given_back_where_that_is_configured(open_stage: Opens) -> None:
    lost = scripted({}, lambda asked: (close_after() if asked.type == "RETAIL_PAYMENT" else approve(),))
    options = {"lane_changes": PAYMENTS, "choose": lost, "changes": {"realtime": {"found_approved": "refund"}}}
    async with asking(open_stage, **options) as stage, stage.daemon_running():
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "closed")
        await stage.pass_time()
        assert (await stage.row(tap)).state == "approved"
        assert stage.tps.ledger.charged_total == 0
        assert [charge.type for charge in stage.tps.ledger.charges()] == ["RETAIL_PAYMENT", "RETAIL_REFUND"]
        assert stage.post.mails == []


async def test_the_same_card_again_is_paid_by_the_first_one_found(open_stage: Opens) -> None:
    lost = scripted({250: (close_after(),)})
    async with asking(open_stage, lane_changes=PAYMENTS, choose=lost) as stage, stage.daemon_running():
        first = pay(stage)
        assert await verdict(stage, first) == (Verdict.DENIED, "closed")
        again = pay(stage)
        assert await verdict(stage, again) == (Verdict.ACCEPTED, "paid_before")
        await stage.pass_time()
        assert len(stage.tps.ledger.requests()) == 1
        assert stage.tps.ledger.charged_total == 250
        assert (await stage.row(again)).uuid == (await stage.row(first)).uuid
        assert stage.post.mails == []


async def test_the_same_card_again_is_not_sent_while_nobody_knows_of_the_first(open_stage: Opens) -> None:
    silent = scripted({250: (in_progress(), approve())})
    async with asking(open_stage, lane_changes=PAYMENTS, choose=silent) as stage, stage.daemon_running():
        assert await verdict(stage, pay(stage)) == (Verdict.DENIED, "system.303")
        assert await verdict(stage, pay(stage)) == (Verdict.DENIED, "in_doubt")
        assert await verdict(stage, pay(stage, 320)) == (Verdict.ACCEPTED, "approved")


async def test_a_part_is_denied_and_given_back_or_accepted_where_the_lane_says_so(playing: Opens) -> None:
    half = scripted({}, lambda asked: (approve() if asked.type == "RETAIL_REFUND" else partial(100),))
    async with playing(lane_changes=PAYMENTS, choose=half) as stage:
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "partial_refused")
        await stage.pass_time()
        assert stage.tps.ledger.charged_total == 0


async def test_a_part_lets_in_where_the_lane_says_so(playing: Opens) -> None:
    async with playing(lane_changes=PAYMENTS | {"partial": "accept"}, choose=scripted({250: (partial(100),)})) as stage:
        message = await stage.gate.verdict(pay(stage))
        assert (message.verdict, message.reason, message.amount) == (Verdict.ACCEPTED, "partial", 100)
        await stage.pass_time()
        assert stage.tps.ledger.charged_total == 100


async def test_an_approval_that_finds_the_passenger_gone_is_told(open_stage: Opens) -> None:
    """The validator turned the passenger away while TPS was still busy."""
    async with open_stage(lane_changes=PAYMENTS, choose=scripted({250: (slow(1.0),)})) as stage:
        stage.gates = [Gate("VAL00001", stage.clock, patience=0.2, kept_patience=0.3, when_late=Shown.TURNED_AWAY)]
        await _gone(stage)


async def _gone(stage: Stage) -> None:
    async with stage.daemon_running():
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "turned_away")
        row = await stage.row(tap)
        assert (row.state, row.unseen) == ("approved", True)
        await stage.pass_time()
        assert len(stage.post.mails) == 1


async def test_a_soft_decline_asks_for_the_pin_where_the_validator_can(open_stage: Opens) -> None:
    async with open_stage(lane_changes=PAYMENTS, choose=scripted({250: (decline("112"),)}), lanes=2) as stage:
        stage.gates[1] = Gate("VAL00002", stage.clock, can_take_pin=True)
        async with stage.daemon_running():
            assert await verdict(stage, pay(stage)) == (Verdict.DENIED, "action.112")
            assert await verdict(stage, pay(stage, gate=1), 1) == (Verdict.INSERT_CARD, "action.112")
            page = (await stage.daemon.observer.page()).decode()
            assert 'tpsd_outcomes_total{code="action.112",outcome="soft_declined"} 2.0' in page


async def test_another_amount_than_asked_is_in_doubt_loudly(playing: Opens) -> None:
    more = replace(approve(), amount=999)
    async with playing(lane_changes=PAYMENTS, choose=scripted({250: (more,)})) as stage:
        tap = pay(stage)
        assert await verdict(stage, tap) == (Verdict.DENIED, "amount_differs")
        await stage.pass_time()
        assert (await stage.row(tap)).state == "in_doubt"
        assert sorted(str(mail["Subject"]) for mail in stage.post.mails) == [
            "[tpsd] 1 alarm: amount_differs",
            "[tpsd] 1 tap in doubt: amount_differs",
        ]


async def test_a_tap_of_unknown_age_is_stale_and_never_sent(open_stage: Opens) -> None:
    """It was made before the validator lost its power: nobody knows how long ago."""
    async with open_stage(lane_changes=PAYMENTS) as stage:
        tap = pay(stage)
        stage.gate.replace(stage.gate.validator.state())
        async with stage.daemon_running():
            assert await verdict(stage, tap) == (Verdict.DENIED, "stale")
            assert (await stage.row(tap)).disposition == "stale"
            assert stage.tps.ledger.requests() == []


async def test_known_fares_are_realtime_where_the_lane_says_so(playing: Opens) -> None:
    async with playing(lane_changes={"kind": "KFT", "timing": "realtime"}) as stage:
        tap = stage.gate.tap(250, kind=TapKind.KFT_REALTIME)
        assert await verdict(stage, tap) == (Verdict.ACCEPTED, "approved")
        assert await verdict(stage, stage.gate.tap(250, kind=TapKind.KFT_DEFERRED)) == (Verdict.DENIED, "kind")


async def test_a_death_in_the_middle_denies_and_is_found(open_stage: Opens) -> None:
    """TPS has charged, and the process dies before it hears so; the validator sends its tap again."""
    async with asking(open_stage, lane_changes=PAYMENTS, choose=scripted({250: (never(charged=True),)})) as stage:
        async with stage.daemon_running() as daemon:
            tap = pay(stage)
            await stage.until(stage.tps.ledger.charges, "the charge")
            for task in list(daemon.authoriser._tasks):
                task.cancel()  # as a death leaves it: the attempt has no end
        async with stage.daemon_running():
            assert await verdict(stage, tap) == (Verdict.DENIED, "crash")
            await stage.pass_time()
            assert (await stage.row(tap)).state == "approved"
            assert len(stage.post.mails) == 1
