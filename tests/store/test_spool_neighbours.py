"""What a neighbour may do with the taps of a gate that has a spool: nothing that its passengers were not told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.store.builders import APPROVED, NOW, SILENCE, TERMINAL, after, settle, take
from tests.store.databases import PostgresEngine
from tests.store.interleaving import Stops, stopping
from tests.store.passengers import (
    ENQUIRING,
    answer,
    asked_of,
    enquire,
    notices,
    offer,
    order_refund,
    pay,
    wait_for,
)
from tests.store.passengers import ONE as PAID
from tests.store.remote_gate import Gate, rows
from tests.store.test_postgres_leases import ASKING, LATER, Fleet, place, taken_over
from tpsd.core.intake import decide
from tpsd.domain.time import HOUR, MINUTE
from tpsd.errors import JournalUnavailableError
from tpsd.store.postgres import PostgresJournal
from tpsd.store.spooled import SpooledJournal

__all__ = ["place"]

ONE = "tpsd"  # the gate's name; its neighbour is "two"


@pytest.fixture
def gate(place: PostgresEngine, tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(place, tmp_path)
    yield gate
    gate.server.unshut()


@pytest.fixture
async def fleet(place: PostgresEngine) -> AsyncIterator[Fleet]:
    fleet = Fleet(place)
    yield fleet
    await fleet.close()


async def introduced(journal: SpooledJournal) -> None:
    assert journal.leases is not None
    await journal.leases.describe({"common": "the company"})
    await journal.leases.renew()


async def test_taps_that_were_told_as_they_are_kept_are_taken_over(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await take(journal, 1)
        await take(journal, 2)
        await introduced(journal)  # another transaction: what the one before has kept is known
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two) == {"sends_taken_over": 2}


async def test_one_whose_commit_nobody_heard_of_waits_for_its_gate(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await take(journal, 1)
        await introduced(journal)
        with gate.server.asleep():
            await take(journal, 2)
        await introduced(journal)
        assert [row.state for row in await rows(journal)] == ["pending", "pending"], "the commit went through"
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two) == {"sends_taken_over": 1}
    async with gate.open() as journal:
        await introduced(journal)
        fleet.run_out(ONE)
        assert await taken_over(two) == {}, "it waits in the spool"
    async with gate.open() as journal:
        await introduced(journal)
        await gate.drained()
        await introduced(journal)
    fleet.run_out(ONE)
    assert await taken_over(two) == {"sends_taken_over": 1}
    assert len(await two.claim(LATER, 10)) == 2


async def test_a_gate_that_comes_back_after_days_clears_the_doubt(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        with gate.server.asleep():
            await take(journal, 1)
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    await taken_over(two)
    fleet.gone_since(ONE, 25 * HOUR)
    assert await taken_over(two) == {"unconfirmed_due_in_doubt": 1}
    async with gate.open() as journal:
        await gate.drained()
        assert [(row.state, row.cause) for row in await rows(journal)] == [("pending", None)]
        assert await two.claim(after(60), 10) == []
        assert len(await journal.claim(after(60), 10)) == 1


async def test_a_payment_whose_answer_may_be_in_the_spool_is_left_alone(gate: Gate, fleet: Fleet) -> None:
    """The database has only that it was asked; its passenger may ride on what the spool knows."""
    async with gate.open() as journal:
        await introduced(journal)
        await gate.lose()
        taken = await wait_for(journal)
        gate.server.unshut()
        await gate.connected()
        for tap in await journal._spool.first(10):
            await journal._writer.write(journal._draining(tap, NOW))
        await introduced(journal)
        await answer(journal, asked_of(taken), APPROVED)
        assert [row.state for row in await rows(journal)] == ["sending"]
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two) == {}
    async with gate.open() as journal:
        await introduced(journal)
        await gate.drained()
        assert [(row.state, row.verdict) for row in await rows(journal)] == [("approved", 1)]


async def test_after_a_day_it_is_in_doubt_and_asked_about(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await PostgresJournal.take(journal, await offer(journal, enquires=True), decide, NOW)
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two, ASKING) == {}
    fleet.gone_since(ONE, 10 * MINUTE)
    assert await taken_over(two, ASKING) == {}
    fleet.gone_since(ONE, 25 * HOUR)
    assert await taken_over(two, ASKING) == {"sends_ended_unknown": 1}
    await enquire(two, APPROVED)
    async with gate.open() as journal:
        assert [row.state for row in await rows(journal)] == ["approved"]


async def test_a_payment_that_the_database_alone_knows_is_taken_over(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await wait_for(journal)
        await introduced(journal)
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two) == {"sends_ended_unknown": 1}


@pytest.mark.parametrize("sent", [False, True])
async def test_a_fare_that_others_gave_back_although_its_passenger_rode(gate: Gate, fleet: Fleet, sent: bool) -> None:
    """The gate had confirmed that it asks, and was cut off when the answer came: its neighbour asked TPS about it."""
    async with gate.open() as journal:
        await introduced(journal)
        claimed = asked_of(await wait_for(journal, uuid=PAID, enquires=True))
        await introduced(journal)
        await gate.lose()
        told = (await answer(journal, claimed, APPROVED)).told
        assert told is not None
        assert told.verdict.accepts
    gate.server.unshut()
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two, ASKING) == {"sends_ended_unknown": 1}
    await enquire(two, APPROVED, gives_back=True)
    if sent:
        (refund,) = await two.claim(LATER, 10)
    async with gate.open() as journal:
        (tap,) = await journal._spool.first(10)
        for _ in range(2):  # a crash between the drain's commits drains it twice
            await journal._writer.write(journal._draining(tap, NOW))
        await gate.drained()
        assert [(row.state, row.verdict) for row in await rows(journal)] == [("approved", 1)]
        unseen = [cause for cause in await notices(journal, str(PAID)) if cause.startswith("unseen/")]
        assert unseen == ([f"unseen/let_in@{TERMINAL}"] if sent else [])
        assert await journal.upkeep.check() == []
        given = "SELECT state, cause FROM authorisation WHERE initial_uuid IS NOT NULL"
        state = ("sending", None) if sent else ("not_charged", "let_in")
        assert await journal._writer.read(lambda one: list(one.execute(given))) == [state]
        assert await journal._writer.read(lambda one: one.execute("SELECT count(*) FROM sealed").get) == int(sent)
    if sent:
        await settle(two, refund, APPROVED)
    assert await two.claim(LATER, 10) == []


@pytest.mark.parametrize("refunds", [False, True])
async def test_a_fare_that_a_person_gave_back_is_theirs(gate: Gate, refunds: bool) -> None:
    """It had been drained before: what follows it since is nobody's mistake."""
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, APPROVED, uuid=PAID)
        gate.server.unshut()
        await gate.connected()
        (tap,) = await journal._spool.first(10)
        await journal._writer.write(journal._draining(tap, NOW))
        if refunds:
            await order_refund(journal, str(PAID))
        await gate.drained()
        assert await notices(journal, str(PAID)) == []


async def test_nobody_asks_about_a_doubt_that_its_gate_has_not_confirmed(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await gate.lose()
        await pay(journal, SILENCE, policy=ENQUIRING, enquires=True)
        gate.server.unshut()
        await gate.connected()
        for tap in await journal._spool.first(10):
            await journal._writer.write(journal._draining(tap, NOW))
        await introduced(journal)
        assert [row.state for row in await rows(journal)] == ["in_doubt"]
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two, ASKING, after(600)) == {}
    async with gate.open() as journal:
        await introduced(journal)
        await gate.drained()
        await introduced(journal)
    fleet.run_out(ONE)
    assert await taken_over(two, ASKING, after(600)) == {"enquiries_taken_over": 1}


async def test_it_comes_back_while_another_gives_it_up(
    gate: Gate, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        with gate.server.asleep():
            await take(journal, 1)
    stops = Stops()
    with monkeypatch.context() as patch:
        patch.setattr("tpsd.store.postgres.connect", stopping(stops))
        two = await fleet.daemon("two")
    fleet.run_out(ONE)
    await taken_over(two)
    fleet.gone_since(ONE, 25 * HOUR)

    async def comes_back() -> None:
        async with gate.open():
            await gate.drained()

    stops.before("doubt_unconfirmed", comes_back)
    assert await taken_over(two) == {"unconfirmed_due_in_doubt": 1}
    assert await stops.settled() == [None]
    assert [(row.state, row.cause) for row in await rows(two)] == [("pending", None)]


async def test_who_presides_is_asked_anew_after_a_loss(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        assert journal.presides
        two = await fleet.daemon("two")
        assert not two.presides
        await gate.lose()
        gate.server.unshut()
        await gate.connected()
        assert not journal.presides
        await introduced(journal)
        assert journal.presides


async def test_without_its_spool_it_confirms_whatever_comes(gate: Gate, fleet: Fleet) -> None:
    async with gate.open() as journal:
        await introduced(journal)
        await take(journal, 1)
        await introduced(journal)
    plain = await fleet.daemon(ONE)
    await take(plain, 2)
    await fleet.stops(plain)
    two = await fleet.daemon("two")
    fleet.run_out(ONE)
    assert await taken_over(two) == {"sends_taken_over": 2}


async def test_one_that_comes_back_after_days_seals_under_the_key_of_today(gate: Gate, fleet: Fleet) -> None:
    """Its connection was ended when it was gone; it finds another without a start."""
    async with gate.open() as journal:
        await introduced(journal)
        two = await fleet.daemon("two")
        fleet.run_out(ONE)
        await taken_over(two)
        fleet.gone_since(ONE, 10 * MINUTE)
        assert two.leases is not None
        for _ in range(100):  # the server needs a moment to end it
            await two.leases.renew()
            if two.presides:
                break
        for _ in range(4):
            await two.keep_house(25 * HOUR)
        with pytest.raises(JournalUnavailableError):
            await journal.next_due()
        await gate._once(lambda: journal.losses == 1)
        await gate.connected()
        await take(journal, 1)
        await gate.drained()  # on a busy machine the first transaction of a connection may take too long
        assert await two.upkeep.check() == []
        assert [claimed.body != b"" for claimed in await journal.claim(after(60), 10)] == [True]
