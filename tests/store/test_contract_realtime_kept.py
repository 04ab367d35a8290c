"""Realtime taps, journeys and what follows them in the long run: pruned together, backed up, restored."""

from __future__ import annotations

from pathlib import Path

import apsw

from tests.store.builders import (
    APPROVED,
    NOW,
    SILENCE,
    after,
    closer,
)
from tests.store.engines import KEK, SqliteEngine
from tests.store.passengers import (
    AT_THE_OTHER_GATE,
    HELD,
    check_in,
    check_out,
    journeys,
    notices,
    order_check_out,
    pay,
    resolve,
    restart,
    rider,
    wait_for,
)
from tpsd.asking import Ordered
from tpsd.domain.audit import AuditDraft
from tpsd.domain.outcome import Answer
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import DAY, Micros
from tpsd.domain.views import TapFilter
from tpsd.ports import Taken
from tpsd.store.epochs import KeyFolder
from tpsd.store.restoring import Keyring, restore
from tpsd.store.sqlite import SqliteJournal

BY = AuditDraft(NOW, "alice (1000)", "store backup", "before the update")
PARTLY = Answer(200, action_code="002", amount=200)
LATER = after(100 * DAY / 1e6)
MONTHS_LATER = after(200 * DAY / 1e6)


async def counted(journal: SqliteJournal, *tables: str) -> list[int]:
    def work(connection: apsw.Connection) -> list[int]:
        return [int(connection.execute(f"SELECT count(*) FROM {table}").get) for table in tables]

    return await journal._writer.read(work)


async def prune(journal: SqliteJournal, now: Micros = LATER) -> int:
    """What was final 90 days ago goes, after all mail windows were closed; how many taps."""
    await journal.close_windows(now, closer(now))
    pruned = (await journal.upkeep.prune(90 * DAY, now, None)).taps
    assert await journal.upkeep.check() == []
    return pruned


class TestRestore:
    """A backup in the journal's place: nobody waits any more, and what was open may have been ended since."""

    async def backed_up(self, engine: SqliteEngine, journal: SqliteJournal) -> Path:
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
        self, engine: SqliteEngine, journal: SqliteJournal
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

    async def test_open_journeys_are_over_and_told_of(self, engine: SqliteEngine, journal: SqliteJournal) -> None:
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

    async def test_a_card_may_travel_again(self, engine: SqliteEngine, journal: SqliteJournal) -> None:
        source = await self.backed_up(engine, journal)
        by = AuditDraft(LATER, "alice (1000)", "store restore", "the disk died")
        restore(source, engine.path, Keyring(KEK, KeyFolder(engine.key_folder)), by)
        again = await engine.open()
        for number in (1, 2, 3, 4):
            answered = await check_in(again, 20 + number, now=LATER, **rider(number))
            assert answered.told == Told(Verdict.CHECKED_IN, "checked_in", HELD)
        await again.close()
