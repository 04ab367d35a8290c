"""What the journal remembers of lanes: closed by hand, and the device each had last."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.builders import NOW, after
from tests.store.engines import Engine
from tpsd.core.notices import Totals, cause_key
from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.domain.notice import Episode, NoticeDraft, NoticeKind, NoticeRow
from tpsd.ports import WindowPlan
from tpsd.store.journal import SqlJournal

CLOSED = LaneClosed("ops", NOW, "the lock sticks")
BY_OPS = AuditDraft(NOW, "ops", "close lane", "the lock sticks")
CAUSE = cause_key(NoticeKind.ALARM, "device", "door-1")
OTHER = NoticeDraft(NoticeKind.ALARM, CAUSE, "lane door-1 has another device")


async def test_a_lane_stays_closed_until_it_is_opened_over_every_restart(engine: Engine) -> None:
    journal = await engine.open()
    await journal.lanes.close("door-1", CLOSED, BY_OPS)
    await journal.close()
    journal = await engine.open()
    assert await journal.lanes.closed() == {"door-1": CLOSED}
    await journal.lanes.open("door-1", BY_OPS)
    assert await journal.lanes.closed() == {}
    await journal.close()


async def test_a_lanes_device_is_remembered_and_another_is_told_in_the_same_commit(engine: Engine) -> None:
    journal = await engine.open()
    assert await journal.lanes.devices() == {}
    await journal.lanes.fitted("door-1", "VAL00001", None, NOW)
    await journal.lanes.fitted("dóor/2", "VAL00002", None, NOW)
    await journal.close()
    journal = await engine.open()
    assert await journal.lanes.devices() == {"door-1": "VAL00001", "dóor/2": "VAL00002"}
    assert await told(journal) == []
    await journal.lanes.fitted("door-1", "VAL00009", OTHER, NOW)
    assert (await journal.lanes.devices())["door-1"] == "VAL00009"
    assert await told(journal) == [CAUSE]
    assert await journal.lanes.closed() == {}, "one row of meta is not another's"
    await journal.close()


async def told(journal: SqlJournal) -> list[str]:
    """The causes of the windows that a minute closes."""
    causes: list[str] = []

    def look(episode: Episode, _rows: Sequence[NoticeRow], _totals: Totals) -> WindowPlan:
        causes.append(episode.cause)
        return WindowPlan(None, None)

    await journal.close_windows(after(61), look)
    return causes
