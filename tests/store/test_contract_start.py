"""What survives an end of the process, and what the next start makes of it."""

from dataclasses import replace
from uuid import uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    LANE,
    NOW,
    SILENCE,
    TERMINAL,
    UNAVAILABLE,
    after,
    candidate,
    claim_one,
    closer,
    crashed,
    crashed_asked,
    fail_for_good,
    outcome_of,
    report,
    send,
    setting,
    settle,
    take,
    take_many,
)
from tests.store.engines import IDENTITY, KEK, Engine
from tpsd.core.intake import decide, prepare
from tpsd.domain.authorisation import Tier
from tpsd.domain.tap import Shown
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError
from tpsd.ports import Journal, SettledLate

COMMON = ["common"]


async def test_everything_is_there_after_closing_and_opening(engine: Engine, journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, UNAVAILABLE)
    await take(journal, 2)
    before = [await journal.taps(TapFilter()), await journal.totals(), await journal.story("1")]
    await journal.close()
    again = await engine.open()
    assert [await again.taps(TapFilter()), await again.totals(), await again.story("1")] == before
    assert not (await take(again, 2)).new
    claims = await again.claim(after(60), 10)
    assert [claimed.number for claimed in claims] == [1, 2]
    assert all(claimed.body for claimed in claims)
    await again.close()


async def test_opening_and_closing_many_times_changes_nothing(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await journal.close()
    for _ in range(3):
        again = await engine.open()
        assert (await again.totals()).states == {"pending": 1}
        assert (await again.story("1")).body_kept
        await again.close()
    assert len(engine.epoch_keys()) == 1


async def test_whatever_was_acknowledged_survives_a_sigkill(engine: Engine, journal: Journal) -> None:
    taken = await take_many(journal, range(1, 41))
    claims = await journal.claim(NOW, 20)
    for claimed in claims[:10]:
        await settle(journal, claimed, APPROVED)
    copy = engine.after_sigkill()
    after_kill = await copy.open()
    assert (await after_kill.totals()).states == {"approved": 10, "sending": 10, "pending": 20}
    for one, again in zip(taken, await take_many(after_kill, range(1, 41)), strict=True):
        assert again == replace(one, new=False)
    await after_kill.recover(after(1), COMMON, crashed, crashed_asked)
    bodies = {claimed.uuid: claimed.body for claimed in await after_kill.claim(after(100), 100)}
    assert len(bodies) == 30
    assert all(bodies[claimed.uuid] == claimed.body for claimed in claims[10:])
    await after_kill.close()


async def test_what_was_erased_stays_erased_after_a_sigkill(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await send(journal, APPROVED)
    after_kill = await engine.after_sigkill().open()
    story = await after_kill.story("1")
    assert (story.tap.state, story.body_kept) == ("approved", False)
    await after_kill.close()


async def test_an_attempt_left_open_ends_unknown_and_goes_to_its_next_rung(journal: Journal) -> None:
    await take(journal)
    await claim_one(journal, NOW)
    done = await journal.recover(after(10), COMMON, crashed, crashed_asked)
    assert done["attempts_ended_unknown"] == 1
    story = await journal.story("1")
    assert (story.tap.state, story.tap.due, story.tap.may_have_charged) == ("pending", after(60), True)
    (attempt,) = story.attempts
    assert (attempt.outcome, attempt.cause, attempt.ended_at) == ("unknown", "crash", after(10))


async def test_recovery_is_done_once(journal: Journal) -> None:
    await take(journal)
    await claim_one(journal)
    await journal.recover(after(10), COMMON, crashed, crashed_asked)
    before = await journal.story("1")
    assert not any((await journal.recover(after(11), COMMON, crashed, crashed_asked)).values())
    assert await journal.story("1") == before


async def test_a_result_from_before_the_crash_is_late(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    await journal.recover(after(10), COMMON, crashed, crashed_asked)
    with pytest.raises(SettledLate):
        await settle(journal, claimed, APPROVED)


async def test_a_crash_in_the_last_attempt_is_permanently_failed(journal: Journal) -> None:
    await take(journal)
    due: Micros | None = NOW
    for _ in range(12):
        assert due is not None
        due = (await send(journal, SILENCE, due)).due
    assert due is not None
    await claim_one(journal, due)
    await journal.recover(due, COMMON, crashed, crashed_asked)
    story = await journal.story("1")
    assert (story.tap.state, len(story.attempts)) == ("permanently_failed", 13)
    assert [line.cause for line in story.notices] == ["permanently_failed/crash"]


async def test_a_row_without_its_credential_is_held_and_told_of(journal: Journal) -> None:
    await take_many(journal, [1, 2], credential="gate-9")
    await take(journal, 3)
    done = await journal.recover(after(10), COMMON, crashed, crashed_asked)
    assert done["held_without_credential"] == 2
    rows = {row.number: row for row in await journal.taps(TapFilter(state="held"))}
    assert {row.cause for row in rows.values()} == {"no_credential"}
    assert all(row.due is None for row in rows.values())
    assert len(rows) == 2
    for number in rows:
        (notice,) = (await journal.story(str(number))).notices
        assert notice.cause == "held/no_credential"
    assert len(await journal.claim(after(1e6), 10)) == 1
    await journal.close_windows(after(100), closer(after(100)))
    (mail,) = await journal.mails_due(after(100), 10)
    assert mail.subject == "2 taps, 500 in all"


async def test_a_credential_that_comes_back_frees_its_rows(journal: Journal) -> None:
    await take(journal, credential="gate-9")
    await journal.recover(after(10), COMMON, crashed, crashed_asked)
    done = await journal.recover(after(20), ["common", "gate-9"], crashed, crashed_asked)
    assert done["freed_with_credential"] == 1
    row = (await journal.story("1")).tap
    assert (row.state, row.cause, row.due) == ("pending", None, after(20))
    assert (await claim_one(journal, after(20))).credential == "gate-9"


async def test_a_missing_credential_does_not_hold_its_terminals_new_taps(journal: Journal) -> None:
    await take(journal, 1, credential="gate-9")
    await journal.recover(after(10), COMMON, crashed, crashed_asked)
    await take(journal, 2)
    assert (await journal.story("2")).tap.state == "pending"


async def test_a_row_held_for_its_credential_can_still_be_turned_away(journal: Journal) -> None:
    await take(journal, credential="gate-9")
    await journal.recover(after(10), COMMON, crashed, crashed_asked)
    await take(journal, shown=Shown.TURNED_AWAY)
    await journal.recover(after(20), ["common", "gate-9"], crashed, crashed_asked)
    assert (await journal.story("1")).tap.state == "not_charged"


async def test_due_times_of_a_clock_that_was_ahead_are_pulled_in(journal: Journal) -> None:
    await take_many(journal, [1, 2], now=after(9e6))
    claims = await journal.claim(after(9e6), 1)
    await settle(journal, claims[0], UNAVAILABLE)
    done = await journal.recover(NOW, COMMON, crashed, crashed_asked)
    assert done["due_times_pulled"] == 2
    assert sorted(row.due or 0 for row in await journal.taps(TapFilter())) == [NOW, after(60)]


async def test_due_times_within_their_tier_stay(journal: Journal) -> None:
    await take(journal)
    await send(journal, UNAVAILABLE)
    assert (await journal.recover(after(0), COMMON, crashed, crashed_asked))["due_times_pulled"] == 0
    assert await journal.next_due() == after(60)


async def test_short_tiers_are_pulled_in_too(journal: Journal) -> None:
    quick = replace(setting(journal), ladder=(Tier(3, 2 * SECOND),))
    await journal.take(prepare(report(), LANE, quick, uuid4()), decide, after(30))
    await send(journal, UNAVAILABLE, after(30))
    await journal.recover(NOW, COMMON, crashed, crashed_asked)
    assert await journal.next_due() == after(2)


async def test_an_attempt_of_a_clock_that_was_ahead_is_recovered_by_ours(journal: Journal) -> None:
    await take(journal, now=after(9e6))
    await claim_one(journal, after(9e6))
    await journal.recover(NOW, COMMON, crashed, crashed_asked)
    assert await journal.next_due() == after(60)


async def test_windows_and_mails_of_a_clock_that_was_ahead_are_pulled_in(journal: Journal) -> None:
    await take(journal, 1, now=after(9e6), shown=Shown.LET_IN, kind=0x04)
    await journal.recover(NOW, COMMON, crashed, crashed_asked)
    assert await journal.next_mail() == NOW + HOUR
    await journal.close_windows(Micros(NOW + HOUR), closer(Micros(NOW + HOUR)))
    (mail,) = await journal.mails_due(Micros(NOW + HOUR), 10)
    await journal.mail_refused(mail.id, after(9e6), "421")
    await journal.recover(NOW, COMMON, crashed, crashed_asked)
    assert [mail.due for mail in await journal.mails_due(Micros(NOW + HOUR), 10)] == [NOW + HOUR]


async def test_two_ladders_are_told_apart_at_the_next_start(journal: Journal) -> None:
    slow = replace(setting(journal), ladder=(Tier(1, 10 * MINUTE),))
    await journal.take(prepare(report(1), LANE, slow, uuid4()), decide, after(9e6))
    await take(journal, 2, now=after(9e6))
    for claimed in await journal.claim(after(9e6), 10):
        await settle(journal, claimed, UNAVAILABLE)
    await journal.recover(NOW, COMMON, crashed, crashed_asked)
    rows = {row.number: row.due for row in await journal.taps(TapFilter())}
    assert rows == {1: after(600), 2: after(60)}


async def test_a_journal_keeps_the_ladder_a_tap_was_taken_under(engine: Engine, journal: Journal) -> None:
    short = replace(setting(journal), ladder=(Tier(1, MINUTE),))
    await journal.take(prepare(report(), LANE, short, uuid4()), decide, NOW)
    await journal.close()
    again = await engine.open()
    await fail_for_good(again)
    assert len((await again.story("1")).attempts) == 2
    await again.close()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (replace(IDENTITY, mode="production"), "mode was test, is production"),
        (replace(IDENTITY, host="other.example"), "host was tps.example, is other.example"),
        (replace(IDENTITY, company_id=7), "company was 1001, is 7"),
    ],
)
async def test_another_set_up_is_refused_while_taps_are_unfinished(
    engine: Engine, journal: Journal, changed: object, word: str
) -> None:
    await take(journal)
    await journal.close()
    with pytest.raises(JournalError, match=word):
        await engine.open(identity=changed)  # type: ignore[arg-type]
    again = await engine.open()
    await send(again, APPROVED)
    await again.close()
    moved = await engine.open(identity=changed)  # type: ignore[arg-type]
    await take(moved, 2)
    await moved.close()
    with pytest.raises(JournalError, match="unfinished"):
        await engine.open()


@pytest.mark.parametrize("exchange", ["held", "permanently_failed"])
async def test_resting_taps_hold_the_set_up_too(engine: Engine, journal: Journal, exchange: str) -> None:
    await take(journal, credential="gone")
    if exchange == "held":
        await journal.recover(NOW, COMMON, crashed, crashed_asked)
    else:
        await fail_for_good(journal)
    await journal.close()
    with pytest.raises(JournalError, match="unfinished"):
        await engine.open(identity=replace(IDENTITY, host="other.example"))


async def test_another_key_encryption_key_is_refused(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await journal.close()
    with pytest.raises(JournalError, match="kek_file"):
        await engine.open(kek=bytes(32))
    again = await engine.open(kek=KEK)
    assert (await claim_one(again)).body
    await again.close()


async def test_a_missing_epoch_key_is_refused(engine: Engine, journal: Journal) -> None:
    await take(journal)
    await journal.close()
    engine.lose_key(1)
    with pytest.raises(JournalError, match=r"keys do not fit.*epoch.*give the kek_file"):
        await engine.open()


async def test_a_settlement_of_a_copy_is_decided_by_the_copy(engine: Engine, journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    copy = await engine.after_sigkill().open()
    await copy.settle(claimed, *outcome_of(claimed, APPROVED), NOW)
    assert (await copy.story("1")).tap.state == "approved"
    assert (await journal.story("1")).tap.state == "sending"
    await copy.close()


async def test_the_credential_written_in_commit_1_is_the_one_that_is_sent(journal: Journal) -> None:
    tap = candidate(journal, report(), replace(LANE, credential="gate-9"))
    await journal.take(tap, decide, NOW)
    again = candidate(journal, report(), replace(LANE, credential="gate-10"))
    await journal.take(again, decide, NOW)
    assert (await claim_one(journal)).credential == "gate-9"
    assert (await journal.story("1")).tap.terminal == TERMINAL
