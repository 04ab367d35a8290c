"""The mailer's loop over a real journal, with the mail server scripted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.integration.stage import until
from tests.store.builders import claim_one, settle, take
from tests.unit.workshop import ScriptedPostman, running, workshop
from tpsd.daemon import Daemon
from tpsd.demo.clock import WarpClock
from tpsd.domain.outcome import Answer
from tpsd.domain.time import MINUTE, SECOND, Micros


@pytest.fixture
def clock() -> WarpClock:
    clock = WarpClock()
    clock.stand_still()
    return clock


async def refused_taps(daemon: Daemon, *codes: int) -> None:
    """A tap that TPS refused with each system code."""
    for counter, code in enumerate(codes, start=1):
        await take(daemon.journal, counter, now=daemon.clock.schedule())
        claimed = await claim_one(daemon.journal, daemon.clock.schedule())
        await settle(daemon.journal, claimed, Answer(400, system_code=code))
    daemon.mailer.wake.set()


async def rests(daemon: Daemon, clock: WarpClock) -> None:
    """Waits until the mailer waits."""
    await until(lambda: not daemon.mailer.busy and clock.quiet(1), "a resting mailer")


def has_tried(post: ScriptedPostman, mails: int) -> bool:
    return len(post.tried) == mails


async def test_a_window_is_mailed_when_it_closes(tmp_path: Path, clock: WarpClock) -> None:
    post = ScriptedPostman()
    start = clock.schedule()
    async with workshop(tmp_path, postman=post, clock=clock) as daemon, running(daemon.mailer):
        await refused_taps(daemon, 60, 60)
        await rests(daemon, clock)
        assert (post.tried, clock.next_due()) == ([], start + MINUTE)
        clock.jump(Micros(start + MINUTE))
        await until(lambda: post.accepted, "the mail")
        assert [mail.subject for mail in post.accepted] == ["[tpsd] 2 taps refused by TPS: system.60"]
        await rests(daemon, clock)
        assert clock.next_due() == start + 11 * MINUTE, "the next window of this cause is of ten minutes"
        clock.jump(Micros(start + 11 * MINUTE))
        await until(lambda: clock.next_due() is None, "the end of the cause")
        assert len(post.tried) == 1


async def test_a_refused_mail_is_tried_again_later_and_others_do_not_wait_for_it(
    tmp_path: Path, clock: WarpClock
) -> None:
    post = ScriptedPostman()
    post.refusals["system.60"] = 3
    async with workshop(tmp_path, postman=post, clock=clock) as daemon, running(daemon.mailer):
        await refused_taps(daemon, 60, 35, 63)
        await rests(daemon, clock)
        closing = Micros(clock.schedule() + MINUTE)
        clock.jump(closing)
        await until(lambda: len(post.tried) == 3, "three mails tried")
        await rests(daemon, clock)
        assert sorted(mail.subject[-2:] for mail in post.accepted) == ["35", "63"]
        pauses = []
        while len(post.accepted) < 3:
            due = clock.next_due()
            assert due is not None
            pauses.append((due - clock.schedule()) // SECOND)
            clock.jump(due)
            await until(partial(has_tried, post, 1 + len(post.tried)), "the next try")
            await rests(daemon, clock)
        assert pauses == [5, 10, 20]
        assert len({mail.message_id for mail in post.tried if mail.subject.endswith("60")}) == 1


async def test_stopping_finishes_one_mail_and_begins_no_other(tmp_path: Path, clock: WarpClock) -> None:
    """However many are due: a mail server that answers slowly must not hold up the end."""
    post = ScriptedPostman()
    post.close_gate()
    async with workshop(tmp_path, postman=post, clock=clock) as daemon:
        async with running(daemon.mailer):
            await refused_taps(daemon, 60, 35, 63)
            await rests(daemon, clock)
            clock.jump(Micros(clock.schedule() + MINUTE))
            await until(lambda: post.tried, "the first mail")
            daemon.mailer.stop()
            post.gate.release()
        assert len(post.tried) == len(post.accepted) == 1
        assert (await daemon.journal.totals()).mails_waiting == 2
