"""In doubt, from the bytes on a pty to TPS's ledger: the horizon, enquiries, and what a person hears of them."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import configurations
from tests.integration import afc
from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tpsd.domain.time import HOUR, Micros
from tpsd.domain.views import TapRow
from tpsd.sfey.fates import action, approve, bare, close_after, close_before, scripted, system
from tpsd.sfey.simulator import AFC_BASE_PATH

REFUSED_AFTER_SILENCE = scripted({250: (close_before(), system(60))})
FORGOTTEN = scripted({250: (close_before(), bare(400), approve())})  # TPS never had it; a resend is its first
CONTROL = 100  # an amount that TPS approves at once


def asking(url: str) -> dict[str, object]:
    return {"sfey": {"afc_base_url": url}}


async def tapped(stage: Stage, amount: int = 250) -> tuple[Tap, TapRow]:
    """A tap, and its row once nothing is due any more."""
    tap = stage.gate.tap(amount)
    await stage.gate.verdict(tap)
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first send")
    await stage.pass_time()
    return tap, await stage.row(tap)


def subjects(stage: Stage) -> list[str]:
    return [str(mail["Subject"]) for mail in stage.post.mails]


async def reasons(stage: Stage, tap: Tap) -> list[tuple[str, str | None]]:
    return [(attempt.reason, attempt.outcome) for attempt in (await stage.story(tap)).attempts]


async def test_found_approved_is_final_and_nobody_is_bothered(playing: Opens, tmp_path: Path) -> None:
    token = tmp_path / "afc.token"
    token.write_text("dG9rZW4.for-tests_only==\n")
    token.chmod(0o600)
    async with afc.listening(lambda _uuid, nth: afc.UNAVAILABLE if nth < 3 else afc.APPROVED) as api:
        changes = {"sfey": {"afc_base_url": api.url, "afc_token_file": str(token)}}
        async with playing(choose=REFUSED_AFTER_SILENCE, changes=changes) as stage:
            tap, row = await tapped(stage)
            assert (row.state, row.cause) == ("approved", "action.000")
            assert api.times(row.uuid) == 3
            attempts = (await stage.story(tap)).attempts
            first = attempts[0].started_at
            assert [(attempt.started_at - first) / 60e6 for attempt in attempts] == [0, 1, 2, 7, 12]
            assert [attempt.reason for attempt in attempts] == ["ladder"] * 2 + ["enquiry"] * 3
            assert {enquiry.authorization for enquiry in api.asked} == {"Bearer dG9rZW4.for-tests_only=="}
            assert subjects(stage) == []
            assert not (await stage.story(tap)).body_kept
            assert len(stage.tps.ledger.requests()) == 2


async def test_found_declined_is_final(playing: Opens) -> None:
    async with (
        afc.listening(lambda _uuid, _nth: afc.DECLINED) as api,
        playing(choose=REFUSED_AFTER_SILENCE, changes=asking(api.url)) as stage,
    ):
        _, row = await tapped(stage)
        assert (row.state, row.cause, subjects(stage)) == ("declined", "action.116", [])


@asynccontextmanager
async def asking_tps(open_stage: Opens, path: str = AFC_BASE_PATH, **options: Any) -> AsyncIterator[Stage]:
    """A stage whose simulated TPS answers the enquiries too, over TLS; with another ``path`` it knows none."""
    async with open_stage(**options) as stage:
        given = tomllib.loads(stage.config_file.read_text())
        given["sfey"]["afc_base_url"] = given["sfey"]["base_url"] + path
        configurations.write(stage.folder, given)
        yield stage
        stage.check_books()


async def test_never_found_and_believed_goes_back_on_the_ladder_with_the_same_bytes(open_stage: Opens) -> None:
    async with asking_tps(open_stage, choose=FORGOTTEN) as stage, stage.daemon_running():
        _, control = await tapped(stage, CONTROL)
        tap, row = await tapped(stage)
        assert (row.state, row.cause) == ("approved", "action.000")
        assert await reasons(stage, tap) == [
            ("ladder", "unknown"),
            ("ladder", "terminal_refused"),
            *[("enquiry", "unknown")] * 4,
            ("enquiry", "not_found"),
            ("ladder", "approved"),
        ]
        assert [attempt.release for attempt in (await stage.story(tap)).attempts] == [1] * 7 + [2]
        requests = stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)
        assert len({request.digest for request in requests}) == 1
        asked = [visit.path.rsplit("/", 1)[1] for visit in stage.tps.ledger.visits() if "/company/" in visit.path]
        assert asked == [row.uuid] * 5 + [control.uuid]
        assert subjects(stage) == []


async def test_never_found_where_nothing_was_approved_is_left_to_a_person(open_stage: Opens) -> None:
    async with asking_tps(open_stage, choose=FORGOTTEN) as stage, stage.daemon_running():
        tap, row = await tapped(stage)
        assert (row.state, row.cause, row.may_have_charged) == ("in_doubt", "http.400", True)
        assert len(stage.tps.ledger.requests()) == 2
        assert subjects(stage) == ["[tpsd] 1 tap in doubt: http.400"]
        text = stage.post.mails[0].get_content()
        assert "no enquiry of a known one shows that this can be believed" in " ".join(text.split())
        assert (await stage.story(tap)).body_kept


async def test_a_wrong_path_says_not_found_of_everything_and_is_not_believed(open_stage: Opens) -> None:
    async with asking_tps(open_stage, "/afc-api/v9", choose=FORGOTTEN) as stage, stage.daemon_running():
        await tapped(stage, CONTROL)
        _, row = await tapped(stage)
        assert (row.state, row.cause) == ("in_doubt", "http.400")
        asked = [visit for visit in stage.tps.ledger.visits() if "/company/" in visit.path]
        assert len(asked) == 6, "five enquiries, and one of the control"
        assert subjects(stage) == ["[tpsd] 1 tap in doubt: http.400"]


async def test_an_answer_that_says_nothing_definite_is_left_to_a_person(playing: Opens) -> None:
    async with (
        afc.listening(lambda _uuid, nth: [afc.IN_PROGRESS, afc.UNAVAILABLE, afc.NOT_FOUND][nth % 3]) as api,
        playing(choose=REFUSED_AFTER_SILENCE, changes=asking(api.url)) as stage,
    ):
        _, row = await tapped(stage)
        assert (row.state, row.attempts, api.times(row.uuid)) == ("in_doubt", 7, 5)
        assert subjects(stage) == ["[tpsd] 1 tap in doubt: system.60"]
        assert "attempts        2" in stage.post.mails[0].get_content(), "enquiries are no sends"


async def test_nobody_listens_where_the_enquiries_go(playing: Opens) -> None:
    async with playing(choose=REFUSED_AFTER_SILENCE, changes=asking("http://127.0.0.1:9/afc")) as stage:
        tap, row = await tapped(stage)
        assert row.state == "in_doubt"
        assert await reasons(stage, tap) == [
            ("ladder", "unknown"),
            ("ladder", "tap_refused"),
            *[("enquiry", "not_sent")] * 5,
        ]
        assert subjects(stage) == ["[tpsd] 1 tap in doubt: system.60"]
        assert stage.daemon.uplink.is_up(), "the AFC API is another host"


async def test_a_resend_told_of_a_repeat_is_asked_about_before_its_next_rung(playing: Opens) -> None:
    choose = scripted({250: (close_before(), action("913"), action("913"), approve())})
    async with (
        afc.listening(lambda _uuid, nth: afc.UNAVAILABLE if nth == 1 else afc.APPROVED) as api,
        playing(choose=choose, changes=asking(api.url)) as stage,
    ):
        tap, row = await tapped(stage)
        assert (row.state, row.cause, api.times(row.uuid)) == ("approved", "action.000", 2)
        attempts = (await stage.story(tap)).attempts
        first = attempts[0].started_at
        seen = [(attempt.reason, (attempt.started_at - first) / 60e6) for attempt in attempts]
        assert seen == [("ladder", 0), ("ladder", 1), ("enquiry", 1.5), ("ladder", 2), ("enquiry", 2.5)]
        assert len(stage.tps.ledger.requests()) == 3


async def silent_for_days(stage: Stage) -> Tap:
    """A tap that was sent once without an answer, and a daemon that was off for 40 hours afterwards."""
    async with stage.daemon_running():
        tap = stage.gate.tap(250)
        await stage.gate.verdict(tap)
        await stage.until(lambda: _sent_once(stage, tap), "the first send")
        assert await reasons(stage, tap) == [("ladder", "unknown")]
    stage.seed += 1  # or the next daemon would make the same UUIDs again
    stage.clock.jump(Micros(stage.clock.schedule() + 40 * HOUR))
    return tap


def _sent_once(stage: Stage, tap: Tap) -> bool:
    seen = stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)
    return len(seen) == 1 and stage.daemon.dispatcher.in_flight == 0


async def _rests(stage: Stage, tap: Tap) -> TapRow:
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "sends to end")
    await stage.pass_time()
    return await stage.row(tap)


async def test_beyond_the_horizon_nothing_is_sent_and_a_person_is_told(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (close_after(), approve())})) as stage:
        tap = await silent_for_days(stage)
        async with stage.daemon_running():
            row = await _rests(stage, tap)
            assert (row.state, row.cause, row.attempts) == ("in_doubt", "horizon", 1)
            assert subjects(stage) == ["[tpsd] 1 tap in doubt: horizon"]
            assert "may no longer know it" in " ".join(stage.post.mails[0].get_content().split())
        assert len(stage.tps.ledger.requests()) == 1
        stage.check_books()


async def test_beyond_the_horizon_tps_is_asked_and_had_charged(open_stage: Opens) -> None:
    async with asking_tps(open_stage, choose=scripted({250: (close_after(), approve())})) as stage:
        tap = await silent_for_days(stage)
        async with stage.daemon_running():
            row = await _rests(stage, tap)
            assert (row.state, row.cause) == ("approved", "action.000")
            assert subjects(stage) == []
        assert len(stage.tps.ledger.requests()) == 1


async def test_beyond_the_horizon_tps_must_remember_one_as_old(open_stage: Opens) -> None:
    """TPS may have forgotten what it charged: then "not found" of this one proves nothing."""
    choose = scripted({250: (close_before(), approve())})
    async with asking_tps(open_stage, choose=choose) as stage:
        tap = await silent_for_days(stage)
        async with stage.daemon_running():
            await tapped(stage, CONTROL)
            row = await _rests(stage, tap)
            assert (row.state, row.cause) == ("in_doubt", "horizon")
            assert subjects(stage) == ["[tpsd] 1 tap in doubt: horizon"]
        assert len(stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)) == 1


async def test_beyond_the_horizon_one_that_old_and_a_new_one_make_not_found_believed(open_stage: Opens) -> None:
    choose = scripted({250: (close_before(), approve())})
    async with asking_tps(open_stage, choose=choose) as stage:
        async with stage.daemon_running():
            await tapped(stage, CONTROL)
        stage.seed += 1
        tap = await silent_for_days(stage)
        async with stage.daemon_running():
            await tapped(stage, CONTROL)
            row = await _rests(stage, tap)
            assert (row.state, subjects(stage)) == ("approved", [])
        requests = stage.tps.ledger.requests_of(tap.serial, tap.tapped_at)
        assert len({request.digest for request in requests}) == 1
        assert len(requests) == 2


async def test_a_row_in_doubt_is_asked_about_once_an_afc_api_is_named(open_stage: Opens) -> None:
    async with (
        open_stage(choose=REFUSED_AFTER_SILENCE) as stage,
        afc.listening(lambda _uuid, _nth: afc.APPROVED) as api,
    ):
        async with stage.daemon_running():
            tap, row = await tapped(stage)
            assert (row.state, len(subjects(stage))) == ("in_doubt", 1)
        given = tomllib.loads(stage.config_file.read_text())
        configurations.write(stage.folder, configurations.changed(given, asking(api.url)))
        async with stage.daemon_running():
            row = await _rests(stage, tap)
            assert (row.state, len(subjects(stage))) == ("approved", 1)
        stage.check_books()


async def test_a_row_that_waited_for_an_enquiry_is_told_of_once_there_is_none(open_stage: Opens) -> None:
    async with (
        afc.listening(lambda _uuid, _nth: afc.UNAVAILABLE) as api,
        open_stage(choose=REFUSED_AFTER_SILENCE, changes=asking(api.url)) as stage,
    ):
        async with stage.daemon_running():
            tap = stage.gate.tap(250)
            await stage.gate.verdict(tap)
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first send")
            await stage.pass_time(lambda: bool(api.asked))
            assert subjects(stage) == []
        given = tomllib.loads(stage.config_file.read_text())
        configurations.write(stage.folder, configurations.changed(given, {"sfey": {"afc_base_url": None}}))
        async with stage.daemon_running():
            row = await _rests(stage, tap)
            assert (row.state, subjects(stage)) == ("in_doubt", ["[tpsd] 1 tap in doubt: system.60"])
        stage.check_books()
