"""Outages on real TCP: TPS's listener stops and starts, and the daemon waits, probes, tells and drains."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.store import builders
from tpsd.config import load
from tpsd.core.intake import decide
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros
from tpsd.sfey.certificates import Files, make, server_context
from tpsd.sfey.fates import approve, bare, scripted, slow
from tpsd.sfey.ledger import Reply, Request, Visit

NOBODY = {"tps_listens": False}
ONE_RESEND = {"tiers": [{"tries": 1, "every_minutes": 1}]}


@contextlib.asynccontextmanager
async def listening(stage: Stage, files: Files) -> AsyncIterator[None]:
    """TPS listens where the configuration says, until the block ends; then connections are refused."""
    port = urlsplit(str(load(stage.config_file).sfey.base_url)).port
    assert port is not None
    tls = server_context(files.server_cert, files.server_key, files.ca)
    async with stage.tps.serving(port=port, ssl_context=tls):
        yield


def uplink(stage: Stage) -> str:
    return str(stage.daemon.uplink.status()["state"])


async def is_(stage: Stage, state: str) -> None:
    await stage.until(lambda: uplink(stage) == state, f"the uplink is {state}")


async def tapped(stage: Stage, count: int = 1) -> list[Tap]:
    """So many taps at each gate, all accepted."""
    taps = [gate.tap(250) for _ in range(count) for gate in stage.gates]
    for tap in taps:
        gate = next(gate for gate in stage.gates if gate.serial == tap.serial)
        assert (await gate.verdict(tap)).verdict == 1
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first sends")
    return taps


async def holds(stage: Stage, condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 20) -> None:
    await stage.until(condition, what, seconds)


async def pass_minutes(stage: Stage, minutes: float) -> None:
    until = stage.clock.schedule() + minutes * MINUTE
    await stage.pass_time(lambda: stage.clock.schedule() >= until)


async def pass_until(stage: Stage, state: str) -> None:
    await stage.pass_time(lambda: uplink(stage) == state)


def subjects(stage: Stage) -> list[str]:
    return [str(mail["Subject"]).partition("@")[0] for mail in stage.post.mails]


def posts(stage: Stage) -> list[Request]:
    return stage.tps.ledger.requests()


async def test_taps_wait_use_no_rung_and_are_sent_afterwards(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(**NOBODY) as stage, stage.daemon_running():
        (tap,) = await tapped(stage)
        await is_(stage, "down")
        await pass_minutes(stage, 20 * 60)
        story = await stage.story(tap)
        assert (story.tap.state, story.tap.cause, story.tap.attempts) == ("pending", "connect", 1)
        assert [(attempt.outcome, attempt.cause) for attempt in story.attempts] == [("not_sent", "connect")]
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            ended_at = stage.clock.schedule()
            await stage.pass_time()
            row = await stage.settled(tap)
            assert (row.state, row.attempts, row.may_have_charged) == ("approved", 2, True)
            (request,) = posts(stage)
            assert 0 < request.at - ended_at <= 300 * SECOND + 1
        stage.check_books()


async def test_the_ladder_begins_only_when_the_host_is_back(open_stage: Opens, certificates: Files) -> None:
    unavailable = scripted({250: (bare(503),)})
    async with open_stage(choose=unavailable, **NOBODY) as stage, stage.daemon_running():
        (tap,) = await tapped(stage)
        await pass_minutes(stage, 60)
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            await stage.pass_time()
            assert (await stage.settled(tap)).state == "permanently_failed"
            assert stage.minutes(tap) == [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]


async def test_two_mails_an_outage_and_no_third(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(lanes=2, **NOBODY) as stage, stage.daemon_running():
        await tapped(stage, 3)
        began = stage.clock.schedule()
        await pass_minutes(stage, 29)
        assert stage.post.mails == []
        await stage.pass_time(lambda: len(stage.post.mails) == 1)
        assert 30 * MINUTE <= stage.clock.schedule() - began <= 32 * MINUTE
        await pass_minutes(stage, 150)
        assert subjects(stage) == ["[tpsd] 1 word on an outage: unreachable"]
        text = stage.post.mails[0].get_content()
        assert "6 taps wait" in text
        assert "TPS's host cannot be reached, so taps are kept and wait" in text
        assert "charged" not in text
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            await stage.pass_time()
        assert subjects(stage)[1:] == ["[tpsd] 1 word on an outage: reachable"]
        text = stage.post.mails[1].get_content()
        assert re.search(r"reachable again after 3 h \d min \(since [0-9T:-]+Z\)", text)
        assert "6 taps wait" in text


async def test_a_short_outage_is_not_mailed_and_not_spread(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(**NOBODY) as stage, stage.daemon_running():
        (tap,) = await tapped(stage)
        began = stage.clock.schedule()
        await pass_minutes(stage, 0.05)
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            ended_at = stage.clock.schedule()
            assert ended_at - began <= 15 * SECOND
            assert (await stage.settled(tap)).state == "approved"
            assert stage.clock.schedule() == ended_at
            await stage.pass_time()
        assert stage.post.mails == []


async def test_the_listener_stops_in_the_middle_and_comes_back(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(**NOBODY) as stage, contextlib.AsyncExitStack() as first:
        await first.enter_async_context(listening(stage, certificates))
        async with stage.daemon_running():
            (before,) = await tapped(stage)
            assert (await stage.settled(before)).state == "approved"
            await first.aclose()
            (during,) = await tapped(stage)
            await stage.pass_time(lambda: uplink(stage) == "down")
            row = await stage.row(during)
            assert row.state == "pending"
            assert posts(stage)[1:] == []
            async with listening(stage, certificates):
                await pass_until(stage, "up")
                await stage.pass_time()
                assert (await stage.settled(during)).state == "approved"
    stage.check_books()


async def test_while_it_is_down_probes_go_and_nothing_else(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(lanes=2, **NOBODY) as stage, stage.daemon_running():
        await tapped(stage)
        sends = (await stage.daemon.journal.totals()).sends
        for _ in range(3):
            await tapped(stage)
            await pass_minutes(stage, 2)
        totals = await stage.daemon.journal.totals()
        assert (totals.sends, totals.states) == (sends, {"pending": 8})
        assert sends <= 2
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            assert [type(entry) for entry in stage.tps.ledger.entries][:1] == [Visit], "a probe came first"


async def test_first_sends_are_spread_by_terminal(open_stage: Opens, certificates: Files) -> None:
    async with open_stage(lanes=3, **NOBODY) as stage, stage.daemon_running():
        taps = await tapped(stage, 4)
        await pass_minutes(stage, 10)
        async with listening(stage, certificates):
            await pass_until(stage, "up")
            ended_at = stage.clock.schedule()

            async def spread() -> bool:
                return (await stage.daemon.journal.next_due() or 0) > ended_at

            await holds(stage, spread, "the spread")
            late = stage.gate.tap(333)
            await stage.gate.verdict(late)
            await stage.settled(late)
            assert stage.clock.schedule() == ended_at, "a tap made after the end does not wait"
            await stage.pass_time()
            starts = defaultdict(list)
            for request in posts(stage):
                if request.amount == 250:
                    starts[request.serial].append(request.at - ended_at)
        assert {serial: len(times) for serial, times in starts.items()} == dict.fromkeys(
            (gate.serial for gate in stage.gates), 4
        )
        offsets = []
        for times in starts.values():
            assert 0 < min(times) <= max(times) <= 300 * SECOND + len(taps)
            assert max(times) - min(times) < len(taps), "a terminal draws once"
            offsets.append(min(times))
        assert len(set(offsets)) == 3
        assert max(offsets) - min(offsets) > SECOND


async def test_a_restart_in_an_outage_probes_first_and_tells_nobody_twice(
    open_stage: Opens, certificates: Files
) -> None:
    async with open_stage(**NOBODY) as stage:
        async with stage.daemon_running():
            (tap,) = await tapped(stage)
            await stage.pass_time(lambda: len(stage.post.mails) == 1)
        async with stage.daemon_running():
            assert uplink(stage) == "down"
            await pass_minutes(stage, 120)
            assert (await stage.row(tap)).attempts == 1, "no tap was risked to find that out"
            async with listening(stage, certificates):
                await pass_until(stage, "up")
                await stage.pass_time()
                assert (await stage.settled(tap)).state == "approved"
        assert subjects(stage) == [f"[tpsd] 1 word on an outage: {word}" for word in ("unreachable", "reachable")]


async def test_a_tap_that_has_waited_too_long_uses_its_rungs(open_stage: Opens) -> None:
    changes = {"retry": {"hold_hours_max": 5, **ONE_RESEND}}
    async with open_stage(changes=changes, **NOBODY) as stage, stage.daemon_running():
        (early,) = await tapped(stage)
        made = stage.clock.schedule()
        await pass_minutes(stage, 4 * 60)
        (late,) = await tapped(stage)
        await stage.pass_time(lambda: any("permanently failed" in subject for subject in subjects(stage)))
        row = await stage.row(early)
        assert (row.state, row.attempts) == ("permanently_failed", 3)
        story = await stage.story(early)
        waits = [attempt.started_at - made for attempt in story.attempts]
        assert waits[0] == 0
        assert 5 * HOUR <= waits[1] <= 5 * HOUR + MINUTE
        assert MINUTE <= waits[2] - waits[1] <= 2 * MINUTE
        assert ((await stage.row(late)).state, (await stage.row(late)).attempts) == ("pending", 0)


async def test_off_each_failed_connection_uses_a_rung(open_stage: Opens) -> None:
    changes = {"retry": {"hold_while_offline": False, **ONE_RESEND}}
    async with open_stage(changes=changes, **NOBODY) as stage, stage.daemon_running():
        (tap,) = await tapped(stage)
        await stage.pass_time(lambda: bool(stage.post.mails))
        row = await stage.settled(tap)
        assert (row.state, row.attempts) == ("permanently_failed", 2)


async def test_a_bad_certificate_is_not_an_outage(open_stage: Opens, certificates: Files, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other", datetime.now(UTC))
    async with open_stage(**NOBODY) as stage:
        port = urlsplit(str(load(stage.config_file).sfey.base_url)).port
        assert port is not None
        tls = server_context(other.server_cert, other.server_key, certificates.ca)
        async with stage.tps.serving(port=port, ssl_context=tls), stage.daemon_running():
            (tap,) = await tapped(stage)

            async def settled() -> bool:
                row = await stage.row(tap)
                return (row.state, row.attempts) == ("pending", 1)

            await holds(stage, settled, "the end of the first send")
            assert uplink(stage) == "up"
            story = await stage.story(tap)
            assert (story.tap.state, story.tap.cause, story.tap.attempts) == ("pending", "tls.server", 1)
            assert story.tap.due == story.attempts[0].started_at + MINUTE, "the rung is used"


async def test_thousands_of_overdue_taps_drain_within_the_concurrency(open_stage: Opens, certificates: Files) -> None:
    """The other end counts what is under way; every tap is sent once, the oldest first."""
    concurrency, terminals, each = 12, 50, 50
    changes = {"retry": {"concurrency": concurrency, "spread_seconds": 0}}
    soon = scripted({250: (slow(0.002, approve()),)})
    async with open_stage(lanes=0, choose=soon, changes=changes, **NOBODY) as stage, stage.daemon_running(plug=False):
        daemon = stage.daemon
        now = daemon.clock.schedule()
        takes = []
        for number in range(terminals * each):
            serial, counter = f"VAL{number % terminals:05d}", number // terminals + 1
            tapped_at = Micros(now - (terminals * each - number) * SECOND)
            tap = builders.report(
                counter, serial=serial, tapped_at=tapped_at, received_at=tapped_at, content=b" %d" % number
            )
            prepared = builders.candidate(daemon.journal, tap, uuid=UUID(int=number + 1))
            takes.append(daemon.journal.take(prepared, decide, now))
        await asyncio.gather(*takes)
        daemon.dispatcher.wake.set()
        await is_(stage, "down")
        await stage.until(lambda: daemon.dispatcher.in_flight == 0, "the sends of the beginning")
        assert (await daemon.journal.totals()).sends <= concurrency
        await pass_minutes(stage, 40)
        assert (await daemon.journal.totals()).sends <= concurrency
        async with listening(stage, certificates):
            await pass_until(stage, "up")

            async def drained() -> bool:
                return (await daemon.journal.totals()).states == {"approved": terminals * each}

            await holds(stage, drained, "all approved", 60)
        assert len(posts(stage)) == len({request.uuid for request in posts(stage)}) == terminals * each
        under_way = most = 0
        for entry in stage.tps.ledger.entries:
            under_way += isinstance(entry, Request) - isinstance(entry, Reply)
            most = max(most, under_way)
        assert most == concurrency
        stage.check_books()
