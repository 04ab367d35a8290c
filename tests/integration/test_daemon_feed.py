"""The deny list as TPS feeds it, over TLS with a client certificate, from its pages to the verdicts at a gate."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import apsw
import pytest

from device.vl1.cards import CARDS
from tests.integration.conftest import Opens
from tests.integration.failing_disk import failing_disk
from tests.integration.stage import Gate, Stage
from tpsd.admin.client import ask, tell
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes, open_journal
from tpsd.config import load
from tpsd.core.feed import ANEW_AFTER, LONG_LIST, TURN_AFTER, Flush, Put, Take
from tpsd.daemon import Daemon
from tpsd.domain.card import Pan
from tpsd.domain.feed import Action, Parameters
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros
from tpsd.emv.reading import card_token
from tpsd.errors import RefusedError
from tpsd.sfey.update_desk import BUSY_SECONDS, Fault

VISA, MASTERCARD = (next(card for card in CARDS if card.name == name) for name in ("visa", "mastercard"))
FED = {"feed": {"enabled": True}}
OK, DENIED = "ok", "deny_list"


def others(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


def token_of(stage: Stage, card: Any) -> bytes:
    salt = bytes.fromhex((stage.folder / "salt.hex").read_text())
    return bytes.fromhex(card_token(salt, Pan(card.pan)))


async def told(gate: Gate, card: Any = VISA) -> str | None:
    return (await gate.verdict(gate.tap(250, card=card))).reason


async def polled(stage: Stage, *, done: Callable[[], Any] = lambda: True) -> None:
    """The loop has asked until there was nothing more, and rests."""
    feed, asked = stage.daemon.feed, stage.tps.updates.asked
    assert feed is not None
    await stage.until(lambda: asked and not feed.busy and not feed.wake.is_set() and done(), "the end of a poll")


async def poll(stage: Stage) -> None:
    """One poll more."""
    feed, before = stage.daemon.feed, len(stage.tps.updates.asked)
    assert feed is not None
    feed.look()
    await polled(stage, done=lambda: len(stage.tps.updates.asked) > before)


@asynccontextmanager
async def door(daemon: Daemon) -> AsyncIterator[Any]:
    server = AdminServer(daemon.config.admin.socket, daemon.journal, daemon.status, admin_routes(daemon))
    await server.start()
    try:
        yield daemon.config.admin.socket
    finally:
        await server.stop()


async def mailed(stage: Stage, words: str) -> None:
    """The mail with these words comes when its window closes."""
    stage.clock.jump(Micros(stage.clock.schedule() + 2 * MINUTE))
    await stage.until(lambda: any(words in mail.get_content() for mail in stage.post.mails), "the mail")


async def test_a_card_is_denied_recovered_and_let_in_again(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.add([*others(2500), token_of(stage, VISA)])
        async with stage.daemon_running():
            await polled(stage, done=lambda: len(stage.tps.updates.asked) >= 3)
            assert await told(stage.gate) == DENIED
            assert await told(stage.gate, MASTERCARD) == OK
            stage.tps.updates.lift([token_of(stage, VISA)])
            await poll(stage)
            assert await told(stage.gate) == OK
            stage.check_books()
        assert stage.tps.updates.asked == [None, "0.1000", "0.2000", "0.2501"]
        path = "/device-api/v1/update/VAL00001/type/GATE-X1?recordCount=1000&recordType=DENY_LIST"
        assert stage.tps.updates.paths[-1] == f"{path}&resumptionToken=0.2501"


async def test_it_is_polled_every_five_minutes_and_over_a_restart_goes_on(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.add(others(10))
        async with stage.daemon_running():
            await polled(stage)
            asked = len(stage.tps.updates.asked)
            stage.clock.jump(Micros(stage.clock.schedule() + 5 * MINUTE - 1))
            await polled(stage)
            assert len(stage.tps.updates.asked) == asked
            stage.clock.jump(Micros(stage.clock.schedule() + 31 * 1_000_000))
            await polled(stage, done=lambda: len(stage.tps.updates.asked) == asked + 1)
        stage.tps.updates.add([token_of(stage, VISA)])
        async with stage.daemon_running():
            await polled(stage, done=lambda: len(stage.tps.updates.asked) == asked + 2)
            assert stage.tps.updates.asked[-1] == "0.10"
            assert await told(stage.gate) == DENIED


async def test_an_outdated_token_brings_the_list_anew_and_what_people_entered_stays(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.add([token_of(stage, VISA), *others(900)])
        async with stage.daemon_running() as daemon, door(daemon) as socket:
            await polled(stage)
            await tell(socket, "/denylist/add", {"tokens": [token_of(stage, MASTERCARD).hex()]})
            stage.tps.updates.replace(others(700))
            await poll(stage)
            assert await told(stage.gate) == OK
            assert await told(stage.gate, MASTERCARD) == DENIED
            assert (await daemon.journal.feed.state()).tokens == 700
            with pytest.raises(RefusedError, match="choose another name"):
                await tell(socket, "/denylist/import?source=tps&tokens=1", {})


async def test_a_feed_cut_in_the_middle_resumes_and_both_lists_deny_until_then(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.add([token_of(stage, VISA), *others(1500)])
        async with stage.daemon_running():
            await polled(stage)
            updates.replace([*others(1500), token_of(stage, MASTERCARD)])
            updates.fault = lambda number: Fault.CLOSED if number > 3 else None
            await poll(stage)
            assert await told(stage.gate) == DENIED
        updates.fault = lambda number: None
        before = len(updates.asked)
        async with stage.daemon_running() as daemon:
            await polled(stage, done=lambda: len(updates.asked) > before)
            assert updates.asked[before] == "1.1000"
            assert await told(stage.gate) == OK
            assert await told(stage.gate, MASTERCARD) == DENIED
            assert (await daemon.journal.feed.state()).shadow is None


async def test_a_list_that_would_lose_more_than_half_waits_for_a_person(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.add([token_of(stage, VISA), *others(LONG_LIST)])
        async with stage.daemon_running() as daemon, door(daemon) as socket:
            await polled(stage)
            stage.tps.updates.replace([token_of(stage, MASTERCARD), *others(400)])
            await poll(stage)
            assert await told(stage.gate) == DENIED
            assert await told(stage.gate, MASTERCARD) == DENIED
            await poll(stage)
            status = await ask(socket, "/denylist/feed")
            assert (status["tokens"], status["shadow"], status["loses"]) == (LONG_LIST + 1, 401, LONG_LIST - 399)
            assert "a new deny list waits for 'tpsd denylist accept'" in [
                reason for _, reason in (await daemon.observer.health()).reasons
            ]
            assert b"tpsd_deny_list_waits 1.0" in await daemon.observer.page()
            await mailed(stage, "lacks 601 of the 1001")
            assert len(stage.post.mails) == 1
            await tell(socket, "/denylist/accept", {"reason": "they paid"})
            assert await told(stage.gate) == OK
            assert await told(stage.gate, MASTERCARD) == DENIED
            with pytest.raises(RefusedError, match="no new deny list waits"):
                await tell(socket, "/denylist/accept", {})
            await polled(stage)
            assert (await daemon.observer.health()).reasons == ()


async def test_a_life_that_ended_before_the_flip_leaves_it_to_the_next(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        visa, mastercard = token_of(stage, VISA), token_of(stage, MASTERCARD)
        async with open_journal(load(stage.config_file)) as journal:
            await journal.feed.keep(Take((Put((visa,)),), "0.1", True), (), stage.clock.wall())
            await journal.feed.keep(Take((Flush(), Put((mastercard,))), "1.2", True), (), stage.clock.wall())
        stage.tps.updates.fault = lambda number: Fault.UNAVAILABLE
        async with stage.daemon_running():
            await polled(stage)
            assert (await told(stage.gate), await told(stage.gate, MASTERCARD)) == (OK, DENIED)


async def test_a_tps_that_wants_to_be_left_alone_is(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.fault = lambda number: Fault.BUSY if number == 1 else None
        async with stage.daemon_running():
            await polled(stage)
            stage.clock.jump(Micros(stage.clock.schedule() + BUSY_SECONDS * SECOND - 1))
            await polled(stage)
            assert len(updates.asked) == 1
            stage.clock.jump(Micros(stage.clock.schedule() + BUSY_SECONDS * SECOND // 10))
            await polled(stage, done=lambda: len(updates.asked) == 2)


LIES = [fault for fault in Fault if fault not in (Fault.CLOSED, Fault.UNAVAILABLE, Fault.ENDLESS, Fault.BUSY)]


@pytest.mark.parametrize("fault", LIES)
async def test_a_feed_that_lies_changes_nothing_and_is_told_of(open_stage: Opens, fault: Fault) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.add([token_of(stage, VISA), *others(10)])
        async with stage.daemon_running() as daemon:
            await polled(stage)
            updates.replace([token_of(stage, MASTERCARD)])
            updates.fault = lambda number: fault
            for _ in range(3):
                await poll(stage)
            state = await daemon.journal.feed.state()
            assert (state.tokens, state.shadow) == (11, None)
            assert await told(stage.gate) == DENIED
            await mailed(stage, "the deny list that is there stays in force")
            updates.fault = lambda number: None
            await poll(stage)
            assert (await told(stage.gate), await told(stage.gate, MASTERCARD)) == (OK, DENIED)


async def test_a_flush_and_then_silence_leaves_the_old_list_and_its_age_is_seen(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.add([token_of(stage, VISA)])
        async with stage.daemon_running() as daemon:
            await polled(stage)
            updates.replace(others(1500))
            updates.fault = lambda number: Fault.UNAVAILABLE if number > 2 else None
            await poll(stage)
            assert await told(stage.gate) == DENIED
            stage.clock.jump(Micros(stage.clock.schedule() + HOUR + MINUTE))
            await polled(stage)
            assert [reason for _, reason in (await daemon.observer.health()).reasons] == [
                "TPS has not completed the deny list for 1.0 h (http.503)"
            ]
            assert b"tpsd_deny_list_age_seconds 3660.0" in await daemon.observer.page()
            assert await told(stage.gate) == DENIED


async def test_records_of_unknown_types_are_kept_and_ignored_and_keys_are_not_kept(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.say("WEATHER", sky="grey")
        stage.tps.updates.say("DEVICE_KEY", keyData="00" * 32)
        stage.tps.updates.add([token_of(stage, VISA)])
        async with stage.daemon_running() as daemon:
            await polled(stage)
            assert await told(stage.gate) == DENIED
            assert (await daemon.journal.feed.state()).ignored == 2
            query = "SELECT type, raw FROM deny_feed_ignored"
            kept = await daemon.journal._writer.read(lambda connection: list(connection.execute(query)))
            assert kept == [("WEATHER", '{"recordType":"WEATHER","sky":"grey"}')]


async def test_stop_list_and_emv_parameters_are_kept_with_versions_and_asked_for_once_an_hour(
    open_stage: Opens,
) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.publish(Parameters.EMV_PARAMETER, aid="A0000000031010", limit=5000)
        updates.publish(Parameters.STOP_LIST, cpanToken="0a" * 32)
        updates.publish(Parameters.STOP_LIST, note="4111111111111111")
        async with stage.daemon_running() as daemon:
            await polled(stage)
            state = await daemon.journal.parameters.state(Parameters.STOP_LIST)
            assert (state.version, state.records, state.token) == (1, 2, "2")
            query = "SELECT kind, version, action, raw FROM feed_record ORDER BY id"
            kept = await daemon.journal._writer.read(lambda connection: list(connection.execute(query)))
            stopped = '{"recordType":"STOP_LIST","action":"INSERT","cpanToken":"' + "0a" * 32 + '"}'
            assert kept == [
                ("stop_list", 1, "insert", stopped),
                ("stop_list", 1, "insert", None),
                (
                    "emv_parameter GATE-X1:VAL00001",
                    1,
                    "insert",
                    '{"recordType":"EMV_PARAMETER","action":"INSERT","aid":"A0000000031010","limit":5000}',
                ),
            ]
            asked = len(updates.parameters_asked)
            assert asked == len(Parameters)
            await poll(stage)
            assert len(updates.parameters_asked) == asked
            updates.publish(Parameters.EMV_PARAMETER, Action.DELETE, aid="A0000000031010")
            stage.clock.jump(Micros(stage.clock.schedule() + HOUR))
            await polled(stage, done=lambda: len(updates.parameters_asked) == 2 * asked)
            assert updates.parameters_asked[-1] == ("EMV_PARAMETER", "1")
            assert (await daemon.journal.parameters.state(Parameters.EMV_PARAMETER, "GATE-X1:VAL00001")).version == 2


async def test_the_other_terminals_ask_for_their_emv_parameters_alone(open_stage: Opens) -> None:
    async with open_stage(lanes=2, changes=FED) as stage:
        updates = stage.tps.updates
        updates.publish(Parameters.EMV_PARAMETER, aid="A0000000031010")
        updates.publish(Parameters.STOP_LIST, cpanToken="0a" * 32)
        async with stage.daemon_running() as daemon:
            await polled(stage, done=lambda: len(updates.parameters_asked) >= 2)
            stage.clock.jump(Micros(stage.clock.schedule() + HOUR))
            await polled(stage, done=lambda: {kind for kind, _ in updates.parameters_asked[-2:]} == {"EMV_PARAMETER"})
            found = {(one.kind, one.terminal): one.records for one in await daemon.journal.parameters.states()}
            assert found == {
                (Parameters.STOP_LIST, ""): 1,
                (Parameters.EMV_PARAMETER, "GATE-X1:VAL00001"): 1,
                (Parameters.EMV_PARAMETER, "GATE-X1:VAL00002"): 1,
            }
            lists = {path.split("/")[4] for path in updates.paths}
            assert lists == {"VAL00001"}, "one asks for the deny list"


async def test_a_token_that_tps_refuses_again_and_again_is_given_up_and_the_list_comes_anew(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        updates = stage.tps.updates
        updates.add([token_of(stage, VISA), *others(20)])
        async with stage.daemon_running() as daemon:
            await polled(stage)
            updates.fault = lambda number: Fault.FORBIDDEN if updates.asked[-1] is not None else None
            for _ in range(ANEW_AFTER):
                await poll(stage)
            assert updates.asked[1:] == ["0.21"] * ANEW_AFTER
            assert await told(stage.gate) == DENIED
            await poll(stage)
            assert updates.asked[-1] is None
            state = await daemon.journal.feed.state()
            assert (state.tokens, state.shadow) == (21, None)


async def test_another_terminal_asks_when_tps_refuses_the_first(open_stage: Opens) -> None:
    async with open_stage(changes=FED, lanes=2) as stage:
        updates = stage.tps.updates
        updates.add([token_of(stage, VISA)])
        updates.fault = lambda number: Fault.UNAVAILABLE
        async with stage.daemon_running():
            await polled(stage)  # under whichever validator came first
            updates.fault = lambda number: Fault.FORBIDDEN if "VAL00001" in updates.paths[-1] else None
            before = len(updates.paths)
            for _ in range(TURN_AFTER + 1):
                await poll(stage)
            assert ["VAL00001" in path for path in updates.paths[before:]] == [True] * TURN_AFTER + [False]
            assert await told(stage.gate) == DENIED


async def test_one_clear_line_for_a_poll_that_changed_something(
    open_stage: Opens, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.add(others(1200))
        async with stage.daemon_running():
            await polled(stage, done=lambda: len(stage.tps.updates.asked) == 2)
            await poll(stage)
    lines = [line for line in capsys.readouterr().out.splitlines() if "deny_list_fed" in line]
    assert len(lines) == 1
    assert "pages=2" in lines[0]
    assert "inserted=1200" in lines[0]


async def test_a_full_disk_keeps_a_page_waiting_and_nothing_of_it_is_lost(open_stage: Opens) -> None:
    with failing_disk() as disk:
        async with open_stage(changes=FED) as stage:
            stage.tps.updates.add([token_of(stage, VISA)])
            async with stage.daemon_running() as daemon:
                await polled(stage)
                assert daemon.feed is not None
                stage.tps.updates.add([token_of(stage, MASTERCARD)])
                disk.trouble = apsw.FullError
                daemon.feed.look()
                await stage.until(lambda: disk.refused > 0, "a page that cannot be kept")
                disk.trouble = None
                await polled(stage, done=lambda: daemon.feed is not None and daemon.feed.facts().tokens == 2)
                assert await told(stage.gate) == DENIED
                assert await told(stage.gate, MASTERCARD) == DENIED
            assert stage.tps.updates.asked[1] == stage.tps.updates.asked[2] == "0.1"
