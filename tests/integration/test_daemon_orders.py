"""Held taps, canaries, and what operators do by hand: the command line against the daemon at work."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.card_search import findings
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage, Tap
from tpsd.admin.client import ask, tell
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes
from tpsd.cli import app
from tpsd.domain.time import MINUTE, later
from tpsd.errors import NotFoundError, RefusedError, TpsdError
from tpsd.sfey.fates import approve, bare, close_before, scripted, system

WHO = f"{pwd.getpwuid(os.getuid()).pw_name} ({os.getuid()})"
ONE_RESEND = {"retry": {"tiers": [{"tries": 1, "every_minutes": 1}]}}
FORBIDDEN = "http.403@GATE-X1:VAL00001"
UNREGISTERED = "system.41@GATE-X1:VAL00001"


async def tpsd(stage: Stage, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    given = [*arguments, "--config", str(stage.config_file)]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


async def answer(stage: Stage, *arguments: str) -> dict[str, Any]:
    """The JSON object of a command that works."""
    code, out, err = await tpsd(stage, *arguments, "--json")
    assert code == 0, err
    return dict(json.loads(out.splitlines()[-1]))


@asynccontextmanager
async def at_work(stage: Stage) -> AsyncIterator[None]:
    """The daemon with its socket."""
    async with stage.daemon_running() as daemon:
        server = AdminServer(stage.folder / "tpsd.sock", daemon.journal, daemon.status, admin_routes(daemon))
        await server.start()
        try:
            yield
            stage.check_books()
        finally:
            await server.stop()


async def tapped(stage: Stage, amount: int) -> Tap:
    """A tap, let in and settled as far as it goes by itself."""
    tap = stage.gate.tap(amount)
    assert (await stage.gate.verdict(tap)).verdict == 1
    await stage.settled(tap)
    stage.clock.jump(later(stage.clock.schedule(), 1000))  # the next one is a younger one
    return tap


async def failed_for_good(stage: Stage, amount: int) -> Tap:
    """A tap whose ladder is over."""
    tap = stage.gate.tap(amount)
    await stage.gate.verdict(tap)
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first send")
    await stage.pass_time()
    await stage.settled(tap)
    return tap


def requests(stage: Stage, tap: Tap) -> list[Any]:
    return list(stage.tps.ledger.requests_of(tap.serial, tap.tapped_at))


# --- canaries


async def test_a_canary_goes_every_quarter_of_an_hour_and_frees_the_others(open_stage: Opens) -> None:
    fates = scripted({250: (bare(403), bare(403), approve()), 300: (approve(),)})
    async with open_stage(choose=fates) as stage, at_work(stage):
        first = await tapped(stage, 250)
        joined = [await tapped(stage, 300) for _ in range(40)]
        (cause,) = (await answer(stage, "held"))["held"]
        assert (cause["cause"], cause["count"], cause["sums"], cause["holding"]) == (
            FORBIDDEN,
            41,
            {"978": 12_250},
            True,
        )
        assert round((cause["canary_due"] - stage.clock.schedule()) / MINUTE, 2) == 15
        await stage.pass_time(lambda: len(requests(stage, first)) == 2)
        assert (await stage.settled(first)).state == "held"
        assert stage.tps.ledger.requests_of(joined[0].serial, joined[0].tapped_at) == []
        await stage.pass_time()
        assert stage.minutes(first) == [0, 15, 30]
        row = await stage.row(first)
        assert (row.state, row.attempts) == ("approved", 3)
        assert [(one.release, one.reason) for one in (await stage.story(first)).attempts] == [
            (1, "ladder"),
            (1, "canary"),
            (1, "canary"),
        ]
        freed_at = requests(stage, first)[-1].at
        waits = [requests(stage, tap)[0].at - freed_at for tap in joined]
        assert all(0 <= wait <= 5 * MINUTE for wait in waits)
        assert len(set(waits)) > 30, "spread out, not all at once"
        assert {(await stage.row(tap)).state for tap in joined} == {"approved"}
        assert (await answer(stage, "held"))["held"] == []
        assert await answer(stage, "audit") == {"audit": []}, "no person did it"
        later = await tapped(stage, 300)
        assert (await stage.row(later)).state == "approved"


async def test_a_canary_judged_for_its_terminal_frees_the_others_and_is_held_anew(open_stage: Opens) -> None:
    fates = scripted({250: (bare(403), system(41)), 300: (approve(),)})
    async with open_stage(choose=fates) as stage, at_work(stage):
        first, joined = await tapped(stage, 250), await tapped(stage, 300)
        await stage.pass_time()
        assert (await stage.row(first)).cause == UNREGISTERED
        assert (await stage.row(joined)).state == "approved"
        held = (await answer(stage, "held"))["held"]
        assert [(cause["cause"], cause["count"], cause["canary_due"]) for cause in held] == [(UNREGISTERED, 1, None)]


async def test_an_unknown_end_is_no_second_chance_for_that_canary(open_stage: Opens) -> None:
    fates = scripted({250: (bare(403), close_before(), approve()), 300: (approve(),)})
    async with open_stage(choose=fates) as stage, at_work(stage):
        first, joined = await tapped(stage, 250), await tapped(stage, 300)
        await stage.pass_time(lambda: len(requests(stage, first)) == 2)
        row = await stage.settled(first)
        assert (row.state, row.cause, row.may_have_charged) == ("held", FORBIDDEN, True)
        await stage.pass_time()
        assert (requests(stage, joined)[0].at - requests(stage, first)[0].at) / MINUTE == 30, "the other went"
        assert (await stage.row(first)).state == "approved", "freed with the others: the same bytes"


async def test_canaries_survive_a_restart(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (bare(403), approve())})) as stage:
        async with at_work(stage):
            first = await tapped(stage, 250)
        async with at_work(stage):
            await stage.pass_time()
            assert stage.minutes(first) == [0, 15]
            assert (await stage.row(first)).state == "approved"


# --- release


async def test_a_release_is_counted_first_and_done_with_yes(open_stage: Opens) -> None:
    mended_since = replace(system(41), settles=False)
    fates = scripted({250: (mended_since, approve()), 300: (approve(),)})
    async with open_stage(choose=fates) as stage, at_work(stage):
        taps = [await tapped(stage, 250), await tapped(stage, 300), await tapped(stage, 300)]
        code, out, _ = await tpsd(stage, "held")
        assert code == 0
        assert UNREGISTERED in out
        assert "8.50 978" in out
        release = ("release", "--cause", f"held/{UNREGISTERED}")  # as a mail names it
        dry = await answer(stage, *release)
        assert dry == {
            "order": "release", "cause": UNREGISTERED, "dry": True, "count": 3, "sums": {"978": 850}, "refused": {},
        }  # fmt: skip
        assert {(await stage.row(tap)).state for tap in taps} == {"held"}
        assert (await answer(stage, "audit"))["audit"] == []
        done = await answer(stage, *release, "--yes", "--reason", "registered at last")
        assert (done["dry"], done["count"]) == (False, 3)
        await stage.pass_time()
        assert {(await stage.settled(tap)).state for tap in taps} == {"approved"}
        assert len({request.digest for request in requests(stage, taps[0])}) == 1, "the same bytes"
        audit = (await answer(stage, "audit"))["audit"]
        uuids = [(await stage.row(tap)).uuid for tap in taps]
        assert [row["subject"] for row in reversed(audit)] == [UNREGISTERED, *uuids]
        assert {(row["who"], row["what"], row["why"]) for row in audit} == {(WHO, "release", "registered at last")}
        code, out, _ = await tpsd(stage, "audit")
        assert (code, WHO in out) == (0, True)


async def test_since_leaves_the_older_ones(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (system(41),)})) as stage, at_work(stage):
        old = await tapped(stage, 250)
        since = later(stage.clock.schedule(), MINUTE)
        stage.clock.jump(since)
        new = await tapped(stage, 250)
        found = await tell(
            stage.folder / "tpsd.sock",
            "/orders",
            {"order": "close", "cause": UNREGISTERED, "since": since, "dry": False, "why": "test rides"},
        )
        assert found == {"count": 1, "sums": {"978": 250}, "refused": {}, "after": None}
        assert [(await stage.row(tap)).state for tap in (old, new)] == ["held", "closed"]


async def test_a_rebuild_after_a_wrong_company(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (system(11), approve()), 300: (approve(),)})) as stage:
        async with at_work(stage):
            tap, joined = await tapped(stage, 250), await tapped(stage, 300)
            before = (await stage.row(tap)).uuid
        given = stage.config_file.read_text()
        assert "company_id = 1001" in given
        stage.config_file.write_text(given.replace("company_id = 1001", "company_id = 2002"))
        async with at_work(stage):
            cause = "system.11@GATE-X1:VAL00001"
            dry = await answer(stage, "release", "--cause", cause, "--rebuild")
            assert (dry["count"], dry["refused"]) == (2, {})
            done = await answer(stage, "release", "--cause", cause, "--rebuild", "--yes", "--reason", "wrong company")
            assert done["count"] == 2
            await stage.pass_time()
            row = await stage.settled(tap)
            assert row.uuid != before
            assert [request.uuid for request in requests(stage, tap)] == [before, row.uuid]
            assert (await stage.settled(joined)).attempts == 1
            code, out, _ = await tpsd(stage, "show", str(before))
            assert (code, str(row.uuid) in out) == (0, True), "the old UUID stands in a mail"
            what = [(one["what"], one["subject"]) for one in (await answer(stage, "audit"))["audit"]]
            assert ("rebuild", f"{before} -> {row.uuid}") in what
            assert (await stage.daemon.journal.totals()).states["closed"] == 2


# --- one tap


async def test_a_permanently_failed_tap_is_sent_again_with_the_same_bytes(open_stage: Opens) -> None:
    fates = scripted({250: (close_before(), close_before(), approve())})
    async with open_stage(choose=fates, changes=ONE_RESEND) as stage, at_work(stage):
        tap = await failed_for_good(stage, 250)
        row = await stage.row(tap)
        assert (row.state, row.attempts, row.may_have_charged) == ("permanently_failed", 2, True)
        done = await answer(stage, "resend", str(row.uuid)[:8])
        assert done == {
            "order": "resend", "tap": str(row.uuid)[:8], "uuid": row.uuid, "was": "permanently_failed",
            "cause": "closed",
        }  # fmt: skip
        again = await stage.settled(tap)
        assert (again.state, again.uuid, again.attempts) == ("approved", row.uuid, 3)
        assert len({request.digest for request in requests(stage, tap)}) == 1
        code, out, err = await tpsd(stage, "resend", tap.id, "--json")
        assert code == 1
        assert json.loads(out.splitlines()[-1])["error"] in err
        assert "it is final: approved" in err


async def test_a_rebuild_is_refused_where_money_may_have_moved(open_stage: Opens) -> None:
    fates = scripted({250: (close_before(),)})
    async with open_stage(choose=fates, changes=ONE_RESEND) as stage, at_work(stage):
        tap = await failed_for_good(stage, 250)
        code, _, err = await tpsd(stage, "resend", tap.id, "--rebuild")
        assert code == 1
        assert "leave out --rebuild" in err
        code, out, _ = await tpsd(stage, "resend", "--cause", "closed", "--rebuild", "--yes", "--json")
        found = json.loads(out.splitlines()[-1])
        assert (code, found["count"], list(found["refused"].values())) == (1, 0, [1])
        assert len(requests(stage, tap)) == 2


async def test_a_doubt_is_looked_at_refused_and_resolved(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (close_before(), system(60))})) as stage, at_work(stage):
        tap = await failed_for_good(stage, 250)
        found = await answer(stage, "in-doubt")
        assert [(row["tap_id"], row["masked"], row["body_kept"]) for row in found["in_doubt"]] == [
            (tap.id, "476173******0119", True)
        ]
        assert [(row["cause"], row["count"]) for row in found["causes"]] == [("system.60", 1)]
        code, out, _ = await tpsd(stage, "in-doubt")
        assert (code, tap.id in out) == (0, True)
        for command in (("resend", tap.id), ("close", tap.id, "--reason", "enough")):
            code, _, err = await tpsd(stage, *command)
            assert (code, "'tpsd resolve' first" in err) == (1, True)
        done = await answer(stage, "resolve", tap.id, "--as", "not-charged", "--reason", "the bank says so")
        assert done["was"] == "in_doubt"
        story = await stage.story(tap)
        assert (story.tap.state, story.body_kept) == ("not_charged", False)
        assert len(requests(stage, tap)) == 2
        (audit,) = (await answer(stage, "audit"))["audit"]
        assert (audit["what"], audit["why"], audit["who"]) == ("resolve as not charged", "the bank says so", WHO)


async def test_closing_a_tap_is_its_end(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (system(41),)})) as stage, at_work(stage):
        tap = await tapped(stage, 250)
        await answer(stage, "close", tap.id, "--reason", "a test ride")
        story = await stage.story(tap)
        assert (story.tap.state, story.body_kept) == ("closed", False)
        await stage.pass_time()
        assert len(requests(stage, tap)) == 1
        assert (await answer(stage, "held"))["held"] == []


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resend",), "name one tap"),
        (("resend", "7", "--cause", "timeout"), "name one tap"),
        (("close", "7", "--since", "2d", "--reason", "x"), "belongs to --cause"),
        (("close", "7"), "--reason"),
        (("resolve", "7", "--reason", "x"), "--as"),
        (("resolve", "7", "--as", "maybe", "--reason", "x"), "maybe"),
        (("resend", "--cause", "timeout", "--since", "yesterday"), "2026-11-23T08:00"),
        (("close", "7", "--reason", "card 4761739001010119"), "card number"),
        (("release",), "--cause"),
        (("audit", "--limit", "0"), "limit"),
    ],
)
def test_wrong_use_is_told_and_sends_nothing(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--socket", "/nonexistent/tpsd.sock"])
    assert result.exit_code == 2
    assert words in result.stderr
    assert "4761739001010119" not in result.output


async def test_what_is_not_there_is_told_with_what_is(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (system(41),)})) as stage, at_work(stage):
        await tapped(stage, 250)
        for command in (("release", "--cause", "system.42"), ("resend", "--cause", "timeout", "--yes")):
            code, _, err = await tpsd(stage, *command)
            assert code == 1
            assert f"nothing rests for the cause '{command[2]}'" in err
            assert UNREGISTERED in err
        code, _, err = await tpsd(stage, "close", "99", "--reason", "x")
        assert (code, "no tap '99'" in err) == (1, True)


async def test_without_a_daemon_lists_are_read_and_orders_refused(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({250: (system(41),)})) as stage:
        async with at_work(stage):
            tap = await tapped(stage, 250)
        assert [row["cause"] for row in (await answer(stage, "held"))["held"]] == [UNREGISTERED]
        assert (await answer(stage, "in-doubt"))["in_doubt"] == []
        assert (await answer(stage, "audit"))["audit"] == []
        code, _, err = await tpsd(stage, "close", tap.id, "--reason", "x")
        assert (code, "no daemon listens" in err) == (1, True)


WRONG_BODIES: list[tuple[Mapping[str, Any], str]] = [
    ({}, "order is none of release, resend, close, charged, not-charged"),
    ({"order": "close", "tap": "1", "rebuild": True}, "nothing to rebuild"),
    ({"order": "close", "why": "w"}, "cause is no text"),
    ({"order": "close", "tap": "", "why": "w"}, "tap is no text"),
    ({"order": "close", "tap": "1", "why": "x" * 301}, "why is no text"),
    ({"order": "close", "tap": "1", "why": "4761 7390 0101 0119"}, "could be a card number"),
    ({"order": "close", "tap": "1"}, "needs a reason"),
    ({"order": "charged", "tap": "1", "why": " "}, "needs a reason"),
    ({"order": "close", "cause": "c", "since": -1, "why": "w"}, "since is no time"),
    ({"order": "close", "cause": "c", "since": True, "why": "w"}, "since is no time"),
    ({"order": "close", "cause": "c", "after": [1], "why": "w"}, "after is no place"),
]


async def test_the_socket_refuses_what_it_does_not_understand(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        socket = stage.folder / "tpsd.sock"
        for body, words in WRONG_BODIES:
            with pytest.raises(TpsdError, match=words):
                await tell(socket, "/orders", body)
        with pytest.raises(TpsdError, match="limit '0'"):
            await ask(socket, "/audit", {"limit": "0"})
        with pytest.raises(NotFoundError):
            await tell(socket, "/orders", {"order": "close", "tap": "1", "why": "gone"})
        denied = stage.gate.tap(100_000)
        await stage.gate.verdict(denied)
        with pytest.raises(RefusedError, match="was never to be sent"):
            await tell(socket, "/orders", {"order": "close", "tap": denied.id, "why": "gone"})


async def test_nothing_of_a_card_is_in_any_answer(open_stage: Opens) -> None:
    fates = scripted({250: (system(41),), 300: (close_before(), system(60))})
    async with open_stage(choose=fates, lanes=1) as stage, at_work(stage):
        await failed_for_good(stage, 300)
        await tapped(stage, 250)
        for command in ("held", "in-doubt", "audit"):
            for form in ((), ("--json",)):
                _, out, err = await tpsd(stage, command, *form)
                assert findings(command, (out + err).encode(), [VISA.pan]) == []
