"""Notices to windows to frozen mails, and what SMTP's answer does to them."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.store.builders import (
    NOW,
    TAP_REFUSED,
    TERMINAL_REFUSED,
    after,
    closer,
    crashed,
    crashed_asked,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.core.notices import Totals, cause_key
from tpsd.domain.notice import Episode, MailRow, NoticeDraft, NoticeKind, NoticeRow
from tpsd.domain.tap import Shown
from tpsd.domain.time import Micros
from tpsd.ports import Journal, WindowPlan

CAUSE = "tap_refused/system.60"


async def refuse(journal: Journal, counters: list[int], now: Micros = NOW) -> None:
    await take_many(journal, counters, now=now)
    for claimed in await journal.claim(now, len(counters)):
        await settle(journal, claimed, TAP_REFUSED)


async def close(journal: Journal, at: Micros) -> int:
    return await journal.close_windows(at, closer(at))


async def mails(journal: Journal, at: Micros) -> list[MailRow]:
    return list(await journal.mails_due(at, 100))


async def test_a_quiet_journal_has_no_mail(journal: Journal) -> None:
    await take(journal)
    assert await journal.next_mail() is None
    assert await close(journal, after(1e6)) == 0
    assert await mails(journal, after(1e6)) == []


async def test_a_window_closes_after_a_minute_and_not_before(journal: Journal) -> None:
    await refuse(journal, [1, 2])
    assert await journal.next_mail() == after(60)
    assert await close(journal, after(59)) == 0
    assert await close(journal, after(60)) == 1
    (mail,) = await mails(journal, after(60))
    assert mail.subject == "2 taps, 500 in all"
    assert sorted(mail.text.splitlines()) == [
        f"VAL00042:3:{counter} 250 476173******0119 system.60" for counter in (1, 2)
    ]
    assert (mail.created_at, mail.tries, mail.due) == (after(60), 0, after(60))


async def test_a_notice_that_is_about_no_tap_is_mailed_once(engine: Engine, journal: Journal) -> None:
    cause = cause_key(NoticeKind.ALARM, "list_age", "gate-1")
    await journal.tell(NoticeDraft(NoticeKind.ALARM, cause, "the deny list is 30 hours old"), NOW)
    again = await engine.after_sigkill().open()
    assert [await close(again, at) for at in (after(59), after(60), after(7200))] == [0, 1, 0]
    (mail,) = await mails(again, after(60))
    assert mail.message_id.startswith(f"<{cause}-")
    await again.close()


async def test_each_cause_has_a_window_of_its_own(journal: Journal) -> None:
    await refuse(journal, [1])
    await take(journal, 2)
    await send(journal, TERMINAL_REFUSED)
    assert await close(journal, after(60)) == 2
    assert {mail.subject for mail in await mails(journal, after(60))} == {"1 taps, 250 in all"}


async def test_a_mail_lists_fifty_rows_and_totals_all(journal: Journal) -> None:
    await refuse(journal, list(range(1, 71)))
    await close(journal, after(60))
    (mail,) = await mails(journal, after(60))
    assert len(mail.text.splitlines()) == 50
    assert mail.subject == f"70 taps, {70 * 250} in all"
    assert await close(journal, after(1e6)) == 0  # the other twenty were totalled, and are not mailed again


async def test_windows_grow_while_a_cause_lasts_and_its_end_is_told(journal: Journal) -> None:
    closes = []
    at, counter = NOW, 1
    for _ in range(4):
        await refuse(journal, [counter], at)
        next_mail = await journal.next_mail()
        assert next_mail is not None
        closes.append((next_mail - NOW) // 60_000_000)
        at, counter = next_mail, counter + 1
        assert await close(journal, at) == 1
        for mail in await mails(journal, at):
            await journal.mail_accepted(mail.id, at)
    assert closes == [1, 11, 71, 131]
    assert await close(journal, after(191 * 60)) == 1
    (mail,) = await mails(journal, after(1e6))
    assert mail.subject == "all clear"
    assert await close(journal, after(1e7)) == 0
    await journal.mail_accepted(mail.id, after(1e6))
    assert await journal.next_mail() is None


async def test_one_failed_tap_is_one_mail_and_no_all_clear(journal: Journal) -> None:
    await refuse(journal, [1])
    assert await close(journal, after(60)) == 1
    assert await close(journal, after(1e6)) == 0
    assert len(await mails(journal, after(1e6))) == 1


async def test_a_cause_that_comes_back_after_its_end_begins_anew(journal: Journal) -> None:
    await refuse(journal, [1])
    await close(journal, after(60))
    await close(journal, after(1e5))
    await refuse(journal, [2], after(2e5))
    (first,) = await mails(journal, after(1e5))
    await journal.mail_accepted(first.id, after(1e5))
    assert await journal.next_mail() == after(2e5 + 60)


async def test_a_refused_mail_comes_again_unchanged_with_its_tries_counted(journal: Journal) -> None:
    await refuse(journal, [1])
    await close(journal, after(60))
    (mail,) = await mails(journal, after(60))
    await journal.mail_refused(mail.id, after(65), "451 try later")
    assert await mails(journal, after(64)) == []
    (again,) = await mails(journal, after(65))
    assert (again.message_id, again.subject, again.text) == (mail.message_id, mail.subject, mail.text)
    assert (again.tries, again.due) == (1, after(65))


async def test_an_accepted_mail_is_never_due_again(journal: Journal) -> None:
    await refuse(journal, [1])
    await close(journal, after(60))
    (mail,) = await mails(journal, after(60))
    await journal.mail_accepted(mail.id, after(61))
    await journal.mail_refused(mail.id, after(62), "late")
    assert await mails(journal, after(1e6)) == []
    totals = await journal.totals()
    assert (totals.mails_waiting, totals.mails_accepted) == (0, 1)
    (notice,) = (await journal.story("1")).notices
    assert (notice.message_id, notice.mailed_at) == (mail.message_id, after(61))


async def test_mails_come_oldest_first_and_no_more_than_asked_for(journal: Journal) -> None:
    for counter in (1, 2, 3):
        await take(journal, counter, serial=f"V{counter}", now=after(counter), kind=0x04, shown=Shown.LET_IN)
    await close(journal, after(100))
    first, second = await journal.mails_due(after(100), 2)
    await journal.mail_refused(first.id, after(200), "later")
    assert [mail.id for mail in await mails(journal, after(300))] == [second.id, second.id + 1, first.id]


async def test_more_windows_than_a_commit_takes_are_all_closed(journal: Journal) -> None:
    for counter in range(1, 24):
        await take(journal, counter, serial=f"V{counter}", kind=0x04, shown=Shown.LET_IN)
    assert await close(journal, after(60)) == 23


async def test_next_mail_is_the_earlier_of_window_and_try(journal: Journal) -> None:
    await refuse(journal, [1])
    await close(journal, after(60))
    assert await journal.next_mail() == after(60)
    (mail,) = await mails(journal, after(60))
    await journal.mail_refused(mail.id, after(3000), "later")
    assert await journal.next_mail() == after(660)


async def test_a_frozen_mail_survives_a_sigkill(engine: Engine, journal: Journal) -> None:
    await refuse(journal, [1])
    await close(journal, after(60))
    before = await mails(journal, after(60))
    copy = await engine.after_sigkill().open()
    await copy.recover(after(61), ["common"], crashed, crashed_asked)
    assert await mails(copy, after(61)) == before
    await copy.close()


async def test_a_mail_that_cannot_be_made_leaves_its_window_open(journal: Journal) -> None:
    await refuse(journal, [1])

    def broken(_episode: Episode, _rows: Sequence[NoticeRow], _totals: Totals) -> WindowPlan:
        raise LookupError("no template")

    with pytest.raises(LookupError):
        await journal.close_windows(after(60), broken)
    assert await close(journal, after(61)) == 1


async def test_what_a_mail_lists_of_a_tap(journal: Journal) -> None:
    await refuse(journal, [1])
    seen: list[NoticeRow] = []

    def look(episode: Episode, rows: Sequence[NoticeRow], totals: Totals) -> WindowPlan:
        seen.extend(rows)
        assert (episode.cause, episode.step, episode.opened_at, totals) == (CAUSE, 0, NOW, Totals(1, (("978", 250),)))
        return WindowPlan(None, None)

    await journal.close_windows(after(60), look)
    (row,) = seen
    assert (row.tap, row.tap_id, row.lane, row.amount, row.currency) == (1, "VAL00042:3:1", "gate-1", 250, "978")
    assert (row.masked, row.attempts, row.last_cause, row.state) == ("476173******0119", 1, "system.60", "tap_refused")


async def test_notices_during_the_making_of_a_mail_are_not_lost(journal: Journal) -> None:
    await refuse(journal, [1])
    await asyncio.gather(close(journal, after(60)), refuse(journal, [2], after(60)))
    await close(journal, after(1e6))
    subjects = sorted(mail.subject for mail in await mails(journal, after(1e6)))
    assert subjects in (["1 taps, 250 in all"] * 2, ["2 taps, 500 in all"])
