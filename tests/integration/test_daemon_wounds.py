"""A daemon whose journal was wounded between two lives: it says so in its log and by mail, and goes on."""

from __future__ import annotations

import sqlite3

from structlog.testing import capture_logs

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tpsd.sfey.fates import approve, never, scripted


async def test_a_send_that_was_not_kept_is_told_of_and_sent_again(open_stage: Opens) -> None:
    silent_once = scripted({250: (never(charged=True), approve())})
    async with open_stage(choose=silent_once, changes={"sfey": {"timeout_seconds": 2.0}}) as stage:
        async with stage.daemon_running():
            tap = stage.gate.tap(250)
            await stage.gate.verdict(tap)
            await stage.until(stage.tps.ledger.charges, "the charge that nobody hears of")
        wounded(stage, "DELETE FROM attempt")
        with capture_logs() as said:
            async with stage.daemon_running():
                await stage.pass_time()
                row = await stage.settled(tap)
        assert {
            "event": "wounds_mended",
            "log_level": "error",
            "attempts_missing": 1,
            "attempts_without_end": 1,
        } in said
        assert (row.state, row.attempts, row.may_have_charged) == ("approved", 2, True)
        assert [str(mail["Subject"]) for mail in stage.post.mails] == ["[tpsd] 1 alarm: wound"]
        assert "it may have been charged" in stage.post.mails[0].get_content()
        stage.check_books()


def wounded(stage: Stage, statement: str) -> None:
    with sqlite3.connect(stage.folder / "journal" / "journal.db") as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()
