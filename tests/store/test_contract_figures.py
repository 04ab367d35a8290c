"""The journal's numbers: what is pending by rung, what rests by cause, mails; in pages of any size."""

from __future__ import annotations

import pytest

from tests.store import builders
from tests.store.builders import (
    NOW,
    SILENCE,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    claim_one,
    closer,
    fail_for_good,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.lane import LaneWaits
from tpsd.domain.picture import JournalFigures, RestCount, RungCount
from tpsd.domain.time import MINUTE, Micros, later
from tpsd.store.figures import JournalNumbers
from tpsd.store.journal import SqlJournal


async def figures(journal: SqlJournal) -> JournalFigures:
    return await journal.numbers.now()


async def test_an_empty_journal(journal: SqlJournal) -> None:
    assert await figures(journal) == JournalFigures((), (), 0, None, 0, None)


async def test_pending_taps_by_rung(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, UNAVAILABLE)
    await take_many(journal, [2, 3], now=after(1))
    assert sorted((await figures(journal)).rungs, key=lambda rung: rung.sends) == [
        RungCount(DEFAULT_LADDER, 0, 2, after(1), after(1), after(1)),
        RungCount(DEFAULT_LADDER, 1, 1, later(NOW, MINUTE), NOW, NOW),
    ]
    assert (await figures(journal)).oldest_pending == NOW


async def test_one_that_is_being_sent_is_the_oldest_too(journal: SqlJournal) -> None:
    await take(journal, 1)
    claimed = await claim_one(journal)
    await take(journal, 2, now=after(5))
    found = await figures(journal)
    assert (found.sending, found.oldest_pending) == (1, NOW)
    assert [rung.count for rung in found.rungs] == [1]
    await settle(journal, claimed, builders.APPROVED)
    found = await figures(journal)
    assert (found.sending, found.oldest_pending) == (0, after(5))


async def test_what_rests_by_cause(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 2, now=after(1))
    await take(journal, 3, serial="VAL00043")
    await fail_for_good(journal, SILENCE)
    cause = f"system.41@{builders.TERMINAL}"
    found = {(rest.state, rest.cause): rest for rest in (await figures(journal)).resting}
    assert found["held", cause] == RestCount("held", cause, 2, NOW)
    assert [state for state, _ in found] == ["held", "permanently_failed"]
    assert (await figures(journal)).oldest_pending is None


async def test_mails_that_wait(journal: SqlJournal) -> None:
    await take(journal, 1)
    await fail_for_good(journal)
    closes_at = await journal.next_mail()
    assert closes_at is not None
    await journal.close_windows(closes_at, closer(closes_at))
    found = await figures(journal)
    assert (found.mails_waiting, found.oldest_mail) == (1, closes_at)
    (mail,) = await journal.mails_due(closes_at, 10)
    await journal.mail_accepted(mail.id, closes_at)
    found = await figures(journal)
    assert (found.mails_waiting, found.oldest_mail) == (0, None)


@pytest.mark.parametrize("page_rows", [1, 2, 3, 7, 1000])
async def test_pages_of_any_size_count_the_same(engine: Engine, page_rows: int) -> None:
    journal = await engine.open()
    await take_many(journal, range(1, 6))
    for claimed in await journal.claim(NOW, 3):
        await settle(journal, claimed, UNAVAILABLE)
    await take(journal, 20, serial="VAL00099", now=after(1))
    claims = await journal.claim(after(1), 1)
    await settle(journal, claims[0], TERMINAL_REFUSED)
    await take_many(journal, range(30, 37), now=after(2))
    whole = await figures(journal)
    await journal.close()
    async with engine.looked_at() as view:
        paged = await JournalNumbers(view, page_rows).now()
    assert {(rung.sends, rung.count, rung.next_due) for rung in paged.rungs} == {
        (rung.sends, rung.count, rung.next_due) for rung in whole.rungs
    }
    assert set(paged.resting) == set(whole.resting)
    assert sum(rung.count for rung in paged.rungs) + sum(rest.count for rest in paged.resting) == 13


async def test_a_released_row_is_no_late_one(journal: SqlJournal) -> None:
    await take(journal, 1)
    await fail_for_good(journal)
    before = await figures(journal)
    assert before.rungs == ()
    due = Micros(NOW + 90 * 60 * MINUTE)

    def release(connection: object) -> None:
        connection.execute(  # type: ignore[attr-defined]
            "UPDATE authorisation SET state = 'pending', due = ?, release = 2, sends = 0, ran_rested = NULL", (due,)
        )

    await journal._writer.write(release)
    assert (await figures(journal)).rungs == (RungCount(DEFAULT_LADDER, 0, 1, due, NOW, None),)


async def test_the_pulse_tells_of_commits_that_wrote(journal: SqlJournal) -> None:
    seconds: list[float] = []
    journal.pulse.on_commit = seconds.append
    await take(journal, 1)
    assert len(seconds) == 1
    assert seconds[0] > 0
    assert await journal.claim(Micros(1), 1) == []
    assert len(seconds) == 1
    assert journal.pulse.trouble is None


@pytest.mark.parametrize("page_rows", [1, 2, 1000])
async def test_what_waits_by_lane(journal: SqlJournal, page_rows: int) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 2, now=after(1))
    await take_many(journal, [3, 4], serial="VAL00043", now=after(2))
    await take(journal, 5, serial="VAL00044", now=after(3))
    numbers = JournalNumbers(journal._writer, page_rows)
    assert await numbers.by_lane() == {"gate-1": LaneWaits(pending=3, held=2, oldest=after(2))}


async def test_nothing_waits(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, builders.APPROVED)
    assert await journal.numbers.by_lane() == {}
