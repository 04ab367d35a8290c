"""Rows in doubt: set aside at claim, asked about, back on the ladder, warned of before their bodies go."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NO_CONNECTION,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    claim_one,
    crashed,
    crashed_asked,
    fail_for_good,
    outcome_of,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tests.store.passengers import resolve
from tpsd.core.doubt import DoubtPolicy, judge_at_claim, with_enquiry
from tpsd.core.enquiry import CONTROL_US, ENQUIRIES, Conclusion, Heard, conclude, read
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.tap import Timing
from tpsd.domain.time import DAY, HOUR, MINUTE, Micros
from tpsd.doubts import Judge
from tpsd.ports import Journal
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import SqlJournal

ASKING = DoubtPolicy(36 * HOUR, enquires=True)
NOT_FOUND = Answer(404)
LATE = after(37 * 3600)


def judging(policy: DoubtPolicy, now: Micros) -> Judge:
    def judge(since: Micros) -> Settlement | None:
        return judge_at_claim(policy, since, now)

    return judge


async def in_doubt(journal: Journal, counter: int = 1, *, now: Micros = NOW, uuid: UUID | None = None) -> None:
    """A row refused after a silence, and to be asked about 60 s later."""
    await take(journal, counter, uuid=uuid, now=now)
    await send(journal, SILENCE, now)
    claimed = await claim_one(journal, Micros(now + MINUTE))
    outcome, settlement = outcome_of(claimed, TAP_REFUSED)
    asked = with_enquiry(ASKING, settlement, outcome, number=claimed.number, ended_at=now)
    await journal.settle(claimed, outcome, asked, now)


async def ask(journal: Journal, exchange: Exchange, now: Micros, *, believed: bool = False) -> Conclusion:
    """The only enquiry that is due, from claim to commit."""
    (enquired,) = await journal.doubts.claim(now, 10)
    heard = read(exchange)
    conclusion = conclude(enquired, heard, believed=believed, ended_at=now)
    assert await journal.doubts.conclude(enquired, heard, conclusion, now)
    return conclusion


async def ask_all(journal: Journal, last: Exchange, *, believed: bool = False) -> Conclusion:
    """All enquiries about the only row, the last answered with ``last``."""
    for _ in range(ENQUIRIES - 1):
        await ask(journal, UNAVAILABLE, await due(journal))
    return await ask(journal, last, await due(journal), believed=believed)


async def due(journal: Journal) -> Micros:
    found = await journal.doubts.next_due()
    assert found is not None
    return found


async def causes(journal: Journal, reference: str = "1") -> list[str]:
    return [notice.cause for notice in (await journal.story(reference)).notices]


def crash_at(now: Micros) -> Callable[[Enquired], tuple[Heard, Conclusion]]:
    def conclude_crash(enquired: Enquired) -> tuple[Heard, Conclusion]:
        heard = read(NoAnswer("crash"))
        return heard, conclude(enquired, heard, believed=False, ended_at=now)

    return conclude_crash


# --- the horizon ---


async def test_a_row_beyond_the_horizon_is_not_sent(journal: Journal) -> None:
    await take(journal)
    await send(journal, SILENCE)
    assert await journal.claim(LATE, 10, judge=judging(DoubtPolicy(36 * HOUR), LATE)) == []
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.due) == ("in_doubt", "horizon", None)
    assert (len(story.attempts), story.body_kept) == (1, True)
    assert await causes(journal) == ["in_doubt/horizon"]
    assert await journal.doubts.next_due() is None
    assert await journal.claim(LATE, 10) == []


async def test_with_an_enquiry_it_is_asked_about_and_nobody_is_told_yet(journal: Journal) -> None:
    await take(journal)
    await send(journal, SILENCE)
    assert await journal.claim(LATE, 10, judge=judging(ASKING, LATE)) == []
    assert await journal.doubts.next_due() == LATE + MINUTE
    assert await causes(journal) == []


async def test_what_cannot_have_charged_is_sent_however_old(journal: Journal) -> None:
    await take(journal)
    await send(journal, NO_CONNECTION)
    assert len(await journal.claim(LATE, 10, judge=judging(ASKING, LATE))) == 1


async def test_the_horizon_counts_from_the_first_send_that_may_have_charged(journal: Journal) -> None:
    await take(journal)
    await send(journal, NO_CONNECTION, NOW)
    await send(journal, SILENCE, after(60))
    just_within = after(60 + 36 * 3600)
    seen: list[Micros] = []
    assert await journal.claim(just_within, 10, judge=seen.append) != []
    assert seen == [after(60)]


async def test_others_in_the_same_claim_are_sent(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, SILENCE)
    await take(journal, 2, now=LATE)
    (claimed,) = await journal.claim(LATE, 10, judge=judging(ASKING, LATE))
    assert claimed.number == 1
    assert (await journal.totals()).states == {"in_doubt": 1, "sending": 1}


# --- enquiries ---


async def test_an_enquiry_is_an_attempt_of_its_own(journal: Journal) -> None:
    uuid = uuid4()
    await in_doubt(journal, uuid=uuid)
    assert await journal.doubts.claim(after(59), 10) == []
    (enquired,) = await journal.doubts.claim(after(60), 10)
    assert (enquired.uuid, enquired.number, enquired.nth) == (uuid, 3, 1)
    assert (enquired.state, enquired.timing, enquired.cause) == (State.IN_DOUBT, Timing.DEFERRED, "system.60")
    assert (enquired.terminal, enquired.body_kept, enquired.doubtful_since) == (TERMINAL, True, NOW)
    assert await journal.doubts.claim(after(1e6), 10) == [], "it is under way"
    assert await journal.doubts.next_due() is None
    attempt = (await journal.story("1")).attempts[-1]
    assert (attempt.number, attempt.reason, attempt.started_at, attempt.outcome) == (3, "enquiry", after(60), None)


@pytest.mark.parametrize(("exchange", "state"), [(APPROVED, "approved"), (DECLINED, "declined")])
async def test_a_definite_answer_ends_it(journal: Journal, exchange: Answer, state: str) -> None:
    await in_doubt(journal)
    await ask(journal, exchange, after(60))
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.body_kept) == (state, f"action.{exchange.action_code}", False)
    assert (story.attempts[-1].reason, story.attempts[-1].outcome) == ("enquiry", state)
    assert not story.attempts[-1].may_have_charged, "an enquiry moves no money"
    assert story.tap.may_have_charged
    assert await causes(journal) == []
    assert await journal.doubts.next_due() is None


async def test_five_enquiries_and_then_a_person(journal: Journal) -> None:
    await in_doubt(journal)
    at = []
    while (when := await journal.doubts.next_due()) is not None:
        at.append((when - NOW) / MINUTE)
        assert await causes(journal) == []
        await ask(journal, UNAVAILABLE, when)
    assert at == [1, 6, 11, 16, 21]
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.body_kept) == ("in_doubt", "system.60", True)
    assert [attempt.reason for attempt in story.attempts].count("enquiry") == 5
    assert await causes(journal) == ["in_doubt/system.60"]


async def test_not_found_and_believed_is_sent_again_with_the_same_bytes(journal: Journal) -> None:
    uuid = uuid4()
    await take(journal, uuid=uuid)
    first = await claim_one(journal)
    await settle(journal, first, SILENCE)
    claimed = await claim_one(journal, after(60))
    outcome, settlement = outcome_of(claimed, TAP_REFUSED)
    asked = with_enquiry(ASKING, settlement, outcome, number=2, ended_at=after(60))
    await journal.settle(claimed, outcome, asked, after(60))
    await ask_all(journal, NOT_FOUND, believed=True)
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.tap.may_have_charged) == ("pending", None, True)
    assert story.attempts[-1].outcome == "not_found"
    (again,) = await journal.claim(after(1e5), 10)
    assert (again.uuid, again.path, again.body) == (uuid, first.path, first.body)
    assert (again.reason, again.progress.sends, again.progress.may_have_charged) == (AttemptReason.LADDER, 1, True)
    assert (await journal.story("1")).attempts[-1].release == 2


async def test_what_tps_never_had_does_not_count_for_the_horizon(journal: Journal) -> None:
    await take(journal)
    await send(journal, SILENCE)
    await journal.claim(LATE, 10, judge=judging(ASKING, LATE))
    await ask_all(journal, NOT_FOUND, believed=True)
    later = Micros(LATE + HOUR)
    (claimed,) = await journal.claim(later, 10, judge=judging(ASKING, later))
    await settle(journal, claimed, SILENCE)
    much_later = Micros(later + 37 * HOUR)
    assert await journal.claim(much_later, 10, judge=judging(ASKING, much_later)) == [], "but what came after does"


async def test_not_found_and_not_believed_is_left_to_a_person(journal: Journal) -> None:
    await in_doubt(journal)
    await ask_all(journal, NOT_FOUND)
    story = await journal.story("1")
    assert (story.tap.state, story.attempts[-1].outcome, story.attempts[-1].cause) == (
        "in_doubt",
        "unknown",
        "http.404",
    )
    assert await causes(journal) == ["in_doubt/system.60"]


async def test_a_doubt_after_a_release_is_asked_about_anew(journal: Journal) -> None:
    await in_doubt(journal)
    await ask_all(journal, NOT_FOUND, believed=True)
    claimed = await claim_one(journal, after(1e5))
    outcome, settlement = outcome_of(claimed, TAP_REFUSED)
    asked = with_enquiry(ASKING, settlement, outcome, number=claimed.number, ended_at=after(1e5))
    await journal.settle(claimed, outcome, asked, after(1e5))
    (enquired,) = await journal.doubts.claim(after(1e5 + 60), 10)
    assert enquired.nth == 1


async def repeated(journal: Journal) -> None:
    """A row on the ladder whose resend was told that an earlier one arrived."""
    await take(journal)
    await send(journal, SILENCE)
    claimed = await claim_one(journal, after(60))
    outcome, settlement = outcome_of(claimed, Answer(409, system_code=303))
    asked = with_enquiry(ASKING, settlement, outcome, number=2, ended_at=after(60))
    await journal.settle(claimed, outcome, asked, after(60))


async def test_a_row_on_the_ladder_is_asked_about_and_keeps_its_rung(journal: Journal) -> None:
    await repeated(journal)
    assert (await journal.doubts.next_due(), await journal.next_due()) == (after(90), after(120))
    await ask(journal, UNAVAILABLE, after(90))
    assert (await journal.doubts.next_due(), await journal.next_due()) == (None, after(120))
    assert (await claim_one(journal, after(120))).number == 4


async def test_a_row_on_the_ladder_that_was_approved_is_not_sent_again(journal: Journal) -> None:
    await repeated(journal)
    await ask(journal, APPROVED, after(90))
    assert await journal.claim(after(1e6), 10) == []
    assert (await journal.story("1")).tap.state == "approved"


async def test_a_row_that_is_being_sent_is_not_asked_about(journal: Journal) -> None:
    await repeated(journal)
    await claim_one(journal, after(120))
    assert await journal.doubts.claim(after(130), 10) == []
    assert await journal.doubts.next_due() is None


async def test_an_enquiry_that_ends_after_its_row_was_sent_changes_only_its_attempt(journal: Journal) -> None:
    await repeated(journal)
    (enquired,) = await journal.doubts.claim(after(90), 10)
    claimed = await claim_one(journal, after(120))
    heard = read(APPROVED)
    conclusion = conclude(enquired, heard, believed=False, ended_at=after(121))
    assert not await journal.doubts.conclude(enquired, heard, conclusion, after(121))
    story = await journal.story("1")
    assert (story.tap.state, story.body_kept) == ("sending", True)
    assert [attempt.outcome for attempt in story.attempts] == ["unknown", "try_again", "approved", None]
    await settle(journal, claimed, APPROVED)
    assert (await journal.story("1")).tap.state == "approved"


async def test_each_row_is_claimed_once_oldest_first(journal: Journal) -> None:
    for counter in range(1, 8):
        await in_doubt(journal, counter, now=after(1000 * counter))
    found = [enquired for _ in range(4) for enquired in await journal.doubts.claim(after(1e6), 3)]
    assert [enquired.started_at for enquired in found] == [after(1e6)] * 7
    assert len({enquired.uuid for enquired in found}) == 7
    assert [enquired.doubtful_since for enquired in found] == [after(1000 * counter) for counter in range(1, 8)]


# --- the control ---


async def test_a_control_is_the_latest_that_tps_approved_in_the_span(journal: Journal) -> None:
    early, late = uuid4(), uuid4()
    span = (Micros(NOW - CONTROL_US), NOW)
    assert await journal.doubts.control(*span) is None
    await take(journal, 1, uuid=early, now=after(-7200))
    await send(journal, APPROVED, after(-7200))
    await take(journal, 2, uuid=late, now=after(-3600))
    await send(journal, APPROVED, after(-3600))
    await take(journal, 3)
    await send(journal, DECLINED)
    assert await journal.doubts.control(*span) == late
    assert await journal.doubts.control(Micros(0), after(-7000)) == early
    assert await journal.doubts.control(after(-3599), NOW) is None


# --- at start ---


async def test_an_enquiry_that_a_crash_cut_is_one_without_an_answer(engine: Engine, journal: Journal) -> None:
    await in_doubt(journal)
    await journal.doubts.claim(after(60), 10)
    again = await engine.after_sigkill().open()
    done = await again.doubts.begin(after(100), True, crash_at(after(100)))
    assert done == {"enquiries_ended_unknown": 1, "enquiries_begun": 0, "left_in_doubt": 0}
    assert await again.doubts.next_due() == after(360)
    assert (await again.story("1")).attempts[-1].cause == "crash"
    assert (await again.doubts.begin(after(100), True, crash_at(after(100))))["enquiries_ended_unknown"] == 0
    await again.close()


async def test_a_crash_in_the_last_enquiry_leaves_it_to_a_person(engine: Engine, journal: Journal) -> None:
    await in_doubt(journal)
    for _ in range(ENQUIRIES - 1):
        await ask(journal, UNAVAILABLE, await due(journal))
    await journal.doubts.claim(await due(journal), 10)
    again = await engine.after_sigkill().open()
    await again.doubts.begin(after(2000), True, crash_at(after(2000)))
    assert await again.doubts.next_due() is None
    assert await causes(again) == ["in_doubt/system.60"]
    await again.close()


async def test_a_crash_in_an_enquiry_beside_a_send_ends_both(engine: Engine, journal: Journal) -> None:
    await repeated(journal)
    await journal.doubts.claim(after(90), 10)
    await claim_one(journal, after(120))
    again = await engine.after_sigkill().open()
    await again.recover(after(130), ["common"], crashed, crashed_asked)
    await again.doubts.begin(after(130), True, crash_at(after(130)))
    story = await again.story("1")
    assert [attempt.cause for attempt in story.attempts] == ["timeout", "system.303", "crash", "crash"]
    assert (story.tap.state, await again.doubts.next_due()) == ("pending", None)
    await again.close()


@pytest.mark.parametrize("charged", [True, False])
async def test_a_crash_in_the_last_enquiry_about_what_a_person_settled_leaves_it_settled(
    engine: Engine, journal: SqlJournal, charged: bool
) -> None:
    uuid = uuid4()
    await in_doubt(journal, uuid=uuid)
    for _ in range(ENQUIRIES - 1):
        await ask(journal, UNAVAILABLE, await due(journal))
    assert len(await journal.doubts.claim(await due(journal), 10)) == 1
    await resolve(journal, str(uuid), charged=charged)
    before, told = await journal.story("1"), await causes(journal)
    again = await engine.after_sigkill().open()
    assert (await again.doubts.begin(after(2000), True, crash_at(after(2000))))["enquiries_ended_unknown"] == 1
    story = await again.story("1")
    assert (story.tap, await causes(again)) == (before.tap, told), "nobody is told that it is in doubt"
    assert (story.attempts[-1].outcome, story.attempts[-1].cause) == ("unknown", "crash")
    assert (await again.doubts.next_due(), await again.next_due()) == (None, None)
    assert await again.upkeep.check() == []
    await again.close()


async def test_a_row_on_the_ladder_that_waited_for_an_enquiry_only_goes_on(journal: Journal) -> None:
    await repeated(journal)
    assert (await journal.doubts.begin(after(70), False, crash_at(after(70))))["left_in_doubt"] == 1
    assert (await journal.doubts.next_due(), await journal.next_due()) == (None, after(120))
    assert await causes(journal) == []
    assert (await claim_one(journal, after(120))).number == 3


async def test_rows_that_came_into_doubt_unasked_are_asked_about_once_there_is_an_enquiry(journal: Journal) -> None:
    await take(journal)
    await send(journal, SILENCE)
    await send(journal, TAP_REFUSED, after(60))
    assert await journal.doubts.next_due() is None
    done = await journal.doubts.begin(after(100), True, crash_at(after(100)))
    assert (done["enquiries_begun"], await journal.doubts.next_due()) == (1, after(100))
    await ask_all(journal, UNAVAILABLE)
    assert (await journal.doubts.begin(after(1e4), True, crash_at(after(1e4))))["enquiries_begun"] == 0
    assert await journal.doubts.next_due() is None, "five are five"


async def test_rows_that_waited_for_an_enquiry_are_told_of_once_there_is_none(journal: Journal) -> None:
    for counter in range(1, 4):
        await in_doubt(journal, counter, now=after(1000 * counter))
    assert (await journal.doubts.begin(after(1e4), False, crash_at(after(1e4))))["left_in_doubt"] == 3
    assert await journal.doubts.next_due() is None
    assert await causes(journal, "2") == ["in_doubt/system.60"]


async def test_a_due_time_of_a_former_clock_is_pulled(journal: Journal) -> None:
    await in_doubt(journal, now=after(1e8))
    await journal.doubts.begin(NOW, True, crash_at(NOW))
    assert await journal.doubts.next_due() == after(300)


# --- the warning ---


async def keep_hours(journal: Journal, hours: int) -> int:
    warned = 0
    for _ in range(hours):
        warned += (await journal.keep_house(HOUR))["bodies_warned"]
    return warned


RESTS: list[tuple[str, int, str]] = [
    ("permanently_failed", 7, "body_goes/timeout"),
    ("in_doubt", 7, "body_goes/system.60"),
    ("held", 30, f"body_goes/system.41@{TERMINAL}"),
]


@pytest.mark.parametrize(("state", "days", "cause"), RESTS)
async def test_48_hours_before_a_body_goes_it_is_told_once(journal: Journal, state: str, days: int, cause: str) -> None:
    await take(journal)
    if state == "permanently_failed":
        await fail_for_good(journal)
    elif state == "held":
        await send(journal, TERMINAL_REFUSED)
    else:
        await send(journal, SILENCE)
        await send(journal, TAP_REFUSED, after(60))
    assert await keep_hours(journal, 24 * (days - 2) - 1) == 0
    assert await keep_hours(journal, 1) == 1
    assert (await causes(journal))[-1] == cause
    assert (await journal.story("1")).body_kept
    assert await keep_hours(journal, 47) == 0
    assert (await journal.story("1")).body_kept
    assert await keep_hours(journal, 30) == 0
    assert not (await journal.story("1")).body_kept


async def test_the_next_rest_is_told_of_again(journal: Journal) -> None:
    await in_doubt(journal)
    assert await keep_hours(journal, 24 * 6) == 1
    await ask_all(journal, NOT_FOUND, believed=True)
    assert await keep_hours(journal, 24 * 8) == 0, "what is on the ladder does not rest"
    await send(journal, TERMINAL_REFUSED, after(1e6))
    assert (await journal.story("1")).tap.state == "in_doubt"
    assert await keep_hours(journal, 24 * 5) == 1


async def test_a_crowd_is_told_of_in_slices(journal: Journal) -> None:
    await take_many(journal, range(1, 251))
    for claimed in await journal.claim(NOW, 300):
        await settle(journal, claimed, TERMINAL_REFUSED)
    await journal.keep_house(28 * DAY - HOUR)
    assert await keep_hours(journal, 1) == 250
    assert await keep_hours(journal, 1) == 0


async def test_a_short_keeping_time_is_told_of_at_once(engine: Engine) -> None:
    journal = await engine.open(keep=Keep(failed_us=DAY, held_us=DAY))
    await take(journal)
    await fail_for_good(journal)
    assert await keep_hours(journal, 1) == 1
    await journal.close()
