"""Pass-back and the deny list from the bytes on a pty to TPS's ledger, through the configuration."""

from __future__ import annotations

from typing import Any

from device.vl1.cards import CARDS
from tests.integration.conftest import Opens
from tests.integration.stage import Gate, Stage
from tpsd.admin.client import ask, tell
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes
from tpsd.domain.time import SECOND, Micros

MASTERCARD = next(card for card in CARDS if card.name == "mastercard")
PASS_BACK = {"pass_back_seconds": [10, 60]}
GREEN, RED = 1, 2
OK, REPEAT = (1, "ok", GREEN), (9, "repeat", GREEN)
PASSED_BACK, DENIED = (2, "pass_back", RED), (2, "deny_list", RED)


async def told(gate: Gate, **fields: Any) -> tuple[int, str, int]:
    """A tap now, and its verdict, reason and light."""
    verdict = await gate.verdict(gate.tap(250, **fields))
    assert verdict.reason is not None
    assert verdict.light is not None
    return verdict.verdict, verdict.reason, verdict.light


def later(stage: Stage, seconds: float) -> None:
    stage.clock.jump(Micros(stage.clock.wall() + int(seconds * SECOND)))


async def charges(stage: Stage) -> int:
    """What TPS has charged once nothing is pending any more."""
    for row in await stage.rows():
        if row.uuid is not None:
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the sends")
    await stage.pass_time()
    return len(stage.tps.ledger.charges())


async def test_pass_back_is_off_unless_configured(playing: Opens) -> None:
    async with playing() as stage:
        assert [await told(stage.gate) for _ in range(3)] == [OK] * 3
        assert await charges(stage) == 3


async def test_again_refused_and_new(playing: Opens) -> None:
    async with playing(lane_changes=PASS_BACK) as stage:
        assert await told(stage.gate) == OK
        assert await told(stage.gate) == REPEAT
        assert await told(stage.gate, card=MASTERCARD) == OK
        later(stage, 30)
        assert await told(stage.gate) == PASSED_BACK
        later(stage, 31)
        assert await told(stage.gate) == OK
        assert await charges(stage) == 3
        assert [row.disposition for row in await stage.rows()] == [None, "repeat", None, "denied", None]


async def test_a_group_and_lanes_that_share(playing: Opens) -> None:
    changes = {**PASS_BACK, "pass_back_group": "hall", "group_size": 1}
    async with playing(lanes=2, lane_changes=changes) as stage:
        entrance, exit_ = stage.gates
        assert [await told(gate) for gate in (entrance, exit_, entrance, exit_)] == [OK, OK, REPEAT, REPEAT]
        assert await charges(stage) == 2


async def test_a_tap_stored_while_the_line_was_cut_is_judged_by_its_own_time(open_stage: Opens) -> None:
    async with open_stage(lane_changes=PASS_BACK) as stage:
        async with stage.daemon_running():
            assert await told(stage.gate) == OK
        later(stage, 5)
        stored = stage.gate.tap(250)
        later(stage, 3600)
        async with stage.daemon_running():
            assert (await stage.gate.verdict(stored)).reason == "repeat"
            assert await told(stage.gate) == OK
            assert await charges(stage) == 2
            stage.check_books()


async def test_a_card_on_the_list_through_the_socket_and_over_a_restart(open_stage: Opens) -> None:
    async with open_stage() as stage:
        async with stage.daemon_running() as daemon:
            socket = daemon.config.admin.socket
            server = AdminServer(socket, daemon.journal, daemon.status, admin_routes(daemon))
            await server.start()
            try:
                assert await told(stage.gate) == OK
                [row] = await stage.rows()
                token = (await daemon.journal.story(str(row.number))).token
                assert (await tell(socket, "/denylist/add", {"tokens": [token]}))["added"] == 1
                assert await told(stage.gate) == DENIED
                assert (await ask(socket, "/denylist"))["tokens"] == 1
            finally:
                await server.stop()
        async with stage.daemon_running():
            assert await told(stage.gate) == DENIED
            assert await told(stage.gate, card=MASTERCARD) == OK
            assert await charges(stage) == 2
            stage.check_books()


async def test_cards_without_a_token(playing: Opens) -> None:
    changes = {"keys": {"token_key_file": None}}
    async with playing(changes=changes, lane_changes={"untokenised": "deny"}) as stage:
        assert await told(stage.gate) == (2, "untokenised", RED)
        assert await told(stage.gate, token=b"\x0a" * 32) == OK
        assert await charges(stage) == 1
