"""Taps stamped before the time was known: bodies wait, times are put right once, and crashes lose nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.intake_taps import told_of
from tests.store.builders import (
    APPROVED,
    LANE,
    NOW,
    SILENCE,
    TERMINAL,
    TERMINAL_REFUSED,
    after,
    claim_one,
    crashed,
    crashed_asked,
    report,
    send,
    setting,
    settle,
    take,
)
from tests.store.engines import Engine
from tpsd.bodies import Known
from tpsd.core.bodies import Bodiless, Body, Failure, complete
from tpsd.core.doubt import DoubtPolicy, judge_at_claim
from tpsd.core.intake import decide, prepare
from tpsd.core.operations import Change, InForce, Order, Refusal, judge
from tpsd.core.settlement import Settlement
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Shown
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros, iso_millis
from tpsd.domain.views import TapFilter
from tpsd.ports import Taken
from tpsd.store.journal import SqlJournal

LIFE, OTHER = "5f2c", "0b1e"
UNSET = Micros(20 * SECOND)  # 1970
SHIFT = NOW - UNSET
KNOWN = Known(LIFE, SHIFT, SHIFT, NOW, CLOCK_FLOOR)
ALICE = AuditDraft(NOW, "alice (1000)", "release", "because")


def unset(seconds: float) -> Micros:
    """So long after the boot, by the clock that was never set."""
    return Micros(UNSET + int(seconds * SECOND))


async def take_unset(
    journal: SqlJournal,
    counter: int,
    seconds: float = 0,
    *,
    life: str = LIFE,
    uuid: UUID | None = None,
    **fields: Any,
) -> Taken:
    """A tap so long after the boot, without a stamp of its own unless ``fields`` have one."""
    stamped: dict[str, Any] = {"received_at": unset(seconds), "tapped_at": None, **fields}
    candidate = prepare(report(counter, **stamped), LANE, setting(journal), uuid or uuid4(), life)
    return await journal.take(candidate, decide, unset(seconds))


async def correct(journal: SqlJournal, known: Known = KNOWN, limit: int = 100) -> int:
    """All of them; how many in all."""
    done = 0
    while some := await journal.bodies.correct(known, limit):
        done += some
    return done


async def complete_all(journal: SqlJournal, now: Micros = UNSET) -> list[Body | Failure]:
    """What the worker does after ``correct``."""
    made: list[Body | Failure] = []
    while waiting := await journal.bodies.waiting(2):
        some = [complete(one, setting(journal)) for one in waiting]
        await journal.bodies.give(some, now)
        made += some
    return made


async def give_all(journal: SqlJournal, known: Known = KNOWN) -> list[Body | Failure]:
    await journal.bodies.know(known)
    await correct(journal, known)
    return await complete_all(journal)


async def tapped(journal: SqlJournal) -> list[Micros]:
    return [row.tapped_at for row in (await journal.taps(TapFilter()))[::-1]]


def sent_time(body: bytes) -> str:
    return str(json.loads(body)["transactionData"]["transactionTime"])


async def test_a_tap_of_an_unset_clock_is_taken_and_waits(journal: SqlJournal) -> None:
    taken = await take_unset(journal, 1)
    assert (told_of(taken).verdict, told_of(taken).reason, taken.new, taken.untimed) == (1, "ok", True, True)
    assert await journal.claim(after(0), 10) == []
    assert await journal.next_due() is None
    story = await journal.story("1")
    assert (story.tap.state, story.tap.tapped_at, story.path, story.body_kept) == ("pending", UNSET, "", True)
    figures = await journal.numbers.now()
    assert [(rung.count, rung.unsealed) for rung in figures.rungs] == [(1, 1)]
    assert await journal.bodies.waiting(9) == [], "its time is not known"
    assert await journal.upkeep.check() == []


async def test_the_body_is_what_a_set_clock_would_have_made(journal: SqlJournal) -> None:
    uuid = uuid4()
    await take_unset(journal, 1, 100, uuid=uuid, age_ms=30_000)
    (made,) = await give_all(journal)
    there = prepare(report(1, tapped_at=after(70)), LANE, setting(journal), uuid).draft
    assert there is not None
    assert made == Body(str(uuid), there.path, there.body or b"")
    assert await tapped(journal) == [after(70)]
    (row,) = await journal.taps(TapFilter())
    assert row.received_at == after(100)
    claimed = await claim_one(journal, unset(101))
    assert (claimed.uuid, claimed.path, claimed.body, claimed.number) == (uuid, there.path, there.body, 1)
    await settle(journal, claimed, APPROVED)
    assert not (await journal.story("1")).body_kept


async def test_a_stamp_of_its_own_is_not_touched(journal: SqlJournal) -> None:
    await take_unset(journal, 1, 50, tapped_at=after(49))
    assert await correct(journal) == 0
    (made,) = await complete_all(journal)
    assert isinstance(made, Body)
    assert sent_time(made.body) == iso_millis(after(49))
    assert await tapped(journal) == [after(49)]


async def test_every_time_is_corrected_once_in_slices(journal: SqlJournal) -> None:
    for counter in range(1, 6):
        await take_unset(journal, counter, counter)
    await take_unset(journal, 6, 6, card=(), fault="torn")
    await journal.bodies.know(KNOWN)
    assert await journal.bodies.correct(KNOWN, 4) == 4
    assert await journal.bodies.correct(KNOWN, 4) == 2
    assert await correct(journal) == 0
    assert await tapped(journal) == [after(counter) for counter in range(1, 7)]
    assert len(await complete_all(journal)) == 5
    assert await complete_all(journal) == []


async def test_an_undecidable_tap_is_corrected_too(journal: SqlJournal) -> None:
    tap = report(1, received_at=unset(9), tapped_at=None)
    taken = await journal.reject(tap, "gate-1", TERMINAL, "c0ffee", unset(9), LIFE)
    assert taken.untimed
    await give_all(journal)
    assert await tapped(journal) == [after(9)]


async def test_a_crash_at_every_step(engine: Engine, journal: SqlJournal) -> None:
    """Each copy is what a kill leaves; the next life starts in 1970 again and knows another shift."""
    uuids = [uuid4() for _ in range(3)]
    for counter, uuid in enumerate(uuids, 1):
        await take_unset(journal, counter, counter, uuid=uuid)
    left = [engine.after_sigkill()]
    await journal.bodies.know(KNOWN)
    left.append(engine.after_sigkill())
    await journal.bodies.correct(KNOWN, 2)
    left.append(engine.after_sigkill())
    await correct(journal)
    left.append(engine.after_sigkill())
    (first, *_) = await journal.bodies.waiting(1)
    given = complete(first, setting(journal))
    assert isinstance(given, Body)
    await journal.bodies.give([given], UNSET)
    left.append(engine.after_sigkill())
    next_life = Known(OTHER, SHIFT + HOUR, SHIFT + HOUR, Micros(NOW + HOUR), CLOCK_FLOOR)
    for number, copy in enumerate(left):
        again = await copy.open()
        await again.bodies.begin(UNSET, CLOCK_FLOOR)
        await again.recover(UNSET, ["common"], crashed, crashed_asked)
        await give_all(again, next_life)
        claims = {str(claimed.uuid): claimed.body for claimed in await again.claim(unset(1), 10)}
        assert claims.keys() == {str(uuid) for uuid in uuids}
        if number == 0:  # nothing was known: the last tap can have been no later than this life began
            assert await tapped(again) == [Micros(NOW + HOUR - 2 * SECOND + n * SECOND) for n in range(3)]
        else:
            assert await tapped(again) == [after(1), after(2), after(3)]
            assert [sent_time(claims[str(uuid)]) for uuid in uuids] == [iso_millis(after(n)) for n in (1, 2, 3)]
        if number == len(left) - 1:
            assert claims[given.uuid] == given.body
        await again.close()


async def test_lives_that_never_knew_the_time(journal: SqlJournal) -> None:
    await take_unset(journal, 1, 10, life=OTHER)
    await take_unset(journal, 2, 70, life=OTHER, shown=Shown.LET_IN, amount=99_999_999)  # its note is taken
    await take_unset(journal, 3, 5)
    await give_all(journal)
    assert await tapped(journal) == [Micros(NOW - MINUTE), NOW, after(5)]
    notes = [await note(journal, number) for number in (1, 2, 3)]
    assert notes == ["time estimated", "amount_limit; time estimated", None]


async def note(journal: SqlJournal, number: int) -> str | None:
    found: str | None = await journal.bodies._writer.read(
        lambda connection: connection.execute("SELECT note FROM tap WHERE id = ?", (number,)).get
    )
    return found


async def test_a_clock_with_a_battery_is_the_best_estimate(journal: SqlJournal) -> None:
    """A life whose clock ran an hour slow, and this one's still does."""
    slow = Micros(NOW - DAY)
    candidate = prepare(report(1, tapped_at=None, received_at=slow), LANE, setting(journal), uuid4(), OTHER)
    await journal.take(candidate, decide, slow)
    await give_all(journal, Known(LIFE, HOUR, HOUR, NOW, CLOCK_FLOOR))
    assert await tapped(journal) == [Micros(slow + HOUR)]


async def test_what_a_life_learnt_is_forgotten_when_nothing_needs_it(journal: SqlJournal) -> None:
    await give_all(journal, Known(OTHER, 1, 1, NOW, CLOCK_FLOOR))
    await give_all(journal)
    names = await journal.bodies._writer.read(
        lambda connection: [key for (key,) in connection.execute("SELECT key FROM meta WHERE key LIKE 'clock%'")]
    )
    of_its_daemon = {f"clock_life:tpsd/{LIFE}": f"clock_life:{LIFE}", "clock_shift/tpsd": "clock_shift"}
    assert sorted(of_its_daemon.get(name, name) for name in names) == [f"clock_life:{LIFE}", "clock_shift"]


async def test_a_tap_turned_away_before_gets_no_body(journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await take_unset(journal, 1, 5, shown=Shown.TURNED_AWAY)
    assert (await journal.story("1")).tap.state == "not_charged"
    assert await give_all(journal) == []
    assert not (await journal.story("1")).body_kept


async def test_somebody_closes_the_row_while_its_body_is_made(journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await correct(journal)
    waiting = await journal.bodies.waiting(9)
    await take_unset(journal, 1, 5, shown=Shown.TURNED_AWAY)
    made = [complete(one, setting(journal)) for one in waiting]
    assert await journal.bodies.give(made, UNSET) == 0
    assert await journal.bodies.give([Failure(waiting[0].uuid, "no")], UNSET) == 0
    story = await journal.story("1")
    assert (story.tap.state, story.body_kept) == ("not_charged", False)


async def test_a_body_is_given_once(journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await correct(journal)
    (waiting,) = await journal.bodies.waiting(9)
    made = complete(waiting, setting(journal))
    assert isinstance(made, Body)
    assert await journal.bodies.give([made], UNSET) == 1
    assert await journal.bodies.give([Body(made.uuid, "/other", b"other")], UNSET) == 0
    assert (await claim_one(journal)).body == made.body


async def test_let_in_after_all_while_the_time_is_unknown(journal: SqlJournal) -> None:
    await take_unset(journal, 1, amount=99_999_999)
    assert (await journal.story("1")).tap.state is None
    taken = await take_unset(journal, 1, 4, amount=99_999_999, shown=Shown.LET_IN)
    assert (taken.new, taken.untimed) == (False, True)
    (made,) = await give_all(journal)
    assert isinstance(made, Body)
    assert sent_time(made.body) == iso_millis(NOW)


async def test_one_that_joins_the_held_gets_its_body_there(journal: SqlJournal) -> None:
    await take(journal, 1)
    await settle(journal, await claim_one(journal), TERMINAL_REFUSED)
    await take_unset(journal, 2)
    assert (await journal.story("2")).tap.state == "held"
    assert not await refused(journal, 2, Order.RELEASE)
    assert "the time" in await refused(journal, 2, Order.REBUILD)
    (made,) = await give_all(journal)
    assert isinstance(made, Body)
    story = await journal.story("2")
    assert (story.tap.state, story.tap.due, story.path) == ("held", None, made.path)
    assert not await refused(journal, 2, Order.REBUILD)


async def test_a_release_before_the_time_is_known(journal: SqlJournal) -> None:
    await take(journal, 1)
    await settle(journal, await claim_one(journal), TERMINAL_REFUSED)
    await take_unset(journal, 2)
    row = await journal.operations.find("2")
    (done,) = await journal.operations.carry_out([row.uuid], lambda row: Change(State.PENDING), [NOW], NOW, ALICE)
    assert isinstance(done.verdict, Change)
    assert await journal.claim(after(9), 10) == []
    await give_all(journal)
    assert [str(claimed.uuid) for claimed in await journal.claim(after(9), 10)] == [row.uuid]


async def refused(journal: SqlJournal, number: int, order: Order) -> str:
    in_force = InForce(DoubtPolicy(), frozenset({"common"}), NOW)
    verdict = judge(order, await journal.operations.find(str(number)), in_force)
    return verdict.words if isinstance(verdict, Refusal) else ""


async def test_a_card_that_does_not_open(engine: Engine, journal: SqlJournal) -> None:
    for counter in (1, 2, 3):
        await take_unset(journal, counter)
    uuids = [(await journal.operations.find(str(number))).uuid for number in (1, 2)]
    await journal.close()
    engine.tamper(
        (
            f"UPDATE sealed SET data = nonce WHERE owner = '{uuids[0]}'",
            f"DELETE FROM sealed WHERE owner = '{uuids[1]}'",
        )
    )
    again = await engine.open()
    made = await give_all(again)
    assert {one.uuid for one in made if isinstance(one, Failure)} == set(uuids)
    for number in (1, 2):
        story = await again.story(str(number))
        assert (story.tap.state, story.tap.cause) == ("permanently_failed", "seal")
        assert sorted(seen.kind for seen in story.notices) == ["alarm", "permanently_failed"]
    assert (await claim_one(again)).number == 1
    assert await give_all(again) == []
    await again.close()


async def test_a_held_one_that_does_not_open_ends_its_empty_hold(engine: Engine, journal: SqlJournal) -> None:
    await take(journal, 1)
    await settle(journal, await claim_one(journal), TERMINAL_REFUSED)
    await take_unset(journal, 2)
    waiting = [Bodiless((await journal.operations.find("2")).uuid, TERMINAL, None)]
    await journal.bodies.give([complete(one, setting(journal)) for one in waiting], UNSET)
    assert (await journal.story("2")).tap.state == "permanently_failed"
    await take_unset(journal, 3)
    assert (await journal.story("3")).tap.state == "held", "tap 1 is still held"


async def test_without_its_credential_it_is_held_and_comes_back(engine: Engine, journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await journal.recover(UNSET, [], crashed, crashed_asked)
    assert (await journal.story("1")).tap.cause == "no_credential"
    await give_all(journal)
    assert await journal.claim(after(9), 10) == []
    await journal.recover(UNSET, ["common"], crashed, crashed_asked)
    assert isinstance((await claim_one(journal)).body, bytes)


# --- attempts in true time, so that the horizon holds across lives


def judging(now: Micros, seen: list[Micros]) -> Any:
    def judge_one(since: Micros) -> Settlement | None:
        seen.append(since)
        return judge_at_claim(DoubtPolicy(36 * HOUR), since, now)

    return judge_one


async def send_in_silence(journal: SqlJournal, schedule: Micros) -> None:
    claimed = await claim_one(journal, schedule)
    await settle(journal, claimed, SILENCE, Micros(schedule + 10 * SECOND))


HORIZONS = {
    # the next life's schedule clock, its shift, whether the row may still be sent
    "a set clock, an hour later": (NOW + HOUR, 0, True),
    "a set clock, two days later": (NOW + 2 * DAY, 0, False),
    "1970 again, an hour later": (UNSET + 9 * SECOND, NOW + HOUR - UNSET - 9 * SECOND, True),
    "1970 again, two days later": (UNSET + 9 * SECOND, NOW + 2 * DAY - UNSET - 9 * SECOND, False),
}


@pytest.mark.parametrize(("schedule", "shift", "sent"), HORIZONS.values(), ids=list(HORIZONS))
@pytest.mark.parametrize("unset_before", [True, False])
async def test_the_horizon_across_lives(
    engine: Engine, journal: SqlJournal, schedule: int, shift: int, sent: bool, unset_before: bool
) -> None:
    now = Micros(schedule)
    if unset_before:
        await take_unset(journal, 1)
        await give_all(journal)
        await send_in_silence(journal, UNSET)
    else:
        await take(journal, 1)
        await send_in_silence(journal, NOW)
    (attempt,) = (await journal.story("1")).attempts
    assert (attempt.started_at, attempt.ended_at) == (NOW, after(10)), "as a person reads it"
    await journal.close()
    again = await engine.open()
    await again.bodies.begin(now, CLOCK_FLOOR)
    await again.recover(now, ["common"], crashed, crashed_asked)
    await again.bodies.know(Known(OTHER, shift, shift, now, CLOCK_FLOOR))
    later = Micros(now + 7 * HOUR) if sent else Micros(now + MINUTE)
    seen: list[Micros] = []
    claims = await again.claim(later, 10, judge=judging(later, seen))
    assert [since + shift for since in seen] == [NOW]
    assert bool(claims) is sent
    assert (await again.story("1")).tap.state == ("sending" if sent else "in_doubt")
    await again.close()


async def test_this_lifes_own_attempts_are_as_old_as_they_are(journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await give_all(journal)
    await send_in_silence(journal, UNSET)
    seen: list[Micros] = []
    later = Micros(UNSET + HOUR)
    assert len(await journal.claim(later, 10, judge=judging(later, seen))) == 1
    assert seen == [UNSET]
    row = await journal.operations.find("1")
    assert row.doubtful_since == UNSET


async def test_ages_of_a_life_whose_clock_was_never_set(engine: Engine, journal: SqlJournal) -> None:
    await take_unset(journal, 1)
    await give_all(journal)
    await take_unset(journal, 2, 5, life=OTHER)
    assert await journal.bodies.begin(unset(60), CLOCK_FLOOR) == 0, "this one is not set either"
    assert await journal.bodies.begin(after(3600), CLOCK_FLOOR) == 2
    ages = [(await journal.operations.find(str(number))).created_at for number in (1, 2)]
    assert ages == [NOW, after(3600)]
    assert await journal.bodies.begin(after(3600), CLOCK_FLOOR) == 0


async def test_a_due_time_of_a_clock_that_was_ahead(journal: SqlJournal) -> None:
    ahead = Micros(NOW + 900 * DAY)
    candidate = prepare(report(1, tapped_at=None, received_at=ahead), LANE, setting(journal), uuid4(), OTHER)
    await journal.take(candidate, decide, ahead)
    await journal.recover(NOW, ["common"], crashed, crashed_asked)
    await give_all(journal, Known(LIFE, 0, 0, NOW, CLOCK_FLOOR))
    assert await complete_all(journal) == []
    claimed = await claim_one(journal, NOW)
    assert sent_time(claimed.body) == iso_millis(NOW)
    await send_nothing_more(journal)


async def send_nothing_more(journal: SqlJournal) -> None:
    assert await journal.claim(after(1), 10) == []


def bodies_of(made: Sequence[Body | Failure]) -> list[Body]:
    return [one for one in made if isinstance(one, Body)]


async def test_many_are_given_in_slices(journal: SqlJournal) -> None:
    for counter in range(1, 26):
        await take_unset(journal, counter, counter)
    made = bodies_of(await give_all(journal))
    assert len({one.uuid for one in made}) == 25
    claims = await journal.claim(unset(60), 100)
    assert {str(claimed.uuid): claimed.body for claimed in claims} == {one.uuid: one.body for one in made}
    await send_nothing_more(journal)


async def test_a_plain_tap_has_nothing_to_do_with_it(journal: SqlJournal) -> None:
    taken = await take(journal, 1)
    assert not taken.untimed
    assert await give_all(journal) == []
    await send(journal, APPROVED)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_lives_follow_each_other_in_the_order_of_their_taps(
    engine: Engine, journal: SqlJournal, limit: int
) -> None:
    """Each ended before the next began, and a kill between two slices changes no estimate."""
    lives = ["ff", "aa", "cc"]  # their names say nothing of their order
    counter = 0
    for life in lives:
        for seconds in (10, 70):
            counter += 1
            await take_unset(journal, counter, seconds, life=life)
    await take_unset(journal, 7, 30)
    expected = [after(at) for at in (-240.002, -180.002, -180.001, -120.001, -120, -60)]
    began = Known(LIFE, SHIFT, SHIFT, after(-60), CLOCK_FLOOR)
    await journal.bodies.know(began)
    while True:
        copy = engine.after_sigkill()
        again = await copy.open()
        await correct(again, Known(OTHER, SHIFT + DAY, SHIFT + DAY, after(-60), CLOCK_FLOOR), limit)
        assert await tapped(again) == [*expected, after(30)]
        await again.close()
        if not await journal.bodies.correct(began, limit):
            break
    assert await tapped(journal) == [*expected, after(30)]
