"""Outages in the journal: what a restart finds, who is told, and how what waited is spread after one."""

from __future__ import annotations

import math
from dataclasses import replace
from uuid import UUID

import pytest

from tests.store.builders import (
    NO_CONNECTION,
    NOW,
    UNAVAILABLE,
    after,
    candidate,
    claim_one,
    closer,
    crashed,
    crashed_asked,
    outcome_of,
    report,
    send,
    take,
)
from tests.store.engines import Engine
from tpsd.core.intake import decide
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.uplink import Outage, Spread, put_back, spread_due
from tpsd.domain.authorisation import Claimed, Progress
from tpsd.domain.outcome import NotSent
from tpsd.domain.tap import Shown
from tpsd.domain.time import SECOND, Micros
from tpsd.domain.views import TapFilter
from tpsd.ports import Journal
from tpsd.store.outages import SPREAD_SLICE

HOST = "tps.example"
SPREAD = Spread(300 * SECOND, b"one draw")
ENDED = after(3600)
ROUNDS = 20  # calls of claim in which a spread of this file's size is surely over


async def take_of(journal: Journal, terminals: int, each: int, *, seconds: float = 0) -> None:
    """``each`` taps of so many terminals, a second apart from ``seconds`` on."""
    for number in range(each):
        for terminal in range(1, terminals + 1):
            counter = int(seconds) * 1000 + number * terminals + terminal
            tap = report(counter, serial=f"VAL{terminal:05d}", content=b" %d" % counter)
            await journal.take(candidate(journal, tap), decide, after(seconds + number))


async def outage(journal: Journal, spread: Spread | None = SPREAD, *, told: bool = False) -> None:
    """One that began now and is over an hour later."""
    await journal.outages.begin(HOST, NOW)
    if told:
        await journal.outages.tell(HOST, after(1800))
    await journal.outages.end(HOST, ENDED, spread)


async def spread_all(journal: Journal, now: Micros = ENDED) -> list[Claimed]:
    """Claims until there is something; the spread's slices come first."""
    for _ in range(ROUNDS):
        claims = list(await journal.claim(now, 1000))
        if claims:
            return claims
    return []


async def dues(journal: Journal) -> dict[int, int | None]:
    return {row.number: row.due for row in await journal.taps(TapFilter(limit=10_000))}


async def subjects(journal: Journal, now: Micros) -> list[str]:
    """What is mailed by then."""
    await journal.close_windows(now, closer(now))
    return [mail.message_id.partition("-")[0].lstrip("<") for mail in await journal.mails_due(now, 100)]


# --- beginning, telling, ending


async def test_a_new_journal_knows_of_no_outage(journal: Journal) -> None:
    assert await journal.outages.unfinished(HOST) is None


async def test_an_outage_is_remembered_until_its_end(engine: Engine, journal: Journal) -> None:
    await journal.outages.begin(HOST, NOW)
    again = await engine.after_sigkill().open()
    assert await again.outages.unfinished(HOST) == Outage(NOW, told=False)
    await again.outages.tell(HOST, after(1800))
    assert await again.outages.unfinished(HOST) == Outage(NOW, told=True)
    await again.outages.end(HOST, ENDED, None)
    assert await again.outages.unfinished(HOST) is None
    await again.close()


async def test_beginning_twice_keeps_the_first(journal: Journal) -> None:
    await journal.outages.begin(HOST, NOW)
    await journal.outages.tell(HOST, after(1800))
    await journal.outages.begin(HOST, after(60))
    assert await journal.outages.unfinished(HOST) == Outage(NOW, told=True)


async def test_another_hosts_outage_is_forgotten(journal: Journal) -> None:
    await journal.outages.begin("old.example", NOW)
    assert await journal.outages.unfinished(HOST) is None
    assert await journal.outages.unfinished("old.example") is None


async def test_an_outage_that_follows_at_once_is_a_new_one(journal: Journal) -> None:
    await outage(journal, told=True)
    await journal.outages.begin(HOST, after(3601))
    assert await journal.outages.unfinished(HOST) == Outage(after(3601), told=False)


async def test_it_is_told_once_with_what_waits(engine: Engine, journal: Journal) -> None:
    await take_of(journal, 3, 1)
    await journal.outages.begin(HOST, NOW)
    assert await journal.outages.tell(HOST, after(1800))
    assert not await journal.outages.tell(HOST, after(1801))
    again = await engine.after_sigkill().open()
    assert not await again.outages.tell(HOST, after(1802))
    assert await subjects(again, after(1900)) == [f"outage/unreachable@{HOST}"]
    await again.close()


async def test_the_end_is_told_where_the_beginning_was(journal: Journal) -> None:
    await journal.outages.begin(HOST, NOW)
    await journal.outages.tell(HOST, after(1800))
    assert await journal.outages.end(HOST, ENDED, None)
    assert await subjects(journal, after(1900)) == [f"outage/unreachable@{HOST}"]
    assert await subjects(journal, after(3700)) == [f"outage/{word}@{HOST}" for word in ("unreachable", "reachable")]


async def test_a_short_outage_is_nobodys_news(journal: Journal) -> None:
    await journal.outages.begin(HOST, NOW)
    assert not await journal.outages.end(HOST, after(600), SPREAD)
    assert await journal.next_mail() is None


async def test_telling_or_ending_what_never_began_changes_nothing(journal: Journal) -> None:
    assert not await journal.outages.tell(HOST, NOW)
    assert not await journal.outages.end(HOST, NOW, SPREAD)
    await take(journal)
    assert (await claim_one(journal)).number == 1


# --- rows that go back


async def test_a_row_that_goes_back_keeps_its_rung(journal: Journal) -> None:
    await take(journal)
    await send(journal, UNAVAILABLE)
    for number in (2, 3, 4):
        claimed = await claim_one(journal, after(60 + number))
        assert (claimed.number, claimed.progress) == (number, Progress(2, True, DEFAULT_LADDER))
        outcome, _ = outcome_of(claimed, NO_CONNECTION)
        await journal.settle(claimed, outcome, put_back(claimed, outcome), after(70 + number))
        row = (await journal.story("1")).tap
        assert (row.state, row.cause, row.due, row.attempts) == ("pending", "connect", after(60 + number), number)
    story = await journal.story("1")
    assert [attempt.outcome for attempt in story.attempts[1:]] == ["not_sent"] * 3
    assert story.body_kept
    settlement = await send(journal, UNAVAILABLE, after(100))
    assert settlement.due == after(160), "the second send of the ladder is used only now"


async def test_only_what_has_waited_too_long_is_claimed_while_the_host_is_down(journal: Journal) -> None:
    for counter, seconds in ((1, 0), (2, 10), (3, 20)):
        await take(journal, counter, now=after(seconds), uuid=UUID(int=counter))
    assert await journal.claim(after(100), 10, after(-1)) == []
    old = await journal.claim(after(100), 10, after(10))
    assert [claimed.uuid.int for claimed in old] == [1, 2]
    assert await journal.claim(after(100), 10, after(10)) == []
    assert [claimed.uuid.int for claimed in await journal.claim(after(100), 10)] == [3]


async def test_a_claim_of_what_waited_too_long_is_like_any_other(journal: Journal) -> None:
    await take(journal, 1, uuid=UUID(int=1))
    await take(journal, 2, uuid=UUID(int=2))
    (plain,) = await journal.claim(NOW, 1)
    (old,) = await journal.claim(NOW, 1, NOW)
    assert replace(old, uuid=plain.uuid, body=plain.body, path=plain.path) == plain
    assert await journal.claim(after(-1), 10, NOW) == [], "not before it is due"


# --- the spread


async def test_first_sends_that_waited_are_spread_by_terminal(journal: Journal) -> None:
    await take_of(journal, 8, 5)
    await outage(journal)
    assert await spread_all(journal) == []
    moved = [due for due in (await dues(journal)).values() if due is not None]
    assert len(moved) == len(set(moved)) == 40
    assert all(ENDED < due <= ENDED + SPREAD.over_us + 40 for due in moved)
    starts = sorted(spread_due(SPREAD, f"GATE-X1:VAL{number:05d}", ENDED, 0) for number in range(1, 9))
    assert sorted({max(start for start in starts if start <= due) for due in moved}) == starts
    assert await journal.next_due() == min(moved)
    assert len(await journal.claim(Micros(starts[0] + 40), 1000)) == 5


async def test_a_terminals_taps_stay_in_order(journal: Journal) -> None:
    await take_of(journal, 2, 30)
    await outage(journal)
    await spread_all(journal)
    by_row = await dues(journal)
    for terminal in (1, 2):
        mine = [by_row[number] for number in range(terminal, 61, 2)]
        assert mine == sorted(mine, key=lambda due: due or 0)


async def test_what_was_sent_before_is_not_spread(journal: Journal) -> None:
    await take(journal)
    await send(journal, UNAVAILABLE)
    await outage(journal)
    (claimed,) = await spread_all(journal)
    assert claimed.number == 2


async def test_a_tap_made_after_the_end_does_not_wait(journal: Journal) -> None:
    await take_of(journal, 3, 1)
    await outage(journal)
    await take(journal, 99, now=after(3601), uuid=UUID(int=99))
    assert [claimed.uuid.int for claimed in await spread_all(journal, after(3601))] == [99]


async def test_no_spread_is_no_delay(journal: Journal) -> None:
    await take_of(journal, 3, 1)
    await outage(journal, None)
    assert len(await journal.claim(ENDED, 1000)) == 3


@pytest.mark.parametrize("rows", [SPREAD_SLICE - 1, SPREAD_SLICE, SPREAD_SLICE + 1, 3 * SPREAD_SLICE + 7])
async def test_nothing_is_claimed_before_everything_has_its_time(journal: Journal, rows: int) -> None:
    await take_of(journal, rows, 1)
    await outage(journal)
    rounds = 0
    while await journal.next_due() == NOW:
        assert await journal.claim(ENDED, 1000) == []
        rounds += 1
        assert rounds < ROUNDS
    assert rounds == math.ceil(rows / SPREAD_SLICE)
    assert all(due is not None and due > ENDED for due in (await dues(journal)).values())
    claimed: set[UUID] = set()
    while claims := await journal.claim(Micros(ENDED + SPREAD.over_us + rows), 400):
        claimed |= {one.uuid for one in claims}
    assert len(claimed) == rows


async def test_a_restart_in_the_middle_goes_on_with_the_same_draw(engine: Engine, journal: Journal) -> None:
    await take_of(journal, 300, 1)
    await outage(journal)
    assert await journal.claim(ENDED, 1000) == []
    again = await engine.after_sigkill().open()
    await again.recover(ENDED, ["common"], crashed, crashed_asked)
    assert await spread_all(again) == []
    before, then = await dues(journal), await dues(again)
    done = {number for number, due in before.items() if due != NOW}
    assert len(done) == SPREAD_SLICE
    assert all(then[number] == before[number] for number in done)
    for number in set(then) - done:
        start = spread_due(SPREAD, f"GATE-X1:VAL{number:05d}", ENDED, 0)
        assert 0 <= (then[number] or 0) - start < 300
    await again.close()


async def test_a_restart_after_the_spread_keeps_its_times(journal: Journal) -> None:
    await take_of(journal, 20, 1)
    await outage(journal)
    await spread_all(journal)
    before = await dues(journal)
    assert (await journal.recover(ENDED, ["common"], crashed, crashed_asked))["due_times_pulled"] == 0
    assert await dues(journal) == before


async def test_what_waits_again_is_spread_again(journal: Journal) -> None:
    await take_of(journal, 4, 1)
    await outage(journal)
    await spread_all(journal)
    await journal.outages.begin(HOST, after(3700))
    await journal.outages.end(HOST, after(8000), replace(SPREAD, seed=b"another "))
    assert await spread_all(journal, after(8000)) == []
    assert all(due is not None and due > after(8000) for due in (await dues(journal)).values())


async def test_a_row_that_went_back_counts_as_a_first_send(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    await journal.outages.begin(HOST, NOW)
    await journal.settle(claimed, NotSent("dns", clean=True), put_back(claimed, NotSent("dns", clean=True)), after(5))
    await journal.outages.end(HOST, ENDED, SPREAD)
    assert await spread_all(journal) == []
    due = (await dues(journal))[1]
    assert due == spread_due(SPREAD, claimed.terminal, ENDED, 0)
    (again,) = await journal.claim(Micros(due), 10)
    assert (again.number, again.progress.sends) == (2, 1)


async def test_a_tap_that_is_turned_away_while_it_waits_is_not_sent(journal: Journal) -> None:
    await take(journal)
    await outage(journal)
    await spread_all(journal)
    await take(journal, shown=Shown.TURNED_AWAY)
    assert await journal.claim(Micros(ENDED + SPREAD.over_us + 1), 10) == []
    assert (await journal.totals()).states == {"not_charged": 1}
