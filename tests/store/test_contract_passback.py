"""Pass-back over the journal: the card's accepted taps of the group, by the times of the taps."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.intake_taps import told_of
from tests.store.builders import (
    DECLINED,
    LANE,
    MASTERCARD,
    SILENCE,
    TAP_REFUSED,
    after,
    candidate,
    card,
    report,
    send,
    take,
)
from tests.store.engines import Engine
from tpsd.core.intake import LanePolicy, decide
from tpsd.core.passback import PassBack
from tpsd.domain.tap import Shown
from tpsd.domain.time import SECOND
from tpsd.ports import Journal

RULE = PassBack(10 * SECOND, 60 * SECOND)
GATE = replace(LANE, pass_back=RULE)


async def tap(journal: Journal, counter: int, seconds: float, lane: LanePolicy = GATE, **fields: Any) -> str:
    """The reason of a tap so many seconds after NOW by its own time; it arrives when its counter says."""
    given = report(counter, tapped_at=after(seconds), received_at=after(100_000 + counter), **fields)
    return told_of(await journal.take(candidate(journal, given, lane), decide, after(100_000 + counter))).reason


async def test_again_refused_and_new_by_the_times_of_the_taps(journal: Journal) -> None:
    assert [await tap(journal, number, seconds) for number, seconds in enumerate((0, 10, 60, 60.001), start=1)] == [
        "ok",
        "repeat",
        "pass_back",
        "ok",
    ]
    totals = await journal.totals()
    assert totals.states == {"pending": 2}
    assert totals.dispositions == {"repeat": 1, "denied": 1}
    assert totals.verdicts == {"accepted": 2, "already_tapped": 1, "denied": 1}


async def test_only_accepted_taps_begin_a_new_time(journal: Journal) -> None:
    for counter, seconds in enumerate((0, 5, 30, 55, 59), start=1):
        await tap(journal, counter, seconds)
    assert await tap(journal, 9, 61) == "ok"
    assert await tap(journal, 10, 65) == "repeat"


async def test_a_tap_that_arrives_late_is_judged_by_when_it_was_made(journal: Journal) -> None:
    assert await tap(journal, 1, 1000) == "ok"
    assert await tap(journal, 2, 995) == "repeat"
    assert await tap(journal, 3, 950) == "pass_back"
    assert await tap(journal, 4, 900) == "ok"
    assert await tap(journal, 5, 905) == "repeat"
    assert await tap(journal, 6, 955) == "pass_back"


async def test_the_same_tap_sent_again_is_no_pass_back(journal: Journal) -> None:
    assert await tap(journal, 1, 0) == "ok"
    assert await tap(journal, 1, 0) == "ok"
    assert await tap(journal, 2, 5) == "repeat"
    assert await tap(journal, 2, 5) == "repeat"
    assert (await journal.totals()).taps == 2


async def test_another_card_or_a_card_nobody_knows_is_not_concerned(journal: Journal) -> None:
    assert await tap(journal, 1, 0) == "ok"
    assert await tap(journal, 2, 1, card=card(MASTERCARD)) == "ok"
    assert await tap(journal, 3, 2, card=(card()[0],), token=None) == "no_card_data"


async def test_a_group_rides_on_one_card(journal: Journal) -> None:
    lane = replace(GATE, pass_back=replace(RULE, group_size=2))
    told = [await tap(journal, number, number, lane) for number in range(1, 6)]
    assert told == ["ok", "ok", "ok", "repeat", "repeat"]
    assert await tap(journal, 9, 20, lane) == "pass_back"
    assert (await journal.totals()).states == {"pending": 3}


async def test_lanes_of_a_group_share_it_and_others_do_not(journal: Journal) -> None:
    entrance, exit_, elsewhere = (
        replace(GATE, name="in", pass_group="hall"),
        replace(GATE, name="out", pass_group="hall"),
        replace(GATE, name="elsewhere"),
    )
    assert await tap(journal, 1, 0, entrance) == "ok"
    assert await tap(journal, 2, 5, elsewhere) == "ok"
    assert await tap(journal, 3, 5, exit_) == "repeat"
    assert await tap(journal, 4, 30, replace(exit_, pass_back=PassBack())) == "ok"
    assert await tap(journal, 5, 70, exit_) == "pass_back"


async def test_who_was_turned_away_after_all_may_tap_again(journal: Journal) -> None:
    assert await tap(journal, 1, 0) == "ok"
    assert await tap(journal, 1, 0, shown=Shown.TURNED_AWAY) == "ok"
    assert await tap(journal, 2, 5) == "ok"
    assert (await journal.totals()).states == {"not_charged": 1, "pending": 1}


async def test_who_was_let_in_counts(journal: Journal) -> None:
    assert await tap(journal, 1, 0, card=card(expiry="2001"), shown=Shown.LET_IN) == "let_in"
    assert await tap(journal, 2, 5) == "repeat"
    assert await tap(journal, 3, 6, shown=Shown.LET_IN) == "let_in"
    assert (await journal.totals()).states == {"pending": 2}


async def test_a_repeat_that_was_let_in_meanwhile_is_sent(journal: Journal) -> None:
    assert await tap(journal, 1, 0) == "ok"
    assert await tap(journal, 2, 5) == "repeat"
    assert await tap(journal, 2, 5, shown=Shown.LET_IN) == "repeat"
    assert (await journal.totals()).states == {"pending": 2}


async def test_a_decline_at_tps_changes_nothing_at_the_gate(journal: Journal) -> None:
    assert await tap(journal, 1, 0) == "ok"
    await send(journal, DECLINED, after(100_001))
    assert await tap(journal, 2, 5) == "repeat"


async def test_never_while_a_row_of_the_card_is_in_doubt(journal: Journal) -> None:
    await take(journal, 1)
    due = (await send(journal, SILENCE)).due
    assert due is not None
    await send(journal, TAP_REFUSED, due)
    assert (await journal.totals()).states == {"in_doubt": 1}
    assert await tap(journal, 2, 5) == "ok"
    assert await tap(journal, 3, 6) == "ok"
    assert await tap(journal, 4, 6, card=card(MASTERCARD)) == "ok"
    assert await tap(journal, 5, 7, card=card(MASTERCARD)) == "repeat"


async def test_it_survives_a_restart(engine: Engine) -> None:
    journal = await engine.open()
    assert await tap(journal, 1, 0) == "ok"
    left = engine.after_sigkill()
    await journal.close()
    again = await left.open()
    try:
        assert await tap(again, 2, 5) == "repeat"
        assert await tap(again, 3, 15) == "pass_back"
    finally:
        await again.close()


@pytest.mark.parametrize("count", [3, 300])
async def test_many_at_once_leave_one_that_counts(journal: Journal, count: int) -> None:
    told = await asyncio.gather(*(tap(journal, number, number / 1000) for number in range(1, count + 1)))
    assert sorted(told) == ["ok"] + ["repeat"] * (count - 1)
