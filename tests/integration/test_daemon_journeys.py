"""Check-in and check-out over ptys: one journey a card, three tries, and a ledger that agrees."""

from __future__ import annotations

from typing import Any

import pytest

from device.vl1.cards import CARDS, SimulatedCard
from device.vl1.codes import TapKind
from tests.intake_taps import ENCRYPTED
from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_realtime import asking, verdict
from tpsd.domain.journey import JourneyState
from tpsd.domain.tap import Verdict
from tpsd.domain.views import JourneyRow
from tpsd.sfey.fates import Asked, Fates, approve, bare, close_after, close_before, decline, slow, system

GATES = {"kind": "RETAIL_CHECK_IN_OUT"}
CARD = CARDS[0]
WELL = (approve(),)


def tap(stage: Stage, gate: int = 0, amount: int | None = None, card: SimulatedCard = CARD, **fields: Any) -> Tap:
    return stage.gates[gate].tap(amount, card, **({"kind": TapKind.CHECK_IN_OR_OUT} | fields))


async def journeys(stage: Stage, *states: JourneyState) -> list[JourneyRow]:
    return await stage.daemon.journal.asked.rows(states, 100)


def subjects(stage: Stage) -> list[str]:
    return [str(mail["Subject"]) for mail in stage.post.mails]


def fated(check_in: Fates = WELL, check_out: Fates = WELL) -> Any:
    """Fates by type; those of check-outs follow each other over all their UUIDs."""
    left = list(check_out)

    def choose(asked: Asked) -> Fates:
        if asked.type == "RETAIL_CHECK_IN":
            return check_in
        if asked.type != "RETAIL_CHECK_OUT":
            return (approve(),)
        return (left.pop(0) if len(left) > 1 else left[0],)

    return choose


async def test_in_and_out_by_one_card(playing: Opens) -> None:
    async with playing(lane_changes=GATES, lanes=2) as stage:
        assert await verdict(stage, tap(stage)) == (Verdict.CHECKED_IN, "checked_in")
        out = await stage.gates[1].verdict(tap(stage, 1, 320))
        assert (out.verdict, out.reason, out.amount) == (Verdict.CHECKED_OUT, "checked_out", 320)
        (journey,) = await journeys(stage)
        assert (journey.state, journey.held, journey.check_out_amount) == ("closed", 250, 320)
        assert stage.tps.ledger.charged_total == 320
        assert await verdict(stage, tap(stage)) == (Verdict.CHECKED_IN, "checked_in")


async def test_a_failed_check_in_opens_nothing(playing: Opens) -> None:
    async with playing(lane_changes=GATES, choose=fated(check_in=(decline(),))) as stage:
        assert await verdict(stage, tap(stage)) == (Verdict.DENIED, "action.116")
        assert await journeys(stage) == []
        assert await verdict(stage, tap(stage, kind=TapKind.CHECK_OUT)) == (Verdict.DENIED, "no_check_in")


async def test_three_clean_refusals_end_the_period_unpaid_each_under_a_uuid_of_its_own(playing: Opens) -> None:
    async with playing(lane_changes=GATES, choose=fated(check_out=(decline(),))) as stage:
        await stage.gate.verdict(tap(stage))
        told = [await verdict(stage, tap(stage)) for _ in range(3)]
        assert told == [(Verdict.CHECK_OUT_AGAIN, "action.116")] * 2 + [(Verdict.CHECK_OUT_FAILED, "action.116")]
        requests = [one for one in stage.tps.ledger.requests() if one.type == "RETAIL_CHECK_OUT"]
        assert len({one.uuid for one in requests}) == 3
        (journey,) = await journeys(stage)
        assert (journey.state, journey.tries) == ("ended_unpaid", 3)
        assert await verdict(stage, tap(stage, kind=TapKind.CHECK_OUT)) == (Verdict.DENIED, "no_check_in")
        await stage.pass_time()
        assert subjects(stage) == ["[tpsd] 1 journey without a payment: ended_unpaid"]


@pytest.mark.parametrize("first", [bare(503), close_before(), close_after()], ids=lambda fate: fate.name)
async def test_anything_but_a_clean_no_sends_the_same_bytes_again(playing: Opens, first: Any) -> None:
    async with playing(lane_changes=GATES, choose=fated(check_out=(first, approve()))) as stage:
        await stage.gate.verdict(tap(stage))
        one = tap(stage, amount=320)
        assert (await verdict(stage, one))[0] == Verdict.CHECK_OUT_AGAIN
        assert (await stage.row(one)).state == "awaiting_tap"
        assert (await stage.story(one)).body_kept
        two = tap(stage, amount=320)
        assert await verdict(stage, two) == (Verdict.CHECKED_OUT, "checked_out")
        requests = [seen for seen in stage.tps.ledger.requests() if seen.type == "RETAIL_CHECK_OUT"]
        assert len({seen.uuid for seen in requests}) == len({seen.digest for seen in requests}) == 1
        assert (await stage.row(one)).uuid == (await stage.row(two)).uuid
        assert not (await stage.story(two)).body_kept
        assert stage.tps.ledger.charged_total == 320


async def test_one_card_at_two_lanes_at_once_is_one_journey(playing: Opens) -> None:
    slowly = fated(check_in=(slow(0.5),))
    async with playing(lane_changes=GATES, lanes=2, choose=slowly) as stage:
        taps = [tap(stage, gate) for gate in (0, 1)]
        told = {(await verdict(stage, one, gate)) for gate, one in enumerate(taps)}
        assert told == {(Verdict.CHECKED_IN, "checked_in"), (Verdict.TRY_AGAIN, "under_way")}
        assert len(await journeys(stage)) == 1
        assert len(stage.tps.ledger.charges()) == 1


async def test_a_check_in_while_one_is_open_is_refused(playing: Opens) -> None:
    async with playing(lane_changes=GATES) as stage:
        await stage.gate.verdict(tap(stage))
        again = tap(stage, kind=TapKind.CHECK_IN)
        assert await verdict(stage, again) == (Verdict.DENIED, "journey_open")
        assert len(await journeys(stage)) == 1


async def test_a_check_in_may_end_the_old_journey_for_what_it_held(playing: Opens) -> None:
    async with playing(lane_changes=GATES | {"check_in_again": "close"}) as stage:
        await stage.gate.verdict(tap(stage))
        assert await verdict(stage, tap(stage, kind=TapKind.CHECK_IN)) == (Verdict.CHECKED_IN, "checked_in")
        await stage.until(lambda: _state_is(stage, 0, "closed"), "the old one's check-out")
        new, old = await journeys(stage)
        assert (old.state, old.check_out_amount, new.state) == ("closed", 250, "open")
        assert stage.tps.ledger.charged_total == 250


async def _state_is(stage: Stage, number: int, state: str) -> bool:
    return (await journeys(stage))[::-1][number].state == state


async def test_a_journey_nobody_ends_expires_and_is_mailed(playing: Opens) -> None:
    async with playing(lane_changes=GATES) as stage:
        await stage.gate.verdict(tap(stage))
        began = stage.clock.wall()
        await stage.pass_time(lambda: bool(stage.post.mails))
        (journey,) = await journeys(stage, JourneyState.EXPIRED)
        assert 18 <= (stage.clock.wall() - began) / 3_600_000_000 < 18.1
        assert subjects(stage) == ["[tpsd] 1 journey without a payment: expired"]
        assert journey.state == "expired"
        assert await verdict(stage, tap(stage)) == (Verdict.CHECKED_IN, "checked_in")


async def test_a_late_enquiry_closes_what_ended_unpaid(open_stage: Opens) -> None:
    lost = fated(check_out=(close_before(), close_before(), close_after()))
    async with asking(open_stage, lane_changes=GATES, choose=lost) as stage, stage.daemon_running():
        await stage.gate.verdict(tap(stage))
        told = [await verdict(stage, tap(stage, amount=320)) for _ in range(3)]
        assert told[-1] == (Verdict.CHECK_OUT_FAILED, "closed")
        assert (await journeys(stage))[0].state == "ended_unpaid"
        await stage.pass_time()
        (journey,) = await journeys(stage)
        assert (journey.state, journey.check_out_state) == ("closed", "approved")
        assert stage.tps.ledger.charged_total == 320


async def test_zones_say_what_is_held_and_what_is_paid(playing: Opens) -> None:
    zones = [{"from": "A", "to": "B", "amount": 320}, {"from": "A", "to": "A", "amount": 150},
             {"from": "B", "to": "C", "amount": 600}, {"from": "B", "to": "B", "amount": 150}]  # fmt: skip
    lanes = GATES | {"fare": None}
    async with playing(lane_changes=lanes, lanes=2, changes={"zones": zones}, zones=("A", "B")) as stage:
        held = await stage.gate.verdict(tap(stage))
        assert (held.verdict, held.amount) == (Verdict.CHECKED_IN, 320)
        paid = await stage.gates[1].verdict(tap(stage, 1))
        assert (paid.verdict, paid.amount) == (Verdict.CHECKED_OUT, 320)
        there = await stage.gates[1].verdict(tap(stage, 1))
        assert (there.verdict, there.amount) == (Verdict.CHECKED_IN, 600)
        nowhere = await stage.gate.verdict(tap(stage, stop="Z", kind=TapKind.CHECK_OUT))
        assert (nowhere.verdict, nowhere.reason) == (Verdict.DENIED, "no_fare")


async def test_terminal_refusals_do_not_use_the_same_bytes(playing: Opens) -> None:
    async with playing(lane_changes=GATES, choose=fated(check_out=(system(41), approve()))) as stage:
        await stage.gate.verdict(tap(stage))
        assert await verdict(stage, tap(stage)) == (Verdict.CHECK_OUT_AGAIN, "system.41")
        assert await verdict(stage, tap(stage)) == (Verdict.CHECKED_OUT, "checked_out")
        assert len({one.uuid for one in stage.tps.ledger.requests()}) == 3


async def test_a_card_without_a_token_cannot_keep_a_journey(playing: Opens) -> None:
    async with playing(lane_changes=GATES) as stage:
        one = stage.gate.tap(250, ENCRYPTED, kind=TapKind.CHECK_IN)
        assert await verdict(stage, one) == (Verdict.DENIED, "no_token")
