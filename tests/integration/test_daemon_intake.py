"""What is decided at the gate: refusals, repeats, what the passenger was shown meanwhile, and surprises."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import pytest

from device.tlv import Tlv, encode
from device.vl1.cards import CARDS, EXPIRED
from device.vl1.codes import Oda, Shown, TapKind
from device.vl1.simulator_events import StrayVerdict
from device.vl1.tap_memory import KeptTap, ValidatorState
from tests.card_search import findings
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Gate, Line, Stage, Tap
from tpsd.core.intake import CardKeys, LanePolicy, Operator, Setting
from tpsd.core.requests import TransactionRequest
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.texts import load as load_texts
from tpsd.daemon import Daemon
from tpsd.domain.tap import Kind
from tpsd.link.serial import SerialPort
from tpsd.link.vl1 import Vl1Device
from tpsd.ports import Taken
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1
from tpsd.workers.reader import Lane, LaneParts

UNDECIDABLE = 666


def store_files(stage: Stage) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (stage.folder / "journal").iterdir()}


async def never_sent(stage: Stage, tap: Tap) -> None:
    await stage.pass_time()
    assert stage.tps.ledger.requests_of(tap.serial, tap.tapped_at) == []


REFUSALS: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    "unknown kind": ({"kind": 9}, (3, "unknown_kind", "rejected")),
    "kind of another lane": ({"kind": TapKind.KFT_DEFERRED}, (2, "kind", "denied")),
    "realtime kind": ({"kind": TapKind.RETAIL_PAYMENT}, (2, "kind", "denied")),
    "no card data": ({"card": ()}, (3, "no_card_data", "rejected")),
    "unknown mode": ({"card": (Tlv(0xDFFF8401, b"\x09"),)}, (3, "malformed", "rejected")),
    "above the limit": ({"amount": 100_000}, (2, "amount_limit", "denied")),
    "another currency": ({"currency": "208"}, (2, "currency", "denied")),
    "expired": ({"card": EXPIRED}, (2, "expired", "denied")),
    "offline data authentication failed": ({"oda": Oda.FAILED}, (2, "oda", "denied")),
}


@pytest.mark.parametrize(("fields", "expected"), REFUSALS.values(), ids=list(REFUSALS))
async def test_refused_at_the_gate(playing: Opens, fields: dict[str, Any], expected: tuple[int, str, str]) -> None:
    async with playing() as stage:
        tap = stage.gate.tap(**fields)
        verdict = await stage.gate.verdict(tap)
        row = await stage.row(tap)
        assert (verdict.verdict, verdict.reason, row.disposition) == expected
        assert verdict.text
        assert row.uuid is None
        await never_sent(stage, tap)
        assert stage.post.mails == []
        good = stage.gate.tap()
        assert (await stage.gate.verdict(good)).verdict == 1


async def test_zero_is_an_ordinary_amount_unless_the_lane_says_otherwise(playing: Opens) -> None:
    async with playing() as stage:
        tap = stage.gate.tap(0)
        assert (await stage.gate.verdict(tap)).verdict == 1
        assert (await stage.settled(tap)).state == "approved"


async def test_zero_where_the_lane_refuses_it(playing: Opens) -> None:
    async with playing(lane_changes={"zero_allowed": False}) as stage:
        verdict = await stage.gate.verdict(stage.gate.tap(0))
        assert (verdict.verdict, verdict.reason) == (2, "amount_limit")


class TestMalformed:
    """Kept without card data, so that it can be counted and never leaks."""

    def payload(self, gate: Gate) -> tuple[bytes, Any]:
        number, tapped_at = gate.next()
        card = bytearray(encode(gate.reading(VISA, 250, tapped_at, number)))
        assert card[-5] == 4
        card[-5] = 0x7F  # the last value's length: it would end far behind the payload
        return b"\x01" + encode((Tlv(0xDF8A01, number.encode()),)) + bytes(card), number

    async def test_damaged_behind_its_id(self, playing: Opens) -> None:
        async with playing() as stage:
            payload, number = self.payload(stage.gate)
            tap = stage.gate.send(payload, number, stage.clock.wall())
            verdict = await stage.gate.verdict(tap)
            assert (verdict.tap, verdict.verdict, verdict.reason) == (number, 3, "malformed")
            row = await stage.row(tap)
            assert (row.disposition, row.masked, row.uuid) == ("rejected", None, None)
            assert not (await stage.story(tap)).body_kept
            for name, data in store_files(stage).items():
                assert findings(name, data, [VISA.pan]) == []

    async def test_its_id_cannot_be_read_and_it_comes_twice(self, playing: Opens) -> None:
        async with playing() as stage:
            payload = b"\x01" + encode((Tlv(0xDF8A01, b"\x00\x00\x01"),)) + b"\x5a\x08\x47"
            for times in (1, 2):
                number, tapped_at = stage.gate.next()
                tap = stage.gate.send(payload, number, tapped_at)
                verdict = await stage.gate.verdict(tap)
                assert (verdict.tap, verdict.verdict, verdict.reason) == (None, 3, "malformed")
                [row] = await stage.rows()
                assert (row.tap_id, row.disposition, row.repeats) == (None, "rejected", times - 1)


class TestRepeats:
    """One tap is one row and one verdict, however often it comes."""

    async def test_the_same_tap_again(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = stage.gate.tap()
            first = await stage.gate.verdict(tap)
            await stage.settled(tap)
            stage.gate.again(tap)
            assert await stage.gate.verdict(tap) == first
            [row] = await stage.rows()
            assert (row.repeats, row.state, row.attempts) == (1, "approved", 1)
            assert len(stage.tps.ledger.requests()) == 1

    async def test_again_to_another_life_of_the_daemon(self, open_stage: Opens) -> None:
        async with open_stage() as stage:
            async with stage.daemon_running():
                tap = stage.gate.tap(90_116)
                first = await stage.gate.verdict(tap)
                await stage.settled(tap)
            stage.gate.replace(ValidatorState(1, 1, (KeptTap(tap.number, tap.payload),)))
            del stage.gate.verdicts[tap.number]
            async with stage.daemon_running():
                assert await stage.gate.verdict(tap) == first
                [row] = await stage.rows()
                assert (row.repeats, row.state) == (1, "declined")
            assert len(stage.tps.ledger.requests()) == 1

    async def test_the_same_id_with_other_content(self, playing: Opens) -> None:
        async with playing() as stage:
            first = stage.gate.tap(250)
            await stage.gate.verdict(first)
            await stage.settled(first)
            stage.gate.replace(ValidatorState(boot=1, last_tap=0))
            stage.gate.verdicts.clear()
            stage.gate.plug(stage.lines[0].master)
            await stage.gate.is_up()
            swapped = stage.gate.tap(90_116, CARDS[3])
            assert swapped.number == first.number
            assert (await stage.gate.verdict(swapped)).verdict == 1
            await stage.pass_time()
            assert [row.state for row in await stage.rows()] == ["approved", "declined"]
            [mail] = stage.post.mails
            assert mail["Subject"] == "[tpsd] 1 alarm: tap_identity@GATE-X1:VAL00001"
            assert swapped.id in mail.get_content()


class TestShown:
    """What the passenger has been shown meanwhile is honoured (``DF8A0A``)."""

    async def comes_with(self, stage: Stage, tap: Tap, shown: Shown) -> tuple[int, str | None]:
        """The tap arrives (again) from a validator that has decided by itself; the verdict it is told."""
        gate = stage.gate
        gate.replace(ValidatorState(tap.number.boot, tap.number.counter, (KeptTap(tap.number, tap.payload, shown),)))
        gate.verdicts.pop(tap.number, None)
        gate.plug(stage.lines[0].master)
        verdict = await gate.verdict(tap)
        return verdict.verdict, verdict.reason

    def made_offline(self, stage: Stage, **fields: Any) -> Tap:
        """A tap that no daemon has seen yet."""
        stage.gate.unplug()
        return stage.gate.tap(**fields)

    async def test_turned_away_before_the_daemon_heard_of_it(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = self.made_offline(stage)
            assert await self.comes_with(stage, tap, Shown.TURNED_AWAY) == (2, "turned_away")
            assert (await stage.row(tap)).disposition == "denied"
            await never_sent(stage, tap)

    async def test_let_in_before_the_daemon_heard_of_it(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = self.made_offline(stage)
            assert await self.comes_with(stage, tap, Shown.LET_IN) == (1, "ok")
            assert (await stage.settled(tap)).state == "approved"

    async def test_let_in_although_it_would_have_been_denied(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = self.made_offline(stage, card=EXPIRED)
            assert await self.comes_with(stage, tap, Shown.LET_IN) == (1, "let_in")
            assert (await stage.settled(tap)).state == "approved"

    async def test_let_in_and_it_cannot_be_sent(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = self.made_offline(stage, card=())
            assert await self.comes_with(stage, tap, Shown.LET_IN) == (3, "no_card_data")
            await never_sent(stage, tap)
            [mail] = stage.post.mails
            assert mail["Subject"].strip() == "[tpsd] 1 tap with another end than shown: no_card_data@GATE-X1:VAL00001"

    async def test_turned_away_after_an_accepting_verdict_and_before_the_send(self, playing: Opens) -> None:
        async with playing() as stage:
            refused = stage.gate.tap(80_041)
            await stage.gate.verdict(refused)
            await stage.settled(refused)
            tap = stage.gate.tap()
            first = await stage.gate.verdict(tap)
            assert (await stage.row(tap)).state == "held"
            assert await self.comes_with(stage, tap, Shown.TURNED_AWAY) == (first.verdict, first.reason)
            row = await stage.row(tap)
            assert (row.state, row.cause, row.unseen) == ("not_charged", "turned_away", False)
            assert not (await stage.story(tap)).body_kept
            await never_sent(stage, tap)

    async def test_turned_away_after_it_was_sent(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.settled(tap)
            assert await self.comes_with(stage, tap, Shown.TURNED_AWAY) == (1, "ok")
            row = await stage.row(tap)
            assert (row.state, row.unseen) == ("approved", True)
            await stage.pass_time()
            [mail] = stage.post.mails
            assert "another end than shown" in mail["Subject"]

    async def test_let_in_after_a_denial(self, playing: Opens) -> None:
        async with playing() as stage:
            tap = stage.gate.tap(card=EXPIRED)
            assert (await stage.gate.verdict(tap)).verdict == 2
            assert await self.comes_with(stage, tap, Shown.LET_IN) == (2, "expired"), "the verdict stays what it was"
            row = await stage.settled(tap)
            assert (row.state, row.disposition) == ("approved", None)

    async def test_a_validator_that_decides_while_the_daemon_is_away(self, open_stage: Opens) -> None:
        """The whole of it with the validator's own timer."""
        async with open_stage() as stage:
            stage.gates[0] = Gate("VAL00001", stage.clock, patience=0.05, when_late=Shown.TURNED_AWAY)
            stage.gate.plug(stage.lines[0].master)
            tap = stage.gate.tap()
            await stage.until(lambda: stage.gate.events, "the validator's own decision")
            stage.gate.unplug()
            async with stage.daemon_running():
                verdict = await stage.gate.verdict(tap)
                assert (verdict.verdict, verdict.reason) == (2, "turned_away")
                await never_sent(stage, tap)


class TestTheLine:
    """What is no frame is dropped and counted."""

    async def test_noise(self, playing: Opens) -> None:
        rng = random.Random(3)
        async with playing() as stage:
            for _ in range(10):
                os.write(stage.lines[0].master, bytes(rng.randrange(1, 256) for _ in range(40)) + b"\x00")
                tap = stage.gate.tap()
                await stage.gate.verdict(tap)
                assert (await stage.settled(tap)).state == "approved"
            [lane] = stage.daemon.lanes
            assert lane.state.noise >= 10
            assert len(await stage.rows()) == 10

    async def test_a_frame_longer_than_any(self, playing: Opens) -> None:
        async with playing() as stage:
            os.write(stage.lines[0].master, b"\x00" + b"\x11" * 3000 + b"\x00")
            tap = stage.gate.tap()
            assert (await stage.gate.verdict(tap)).verdict == 1
            [lane] = stage.daemon.lanes
            assert lane.state.noise >= 1


async def test_a_surprise_in_deciding_one_tap(open_stage: Opens, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug of ours meets one amount: that tap is kept rejected with an alarm, and the lane lives."""
    async with open_stage(lanes=2) as stage:

        def add_lane(daemon: Daemon) -> None:
            daemon.lanes[1] = lane_with_a_bug(daemon, stage.lines[1])

        async with stage.daemon_running(before=add_lane):
            gate = stage.gates[1]
            tap = gate.tap(UNDECIDABLE)
            verdict = await gate.verdict(tap)
            assert (verdict.verdict, verdict.reason) == (3, "internal")
            row = await stage.row(tap)
            assert (row.disposition, row.reason, row.masked) == ("rejected", "internal", None)
            assert (await stage.story(tap)).body_kept, "its payload is kept, sealed, for an engineer"
            gate.again(tap)
            assert replace(await gate.verdict(tap)) == verdict
            fine = gate.tap(250)
            assert (await gate.verdict(fine)).verdict == 1
            assert (await stage.settled(fine)).state == "approved"
            await stage.pass_time()
            [mail] = stage.post.mails
            assert mail["Subject"] == "[tpsd] 1 alarm: internal@GATE-X1:VAL00002"
            assert len(await stage.rows()) == 2
    assert findings("log", capsys.readouterr().out.encode(), [VISA.pan]) == []


def lane_with_a_bug(daemon: Daemon, line: Line) -> Lane:
    """The lane of that line whose serialising fails for one amount, with card data in the error."""

    def serialise(request: TransactionRequest) -> tuple[str, bytes]:
        if request.amount == UNDECIDABLE:
            raise ZeroDivisionError(f"{VISA.pan} {request.tag.hex()}")
        return transaction(DEVICE_V1, request)

    def on_taken(taken: Taken) -> None:
        daemon.dispatcher.wake.set()
        daemon.mailer.wake.set()

    rng = random.Random(1)
    setting = Setting(
        operator=Operator(1001, 42, "978"),
        keys=CardKeys(),
        ladder=DEFAULT_LADDER,
        production=False,
        config_digest="test",
        serialise=serialise,
        digest=daemon.journal.digest,
    )
    policy = LanePolicy(
        name="door-2",
        kinds=frozenset({Kind.MTT}),
        kind=Kind.MTT,
        fare=250,
        amount_limit=99_999,
        zero_allowed=True,
        credential="common",
    )
    parts = LaneParts(
        port=SerialPort(str(line.path), 115_200),
        device=Vl1Device(rng=rng, baud=115_200, language="en", idle_text="door-2"),
        policy=policy,
        catalogue=load_texts("en"),
        pause=lambda: 0.1,
        port_was_good=lambda: None,
    )
    return Lane(parts, "door-2", daemon.journal, setting, daemon.clock, rng, on_taken)


async def test_a_stray_verdict_never_contradicts(playing: Opens) -> None:
    async with playing() as stage:
        for amount in (250, 90_116, 100_000):
            await stage.gate.verdict(stage.gate.tap(amount))
        assert [event for event in stage.gate.events if isinstance(event, StrayVerdict)] == []
