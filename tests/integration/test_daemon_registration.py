"""A terminal registered over TLS: the code, the activation, what is refused, and what is compared at each start."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from device.vl1.simulator_events import ConfigReceived
from tests.integration.stage import Stage
from tests.integration.test_daemon_keys import shown
from tests.integration.test_daemon_orders import WHO, answer, at_work, tpsd
from tests.integration.test_daemon_preflight import FIRST, SECOND_GATE, Issuer, health, issuer, opens
from tests.integration.test_daemon_reload import rewrite
from tpsd.core.device_keys import check_value
from tpsd.errors import NotFoundError, RefusedError
from tpsd.sfey.certificates import Authority

__all__ = ["issuer"]


@asynccontextmanager
async def registering(issuer: Issuer, **options: Any) -> AsyncIterator[Stage]:
    """A stage whose TPS issues certificates, the daemon at work."""
    async with issuer.stage(**options) as stage:
        stage.tps.registrations.authority = issuer.authority
        async with at_work(stage):
            yield stage


async def refusal(stage: Stage, *order: str) -> str:
    code, _, err = await tpsd(stage, "terminal", "register", *order)
    assert code == 1
    return " ".join(err.split())


def idle_text(stage: Stage) -> str | None:
    """What the first validator shows while nothing happens."""
    told = [event.config.idle_text for event in stage.gate.events if isinstance(event, ConfigReceived)]
    return told[-1] if told else None


async def active(stage: Stage) -> dict[str, Any]:
    """A registration from its beginning to its end."""
    code = (await answer(stage, "terminal", "register", "door-1", "--reason", "a new bus"))["code"]
    stage.tps.registrations.codes.add(code)
    return await answer(stage, "terminal", "register", "door-1")


async def test_the_code_is_shown_typed_and_the_terminal_active(issuer: Issuer) -> None:
    async with registering(issuer) as stage:
        code, out, _ = await tpsd(stage, "terminal", "register", "door-1")
        assert (code, "awaiting activation" in out) == (0, True)
        awaiting = await answer(stage, "terminal", "register", "door-1")
        await stage.until(lambda: idle_text(stage) == f"Code\n{awaiting['code']}", "the code on the validator")
        assert (awaiting["state"], awaiting["terminal"]) == ("awaiting activation", FIRST)
        assert f"type the code {awaiting['code']} into Payments Manager" in out
        first, second = stage.tps.registrations.requests
        assert first == second, "asked again it is the same request"
        stage.tps.registrations.codes.add(awaiting["code"])
        got = await answer(stage, "terminal", "register", "door-1")
        assert (got["state"], got["company_id"], got["terminal_id"], got["timezone"], got["currency"]) == (
            "active", 1001, "T-7", "Europe/Tallinn", "978",
        )  # fmt: skip
        await stage.until(lambda: idle_text(stage) == "door-1", "the lane's name there again")
        await answer(stage, "terminal", "register", "door-1")
        assert len(stage.tps.registrations.requests) == 3, "an active one sends nothing"
        [listed] = (await answer(stage, "terminal", "list"))["terminals"]
        assert (listed["lane"], listed["state"], listed["code"]) == ("door-1", "active", awaiting["code"])
        [audited] = (await answer(stage, "audit"))["audit"]
        assert (audited["what"], audited["subject"], audited["who"]) == ("terminal register", f"door-1: {FIRST}", WHO)


async def test_device_keys_that_come_with_it_are_sealed_once(issuer: Issuer) -> None:
    async with registering(issuer) as stage:
        stage.tps.registrations.keys = [
            {"keyTypeName": "SALT", "keyDataFormat": "PLAIN", "keyData": "5a" * 32, "keyIndex": 2},
            {"keyTypeName": "IPEK", "keyDataFormat": "TR34", "keyData": "cryptic text"},
        ]
        await active(stage)
        ipek, salt = await shown(stage)
        assert (ipek["type"], ipek["terminal"], ipek["check_value"]) == ("IPEK", FIRST, None)
        assert (salt["index"], salt["check_value"]) == ("2", check_value("SALT", b"\x5a" * 32))
        await answer(stage, "terminal", "register", "door-1", "--anew", "--reason", "a new board")
        await active(stage)
        assert len(await shown(stage)) == 2, "the same keys again are no others"


async def test_device_keys_that_cannot_be_read_leave_it_unregistered(issuer: Issuer) -> None:
    async with registering(issuer) as stage:
        stage.tps.registrations.keys = [{"keyTypeName": "SALT"}]
        code = (await answer(stage, "terminal", "register", "door-1"))["code"]
        stage.tps.registrations.codes.add(code)
        words = await refusal(stage, "door-1")
        assert "device keys at deviceKeys that cannot be read: keyDataFormat is missing" in words
        assert await shown(stage) == []


async def test_it_is_kept_over_a_restart_and_compared(issuer: Issuer) -> None:
    async with issuer.stage() as stage:
        stage.tps.registrations.authority = issuer.authority
        async with at_work(stage):
            kept = await active(stage)
        async with at_work(stage):
            assert (await answer(stage, "terminal", "list"))["terminals"] == [kept]
            assert await health(stage) == []
        rewrite(stage, {"operator": {"company_id": 1002}})
        async with at_work(stage):
            await opens(stage)
            assert await health(stage) == [
                f"lane door-1: {FIRST} was registered for company 1001, and operator.company_id is 1002"
            ]


async def test_another_validator_is_not_the_registered_one(issuer: Issuer) -> None:
    async with issuer.stage(lanes=2) as stage:
        stage.tps.registrations.authority = issuer.authority
        async with at_work(stage):
            await active(stage)
        stage.lines.reverse()
        async with at_work(stage):
            await opens(stage)
            words = f"was registered as {FIRST}, and its terminal is {SECOND_GATE}"
            assert words in "".join(await health(stage))
            assert f"lane door-1 {words}; put that one back" in await refusal(stage, "door-1")
            anew = await answer(stage, "terminal", "register", "door-1", "--anew")
            assert (anew["terminal"], anew["state"]) == (SECOND_GATE, "awaiting activation")


async def test_answers_that_are_refused_leave_it_awaiting(issuer: Issuer) -> None:
    async with registering(issuer) as stage:
        desk = stage.tps.registrations
        code = (await answer(stage, "terminal", "register", "door-1"))["code"]
        desk.codes.add(code)
        desk.for_another_key = True
        assert "a certificate for another key than the request's; see that the code" in await refusal(stage, "door-1")
        desk.for_another_key, desk.authority = False, Authority("Another root", datetime.now(UTC))
        words = await refusal(stage, "door-1")
        assert "the chain of DKEK-CERT does not lead to the configured root; nothing of it was kept" in words
        assert f"the code is still {code}" in words
        desk.authority, desk.company_id = issuer.authority, 1002
        assert f"TPS registered {FIRST} for company 1002, and operator.company_id is 1001" in await refusal(
            stage, "door-1"
        )
        [listed] = (await answer(stage, "terminal", "list"))["terminals"]
        assert (listed["state"], listed["company_id"]) == ("awaiting activation", None)
        desk.company_id = 1001
        assert (await answer(stage, "terminal", "register", "door-1"))["state"] == "active"


async def test_a_tps_that_cannot_be_reached_leaves_it_described(issuer: Issuer) -> None:
    async with issuer.stage(tps_listens=False) as stage, at_work(stage):
        assert "TPS gives no answer (connect)" in await refusal(stage, "door-1")
        [listed] = (await answer(stage, "terminal", "list"))["terminals"]
        assert listed["state"] == "described"
        assert f"the code is still {listed['code']}" in await refusal(stage, "door-1")


@pytest.mark.parametrize(
    ("lane", "words"),
    [
        ("door-9", "no lane 'door-9'; the configuration has: door-1"),
        ("door-1", "is not known; switch its validator on"),
    ],
)
async def test_lanes_that_cannot_be_registered(issuer: Issuer, lane: str, words: str) -> None:
    async with issuer.stage() as stage, stage.daemon_running(plug=False) as daemon:
        assert daemon.registrar is not None
        with pytest.raises((NotFoundError, RefusedError), match=words):
            await daemon.registrar.register(lane, WHO, "")


async def test_no_private_key_leaves_the_daemon(issuer: Issuer) -> None:
    async with registering(issuer) as stage:
        said = json.dumps([await active(stage), await answer(stage, "terminal", "list")])
        assert "PRIVATE" not in said
        assert "request" not in said
