"""Lanes that people closed, as the journal keeps them."""

from __future__ import annotations

from tests.store.builders import NOW, after
from tests.store.engines import Engine
from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.store.journal import SqlJournal

BROKEN = LaneClosed("alice (1000)", NOW, "the door is broken")
CLEANED = LaneClosed("bob (1001)", after(60), "is cleaned")


def order(what: str, by: LaneClosed) -> AuditDraft:
    return AuditDraft(by.at, by.who, what, by.why)


async def test_a_closed_lane_stays_closed_until_it_is_opened(engine: Engine, journal: SqlJournal) -> None:
    await journal.lanes.close("front", BROKEN, order("lane close", BROKEN))
    await journal.lanes.close("rear", CLEANED, order("lane close", CLEANED))
    again = await engine.after_sigkill().open()
    assert await again.lanes.closed() == {"front": BROKEN, "rear": CLEANED}
    await again.lanes.open("front", order("lane open", CLEANED))
    assert await again.lanes.closed() == {"rear": CLEANED}
    await again.close()


async def test_the_last_who_closed_it_is_named(journal: SqlJournal) -> None:
    for by in (BROKEN, CLEANED):
        await journal.lanes.close("front", by, order("lane close", by))
    assert await journal.lanes.closed() == {"front": CLEANED}
    assert str(CLEANED) == "by bob (1001): is cleaned"


async def test_each_order_is_written_down_one_that_changed_nothing_too(journal: SqlJournal) -> None:
    await journal.lanes.open("front", order("lane open", CLEANED))
    await journal.lanes.close("front", BROKEN, order("lane close", BROKEN))
    rows = await journal.operations.audited(10)
    assert [(row.who, row.what, row.subject, row.why) for row in rows] == [
        (BROKEN.who, "lane close", "front", BROKEN.why),
        (CLEANED.who, "lane open", "front", CLEANED.why),
    ]


async def test_a_lane_may_have_any_name(journal: SqlJournal) -> None:
    for name in ("lane_closed/front", "ä", "a'b", "%", "_"):
        await journal.lanes.close(name, BROKEN, order("lane close", BROKEN))
    assert set(await journal.lanes.closed()) == {"lane_closed/front", "ä", "a'b", "%", "_"}
    await journal.lanes.open("_", order("lane open", BROKEN))
    assert set(await journal.lanes.closed()) == {"lane_closed/front", "ä", "a'b", "%"}
