"""Holds: what joins them, the canaries that go for them, and what ends them."""

from __future__ import annotations

import pytest

from tests.store.builders import (
    NOW,
    SILENCE,
    TERMINAL,
    TERMINAL_REFUSED,
    after,
    crashed_asked,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.core.canary import settle_canary
from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Claimed
from tpsd.domain.outcome import Answer, Exchange, NoAnswer, Outcome
from tpsd.domain.time import MINUTE, Micros
from tpsd.store.journal import SqlJournal

FORBIDDEN = Answer(403)
CAUSE = f"http.403@{TERMINAL}"
QUARTER = after(15 * 60)


@pytest.fixture
async def held(journal: SqlJournal) -> SqlJournal:
    """One tap refused by something before TPS, and two that joined it."""
    await take(journal, 1)
    (claimed,) = await journal.claim(NOW, 10)
    await settle(journal, claimed, FORBIDDEN)
    await take(journal, 2, now=after(1))
    await take(journal, 3, now=after(2))
    return journal


def judged(claimed: Claimed, exchange: Exchange) -> tuple[Outcome, Settlement]:
    outcome = classify(exchange)
    assert claimed.cause is not None
    return outcome, settle_canary(
        claimed.progress,
        outcome,
        cause=claimed.cause,
        started_at=claimed.started_at,
        ended_at=claimed.started_at,
        jitter_draw=0.0,
        jitter_share=0.0,
        terminal=claimed.terminal,
    )


async def end(journal: SqlJournal, claimed: Claimed, exchange: Exchange) -> None:
    outcome, settlement = judged(claimed, exchange)
    await journal.settle(claimed, outcome, settlement, claimed.started_at)


async def state(journal: SqlJournal, number: int) -> tuple[str | None, str | None, int]:
    row = (await journal.story(str(number))).tap
    return row.state, row.cause, row.attempts


async def test_a_hold_is_listed_with_its_sum_and_next_canary(held: SqlJournal) -> None:
    (cause,) = await held.operations.held()
    assert (cause.cause, cause.count, cause.sums, cause.since) == (CAUSE, 3, {"978": 750}, NOW)
    assert (cause.holding, cause.canary_due) == (True, QUARTER)
    assert "canary" in cause.what_to_do
    assert await held.next_due() == QUARTER


async def test_no_canary_goes_early_and_one_goes_then_over_the_oldest_clean_row(held: SqlJournal) -> None:
    assert await held.claim(Micros(QUARTER - 1), 10) == []
    (canary,) = await held.claim(QUARTER, 10)
    assert (canary.reason, canary.cause, canary.number) == (AttemptReason.CANARY, CAUSE, 2)
    assert canary.body != b""
    assert canary.progress.sends == 1, "it is counted apart from the rungs"
    assert await held.claim(QUARTER, 10) == [], "one a cause"
    assert await held.next_due() == QUARTER + 15 * MINUTE


async def test_a_canary_goes_before_all_that_waits(held: SqlJournal) -> None:
    await take(held, 4, serial="VAL00043")
    reasons = [claimed.reason for _ in range(2) for claimed in await held.claim(QUARTER, 1)]
    assert reasons == [AttemptReason.CANARY, AttemptReason.LADDER]


async def test_new_taps_join_while_the_canary_is_under_way(journal: SqlJournal) -> None:
    await take(journal, 1)
    (claimed,) = await journal.claim(NOW, 10)
    await settle(journal, claimed, FORBIDDEN)
    (canary,) = await journal.claim(QUARTER, 10)
    await take(journal, 2, now=QUARTER)
    assert await state(journal, 2) == ("held", CAUSE, 0)
    await end(journal, canary, FORBIDDEN)
    assert await state(journal, 1) == ("held", CAUSE, 2)


async def test_a_bare_refusal_keeps_it_held_and_the_next_canary_may_be_the_same_row(held: SqlJournal) -> None:
    (canary,) = await held.claim(QUARTER, 10)
    await end(held, canary, Answer(407))
    assert await state(held, 1) == ("held", CAUSE, 2)
    (again,) = await held.claim(after(30 * 60), 10)
    assert (again.uuid, again.number) == (canary.uuid, 3)
    story = await held.story("1")
    assert [attempt.reason for attempt in story.attempts] == ["ladder", "canary", "canary"]


async def test_an_unknown_end_makes_it_unclean_and_the_next_goes_over_another(held: SqlJournal) -> None:
    (canary,) = await held.claim(QUARTER, 10)
    await end(held, canary, SILENCE)
    assert (await held.story("1")).tap.may_have_charged
    (other,) = await held.claim(after(30 * 60), 10)
    assert other.uuid != canary.uuid
    assert (await held.story("2")).tap.state == "sending"


async def test_where_no_row_is_clean_none_goes_and_the_hold_stays(held: SqlJournal) -> None:
    for quarter in (1, 2, 3):
        (canary,) = await held.claim(after(quarter * 15 * 60), 10)
        await end(held, canary, SILENCE)
    assert await held.claim(after(60 * 60), 10) == []
    (cause,) = await held.operations.held()
    assert (cause.count, cause.canary_due) == (3, after(75 * 60))
    await take(held, 4, now=after(61 * 60))
    (canary,) = await held.claim(after(75 * 60), 10)
    assert (await held.story("4")).tap.uuid == str(canary.uuid)


async def test_a_judged_canary_settles_by_its_own_outcome(held: SqlJournal) -> None:
    (canary,) = await held.claim(QUARTER, 10)
    await end(held, canary, Answer(200, action_code="000"))
    assert await state(held, 1) == ("approved", "action.000", 2)
    assert not (await held.story("1")).body_kept
    assert (await state(held, 2))[0] == "held", "the others are freed by whoever heeds it"


async def test_a_canary_told_to_come_again_starts_a_ladder_anew(held: SqlJournal) -> None:
    (canary,) = await held.claim(QUARTER, 10)
    await end(held, canary, Answer(503, system_code=86))
    (again,) = await held.claim(after(16 * 60), 10)
    assert (again.uuid, again.reason, again.progress.sends) == (canary.uuid, AttemptReason.LADDER, 1)
    story = await held.story("1")
    assert [(attempt.release, attempt.reason) for attempt in story.attempts] == [
        (1, "ladder"),
        (1, "canary"),
        (2, "ladder"),
    ]


async def test_a_canary_does_not_lengthen_the_time_its_body_rests(held: SqlJournal) -> None:
    await held.keep_house(29 * 24 * 60 * MINUTE)
    (canary,) = await held.claim(QUARTER, 10)
    await end(held, canary, FORBIDDEN)
    await held.keep_house(24 * 60 * MINUTE)
    assert not (await held.story("1")).body_kept


async def test_a_crash_under_a_canary_leaves_it_held_and_unclean(engine: Engine, held: SqlJournal) -> None:
    (canary,) = await held.claim(QUARTER, 10)
    copy = engine.after_sigkill()
    again = await copy.open()
    assert isinstance(again, SqlJournal)
    done = await again.recover(
        after(16 * 60), {"common"}, lambda claimed: judged(claimed, NoAnswer("crash")), crashed_asked
    )
    assert done["attempts_ended_unknown"] == 1
    row = (await again.story("1")).tap
    assert (row.uuid, row.state, row.cause, row.may_have_charged) == (str(canary.uuid), "held", CAUSE, True)
    (other,) = await again.claim(after(60 * 60), 10)
    assert other.uuid != canary.uuid
    await again.close()


async def test_after_a_start_a_canary_waits_no_longer_than_its_quarter(engine: Engine, held: SqlJournal) -> None:
    del held
    copy = engine.after_sigkill()
    again = await copy.open()
    earlier = after(-1e6)
    await again.recover(earlier, {"common"}, lambda claimed: judged(claimed, NoAnswer("crash")), crashed_asked)
    assert await again.next_due() == earlier + 15 * MINUTE
    await again.close()


async def test_no_canary_where_tps_itself_judged(journal: SqlJournal) -> None:
    await take(journal, 1)
    (claimed,) = await journal.claim(NOW, 10)
    await settle(journal, claimed, TERMINAL_REFUSED)
    (cause,) = await journal.operations.held()
    assert (cause.cause, cause.canary_due) == (f"system.41@{TERMINAL}", None)
    assert await journal.next_due() is None
    assert await journal.claim(after(1e6), 10) == []


async def test_a_hold_is_its_terminals_alone(held: SqlJournal) -> None:
    await take(held, 1, serial="VAL00043", content=b" elsewhere")
    (claimed,) = await held.claim(NOW, 10)
    assert claimed.terminal == "GATE-X1:VAL00043"


async def test_no_credential_is_a_hold_of_no_terminal(engine: Engine, journal: SqlJournal) -> None:
    await take_many(journal, [1, 2], credential="gate-9")
    await journal.recover(NOW, {"common"}, lambda claimed: judged(claimed, SILENCE), crashed_asked)
    (cause,) = await journal.operations.held()
    assert (cause.cause, cause.count, cause.canary_due) == ("no_credential", 2, None)
    await take(journal, 3)
    assert (await state(journal, 3))[0] == "pending"
    await journal.recover(NOW, {"common", "gate-9"}, lambda claimed: judged(claimed, SILENCE), crashed_asked)
    assert await journal.operations.held() == []
