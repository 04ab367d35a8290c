"""Card data at rest: epochs turn in running time, rows are wrapped anew, keys and bodies go when they must."""

import pytest

from tests.store.builders import (
    APPROVED,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    after,
    claim_one,
    crashed,
    crashed_asked,
    fail_for_good,
    report,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.domain.time import DAY, HOUR, MINUTE
from tpsd.ports import Journal
from tpsd.store.housekeeping import Keep


async def run(journal: Journal, hours: float) -> dict[str, int]:
    """Let hours of running time pass, one at a time."""
    done: dict[str, int] = {}
    for _ in range(int(hours)):
        for name, count in (await journal.keep_house(HOUR)).items():
            done[name] = done.get(name, 0) + count
    return done


async def test_an_epoch_turns_after_a_day_of_running_time(engine: Engine, journal: Journal) -> None:
    assert engine.epoch_keys() == [1]
    assert (await run(journal, 23))["epochs_begun"] == 0
    assert (await run(journal, 1))["epochs_begun"] == 1
    assert engine.epoch_keys() == [1, 2]


async def test_running_time_is_kept_over_a_restart_and_nothing_else_counts(engine: Engine, journal: Journal) -> None:
    await run(journal, 20)
    await journal.close()
    again = await engine.open()
    assert (await run(again, 3))["epochs_begun"] == 0
    assert (await run(again, 1))["epochs_begun"] == 1
    await again.close()


async def test_a_key_goes_when_its_epoch_closed_47_hours_ago_and_is_empty(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await send(journal, APPROVED)
    await run(journal, 24 + 46)
    assert 1 in engine.epoch_keys()
    done = await run(journal, 1)
    assert (done["keys_destroyed"], done["rows_rewrapped"]) == (1, 0)
    assert engine.epoch_keys() == [2, 3]


async def test_rows_that_still_wait_are_wrapped_anew_and_can_be_sent(engine: Engine, journal: Journal) -> None:
    await take_many(journal, range(1, 251))
    done = await run(journal, 71)
    assert (done["rows_rewrapped"], done["keys_destroyed"]) == (500, 1)
    assert 1 not in engine.epoch_keys()
    claims = await journal.claim(after(1), 300)
    assert len(claims) == 250
    assert all(b'"transactionUuid":"%s"' % str(claimed.uuid).encode() in claimed.body for claimed in claims)


async def test_a_row_wrapped_anew_survives_a_restart_and_the_next_turn(engine: Engine, journal: Journal) -> None:
    await take(journal)
    first = await claim_one(journal)
    await settle(journal, first, SILENCE)
    await run(journal, 24 * 8)
    await journal.close()
    again = await engine.open()
    assert (await claim_one(again, after(60))).body == first.body
    await again.close()


async def test_a_leap_in_running_time_destroys_no_key_that_is_needed(engine: Engine, journal: Journal) -> None:
    await take(journal)
    for _ in range(5):
        await journal.keep_house(30 * DAY)
    assert len(engine.epoch_keys()) == 2
    assert (await claim_one(journal)).body


async def test_the_current_key_is_never_destroyed(engine: Engine, journal: Journal) -> None:
    for _ in range(200):
        await journal.keep_house(HOUR)
        assert engine.epoch_keys()
    await take(journal)
    assert (await claim_one(journal)).body


async def test_no_key_outlives_a_final_tap_by_72_hours(engine: Engine, journal: Journal) -> None:
    await run(journal, 23)
    await take(journal)
    await send(journal, APPROVED)
    (epoch,) = engine.epoch_keys()
    await run(journal, 72)
    assert epoch not in engine.epoch_keys()


async def test_epoch_numbers_are_never_used_twice(engine: Engine, journal: Journal) -> None:
    await run(journal, 24 * 10)
    await journal.close()
    again = await engine.open()
    await run(again, 24)
    assert min(engine.epoch_keys()) > 7
    await again.close()


async def test_a_key_made_before_a_crash_and_never_begun_is_swept(engine: Engine, journal: Journal) -> None:
    await take(journal)
    copy = engine.after_sigkill()
    await run(journal, 24)
    await journal.close()
    # The journal of before the turn, with the key folder of after it.
    late = engine.after_sigkill()
    late.lose_key(1)
    again = await copy.open()
    assert copy.epoch_keys() == [1]
    assert (await claim_one(again)).body
    await again.close()


async def keep_days(journal: Journal, days: int) -> int:
    return sum([(await journal.keep_house(DAY))["taps_erased"] for _ in range(days)])


@pytest.mark.parametrize(
    ("state", "days"), [("permanently_failed", 7), ("in_doubt", 7), ("held", 30), ("no_credential", 30)]
)
async def test_a_resting_body_goes_after_its_keeping_time_and_the_row_says_so(
    journal: Journal, state: str, days: int
) -> None:
    await take(journal)
    match state:
        case "permanently_failed":
            await fail_for_good(journal)
        case "in_doubt":
            due = (await send(journal, SILENCE)).due
            assert due is not None
            await send(journal, TAP_REFUSED, due)
        case "held":
            await send(journal, TERMINAL_REFUSED)
        case _:
            await journal.recover(NOW, [], crashed, crashed_asked)
    assert await keep_days(journal, days - 1) == 0
    assert (await journal.story("1")).body_kept
    assert await keep_days(journal, 1) == 1
    story = await journal.story("1")
    assert not story.body_kept
    assert story.tap.state == ("held" if state == "no_credential" else state)
    assert story.tap.masked == "476173******0119"
    assert await keep_days(journal, 40) == 0


async def test_the_keeping_time_begins_with_the_rest(journal: Journal) -> None:
    await take(journal)
    await journal.keep_house(20 * DAY)
    await fail_for_good(journal)
    assert await keep_days(journal, 6) == 0
    assert (await journal.story("1")).body_kept


async def test_keeping_times_are_the_operators(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await fail_for_good(journal)
    await journal.close()
    again = await engine.open(keep=Keep(failed_us=MINUTE, held_us=HOUR))
    assert (await again.keep_house(MINUTE))["taps_erased"] == 1
    await again.close()


async def test_working_rows_are_never_erased_for_their_age(journal: Journal) -> None:
    await take(journal)
    await keep_days(journal, 60)
    assert (await claim_one(journal)).body


async def test_the_payload_of_a_rejected_tap_goes_after_its_keeping_time(journal: Journal) -> None:
    await journal.reject(report(), "gate-1", TERMINAL, "c0ffee", NOW)
    assert await keep_days(journal, 6) == 0
    assert (await journal.story("1")).body_kept
    assert await keep_days(journal, 1) == 1
    assert not (await journal.story("1")).body_kept


async def test_a_crowd_is_erased_in_one_call(journal: Journal) -> None:
    await take_many(journal, range(1, 331))
    for claimed in await journal.claim(NOW, 400):
        await settle(journal, claimed, TERMINAL_REFUSED)
    assert await keep_days(journal, 30) == 330


async def test_a_body_that_went_is_failed_for_good_when_it_should_be_sent(journal: Journal) -> None:
    await take(journal, credential="gone")
    await journal.recover(NOW, ["common"], crashed, crashed_asked)
    await keep_days(journal, 30)
    await journal.recover(after(10), ["gone"], crashed, crashed_asked)
    assert await journal.claim(after(10), 10) == []
    story = await journal.story("1")
    assert (story.tap.state, story.tap.cause, story.attempts[0].outcome) == ("permanently_failed", "seal", "not_sent")
    causes = [notice.cause for notice in story.notices if notice.kind != "body_goes"]
    assert causes[1:] == ["permanently_failed/seal", "alarm/seal"]


async def test_a_probe_commits(journal: Journal) -> None:
    await journal.probe()
