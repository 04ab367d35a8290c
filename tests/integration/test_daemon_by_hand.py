"""Journeys, check-outs and refunds by hand: the command line, the daemon at work, and TPS's ledger as the judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.card_search import findings
from tests.integration import afc
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage, Tap
from tests.integration.test_daemon_orders import WHO, answer, at_work, tpsd
from tpsd.admin.client import ask, tell
from tpsd.domain.time import DAY, HOUR, MINUTE, later
from tpsd.errors import TpsdError
from tpsd.sfey.fates import Fate, Key, bare, close_after, close_before, decline, partial, scripted

GATE = {"kind": "RETAIL_CHECK_IN_OUT", "zone": "centre"}
SHOP = {"kind": "RETAIL_PAYMENT"}
WHY = ("--reason", "the passenger called")
HELD, DECLINED = 500, 300  # what check-ins hold; what check-outs at the gate ask for where they are to fail
DECLINING: dict[Key, Sequence[Fate]] = {DECLINED: (decline(),)}


def pass_by(stage: Stage, wait: int = 1000) -> None:
    """The next request is a later one."""
    stage.clock.jump(later(stage.clock.schedule(), wait))


async def tapped(stage: Stage, amount: int, verdict: int, **fields: Any) -> Tap:
    """A tap that is told this verdict."""
    tap = stage.gate.tap(amount, **fields)
    assert (await stage.gate.verdict(tap)).verdict == verdict
    pass_by(stage)
    return tap


async def ended_unpaid(stage: Stage) -> tuple[Tap, Tap]:
    """A journey whose three tries are declined: its check-in, and the last try."""
    check_in = await tapped(stage, HELD, 5)
    tries = [await tapped(stage, DECLINED, verdict) for verdict in (7, 7, 8)]
    return check_in, tries[-1]


async def done(stage: Stage, *arguments: str) -> dict[str, Any]:
    """An order that is carried out."""
    found = await answer(stage, *arguments, *WHY)
    assert found["done"]
    pass_by(stage)
    return found


async def refused(stage: Stage, *arguments: str) -> str:
    """What is said of an order that is not, the same with and without JSON."""
    code, out, err = await tpsd(stage, *arguments, *WHY)
    assert (code, out) == (1, ""), err
    code, out, told = await tpsd(stage, *arguments, *WHY, "--json")
    assert (code, told) == (1, err)
    assert json.loads(out.splitlines()[-1])["error"] in err
    return err


async def undone(stage: Stage, *arguments: str) -> str:
    """What is said of an order that was sent and did not succeed."""
    code, _, err = await tpsd(stage, *arguments, *WHY)
    assert code == 1
    pass_by(stage)
    return err


async def states(stage: Stage, *flags: str) -> list[tuple[int, str]]:
    return [(row["id"], row["state"]) for row in (await answer(stage, "journeys", *flags))["journeys"]]


def moved(stage: Stage) -> list[tuple[str, int]]:
    """What TPS charged, held and gave back, in order."""
    return [(charge.type.removeprefix("RETAIL_"), charge.amount) for charge in stage.tps.ledger.charges()]


# --- journeys


async def test_journeys_are_listed_by_their_state_with_and_without_a_daemon(open_stage: Opens) -> None:
    async with open_stage(choose=scripted(DECLINING), lane_changes=GATE) as stage:
        async with at_work(stage):
            assert await states(stage) == []
            check_in, _ = await ended_unpaid(stage)
            await tapped(stage, HELD, 5)
            assert await states(stage, "--open") == [(2, "open")]
            pass_by(stage, 18 * HOUR)

            async def expired() -> bool:
                return await states(stage, "--expired") == [(2, "expired")]

            await stage.until(expired, "the second journey's end")
            third = await tapped(stage, HELD, 5)
            assert await states(stage) == [(3, "open"), (2, "expired"), (1, "ended_unpaid")]
            assert await states(stage, "--ended-unpaid", "--open") == [(3, "open"), (1, "ended_unpaid")]
            assert await states(stage, "--limit", "1") == [(3, "open")]
            code, table, _ = await tpsd(stage, "journeys")
            assert code == 0
            with_daemon = await answer(stage, "journeys", "--ended-unpaid")
            (row,) = with_daemon["journeys"]
            assert (row["lane"], row["zone"], row["held"], row["currency"]) == ("door-1", "centre", HELD, "978")
            assert (row["masked"], row["tries"], row["check_out_state"]) == ("476173******0119", 3, "declined")
            assert row["tap"] == (await stage.row(check_in)).number
            assert f"{row['check_in'][:13]}" in table
            assert "tpsd checkout 1" in table
            assert (await stage.story(third)).journey == 3
        assert await answer(stage, "journeys", "--ended-unpaid") == with_daemon
        code, _, err = await tpsd(stage, "checkout", "1", "--amount", "320", *WHY)
        assert (code, "no daemon listens" in err) == (1, True)


# --- checkout


async def test_a_journey_that_failed_three_times_is_checked_out_by_hand(open_stage: Opens) -> None:
    async with open_stage(choose=scripted(DECLINING), lane_changes=GATE) as stage, at_work(stage):
        check_in, _ = await ended_unpaid(stage)
        pass_by(stage, 3 * DAY)  # no card data is needed, and none is kept
        found = await done(stage, "checkout", "1", "--amount", "320")
        assert (found["order"], found["state"], found["amount"], found["same_day"]) == (
            "checkout",
            "approved",
            320,
            None,
        )
        assert found["of"] == (await stage.row(check_in)).uuid
        assert found["words"] == f"approved: the check-out of 3.20 978 ({found['uuid']})"
        assert await states(stage) == [(1, "closed")]
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 320)]
        (audit,) = (await answer(stage, "audit"))["audit"]
        assert (audit["who"], audit["what"], audit["why"]) == (WHO, "checkout", WHY[1])
        assert audit["subject"] == f"{found['of']} -> {found['uuid']}"
        assert "journey 1 is closed" in await refused(stage, "checkout", "1", "--amount", "320")
        assert len(moved(stage)) == 2


async def test_a_check_out_that_may_not_be_is_refused_with_the_reason(open_stage: Opens) -> None:
    async with open_stage(choose=scripted(DECLINING), lane_changes=GATE) as stage, at_work(stage):
        check_in, last_try = await ended_unpaid(stage)
        uuid = str((await stage.row(check_in)).uuid)
        for name in ("1", uuid, uuid[:13], check_in.id, last_try.id, str((await stage.row(last_try)).uuid)):
            err = await refused(stage, "checkout", name, "--amount", "320", "--currency", "208")
            assert "journey 1 is in currency 978, not 208" in err, name
        assert "add --release if that is meant" in await refused(stage, "checkout", "1", "--amount", "0")
        assert "100000 is above 99999" in await refused(stage, "checkout", "1", "--amount", "100000")
        assert "--release means an amount of 0" in await refused(stage, "checkout", "1", "--amount", "3", "--release")
        for name in ("2", "deadbeef-0000", "VAL00001:1:77"):
            assert f"no journey '{name}'" in await refused(stage, "checkout", name, "--amount", "320")
        denied = await tapped(stage, 100_000, 2)
        assert "was never to be sent" in await refused(stage, "checkout", denied.id, "--amount", "320")
        assert moved(stage) == [("CHECK_IN", HELD)]
        assert (await answer(stage, "audit"))["audit"] == []


async def test_an_open_journey_is_ended_by_hand_and_its_hold_released(open_stage: Opens) -> None:
    async with open_stage(lane_changes=GATE) as stage, at_work(stage):
        await tapped(stage, HELD, 5)
        found = await done(stage, "checkout", "1", "--amount", "0", "--release", "--currency", "978")
        assert found["words"].startswith("approved: the release of what the check-in holds")
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 0)]
        assert await states(stage) == [(1, "closed")]
        await tapped(stage, HELD, 5)  # the card may travel again


async def test_what_tps_refuses_may_be_ordered_again(open_stage: Opens) -> None:
    fates = scripted(DECLINING | {310: (bare(503),), 330: (partial(100),)})
    async with open_stage(choose=fates, lane_changes=GATE) as stage, at_work(stage):
        await ended_unpaid(stage)
        err = await undone(stage, "checkout", "1", "--amount", str(DECLINED))
        assert "was declined (action code 116, the account holds too little); it may be ordered again" in err
        assert "failed (http.503); it may be ordered again" in await undone(stage, "checkout", "1", "--amount", "310")
        assert await states(stage) == [(1, "ended_unpaid")]
        found = await done(stage, "checkout", "1", "--amount", "330")
        assert ", but only 1.00 978 of it" in found["words"]
        assert await states(stage) == [(1, "closed")]
        assert [row["what"] for row in (await answer(stage, "audit"))["audit"]] == ["checkout"] * 3


@pytest.mark.parametrize(
    ("finding", "charged"),
    [("charged", [("CHECK_OUT", 320)]), ("not-charged", [("CHECK_OUT", 300)])],
)
async def test_an_unknown_answer_is_in_doubt_and_ordered_only_once(
    open_stage: Opens, finding: str, charged: list[tuple[str, int]]
) -> None:
    fates = scripted({320: (close_after() if finding == "charged" else close_before(),)})
    async with open_stage(choose=fates, lane_changes=GATE) as stage, at_work(stage):
        await tapped(stage, HELD, 5)
        err = await undone(stage, "checkout", "1", "--amount", "320")
        assert "in doubt (closed): nobody knows whether the check-out of 3.20 978 was made" in err
        (row,) = (await answer(stage, "in-doubt"))["in_doubt"]
        assert f"'tpsd resolve {row['uuid']} --as charged' or '--as not-charged'" in err
        again = await done(stage, "checkout", "1", "--amount", "320")
        assert (again["already"], again["uuid"], again["state"]) == (True, row["uuid"], "in_doubt")
        assert "ordered before, so nothing was sent now" in again["words"]
        assert "a check-out by hand of 320 is not settled" in await refused(stage, "checkout", "1", "--amount", "300")
        assert len(stage.tps.ledger.requests()) == 2
        await answer(stage, "resolve", row["uuid"], "--as", finding, "--reason", "Sfey's support says so")
        if finding == "charged":
            assert await states(stage) == [(1, "closed")]
        else:
            assert await states(stage) == [(1, "ended_unpaid")]
            await done(stage, "checkout", "1", "--amount", "300")
        assert moved(stage)[1:] == charged
        assert [row["what"] for row in (await answer(stage, "audit"))["audit"]][-2:] == [
            f"resolve as {finding.replace('-', ' ')}", "checkout",
        ]  # fmt: skip


async def test_an_enquiry_finds_what_an_order_left_in_doubt(open_stage: Opens) -> None:
    fates = scripted({320: (close_after(),)})
    async with (
        afc.listening(lambda _uuid, _nth: afc.APPROVED) as api,
        open_stage(choose=fates, lane_changes=GATE, changes={"sfey": {"afc_base_url": api.url}}) as stage,
        at_work(stage),
    ):
        await tapped(stage, HELD, 5)
        err = await undone(stage, "checkout", "1", "--amount", "320")
        assert "TPS is being asked about it: see 'tpsd in-doubt'" in err
        pass_by(stage, 2 * MINUTE)

        async def closed() -> bool:
            return await states(stage) == [(1, "closed")]

        await stage.until(closed, "the enquiry's end")
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 320)]


# --- a check-out that waits for the passenger's next tap


async def test_a_check_out_that_waits_for_a_tap_is_listed_and_resolved_as_charged(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({320: (close_after(),)}), lane_changes=GATE) as stage, at_work(stage):
        await tapped(stage, HELD, 5)
        tap = await tapped(stage, 320, 7)
        found = await answer(stage, "in-doubt")
        assert (found["in_doubt"], [row["tap_id"] for row in found["awaiting_tap"]]) == ([], [tap.id])
        code, out, _ = await tpsd(stage, "in-doubt")
        assert (code, "wait for a tap" in out, tap.id in out) == (0, True, True)
        assert (await stage.row(tap)).state == "awaiting_tap"
        assert "'tpsd resolve" in await refused(stage, "checkout", "1", "--amount", "320")
        code, _, err = await tpsd(stage, "close", tap.id, *WHY)
        assert (code, "it waits for the passenger's next tap" in err) == (1, True)
        done_now = await answer(stage, "resolve", tap.id, "--as", "charged", *WHY)
        assert done_now["was"] == "awaiting_tap"
        story = await stage.story(tap)
        assert (story.tap.state, story.body_kept, story.journey_state) == ("approved", False, "closed")
        assert (await answer(stage, "in-doubt"))["awaiting_tap"] == []
        await tapped(stage, HELD, 5)  # a new journey


async def test_one_resolved_as_not_charged_leaves_the_next_tap_a_new_try(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({320: (close_before(),)}), lane_changes=GATE) as stage, at_work(stage):
        await tapped(stage, HELD, 5)
        tap = await tapped(stage, 320, 7)
        await answer(stage, "resolve", tap.id, "--as", "not-charged", *WHY)
        assert await states(stage) == [(1, "checking_out")]
        second = await tapped(stage, 310, 6)
        uuids = {(await stage.row(one)).uuid for one in (tap, second)}
        assert len(uuids) == 2
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 310)]


# --- refund


async def test_a_payment_is_given_back_in_parts_never_above_its_charge(open_stage: Opens) -> None:
    async with open_stage(lane_changes=SHOP) as stage, at_work(stage):
        tap = await tapped(stage, 250, 1)
        err = await refused(stage, "refund", tap.id, "--amount", "251")
        assert "251 is not between 1 and 250" in err
        first = await done(stage, "refund", tap.id, "--amount", "100")
        assert (first["same_day"], first["of"]) == (True, (await stage.row(tap)).uuid)
        assert first["words"].endswith("of the same day, so this is a cancellation, usually free")
        assert "100 was given back before" in await refused(stage, "refund", tap.id, "--amount", "100")
        await done(stage, "refund", tap.id, "--amount", "100", "--again")
        assert "51 is not between 1 and 50" in await refused(stage, "refund", tap.id, "--amount", "51")
        pass_by(stage, 2 * DAY)
        last = await done(stage, "refund", str((await stage.row(tap)).number))
        assert (last["amount"], last["same_day"]) == (50, False)
        assert last["words"].endswith("so this is a refund, which costs")
        assert "given back already, 250 in all" in await refused(stage, "refund", tap.id)
        assert moved(stage) == [("PAYMENT", 250), ("REFUND", 100), ("REFUND", 100), ("REFUND", 50)]
        assert stage.tps.ledger.charged_total == 0
        audit = (await answer(stage, "audit"))["audit"]
        assert [(row["what"], row["subject"].startswith(first["of"])) for row in audit] == [("refund", True)] * 3


async def test_what_was_not_charged_is_not_given_back(open_stage: Opens) -> None:
    fates = scripted({260: (decline(),), 270: (close_after(),)})
    async with open_stage(choose=fates, lane_changes=SHOP) as stage, at_work(stage):
        declined, doubtful = await tapped(stage, 260, 2), await tapped(stage, 270, 2)
        denied = await tapped(stage, 100_000, 2)
        assert "only what TPS approved can be given back, and it is declined" in await refused(
            stage, "refund", declined.id
        )
        assert "it is in doubt whether it was charged" in await refused(stage, "refund", doubtful.id)
        assert "was never to be sent" in await refused(stage, "refund", denied.id)
        assert "no tap '99'" in await refused(stage, "refund", "99")
        assert moved(stage) == [("PAYMENT", 270)]


async def test_a_transit_tap_is_not_refunded_here(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        tap = stage.gate.tap(250)
        await stage.gate.verdict(tap)
        await stage.settled(tap)
        assert "MTT is not refunded here" in await refused(stage, "refund", tap.id)


async def test_a_refund_in_doubt_counts_as_given_back_until_it_is_resolved(open_stage: Opens) -> None:
    async with open_stage(choose=scripted({100: (close_before(),)}), lane_changes=SHOP) as stage, at_work(stage):
        tap = await tapped(stage, 250, 1)
        err = await undone(stage, "refund", tap.id, "--amount", "100")
        assert "in doubt (closed): nobody knows whether the refund of 1.00 978 was made" in err
        (row,) = (await answer(stage, "in-doubt"))["in_doubt"]
        again = await done(stage, "refund", tap.id, "--amount", "100")
        assert (again["already"], again["uuid"]) == (True, row["uuid"])
        assert "a refund of 100 is not settled" in await refused(stage, "refund", tap.id, "--amount", "50")
        await answer(stage, "resolve", row["uuid"], "--as", "not-charged", *WHY)
        assert (await done(stage, "refund", tap.id))["amount"] == 250
        assert moved(stage) == [("PAYMENT", 250), ("REFUND", 250)]


async def test_a_journeys_check_out_is_refunded_and_its_check_in_is_not(open_stage: Opens) -> None:
    async with open_stage(lane_changes=GATE) as stage, at_work(stage):
        check_in = await tapped(stage, HELD, 5)
        err = await refused(stage, "refund", check_in.id)
        assert "'tpsd checkout 1 --amount 0 --release' gives back what it holds" in err
        check_out = await tapped(stage, 320, 6)
        assert "refund that journey's check-out" in await refused(stage, "refund", check_in.id)
        assert (await done(stage, "refund", check_out.id))["amount"] == 320
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 320), ("REFUND", 320)]


async def test_a_check_in_that_opened_no_journey_is_released(open_stage: Opens) -> None:
    """It was found approved after its passenger had been turned away: the money is held, and nobody travels."""
    async with open_stage(choose=scripted({HELD: (close_after(),)}), lane_changes=GATE) as stage, at_work(stage):
        tap = await tapped(stage, HELD, 2)
        await answer(stage, "resolve", tap.id, "--as", "charged", *WHY)
        assert await states(stage) == []
        assert "released whole: leave out --amount" in await refused(stage, "refund", tap.id, "--amount", "100")
        found = await done(stage, "refund", tap.id)
        assert (found["order"], found["amount"]) == ("release", 0)
        assert "it was released already" in await refused(stage, "refund", tap.id)
        assert moved(stage) == [("CHECK_IN", HELD), ("CHECK_OUT", 0)]


# --- taps that were charged and not seen


async def test_a_charge_that_no_link_took_is_found(open_stage: Opens) -> None:
    async with open_stage(lane_changes=SHOP) as stage, at_work(stage):
        seen = await tapped(stage, 250, 1)

        async def acknowledged() -> bool:
            return (await stage.story(seen)).delivered == "yes"

        await stage.until(acknowledged, "the link's acknowledgement")
        gone = stage.gate.tap(260)
        stage.gate.unplug()
        assert (await stage.settled(gone)).state == "approved"
        found = (await answer(stage, "taps", "--state", "unseen"))["taps"]
        assert [tap["tap_id"] for tap in found] == [gone.id]
        code, out, _ = await tpsd(stage, "show", gone.id)
        assert (code, "delivered" in out, "not yet" in out) == (0, True, True)
        stage.gate.plug(stage.lines[0].master)


# --- the socket


WRONG: list[tuple[str, Mapping[str, Any], str]] = [
    ("/checkout", {"amount": 1, "why": "w"}, "journey is no text"),
    ("/checkout", {"journey": "1", "why": "w"}, "amount is no number of minor units from 0"),
    ("/checkout", {"journey": "1", "amount": True, "why": "w"}, "amount is no number"),
    ("/checkout", {"journey": "1", "amount": -1, "why": "w"}, "amount is no number"),
    ("/checkout", {"journey": "1", "amount": 10**12, "why": "w"}, "amount is no number"),
    ("/checkout", {"journey": "1", "amount": 1, "currency": 978, "why": "w"}, "currency is no text"),
    ("/checkout", {"journey": "1", "amount": 1}, "needs a reason"),
    ("/checkout", {"journey": "1", "amount": 1, "why": "4761 7390 0101 0119"}, "could be a card number"),
    ("/refund", {"why": "w"}, "tap is no text"),
    ("/refund", {"tap": "1", "amount": 0, "why": "w"}, "amount is no number of minor units from 1"),
    ("/refund", {"tap": "1", "amount": "all", "why": "w"}, "amount is no number"),
    ("/refund", {"tap": "1", "why": " "}, "needs a reason"),
]


async def test_the_socket_refuses_what_it_does_not_understand(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        socket = stage.folder / "tpsd.sock"
        for path, body, words in WRONG:
            with pytest.raises(TpsdError, match=words):
                await tell(socket, path, body)
        with pytest.raises(TpsdError, match="state 'lost' is none of open, checking_out"):
            await ask(socket, "/journeys", {"states": "open,lost"})
        with pytest.raises(TpsdError, match="limit '0'"):
            await ask(socket, "/journeys", {"limit": "0"})
        for question, words in [
            ({"by": "month"}, "by 'month' is none of day, lane, kind, code"),
            ({"since": "2026-02-30"}, "since there is no day 2026-02-30"),
            ({"lane": "door-1"}, "unknown question 'lane'; ask with by, since, until"),
        ]:
            with pytest.raises(TpsdError, match=words):
                await ask(socket, "/report", question)


async def test_nothing_of_a_card_is_in_any_answer(open_stage: Opens) -> None:
    async with open_stage(choose=scripted(DECLINING), lane_changes=GATE) as stage, at_work(stage):
        check_in, last = await ended_unpaid(stage)
        await done(stage, "checkout", "1", "--amount", "320")
        for command in (
            ("journeys",),
            ("receipt", check_in.id),
            ("receipt", last.id),
            ("show", last.id),
            ("explain", check_in.id),
            ("explain", last.id),
            ("report", "--by", "day,lane,kind,code"),
            ("in-doubt",),
        ):
            for form in ((), ("--json",)):
                _, out, err = await tpsd(stage, *command, *form)
                assert findings(" ".join(command), (out + err).encode(), [VISA.pan]) == []
        log = (stage.folder / "journal").iterdir()
        assert findings("journal", b"".join(path.read_bytes() for path in log), [VISA.pan]) == []
