"""One card's payments on both sides of the border between the database and the spool, and what a gate forgets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.intake_taps import told_of
from tests.store.builders import APPROVED, NOW, SILENCE, crashed, crashed_asked
from tests.store.passengers import (
    COMPANY,
    ENQUIRING,
    HELD,
    ONE,
    PAYING,
    answer,
    asked_of,
    pay,
    resolve,
    restart,
    rider,
    wait_for,
)
from tests.store.remote_gate import Gate
from tests.store.returning import again, ask_first, cover, covered, doubtful
from tpsd.core.asking import UNDER_WAY
from tpsd.core.passback import PassBack
from tpsd.core.spooling import OUT_OF_SERVICE
from tpsd.domain.card import CardToken
from tpsd.ports import SettledLate
from tpsd.store.postgres import PostgresJournal
from tpsd.store.reconnecting import SlowError
from tpsd.store.spooled import SpooledJournal


async def drained(gate: Gate) -> None:
    """A start with what a former life left in the spool, and the database is gone again before anything else."""
    await restart(gate.journal, NOW)
    await gate.drained()
    assert gate.journal.waiting == 0
    await gate.lose()


# --- what may be charged already ---


async def test_a_payment_that_a_former_life_was_asking_for(gate: Gate) -> None:
    """Nobody sees its answer any more, and for the time being the database alone has its row."""
    async with gate.open() as journal:
        await gate.lose()
        await wait_for(journal, 1, enquires=True)
    gate.server.unshut()
    async with gate.open() as journal:
        await drained(gate)
        assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE
        assert (await wait_for(journal, 3, enquires=True, **rider(3))).asked is not None


async def test_the_tap_itself_is_turned_away(gate: Gate) -> None:
    """It comes again to a life that does not wait for its answer."""
    async with gate.open() as journal:
        await gate.lose()
        await wait_for(journal, 1)
    gate.server.unshut()
    async with gate.open() as journal:
        await gate.lose()
        again = await wait_for(journal, 1)
        assert (told_of(again), again.asked) == (OUT_OF_SERVICE, None)


async def test_a_doubt_that_a_former_life_left_in_the_spool(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, SILENCE, 1, policy=ENQUIRING, enquires=True)
    gate.server.unshut()
    async with gate.open() as journal:
        await drained(gate)
        assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE


async def test_a_payment_that_another_ended(gate: Gate) -> None:
    """Its answer came too late, and what the database made of it is not known here."""
    async with gate.open() as journal:
        claimed = asked_of(await wait_for(journal, 1, enquires=True))
        await PostgresJournal.recover(journal, NOW, ["common"], crashed, crashed_asked)
        with pytest.raises(SettledLate):
            await answer(journal, claimed, SILENCE)
        await gate.lose()
        assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE


async def test_a_doubt_that_others_resolved(gate: Gate) -> None:
    """A person, or a neighbour's enquiry; the daemon hears of it when it keeps its house."""
    async with gate.open() as journal:
        await pay(journal, SILENCE, 1, uuid=ONE, policy=ENQUIRING, enquires=True)
        await pay(journal, SILENCE, 2, policy=ENQUIRING, enquires=True, **rider(2))
        await resolve(journal, str(ONE), charged=True)
        await journal.keep_house(0)
        await gate.lose()
        assert (await wait_for(journal, 3, enquires=True)).asked is not None
        assert told_of(await wait_for(journal, 4, enquires=True, **rider(2))) == OUT_OF_SERVICE


async def test_a_doubt_of_the_spools_own_is_not_the_databases_to_resolve(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, SILENCE, 1, policy=ENQUIRING, enquires=True)
        gate.server.unshut()
        await gate.connected()
        await journal.keep_house(0)
        assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE


# --- asked once ---


async def test_a_tap_without_a_name_is_not_asked_about_again(gate: Gate) -> None:
    async with gate.open() as journal:
        claimed = asked_of(await wait_for(journal, None))
        await gate.lose()
        assert (await wait_for(journal, None)).asked is None
        answered = await answer(journal, claimed, APPROVED)
        assert (await wait_for(journal, None)).told == answered.told
    gate.server.unshut()
    async with gate.open() as journal:
        await gate.drained()
        await gate.lose()
        assert ((await wait_for(journal, None)).told, journal.waiting) == (answered.told, 0)


async def test_nor_is_one_that_a_former_life_had_turned_away(gate: Gate) -> None:
    async with gate.open() as journal:
        await wait_for(journal, 1)
        turned_away = await wait_for(journal, 2)
    async with gate.open() as journal:
        await restart(journal, NOW)
        await gate.lose()
        again = await wait_for(journal, 2)
        assert (again.told, again.asked) == (turned_away.told, None)


# --- what is over ---


async def test_a_tap_that_an_earlier_payment_paid_is_under_way_no_more(gate: Gate) -> None:
    async with gate.open() as journal:
        answered = await covered(journal)
        await gate.lose()
        repeated = await again(journal)
        assert (repeated.told, repeated.asked) == (answered.told, None)
        assert (await wait_for(journal, 3, amount=HELD, enquires=True)).asked is not None


async def test_one_that_could_not_be_paid_so_still_is(gate: Gate) -> None:
    async with gate.open() as journal:
        await doubtful(journal)
        claimed = asked_of(await again(journal))
        assert await cover(journal, await ask_first(journal), replace(claimed, fence=9)) is None
        await gate.lose()
        assert told_of(await wait_for(journal, 3, amount=HELD, enquires=True)) == UNDER_WAY


async def test_a_rider_is_counted_once(gate: Gate) -> None:
    lane = replace(PAYING, pass_back=PassBack(10_000_000, 60_000_000, group_size=1))
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, APPROVED, 1, lane=lane)
        assert (await wait_for(journal, 2, lane=lane)).asked is not None, "two may ride on one card"
    gate.server.unshut()


async def test_a_rider_is_counted_once_after_the_drain(gate: Gate) -> None:
    lane = replace(PAYING, pass_back=PassBack(10_000_000, 60_000_000, group_size=1))
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, APPROVED, 1, lane=lane)
        await gate.find()
        await gate.lose()
        second = await wait_for(journal, 2, lane=lane)
        await answer(journal, asked_of(second), APPROVED)
        assert told_of(await wait_for(journal, 3, lane=lane)).reason == "repeat"


async def test_a_lane_does_not_wait_for_a_look_at_the_journey(gate: Gate) -> None:
    """Its next tap may be a payment; and a server that stalls is no lost connection."""
    async with gate.open() as journal:
        losses = journal.losses
        with gate.server.asleep(), pytest.raises(SlowError):
            await journal.asked.journey(COMPANY, CardToken(f"{1:064x}"))
        assert await journal.asked.journey(COMPANY, CardToken(f"{1:064x}")) is None
        assert journal.losses == losses


# --- what is left open ---


async def test_what_a_lane_left_open_is_ended_at_once(gate: Gate) -> None:
    """Nothing is claimed until then, so whoever ends it is woken: the next tap may be hours away."""
    async with gate.open() as journal:
        woken: list[SpooledJournal] = []
        journal.on_wait = lambda: woken.append(journal)
        with gate.server.asleep():
            taking = asyncio.create_task(wait_for(journal))
            while not journal._writer._running:
                await asyncio.sleep(0)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
        assert not journal.may_claim
        assert woken


async def test_what_is_left_open_while_others_are_ended(gate: Gate) -> None:
    """It was spared, because its lane still waited: another round ends it."""
    async with gate.open() as journal:
        losses = journal.losses
        journal._leave_open()
        left = journal.losses
        journal._leave_open()
        journal.recovered(left)
        assert not journal.is_recovered
        journal.recovered(journal.losses)
        assert journal.is_recovered
        assert journal.losses > losses
