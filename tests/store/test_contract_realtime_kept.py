"""Realtime taps, journeys and what follows them in the long run: pruned together, backed up, restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NOW,
    SILENCE,
    TAP_REFUSED,
    UNAVAILABLE,
    after,
    claim_one,
    closer,
    settle,
    take,
)
from tests.store.engines import FILES, KEK, Engine, SqliteEngine
from tests.store.passengers import (
    AT_THE_OTHER_GATE,
    HELD,
    PARTLY,
    answer,
    check_in,
    check_out,
    end_unpaid,
    journey_of,
    journeys,
    notices,
    order_check_out,
    order_refund,
    pay,
    resolve,
    restart,
    rider,
    sent,
    wait_for,
)
from tests.store.returning import covered
from tpsd.asking import Ordered
from tpsd.core.answering import Policy
from tpsd.domain.audit import AuditDraft
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import DAY, HOUR, Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import NotFoundError
from tpsd.ports import Taken
from tpsd.store.connection import Connection
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import SqlJournal
from tpsd.store.restoring import Keyring, restore

BY = AuditDraft(NOW, "alice (1000)", "store backup", "before the update")
LATER = after(100 * DAY / 1e6)
MONTHS_LATER = after(200 * DAY / 1e6)


async def counted(journal: SqlJournal, *tables: str) -> list[int]:
    def work(connection: Connection) -> list[int]:
        return [int(connection.execute(f"SELECT count(*) FROM {table}").get) for table in tables]

    return await journal._writer.read(work)


async def prune(journal: SqlJournal, now: Micros = LATER) -> int:
    """What was final 90 days ago goes, after all mail windows were closed; how many taps."""
    await journal.close_windows(now, closer(now))
    pruned = (await journal.upkeep.prune(90 * DAY, now, None)).taps
    assert await journal.upkeep.check() == []
    return pruned


class TestPrune:
    """Journeys, taps and what follows them go together, when all of it is settled, told of and old."""

    async def test_a_whole_journey(self, journal: SqlJournal) -> None:
        await check_in(journal, 1)
        await check_out(journal, 2, DECLINED)
        await check_out(journal, 3, DECLINED)
        await check_out(journal, 4, UNAVAILABLE)
        by_hand = sent(await order_check_out(journal))
        await answer(journal, by_hand, APPROVED)
        await answer(journal, sent(await order_refund(journal, str(by_hand.uuid), 100)), APPROVED)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        before = await counted(journal, "journey", "tap", "authorisation")
        assert before == [1, 5, 6]
        assert await prune(journal) == 4
        assert await counted(journal, "journey", "tap", "authorisation", "attempt") == [0, 1, 0, 0]

    async def test_only_counted_it_is_the_same(self, journal: SqlJournal) -> None:
        await check_in(journal, 1)
        await check_out(journal, 2)
        await pay(journal, PARTLY, 3)
        await settle(journal, await claim_one(journal), APPROVED)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        counted_only = await journal.upkeep.prune(90 * DAY, LATER, None, dry=True)
        assert (await counted(journal, "journey", "tap"), counted_only.taps) == ([1, 4], 3)
        assert await prune(journal) == 3

    async def test_many_in_slices(self, journal: SqlJournal) -> None:
        for number in range(60):
            await check_in(journal, 2 * number, **rider(number))
            await check_out(journal, 2 * number + 1, **rider(number))
        await wait_for(journal, 900, now=LATER, age_ms=None)
        assert await prune(journal) == 120
        assert await counted(journal, "journey", "authorisation", "identity") == [0, 0, 120]

    @pytest.mark.parametrize("answered", [False, True])
    async def test_a_payment_stays_while_its_refund_is_unfinished(self, journal: SqlJournal, answered: bool) -> None:
        await pay(journal)
        refund = sent(await order_refund(journal))
        await wait_for(journal, 9, now=LATER, age_ms=None)
        if answered:
            await answer(journal, refund, SILENCE)
        assert await prune(journal) == 0
        if not answered:
            await answer(journal, refund, SILENCE, now=LATER)
        await resolve(journal, str(refund.uuid), charged=True, now=LATER)
        assert await prune(journal, after(150 * DAY / 1e6)) == 0, "settled a while ago, but not long enough"
        assert await prune(journal, MONTHS_LATER) == 1
        assert await counted(journal, "authorisation") == [0]

    async def test_a_journey_stays_while_a_refund_of_its_check_out_by_hand_is_unfinished(
        self, journal: SqlJournal
    ) -> None:
        await check_in(journal)
        by_hand = sent(await order_check_out(journal))
        await answer(journal, by_hand, APPROVED)
        refund = sent(await order_refund(journal, str(by_hand.uuid)))
        await answer(journal, refund, SILENCE)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert await prune(journal) == 0
        assert await counted(journal, "journey", "authorisation") == [1, 3]
        await resolve(journal, str(refund.uuid), charged=False)
        assert await prune(journal) == 1
        assert await counted(journal, "journey", "authorisation") == [0, 0]

    async def test_a_journey_stays_while_its_check_out_is_in_doubt(self, journal: SqlJournal) -> None:
        await end_unpaid(journal)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert await prune(journal) == 0
        found = await journey_of(journal)
        assert (found.state, found.check_out_state) == ("ended_unpaid", "in_doubt")
        await resolve(journal, found.check_out or "", charged=True, now=LATER)
        assert (await journey_of(journal)).state == "closed"
        assert await prune(journal, MONTHS_LATER) == 4

    async def test_a_journey_that_has_not_ended_stays(self, journal: SqlJournal) -> None:
        await check_in(journal, 1)
        await check_in(journal, 2, **rider(2))
        await answer(journal, sent(await order_check_out(journal, "2")), SILENCE)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert await prune(journal) == 0
        assert [one.state for one in await journeys(journal)] == ["open", "by_hand"]

    async def test_what_follows_is_told_of_first(self, journal: SqlJournal) -> None:
        await pay(journal)
        await answer(journal, sent(await order_refund(journal)), TAP_REFUSED)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert (await journal.upkeep.prune(90 * DAY, LATER, None)).taps == 0, "its notice waits for its mail"
        assert await prune(journal) == 1

    async def test_one_that_paid_for_two_taps_goes_with_both(self, journal: SqlJournal) -> None:
        await covered(journal)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert await prune(journal) == 2
        assert await counted(journal, "authorisation", "attempt") == [0, 0]

    async def test_a_repeat_gets_the_same_with_the_same_amount(self, journal: SqlJournal) -> None:
        first = await pay(journal, PARTLY, 1, policy=Policy(partial_accepted=True))
        second = await pay(journal, DECLINED, 2)
        await wait_for(journal, 9, now=LATER, age_ms=None)
        assert await prune(journal) == 2
        with pytest.raises(NotFoundError):
            await journal.story("1")
        assert await wait_for(journal, 1, now=LATER) == Taken(1, first.told, new=False)
        assert await wait_for(journal, 2, now=LATER) == Taken(2, second.told, new=False)
        assert first.told == Told(Verdict.ACCEPTED, "partial", 200)


class TestRetention:
    """By itself the house goes by running time too."""

    async def test_a_clock_that_stepped_by_years_ends_no_journey(self, engine: Engine) -> None:
        journal = await engine.open(keep=Keep(retention_us=10 * DAY))
        assert isinstance(journal, SqlJournal)
        await end_unpaid(journal, DECLINED, DECLINED, DECLINED)
        await journal.close_windows(after(60), closer(after(60)))
        await take(journal, 9, now=after(40 * 365 * DAY / 1e6), kind=0x04)
        for _ in range(32):
            assert (await journal.keep_house(6 * HOUR))["taps_pruned"] == 0
        assert (await journey_of(journal)).state == "ended_unpaid"
        for _ in range(16):
            await journal.keep_house(6 * HOUR)
        assert await counted(journal, "journey", "tap") == [0, 1]
        await journal.close()


@FILES
class TestRestore:
    """A backup in the journal's place: nobody waits any more, and what was open may have been ended since."""

    async def backed_up(self, engine: SqliteEngine, journal: SqlJournal) -> Path:
        """Passengers at every step of their way; the journal is closed and gone."""
        await wait_for(journal, 1)  # a payment that TPS is asked about
        await check_in(journal, 2, **rider(1))  # open
        await check_in(journal, 3, **rider(2))  # waiting for a second try
        await check_out(journal, 4, SILENCE, **rider(2))
        await check_in(journal, 5, **rider(3))  # checking out at this moment
        await wait_for(journal, 6, **{**AT_THE_OTHER_GATE, **rider(3)})
        await check_in(journal, 7, **rider(4))  # a check-out by hand on its way
        await order_check_out(journal, "4")
        await pay(journal, PARTLY, 8, **rider(6))  # a refund on the ladder
        await pay(journal, APPROVED, 9, amount=111)
        await check_in(journal, 10, **rider(5))
        await check_out(journal, 11, **rider(5))
        engine.folder.joinpath("kept").mkdir()
        await journal.upkeep.backup(engine.folder / "kept" / "today", BY)
        await journal.close()
        engine.path.unlink()
        return engine.folder / "kept" / "today"

    async def test_every_passenger_has_a_verdict_and_nothing_is_sent(
        self, engine: SqliteEngine, journal: SqlJournal
    ) -> None:
        source = await self.backed_up(engine, journal)
        by = AuditDraft(LATER, "alice (1000)", "store restore", "the disk died")
        found = restore(source, engine.path, Keyring(KEK, KeyFolder(engine.key_folder)), by)
        assert (found.in_doubt, found.bodies_kept) == (5, 1), "a refund could still be sent, a passenger's tap not"
        again = await engine.open()
        assert not any((await restart(again, LATER)).values())
        assert await again.claim(MONTHS_LATER, 10) == []
        rows = {row.number: row for row in await again.taps(TapFilter())}
        assert {number: rows[number].state for number in (1, 4, 6)} == dict.fromkeys((1, 4, 6), "in_doubt")
        told = {number: (rows[number].verdict, rows[number].reason) for number in (1, 4, 6, 9)}
        assert told == {1: (2, "restored"), 4: (7, "timeout"), 6: (2, "restored"), 9: (1, "approved")}
        assert not any([(await again.story(str(number))).body_kept for number in (1, 4, 6)])
        assert await wait_for(again, 1) == Taken(1, Told(Verdict.DENIED, "restored"), new=False)
        assert await again.upkeep.check() == []
        await again.close()

    async def test_open_journeys_are_over_and_told_of(self, engine: SqliteEngine, journal: SqlJournal) -> None:
        source = await self.backed_up(engine, journal)
        by = AuditDraft(LATER, "alice (1000)", "store restore", "the disk died")
        restore(source, engine.path, Keyring(KEK, KeyFolder(engine.key_folder)), by)
        again = await engine.open()
        found = await journeys(again)
        assert [one.state for one in found] == ["expired", "expired", "expired", "by_hand", "closed"]
        assert [one.ended_at for one in found[:3]] == [LATER] * 3
        assert await notices(again, "2") == ["journey/restored"]
        assert await notices(again, "3") == ["journey/restored"]
        assert await notices(again, "4") == ["in_doubt/restored"]
        assert await notices(again, "7") == ["in_doubt/restored"], "the check-out by hand follows this tap"
        assert await notices(again, "8") == ["in_doubt/restored"], "and the refund this one"
        kept = await order_check_out(again, "4")
        assert isinstance(kept, Ordered)
        assert kept.already == found[3].check_out
        assert found[3].check_out is not None
        await resolve(again, found[3].check_out, charged=True)
        assert (await journeys(again))[3].state == "closed"
        await again.close()

    async def test_a_card_may_travel_again(self, engine: SqliteEngine, journal: SqlJournal) -> None:
        source = await self.backed_up(engine, journal)
        by = AuditDraft(LATER, "alice (1000)", "store restore", "the disk died")
        restore(source, engine.path, Keyring(KEK, KeyFolder(engine.key_folder)), by)
        again = await engine.open()
        for number in (1, 2, 3, 4):
            answered = await check_in(again, 20 + number, now=LATER, **rider(number))
            assert answered.told == Told(Verdict.CHECKED_IN, "checked_in", HELD)
        await again.close()
