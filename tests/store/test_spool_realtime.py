"""Realtime taps while the database is away: asked once, answered where the row is, and drained as what they became."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import apsw
import pytest

from tests.intake_taps import ENCRYPTED, told_of
from tests.store.builders import (
    APPROVED,
    DECLINED,
    MASTERCARD,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    VISA,
    card,
    crashed,
)
from tests.store.passengers import (
    ENQUIRING,
    GATE,
    GIVING_BACK,
    KNOWN_FARE,
    MORE,
    ONE,
    PARTLY,
    PAYING,
    answer,
    asked_of,
    crash,
    enquire,
    following,
    notices,
    offer,
    order_refund,
    pay,
    rider,
    sent,
    wait_for,
)
from tests.store.remote_gate import Gate, rows
from tpsd.core.answering import Ending, Waiting
from tpsd.core.answering import settle as settle_asked
from tpsd.core.asking import UNDER_WAY
from tpsd.core.candidate import Candidate, Decision, Facts, LanePolicy
from tpsd.core.intake import decide
from tpsd.core.outcomes import classify
from tpsd.core.passback import ON_A_LIST, PassBack
from tpsd.core.spooling import OUT_OF_SERVICE
from tpsd.domain.authorisation import State
from tpsd.domain.outcome import Exchange
from tpsd.domain.tap import Disposition, Shown, Verdict
from tpsd.errors import JournalUnavailableError
from tpsd.ports import SettledLate, Taken
from tpsd.store.asked import SqlAsked
from tpsd.store.postgres import PostgresJournal
from tpsd.store.spooled import SpooledJournal
from tpsd.store.spooled_taps import Spooled


async def recovered(journal: SpooledJournal) -> dict[str, int]:
    """As the drainer does it once nothing is drained any more."""
    done = await journal.recover(NOW, ["common"], crashed, crash)
    journal.recovered(journal.losses)
    return done


# --- the same rows, whatever the way ---


@dataclass(frozen=True, slots=True)
class Fate:
    """What TPS says of a tap. ``shown``: what its passenger is shown before the answer comes; None: nothing comes."""

    exchange: Exchange
    shown: Shown | None = None
    delivered: bool = False
    lane: LanePolicy = PAYING


FATES = [
    Fate(APPROVED),
    Fate(APPROVED, delivered=True),
    Fate(APPROVED, delivered=True, lane=KNOWN_FARE),
    Fate(APPROVED, shown=Shown.LET_IN),
    Fate(APPROVED, shown=Shown.TURNED_AWAY),  # given back
    Fate(PARTLY),  # given back
    Fate(DECLINED),
    Fate(DECLINED, shown=Shown.LET_IN),
    Fate(SILENCE),
    Fate(UNAVAILABLE),
    Fate(MORE),
    Fate(TAP_REFUSED),
    Fate(TERMINAL_REFUSED),
    Fate(NO_CONNECTION),
]
Ways = dict[str, Callable[["Play"], Awaitable[None]]]


class Play:
    """All fates at once: taken, shown something, answered, delivered; ``way`` says what happens in between."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.journal = gate.journal
        self.offered: list[Candidate] = []
        self.taken: list[Taken] = []

    async def offer(self) -> None:
        self.offered = [await self._offered(number) for number in range(len(FATES))]

    async def _offered(self, number: int, shown: Shown = Shown.NOTHING) -> Candidate:
        uuid = UUID(int=number + 1) if shown is Shown.NOTHING else uuid4()
        lane = FATES[number].lane
        return await offer(self.journal, number + 1, lane=lane, uuid=uuid, shown=shown, **rider(number))

    async def unheard(self) -> None:
        """The database commits them, and nobody hears of it."""
        for tap in self.offered:
            await PostgresJournal.take(self.journal, tap, decide, NOW)

    async def take(self) -> None:
        self.taken = [await self.journal.take(tap, decide, NOW) for tap in self.offered]
        assert all(one.told is None and asked_of(one).body for one in self.taken)

    async def show(self) -> None:
        for number, fate in enumerate(FATES):
            if fate.shown is not None:
                taken = await self.journal.take(await self._offered(number, fate.shown), decide, NOW)
                assert (taken.new, taken.told, taken.asked) == (False, None, None)

    async def answer(self) -> None:
        for fate, taken in zip(FATES, self.taken, strict=True):
            found = await answer(self.journal, asked_of(taken), fate.exchange, policy=GIVING_BACK)
            assert found.tap is not None
            if fate.delivered:
                await self.journal.asked.delivered(found.tap)


async def direct(play: Play) -> None:
    await play.take()
    await play.show()
    await play.answer()


async def away(play: Play) -> None:
    await play.gate.lose()
    await direct(play)
    await play.gate.find()


async def unheard(play: Play) -> None:
    await play.unheard()
    await away(play)


async def answered_without_it(play: Play) -> None:
    await play.take()
    await play.gate.lose()
    await play.show()
    await play.answer()
    await play.gate.find()


async def back_before_the_answer(play: Play) -> None:
    await play.gate.lose()
    await play.take()
    await play.gate.find()
    assert play.journal.waiting == 0, "what is under way keeps nobody else in the spool"
    assert (await recovered(play.journal))["attempts_ended_unknown"] == 0
    await play.show()
    await play.answer()


async def answered_while_it_is_drained(play: Play) -> None:
    journal = play.journal
    await play.gate.lose()
    await play.take()
    play.gate.server.unshut()
    await play.gate.connected()
    spooled = await journal._spool.first(50)
    for tap in spooled:
        assert await journal._writer.write(journal._draining(tap, NOW))
    await play.show()
    await play.answer()
    assert await journal._spool.forget(spooled) == set(), "something became of each"
    await play.gate.drained()


async def shown_before_it_was_lost(play: Play) -> None:
    await play.take()
    await play.show()
    await play.gate.lose()
    await play.answer()
    await play.gate.find()


async def lost_before_it_was_answered(play: Play) -> None:
    await play.gate.lose()
    await play.take()
    await play.gate.find()
    await play.gate.lose()
    await play.show()
    await play.answer()
    await play.gate.find()


async def shown_at_the_spool_before_it_was_lost_again(play: Play) -> None:
    await play.gate.lose()
    await play.take()
    await play.show()
    await play.gate.find()
    await play.gate.lose()
    await play.answer()
    await play.gate.find()


async def shown_where_it_was_adopted_before_it_was_lost_again(play: Play) -> None:
    await play.take()
    await play.gate.lose()
    await play.show()
    await play.gate.find()
    await play.gate.lose()
    await play.answer()
    await play.gate.find()


WAYS = [
    away,
    shown_at_the_spool_before_it_was_lost_again,
    shown_where_it_was_adopted_before_it_was_lost_again,
    unheard,
    answered_without_it,
    back_before_the_answer,
    answered_while_it_is_drained,
    shown_before_it_was_lost,
    lost_before_it_was_answered,
]
APART = {
    "tap": {"id", "note", "ladder", "repeats"},  # repeats: a row that is adopted does not know of all
    "authorisation": {"ladder"},
    "attempt": set[str](),
}
EMPTIED = ("notice", "sealed", "attempt", "tap", "authorisation", "episode")
COLUMNS = "SELECT column_name::text FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position"


async def written(gate: Gate) -> dict[str, list[Any]]:
    """Everything in the database, column by column, but for what is drawn or counted."""

    def work(one: Any) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for table, apart in APART.items():
            columns = [name for (name,) in one.execute(COLUMNS, (table,)) if name not in apart]
            found[table] = []
            for row in one.execute(f"SELECT {', '.join(columns)} FROM {table}"):
                values = dict(zip(columns, row, strict=True))
                if values.get("initial_uuid") is not None:
                    values |= {"uuid": None, "body_digest": values["body_digest"] is not None}
                found[table].append(values)
        notices = "SELECT kind, cause, detail, uuid FROM notice"
        sealed = "SELECT s.purpose, a.initial_uuid FROM sealed s JOIN authorisation a ON a.uuid = s.owner"
        found |= {"notice": list(one.execute(notices)), "sealed": list(one.execute(sealed))}
        return {name: sorted(some, key=repr) for name, some in found.items()}

    return await gate.journal._writer.read(work)


async def emptied(gate: Gate) -> None:
    await gate.journal._writer.write(lambda one: [one.execute(f"DELETE FROM {name}") for name in EMPTIED] and None)


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_written_as_if_the_database_had_been_there(gate: Gate, way: Callable[[Play], Any]) -> None:
    async with gate.open():
        play = Play(gate)
        await play.offer()
        await direct(play)
        expected = await written(gate)
        assert len(expected["authorisation"]) == len(FATES) + 2, "two are given back"
        assert len(expected["sealed"]) == 2
        await emptied(gate)
    async with gate.open() as journal:
        play = Play(gate)
        await play.offer()
        await way(play)
        found = await written(gate)
        assert found == expected
        assert await journal.upkeep.check() == []
        assert journal.waiting == 0
        assert len(await journal.claim(NOW, 10)) == 2, "what is given back is sent"
        left = await journal._spool._writer.read(
            lambda one: [one.execute(f"SELECT count(*) FROM {table}").get for table in EMPTIED]
        )
        assert left == [0] * len(EMPTIED)


async def test_what_others_had_ended_is_what_the_spool_knows(gate: Gate) -> None:
    """A neighbour found the attempts open and put them in doubt, while their answers came to the spool."""
    async with gate.open() as journal:
        play = Play(gate)
        await play.offer()
        await direct(play)
        expected = await written(gate)
        await emptied(gate)
    async with gate.open() as journal:
        play = Play(gate)
        await play.offer()
        await play.unheard()
        await PostgresJournal.recover(journal, NOW, ["common"], crashed, crash)
        assert {row.state for row in await rows(journal)} == {"in_doubt"}
        await away(play)
        found = await written(gate)
        doubtful = {one["uuid"] for one in expected["authorisation"] if one["state"] == "in_doubt"}

        def known(some: dict[str, list[Any]]) -> list[Any]:
            return [one for one in some["authorisation"] if one["uuid"] not in doubtful]

        assert known(found) == known(expected)
        assert found["tap"] == expected["tap"]
        assert await journal.upkeep.check() == []


# --- asked once ---


async def test_the_database_goes_on_where_the_spool_began(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        taken = await wait_for(journal)
        await gate.find()
        again = await wait_for(journal)
        assert (again.new, again.told, again.asked) == (False, None, None)
        answered = await answer(journal, asked_of(taken), APPROVED)
        after_all = await wait_for(journal)
        assert (after_all.told, after_all.asked) == (answered.told, None)


async def test_a_tap_that_comes_again_is_not_asked_about_again(gate: Gate) -> None:
    """Whoever was asked, and wherever the answer is: this gate told it, or waits for it."""
    async with gate.open() as journal:
        asked = await wait_for(journal, 1, **rider(1))
        told = await answer(journal, asked_of(await wait_for(journal, 2, **rider(2))), APPROVED)
        await gate.lose()
        waits = await wait_for(journal, 1, **rider(1))
        assert (waits.told, waits.asked, waits.new) == (None, None, False)
        known = await wait_for(journal, 2, **rider(2))
        assert (known.told, known.asked, known.new) == (told.told, None, False)
        assert journal.waiting == 0
        answered = await answer(journal, asked_of(asked), DECLINED)
        assert (await wait_for(journal, 1, **rider(1))).told == answered.told
        spooled = await wait_for(journal, 3, **rider(3))
        assert (await wait_for(journal, 3, **rider(3))).asked is None
        answered = await answer(journal, asked_of(spooled), APPROVED)
        again = await wait_for(journal, 3, **rider(3))
        assert (again.told, again.asked) == (answered.told, None)
        await gate.find()
        assert [row.state for row in await rows(journal)] == ["declined", "approved", "approved"]


@pytest.mark.parametrize("answered", [False, True])
async def test_nor_while_it_is_drained(gate: Gate, answered: bool) -> None:
    """It may come again in the very moment in which the spool has forgotten it, whoever hears of that first."""
    async with gate.open() as journal:
        await gate.lose()
        taken = await wait_for(journal)
        if answered:
            await answer(journal, asked_of(taken), APPROVED)
        gate.server.unshut()
        await gate.connected()
        forget, came = journal._spool.forget, list[Taken]()

        async def forgetting(taps: Iterable[Spooled]) -> set[int]:
            gone = await forget(taps)
            came.append(await wait_for(journal))
            return gone

        journal._spool.forget = forgetting  # type: ignore[method-assign]  # the moment after its commit
        await gate.drained()
        assert [(one.new, one.asked) for one in came] == [(False, None)]
        assert len(await rows(journal)) == 1
        states = "SELECT count(*) FROM authorisation"
        assert await journal._writer.read(lambda one: one.execute(states).get) == 1


async def test_nor_by_a_daemon_that_has_been_started_since(gate: Gate) -> None:
    async with gate.open() as journal:
        await wait_for(journal, 1, **rider(1))
        told = await answer(journal, asked_of(await wait_for(journal, 2, **rider(2))), APPROVED)
    async with gate.open() as journal:
        await gate.lose()
        first, second = await wait_for(journal, 1, **rider(1)), await wait_for(journal, 2, **rider(2))
        assert (first.told, first.asked) == (OUT_OF_SERVICE, None), "nobody waits for its answer any more"
        assert (second.told, second.asked) == (told.told, None)
        await gate.find()
        assert (await recovered(journal))["attempts_ended_unknown"] == 1
        first_row, second_row = await rows(journal)
        assert (first_row.state, second_row.state) == ("in_doubt", "approved")


async def test_one_that_neither_store_kept_is_never_asked_about(gate: Gate) -> None:
    """The database may have it, and the spool failed: nobody was told, and the passenger's next try is denied."""
    async with gate.open() as journal:
        with gate.server.asleep():
            refusing = asyncio.create_task(wait_for(journal, uuid=ONE))
            while not journal._writer._running:
                await asyncio.sleep(0)
            spool = journal._spool._writer
            await spool.write(lambda one: one.execute(FAILING) and None)
            with pytest.raises(apsw.ConstraintError):
                await refusing
            await spool.write(lambda one: one.execute("DROP TRIGGER failing") and None)
            again = await wait_for(journal)
        assert (again.told, again.asked) == (OUT_OF_SERVICE, None)
        await gate.drained()
        assert (await recovered(journal))["attempts_ended_unknown"] == 1
        (row,) = await rows(journal)
        assert (row.uuid, row.state) == (str(ONE), "in_doubt")


FAILING = "CREATE TRIGGER failing BEFORE INSERT ON tap BEGIN SELECT RAISE(ABORT, 'no'); END"


async def test_a_lane_that_ends_while_its_tap_is_taken(gate: Gate) -> None:
    """Its row is there, and nobody sends it: it is ended like one that a crash left."""
    async with gate.open() as journal:
        await gate.lose()
        taking = asyncio.create_task(wait_for(journal))
        while not journal._entering:
            await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await asyncio.gather(*journal._puts)
        again = await wait_for(journal)
        assert again.asked is None
        await gate.find()
        assert (await recovered(journal))["attempts_ended_unknown"] == 1
        assert [row.state for row in await rows(journal)] == ["in_doubt"]


async def test_what_is_shown_after_the_verdict_is_of_that_tap(gate: Gate) -> None:
    """The link's acknowledgement too, whatever number the spool gives what came again."""
    async with gate.open() as journal:
        other = await pay(journal, APPROVED, 1, **rider(1))
        told = await pay(journal, APPROVED, 2, **rider(2))
        await gate.lose()
        again = await wait_for(journal, 2, shown=Shown.TURNED_AWAY, **rider(2))
        assert (again.told, again.asked, again.number) == (told.told, None, told.tap)
        await gate.find()
        await journal.asked.delivered(again.number)
        first, second = await rows(journal)
        assert (first.number, first.unseen) == (other.tap, True), "nobody has acknowledged this one"
        delivered = "SELECT delivered FROM tap ORDER BY id"
        assert await journal._writer.read(lambda one: list(one.execute(delivered))) == [(0,), (1,)]
        assert second.unseen, "the passenger was turned away"


async def test_a_verdict_of_the_spools_is_acknowledged_wherever_it_is(gate: Gate) -> None:
    async with gate.open() as journal:
        await pay(journal, APPROVED, 1, **rider(1))
        await gate.lose()
        some = [await pay(journal, APPROVED, counter, **rider(counter)) for counter in (2, 3, 4)]
        again = await wait_for(journal, 2, **rider(2))
        assert again.number < 0
        await journal.asked.delivered(again.number)
        await gate.find()
        assert some[1].tap is not None
        await journal.asked.delivered(some[1].tap)
        after = await wait_for(journal, 4, **rider(4))
        assert after.number > 0
        assert [row.unseen for row in await rows(journal)] == [True, False, False, True]


async def test_cards_nobody_can_name_do_not_wait_for_each_other(gate: Gate) -> None:
    async with gate.open() as journal:
        await wait_for(journal, 1, card=ENCRYPTED)
        await gate.lose()
        assert (await wait_for(journal, 2, card=ENCRYPTED)).asked is not None


# --- what may be charged already ---


async def test_a_card_that_is_being_authorised_waits(gate: Gate) -> None:
    async with gate.open() as journal:
        here = asked_of(await wait_for(journal, 1))
        await gate.lose()
        assert told_of(await wait_for(journal, 2)) == UNDER_WAY, "asked by way of the database"
        await answer(journal, here, DECLINED)
        there = asked_of(await wait_for(journal, 3))
        assert told_of(await wait_for(journal, 4)) == UNDER_WAY, "asked from the spool"
        assert (await wait_for(journal, 5, lane=KNOWN_FARE)).asked is not None
        await answer(journal, there, APPROVED)
        assert (await wait_for(journal, 6)).asked is not None


@pytest.mark.parametrize("started_anew", [False, True])
async def test_a_card_in_doubt_is_not_served(gate: Gate, started_anew: bool) -> None:
    """The database would ask TPS about the earlier payment first; without it both could be charged."""
    async with gate.open() as journal:
        await pay(journal, SILENCE, 1, policy=ENQUIRING, enquires=True)
        if not started_anew:
            await gate.lose()
            assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE
            assert (await wait_for(journal, 3, enquires=True, lane=KNOWN_FARE)).asked is not None
            assert (await wait_for(journal, 4, enquires=False)).asked is not None
    if started_anew:
        async with gate.open() as journal:
            await gate.lose()
            assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE


async def test_until_it_is_found_out(gate: Gate) -> None:
    async with gate.open() as journal:
        await pay(journal, SILENCE, 1, policy=ENQUIRING, enquires=True)
        await enquire(journal, DECLINED)
        await gate.lose()
        assert (await wait_for(journal, 2, enquires=True)).asked is not None


async def test_a_doubt_of_the_spools_own(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, SILENCE, 1, policy=ENQUIRING, enquires=True)
        assert told_of(await wait_for(journal, 2, enquires=True)) == OUT_OF_SERVICE
        await gate.find()
        third = await wait_for(journal, 3, enquires=True)
        assert third.asks_first == (await rows(journal))[0].uuid
        await gate.lose()
        assert told_of(await wait_for(journal, 4, enquires=True)) == UNDER_WAY


async def test_journeys_need_the_database(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        taken = await wait_for(journal, lane=GATE, amount=500)
        assert (taken.told, taken.asked) == (OUT_OF_SERVICE, None)
        await gate.find()
        (row,) = await rows(journal)
        assert (row.disposition, row.reason, row.state) == ("denied", "database", None)


# --- what nobody heard of ---


async def test_who_was_turned_away_is_not_in_doubt(gate: Gate) -> None:
    """The database had committed that TPS is asked, and the spool knows that the card is in doubt: nothing was sent."""
    async with gate.open() as journal:
        tap = await offer(journal, 1, uuid=ONE, enquires=True)
        await PostgresJournal.take(journal, tap, decide, NOW)
        journal._lately.doubt(str(UUID(int=9)), tap)
        await gate.lose()
        assert told_of(await journal.take(tap, decide, NOW)) == OUT_OF_SERVICE
        await gate.find()
        assert (await recovered(journal))["attempts_ended_unknown"] == 0
        (row,) = await rows(journal)
        assert (row.uuid, row.state, row.cause, row.reason) == (str(ONE), "not_charged", "database", "database")
        assert [one.outcome for one in (await journal.story(str(ONE))).attempts] == ["not_sent"]
        assert await notices(journal, str(ONE)) == []
        assert await journal.upkeep.check() == []


async def test_what_the_spool_was_told_of_a_tap_that_the_database_had_denied(gate: Gate) -> None:
    async with gate.open() as journal:
        tap = await offer(journal, 1, uuid=ONE)

        def denied(candidate: Candidate, facts: Facts) -> Decision:
            return Decision(ON_A_LIST, disposition=Disposition.DENIED)

        await PostgresJournal.take(journal, tap, denied, NOW)
        await gate.lose()
        taken = await journal.take(tap, decide, NOW)
        await gate.find()
        assert [(row.state, row.disposition, row.verdict) for row in await rows(journal)] == [("sending", None, None)]
        await answer(journal, asked_of(taken), APPROVED)
        assert [(row.state, row.verdict) for row in await rows(journal)] == [("approved", Verdict.ACCEPTED)]


async def test_money_under_another_uuid_is_in_the_books(gate: Gate) -> None:
    """It must not happen, since the gate remembers; if it does, both transactions are there, and a person is told."""
    async with gate.open() as journal:
        await PostgresJournal.take(journal, await offer(journal, 1, uuid=ONE), decide, NOW)
        await gate.lose()
        second = asked_of(await wait_for(journal, 1))
        await answer(journal, second, APPROVED)
        await gate.find()
        (row,) = await rows(journal)
        assert (row.uuid, row.state) == (str(ONE), "sending")
        states = "SELECT uuid, state FROM authorisation"
        found = dict(await journal._writer.read(lambda one: list(one.execute(states))))
        assert found == {str(ONE): "sending", str(second.uuid): "approved"}
        assert f"alarm/asked_twice@{TERMINAL}" in await notices(journal)


async def test_an_answer_both_have_is_one(gate: Gate) -> None:
    """The database commits an answer and is lost before it says so; what is given back is given back once."""
    async with gate.open() as journal:
        taken = await wait_for(journal, uuid=ONE)
        claimed, outcome = asked_of(taken), classify(PARTLY)

        def ending(waiting: Waiting) -> Ending:
            return settle_asked(waiting, outcome, GIVING_BACK, number=1, ended_at=NOW)

        await SqlAsked.answer(journal.asked, claimed, outcome, ending, following(journal), NOW)
        await gate.lose()
        answered = await answer(journal, claimed, PARTLY, policy=GIVING_BACK)
        assert answered.told is not None
        assert answered.told.reason == "partial_refused"
        await gate.find()
        assert len(await journal.claim(NOW, 10)) == 1
        assert [row.reason for row in await rows(journal)] == ["partial_refused"]


async def test_what_was_shown_while_the_answer_went_to_the_database(gate: Gate) -> None:
    """It came again in the moment after the spool was looked at: its passenger is charged, and was turned away."""
    async with gate.open() as journal:
        claimed, outcome = asked_of(await wait_for(journal, uuid=ONE)), classify(APPROVED)

        def ending(waiting: Waiting) -> Ending:
            return settle_asked(waiting, outcome, GIVING_BACK, number=1, ended_at=NOW)

        answered = await SqlAsked.answer(journal.asked, claimed, outcome, ending, following(journal), NOW)
        await gate.lose()
        assert (await wait_for(journal, shown=Shown.TURNED_AWAY)).told is None
        journal.heard(str(ONE), answered)
        await gate.find()
        (row,) = await rows(journal)
        assert (row.state, row.verdict, row.unseen) == ("approved", Verdict.ACCEPTED, True)
        assert await notices(journal, str(ONE)) == [f"unseen/turned_away@{TERMINAL}"]


async def test_one_that_others_ended_waits_in_the_spool_for_its_answer(gate: Gate) -> None:
    async with gate.open() as journal:
        tap = await offer(journal, 1, uuid=ONE)
        await PostgresJournal.take(journal, tap, decide, NOW)
        await PostgresJournal.recover(journal, NOW, ["common"], crashed, crash)
        await gate.lose()
        taken = await journal.take(tap, decide, NOW)
        await gate.find()
        assert journal.waiting == 1
        assert not journal.may_claim
        await answer(journal, asked_of(taken), APPROVED)
        await gate.drained()
        assert journal.waiting == 0
        assert [(row.state, row.reason) for row in await rows(journal)] == [("approved", "approved")]


async def test_a_payment_an_enquiry_found_although_it_was_denied(gate: Gate) -> None:
    """The answer never came to the gate; a neighbour's enquiry found it charged before the gate came back."""
    async with gate.open() as journal:
        tap = await offer(journal, 1, uuid=ONE)
        await PostgresJournal.take(journal, tap, decide, NOW)
        await PostgresJournal.recover(journal, NOW, ["common"], crashed, crash)
        await enquire(journal, APPROVED)
        await gate.lose()
        taken = await journal.take(tap, decide, NOW)
        await answer(journal, asked_of(taken), SILENCE, policy=GIVING_BACK)
        await gate.find()
        await gate.drained()
        (row,) = await rows(journal)
        assert (row.state, row.unseen, row.reason) == ("approved", True, "timeout")
        assert f"unseen/turned_away@{TERMINAL}" in await notices(journal)


async def test_a_slow_database_keeps_no_answer_waiting(gate: Gate) -> None:
    async with gate.open() as journal:
        claimed = asked_of(await wait_for(journal, uuid=ONE))
        with gate.server.asleep():
            answered = await answer(journal, claimed, APPROVED)
            assert answered.told is not None
            assert answered.told.verdict is Verdict.ACCEPTED
            assert journal.waiting == 1
        await gate.drained()
        assert [(row.state, row.reason) for row in await rows(journal)] == [("approved", "approved")]
        assert await journal.upkeep.check() == []


async def test_a_refund_by_hand_waits_for_the_database(gate: Gate) -> None:
    async with gate.open() as journal:
        await pay(journal, APPROVED, 1, uuid=ONE)
        claimed = sent(await order_refund(journal, str(ONE)))
        await gate.lose()
        with pytest.raises(JournalUnavailableError):
            await answer(journal, claimed, APPROVED)
        await gate.find()
        assert (await answer(journal, claimed, APPROVED)).settlement.state is State.APPROVED


async def test_a_late_answer_changes_nothing(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        claimed = asked_of(await wait_for(journal))
        await answer(journal, claimed, SILENCE)
        with pytest.raises(SettledLate):
            await answer(journal, claimed, APPROVED)


async def test_pass_back_counts_who_paid(gate: Gate) -> None:
    lane = replace(PAYING, pass_back=PassBack(10_000_000, 60_000_000))
    async with gate.open() as journal:
        await pay(journal, APPROVED, 1, lane=lane)
        await gate.lose()
        assert told_of(await wait_for(journal, 2, lane=lane)).reason == "repeat"
        other = rider(2)
        await pay(journal, DECLINED, 3, lane=lane, **other)
        await pay(journal, APPROVED, 4, lane=lane, **other)
        assert told_of(await wait_for(journal, 5, lane=lane, **other)).reason == "repeat"


async def test_no_card_number_is_in_the_spool(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await pay(journal, PARTLY, 1, policy=GIVING_BACK)
        await wait_for(journal, 2, card=card(MASTERCARD))
        sealed = "SELECT s.purpose FROM sealed s JOIN authorisation a ON a.uuid = s.owner WHERE a.timing = 'realtime'"
        assert await journal._spool._writer.read(lambda one: list(one.execute(sealed))) == []
    files = [path.read_bytes() for path in gate.folder.rglob("*") if path.is_file()]
    assert files
    for number in (VISA, MASTERCARD):
        assert not any(number.encode() in content or bytes.fromhex(number) in content for content in files)
