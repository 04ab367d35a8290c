"""A disk that is full or fails, and a mail server that is away: nothing is acknowledged that is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import apsw
import pytest

from tests.integration.conftest import Opens
from tests.integration.failing_disk import FailingDisk, failing_disk
from tests.integration.stage import Stage, Tap
from tpsd.domain.time import MINUTE
from tpsd.errors import JournalError
from tpsd.sfey.fates import approve, never, scripted, slow


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with failing_disk() as found:
        yield found


class TestFullDisk:
    """The lane closes, nothing is acknowledged, the validator keeps the tap."""

    async def test_a_tap_while_it_is_full(self, disk: FailingDisk, playing: Opens) -> None:
        async with playing() as stage:
            before = stage.gate.tap()
            await stage.gate.verdict(before)
            await stage.settled(before)
            disk.trouble = apsw.FullError
            tap = stage.gate.tap()
            await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
            [lane] = stage.daemon.lanes
            assert (lane.state.state, lane.state.reason) == ("closed", "the journal cannot be written")
            assert tap.number not in stage.gate.verdicts
            assert disk.refused > 0
            disk.trouble = None
            assert (await stage.gate.verdict(tap)).verdict == 1
            assert stage.gate.opened == [True, False, True]
            assert lane.state.state == "ready"
            assert (await stage.settled(tap)).state == "approved"
            assert len(await stage.rows()) == 2

    async def test_an_answer_while_it_is_full(self, disk: FailingDisk, playing: Opens) -> None:
        """The outcome waits in memory for its commit; the tap is not sent again."""
        async with playing(choose=scripted({250: (slow(0.3, approve()),)})) as stage:
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.until(stage.tps.ledger.requests, "the send")
            disk.trouble = apsw.FullError
            await stage.until(lambda: disk.refused, "the commit that fails")
            assert (await stage.row(tap)).state == "sending"
            disk.trouble = None
            row = await stage.settled(tap)
            assert (row.state, row.attempts) == ("approved", 1)
            assert len(stage.tps.ledger.requests()) == 1

    async def test_a_mail_accepted_while_it_is_full(self, disk: FailingDisk, playing: Opens) -> None:
        """The journal cannot keep that the mail is out; still it is out once."""
        async with playing() as stage:
            tap = stage.gate.tap(80_060)
            await stage.gate.verdict(tap)
            await stage.settled(tap)
            stage.post.when_taken = lambda: setattr(disk, "trouble", apsw.FullError)
            await stage.pass_time(lambda: bool(stage.post.mails))
            await stage.until(lambda: disk.refused >= 2, "two tries to keep it")
            disk.trouble = None
            await stage.pass_time()
            assert len(stage.post.mails) == 1
            assert (await stage.daemon.journal.totals()).mails_waiting == 0


async def test_a_disk_that_fails_is_not_written_over(disk: FailingDisk, open_stage: Opens) -> None:
    """The daemon ends; the next life checks the journal and takes the tap."""
    async with open_stage() as stage:

        async def life_on_a_failing_disk() -> None:
            async with stage.daemon_running():
                disk.trouble = apsw.IOError
                stage.gate.tap()
                await stage.until(lambda: stage.gate.validator.lane_open is False, "CONFIG closed")
                disk.trouble = None
                await stage.until(lambda: False, "the end of the daemon")

        with pytest.raises(ExceptionGroup) as caught:
            await life_on_a_failing_disk()
        assert caught.group_contains(JournalError, match="stays closed until tpsd starts again", depth=2)
        assert stage.gate.verdicts == {}
        async with stage.daemon_running():
            await stage.until(lambda: stage.gate.verdicts, "the verdict")
            [row] = await stage.rows()
            assert row.verdict == 1
        stage.check_books()


class TestMailServer:
    """One mail under one Message-ID, however often it was tried."""

    async def refused_tap(self, stage: Stage) -> Tap:
        tap = stage.gate.tap(80_060)
        await stage.gate.verdict(tap)
        await stage.settled(tap)
        return tap

    async def passed(self, stage: Stage, minutes: int) -> None:
        end = stage.clock.schedule() + minutes * MINUTE
        await stage.pass_time(lambda: stage.clock.schedule() > end)

    async def test_away_and_back(self, playing: Opens) -> None:
        async with playing() as stage:
            await stage.smtp_down()
            tap = await self.refused_tap(stage)
            await self.passed(stage, 30)
            assert (await stage.daemon.journal.totals()).mails_waiting == 1
            await stage.smtp_up()
            await stage.pass_time()
            [mail] = stage.post.mails
            [notice] = (await stage.story(tap)).notices
            assert mail["Message-ID"] == notice.message_id
            assert notice.mailed_at is not None

    async def test_refuses_at_first(self, playing: Opens) -> None:
        async with playing() as stage:
            stage.post.replies.extend(["451 greylisted", "451 greylisted", "554 no", "451 busy"])
            await self.refused_tap(stage)
            await stage.pass_time()
            [mail] = stage.post.mails
            assert len(stage.post.refused) == 4
            for earlier in stage.post.refused:
                assert earlier["Message-ID"] == mail["Message-ID"]
                assert earlier["Subject"] == mail["Subject"]
                assert earlier.get_content() == mail.get_content()

    async def test_away_over_a_restart(self, open_stage: Opens) -> None:
        async with open_stage() as stage:
            async with stage.daemon_running():
                await stage.smtp_down()
                tap = await self.refused_tap(stage)
                await self.passed(stage, 10)
                [notice] = (await stage.story(tap)).notices
            await stage.smtp_up()
            async with stage.daemon_running():
                await stage.pass_time()
                [mail] = stage.post.mails
                assert mail["Message-ID"] == notice.message_id

    async def test_taps_do_not_wait_for_it(self, playing: Opens) -> None:
        async with playing() as stage:
            await stage.smtp_down()
            await self.refused_tap(stage)
            await self.passed(stage, 5)
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            assert (await stage.settled(tap)).state == "approved"


async def test_a_send_that_a_death_cut_short_may_have_charged(open_stage: Opens) -> None:
    """TPS has charged, and the process dies before it hears so: the next life sends the same bytes, and knows."""
    async with open_stage(choose=scripted({250: (never(charged=True), approve())})) as stage:
        async with stage.daemon_running() as daemon:
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.until(stage.tps.ledger.charges, "the charge")
            sends = [task for task in asyncio.all_tasks() if task.get_name().startswith("send ")]
            assert len(sends) == 1
            sends[0].cancel()  # as a death leaves it: the attempt has no end
            await stage.until(lambda: daemon.dispatcher.in_flight == 0, "the cut")
        async with stage.daemon_running():
            row = await stage.row(tap)
            assert row.may_have_charged
            assert (await stage.story(tap)).attempts[0].outcome == "unknown"
            await stage.pass_time()
            assert (await stage.row(tap)).state == "approved"
        stage.check_books()
