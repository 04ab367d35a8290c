"""What a report counts: each tap once, each transaction's money once, in pages of any size and in any span."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar
from uuid import uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NOW,
    SILENCE,
    UNAVAILABLE,
    after,
    fail_for_good,
    send,
    take,
    take_many,
)
from tests.store.engines import Engine
from tests.store.passengers import (
    PARTLY,
    answer,
    check_in,
    check_out,
    journey_of,
    order_check_out,
    order_refund,
    pay,
    rider,
    sent,
)
from tests.store.returning import covered
from tpsd.core.answering import Policy
from tpsd.core.reporting import Tally
from tpsd.domain.authorisation import State
from tpsd.domain.reported import Column, Counted, Line
from tpsd.domain.tap import Disposition
from tpsd.domain.time import DAY, Micros
from tpsd.store.connection import Connection
from tpsd.store.journal import SqlJournal
from tpsd.store.reporting import Counts

T = TypeVar("T")


async def counted(counts: Counts, since: Micros | None = None, until: Micros | None = None) -> list[Counted]:
    return [one async for some in counts.between(since, until) for one in some]


async def total(journal: SqlJournal) -> Line:
    """Of everything, in the only currency."""
    tally = Tally((Column.KIND,), str)
    tally.add(await counted(journal.counts))
    (line,) = tally.report(None, None).totals.values()
    assert line.taps + line.untapped == sum(line.outcomes.values())
    return line


async def money(journal: SqlJournal) -> dict[str, int]:
    return {name: amount for name, amount in asdict((await total(journal)).money).items() if amount}


async def test_an_empty_journal(journal: SqlJournal) -> None:
    assert await counted(journal.counts) == []


async def test_transit_taps(journal: SqlJournal) -> None:
    for counter, exchange in enumerate((APPROVED, DECLINED, UNAVAILABLE), start=1):
        await take(journal, counter, now=after(counter))
        await send(journal, exchange, after(counter))
    await take(journal, 4, fault="noise", amount=None)
    found = await counted(journal.counts)
    assert [(one.reason, one.disposition) for one in found if one.state is None] == [
        ("malformed", Disposition.REJECTED)
    ]
    assert {one.cause: one.state for one in found if one.state is not None} == {
        "action.000": State.APPROVED,
        "action.116": State.DECLINED,
        "http.503": State.PENDING,
    }


async def test_what_is_given_back_in_part(journal: SqlJournal) -> None:
    await pay(journal, APPROVED)
    await answer(journal, sent(await order_refund(journal, "1", 100)), APPROVED)
    await answer(journal, sent(await order_refund(journal, "1", 50)), SILENCE)
    found = await total(journal)
    assert (found.taps, found.untapped) == (1, 2)
    assert await money(journal) == {"charged": 320, "refunded": 100, "refunds_in_doubt": 50}


async def test_a_partial_approval_counts_what_was_approved(journal: SqlJournal) -> None:
    await pay(journal, PARTLY, policy=Policy(partial_accepted=True))
    assert await money(journal) == {"charged": 200}


async def test_a_journey_counts_what_was_captured(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    assert await money(journal) == {"held": 500}
    await check_out(journal, 2, SILENCE)
    assert await money(journal) == {"held": 500, "waiting": 320}
    await check_out(journal, 3)
    assert await money(journal) == {"charged": 320}
    assert (await total(journal)).outcomes == {"approved": 2, "tapped again": 1}


async def test_a_check_out_by_hand_counts_once(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await answer(journal, sent(await order_check_out(journal, "1", 310)), APPROVED)
    found = await total(journal)
    assert (found.taps, found.untapped, found.money.charged, found.money.held) == (1, 1, 310, 0)


async def test_a_release_gives_back_what_was_held(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await answer(journal, sent(await order_check_out(journal, "1", 0, release=True)), APPROVED)
    assert (await journey_of(journal)).state == "closed"
    assert await money(journal) == {"released": 500}


async def test_an_earlier_payment_that_paid_for_a_later_tap_counts_once(journal: SqlJournal) -> None:
    await covered(journal)
    found = await total(journal)
    assert (found.taps, found.untapped, found.outcomes) == (2, 0, {"approved": 1, "tapped again": 1})
    assert found.money.charged == 500


async def test_what_nobody_knows(journal: SqlJournal) -> None:
    await take(journal, 1)
    await fail_for_good(journal)
    await pay(journal, SILENCE, 2)
    assert await money(journal) == {"waiting": 250, "in_doubt": 320}


@pytest.mark.parametrize("page_rows", [1, 2, 3, 100])
async def test_pages_of_any_size_count_the_same(engine: Engine, journal: SqlJournal, page_rows: int) -> None:
    for number in range(1, 4):
        at = {**rider(number), "now": after(10 * number)}
        await check_in(journal, 10 * number, **at)
        await check_out(journal, 10 * number + 1, **at)
        await answer(journal, sent(await order_refund(journal, f"VAL00043:3:{10 * number + 1}", 100)), APPROVED)
    await take_many(journal, range(100, 105))
    whole = await counted(journal.counts)
    assert len(whole) == 14
    await journal.close()
    async with engine.looked_at() as view:
        assert sorted(map(str, await counted(Counts(view, page_rows)))) == sorted(map(str, whole))


class Reads:
    """A journal's reads, counted."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal
        self.count = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.count += 1
        return await self._journal._writer.read(work)


async def test_a_span_takes_what_was_tapped_in_it_however_late_it_came(journal: SqlJournal) -> None:
    days = [Micros(NOW + day * DAY) for day in range(4)]
    for counter, day in enumerate(days, start=1):
        await take(journal, counter, tapped_at=day, received_at=day, now=day)
    await take(journal, 9, tapped_at=days[1], received_at=Micros(days[3] + 1), now=days[3])  # stored for two days
    spans = [(None, None, 5), (days[1], days[2], 2), (days[1], None, 4), (None, days[1], 1), (days[3], None, 1),
             (Micros(days[3] + DAY), None, 0)]  # fmt: skip
    for since, until, count in spans:
        for page_rows in (1, 2, 100):
            assert len(await counted(Counts(journal._writer, page_rows), since, until)) == count, (since, until)


async def test_a_refund_counts_on_its_own_day(journal: SqlJournal) -> None:
    await pay(journal, APPROVED)
    tomorrow = Micros(NOW + DAY)
    await answer(journal, sent(await order_refund(journal, "1", 100, now=tomorrow)), APPROVED, now=tomorrow)
    assert [one.kind for one in await counted(journal.counts, tomorrow)] == ["RETAIL_REFUND"]
    assert [one.kind for one in await counted(journal.counts, None, tomorrow)] == ["RETAIL_PAYMENT"]


async def test_the_walk_ends_with_what_was_received_before(journal: SqlJournal) -> None:
    for day in range(20):
        at = Micros(NOW + day * DAY)
        await take(journal, day + 1, tapped_at=at, received_at=at, now=at, uuid=uuid4())
    reads = Reads(journal)
    assert len(await counted(Counts(reads, 1), Micros(NOW + 18 * DAY))) == 2
    assert reads.count <= 6, "two in it, those that a slow clock could hide, and the followers"


async def test_taps_of_a_life_without_a_clock_do_not_end_the_walk(journal: SqlJournal) -> None:
    await take(journal, 1)
    for counter in range(2, 6):
        await take(journal, counter, tapped_at=after(counter), received_at=after(counter))
    await journal._writer.write(
        lambda connection: (
            connection.execute(
                "UPDATE tap SET clock_life = 'x', received_at = 5000000, tapped_at = 4000000 WHERE id > 1"
            )
            and None
        )
    )
    found = await counted(Counts(journal._writer, 1), NOW)
    assert [one.at for one in found] == [NOW]
