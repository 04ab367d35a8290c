"""What becomes of a tap, by what TPS does: from the bytes on a pty to TPS's ledger and the operator's mail."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.card_search import findings
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage, Tap
from tpsd.domain.views import TapRow
from tpsd.sfey.fates import approve, bare, close_before, redirect, scripted, system

LADDER = [0, 1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
ONE_RESEND = {"retry": {"tiers": [{"tries": 1, "every_minutes": 1}]}}


async def tapped(stage: Stage, amount: int, **fields: Any) -> tuple[Tap, TapRow]:
    """A tap that is accepted at the gate, and its row once the ladder and the mail windows have passed."""
    tap = stage.gate.tap(amount, **fields)
    verdict = await stage.gate.verdict(tap)
    assert (verdict.verdict, verdict.reason) == (1, "ok")
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first send")
    await stage.pass_time()
    return tap, await stage.settled(tap)


def subjects(stage: Stage) -> list[str]:
    return [str(mail["Subject"]) for mail in stage.post.mails]


def charged(stage: Stage, tap: Tap) -> list[int]:
    return [charge.amount for charge in stage.tps.ledger.charges() if charge.tapped_at == tap.tapped_at]


async def test_approved(playing: Opens) -> None:
    async with playing() as stage:
        tap, row = await tapped(stage, 250)
        assert (row.state, row.attempts, row.masked) == ("approved", 1, "476173******0119")
        assert charged(stage, tap) == [250]
        assert stage.minutes(tap) == [0]
        assert stage.post.mails == []
        assert not (await stage.story(tap)).body_kept


async def test_the_fare_is_the_lanes_where_the_validator_names_none(playing: Opens) -> None:
    async with playing(lane_changes={"fare": 320}) as stage:
        tap = stage.gate.tap(None)
        await stage.gate.verdict(tap)
        await stage.settled(tap)
        assert charged(stage, tap) == [320]


async def test_declined(playing: Opens) -> None:
    async with playing() as stage:
        tap, row = await tapped(stage, 90_116)
        assert (row.state, row.attempts, row.cause) == ("declined", 1, "action.116")
        assert charged(stage, tap) == []
        assert stage.post.mails == []


@pytest.mark.parametrize("amount", [60_004, 60_012], ids=["503", "911"])
async def test_not_now_twice_and_then_approved(playing: Opens, amount: int) -> None:
    async with playing() as stage:
        tap, row = await tapped(stage, amount)
        assert (row.state, row.attempts) == ("approved", 3)
        assert stage.minutes(tap) == [0, 1, 2]
        assert charged(stage, tap) == [amount]
        assert stage.post.mails == []


@pytest.mark.parametrize("amount", [60_008, 60_002], ids=["before the charge", "after the charge"])
async def test_closed_without_an_answer(playing: Opens, amount: int) -> None:
    """The resend carries the same bytes, so that TPS can tell a repeat from a second charge."""
    async with playing() as stage:
        tap, row = await tapped(stage, amount)
        assert (row.state, row.attempts, row.may_have_charged) == ("approved", 2, True)
        assert stage.minutes(tap) == [0, 1]
        assert charged(stage, tap) == [amount]
        assert len({request.digest for request in stage.tps.ledger.requests()}) == 1


async def test_never_answered(playing: Opens) -> None:
    async with playing(changes={"sfey": {"timeout_seconds": 0.3}}) as stage:
        tap, row = await tapped(stage, 60_003)
        assert stage.minutes(tap) == LADDER
        assert (row.state, row.attempts, row.cause) == ("permanently_failed", 13, "timeout")
        story = await stage.story(tap)
        assert [attempt.cause for attempt in story.attempts] == ["timeout"] * 13
        assert story.body_kept, "an operator may want to send it once more"
        [mail] = stage.post.mails
        assert mail["Subject"] == "[tpsd] 1 tap permanently failed: timeout"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["To"] == "operations@transit.example"
        assert parsedate_to_datetime(str(mail["Date"])).timestamp() * 1e6 == pytest.approx(
            tap.tapped_at + 1309 * 60e6, abs=2e6
        ), "the window of a minute closed after the ladder's last minute"
        text = mail.get_content()
        assert row.uuid is not None
        for part in (row.uuid, "door-1", "600.03 978", "476173******0119", "it may have been charged"):
            assert part in text
        assert "attempts        13" in text
        assert [line.strip() for line in text.rstrip().splitlines()[-2:]] == [
            f"tpsd show {row.uuid}",
            f"tpsd resend {row.uuid}",
        ]
        assert findings("mail", mail.as_bytes(), [VISA.pan]) == []


async def test_tap_refused(playing: Opens) -> None:
    async with playing() as stage:
        tap, row = await tapped(stage, 80_060)
        assert (row.state, row.attempts, row.cause) == ("tap_refused", 1, "system.60")
        assert subjects(stage) == ["[tpsd] 1 tap refused by TPS: system.60"]
        assert not (await stage.story(tap)).body_kept


async def test_terminal_refused_and_what_it_taps_later(playing: Opens) -> None:
    async with playing(lanes=2) as stage:
        first = stage.gate.tap(80_041)
        told = await stage.gate.verdict(first)
        row = await stage.settled(first)
        assert (row.state, row.cause, row.attempts) == ("held", "system.41@GATE-X1:VAL00001", 1)
        later = stage.gate.tap(250)
        assert replace(await stage.gate.verdict(later), tap=first.number) == told
        joined = await stage.settled(later)
        assert (joined.state, joined.cause, joined.attempts) == ("held", row.cause, 0)
        other = stage.gates[1].tap(250)
        await stage.gates[1].verdict(other)
        assert (await stage.settled(other)).state == "approved", "another terminal is not concerned"
        await stage.pass_time()
        assert stage.tps.ledger.requests_of(later.serial, later.tapped_at) == []
        assert len(stage.tps.ledger.requests_of(first.serial, first.tapped_at)) == 1
        assert subjects(stage) == ["[tpsd] 2 taps held: system.41@GATE-X1:VAL00001"]
        assert (await stage.story(first)).body_kept
        assert (await stage.story(later)).body_kept


@pytest.mark.parametrize("amount", [60_005, 60_006, 60_011], ids=["HTML", "10 MB", "JSON cut off"])
async def test_an_answer_that_is_none(playing: Opens, amount: int) -> None:
    async with playing(changes=ONE_RESEND) as stage:
        tap, row = await tapped(stage, amount)
        assert (row.state, row.attempts, row.may_have_charged) == ("permanently_failed", 2, True)
        assert stage.minutes(tap) == [0, 1]
        assert subjects(stage).count("[tpsd] 1 tap permanently failed: unreadable") == 1
        assert subjects(stage).count("[tpsd] 1 alarm: unreadable") == 1
        assert not any("<h1>" in mail.get_content() for mail in stage.post.mails)


async def test_a_redirect_is_not_followed(playing: Opens) -> None:
    async with playing(choose=scripted({250: (replace(redirect(), http=302),)})) as stage:
        tap = stage.gate.tap(250)
        await stage.gate.verdict(tap)
        row = await stage.settled(tap)
        assert (row.state, row.cause) == ("held", "http.302@GATE-X1:VAL00001")
        assert [visit for visit in stage.tps.ledger.visits() if "elsewhere" in visit.path] == []
        assert len(stage.tps.ledger.requests()) == 1


async def test_nobody_listens_where_tps_should_be(playing: Opens) -> None:
    async with playing(tps_listens=False, changes={"retry": {"hold_while_offline": False}}) as stage:
        tap = stage.gate.tap(250)
        await stage.gate.verdict(tap)
        failed = "[tpsd] 1 tap permanently failed: connect"
        await stage.pass_time(lambda: failed in subjects(stage))  # the probes of its host never end
        row = await stage.settled(tap)
        assert (row.state, row.attempts, row.may_have_charged) == ("permanently_failed", 13, False)
        story = await stage.story(tap)
        first = story.attempts[0].started_at
        assert [(attempt.started_at - first) / 60e6 for attempt in story.attempts] == LADDER
        assert {(attempt.outcome, attempt.cause) for attempt in story.attempts} == {("not_sent", "connect")}
        outage, mail = stage.post.mails
        assert str(outage["Subject"]).startswith("[tpsd] 1 word on an outage: unreachable@127.0.0.1:")
        assert "charged         no" in mail.get_content()
        assert "may have been charged" not in mail.get_content()


async def test_refused_after_an_attempt_that_may_have_charged(playing: Opens) -> None:
    async with playing(choose=scripted({250: (close_before(), system(60))})) as stage:
        tap, row = await tapped(stage, 250)
        assert (row.state, row.attempts, row.may_have_charged) == ("in_doubt", 2, True)
        assert subjects(stage) == ["[tpsd] 1 tap in doubt: system.60"]
        assert "it may have been charged" in stage.post.mails[0].get_content()
        assert (await stage.story(tap)).body_kept


async def test_retry_after_is_honoured_where_it_is_later_than_the_rung(playing: Opens) -> None:
    async with playing(choose=scripted({250: (bare(429, retry_after="150"), approve())})) as stage:
        tap, row = await tapped(stage, 250)
        assert (row.state, stage.minutes(tap)) == ("approved", [0, 2.5])


async def test_several_failures_of_one_cause_are_one_mail(playing: Opens) -> None:
    async with playing(lanes=2) as stage:
        taps = [gate.tap(80_060) for gate in stage.gates for _ in range(3)]
        for gate in stage.gates:
            for tap in taps:
                if tap.serial == gate.serial:
                    await gate.verdict(tap)
        for tap in taps:
            await stage.settled(tap)
        await stage.pass_time()
        assert subjects(stage) == ["[tpsd] 6 taps refused by TPS: system.60"]
        for tap in taps:
            assert str((await stage.row(tap)).uuid) in stage.post.mails[0].get_content()
