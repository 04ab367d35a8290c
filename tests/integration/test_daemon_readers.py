"""ViVOpay readers from the bytes on a pty to TPS's ledger, and what becomes of a card that a reader forgets."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from device.tlv import encode, find
from device.vivopay.cards import varied
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.simulator_events import Ended, Shown
from device.vivopay.tap import read_tap
from device.vl1.cards import EXPIRED
from tests.integration.conftest import Opens
from tests.integration.door import AGAIN, GOOD, NO, PATIENCE, SERIAL, Door, at_the_door, clear, ksn, sealed
from tests.integration.gate import VISA
from tests.integration.small_disk import small_disk
from tests.integration.stage import Stage
from tests.integration.test_daemon_clock import World, learns
from tests.integration.test_daemon_links import terminal_servers
from tests.integration.test_daemon_reload import lanes_of, reloaded, rewrite
from tpsd.core.requests import TransactionRequest
from tpsd.domain.views import TapRow
from tpsd.emv.tapdata import TapData, Ttk, envelope, read
from tpsd.sfey.fates import decline, scripted, system
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

TTK = Ttk("0123", bytes(range(16)))
PAYMENTS = {"kind": "RETAIL_PAYMENT"}
SOON_SECONDS = 5.0  # far above the second that is promised: this machine is busy with other tests


class TestMtt:
    async def test_the_verdict_is_local_and_tps_is_asked_afterwards(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            assert await door.tap(clear(1)) == GOOD
            row = await door.settled()
            assert (row.state, row.kind, row.reason, row.amount) == ("approved", "MTT", "ok", 250)
            assert (row.tap_id, row.terminal, row.masked) == (None, f"NEO2:{SERIAL}", "476173******0119")
            assert (await door.stage.daemon.journal.story(str(row.number))).token is not None
            assert PATIENCE not in door.shown
            assert (door.lane.state, door.lane.serial, door.lane.taps) == ("ready", SERIAL, 1)

    async def test_what_a_card_is_asked_for(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, lane_changes={"country": "276"}) as door:
            objects = door.asked[-1].objects
            for tag, value in ((0x9F02, "000000000250"), (0x5F2A, "0978"), (0x9F1A, "0276")):
                item = find(objects, tag)
                assert item is not None
                assert item.value.hex() == value

    async def test_tags_that_transit_asks_for_and_the_reader_does_not_give_are_said_once(
        self, open_stage: Opens
    ) -> None:
        with capture_logs() as said:
            async with at_the_door(open_stage) as door:
                for counter in (1, 2):
                    assert await door.tap(clear(counter)) == GOOD
                await door.settled()
        [line] = [entry for entry in said if entry["event"] == "tap_incomplete"]
        assert (line["log_level"], line["serial"], line["times"]) == ("warning", SERIAL, 1)
        assert line["lacks"] == "9F1A 9F03 84 95 9F33 9F37"

    async def test_a_card_in_the_clear_goes_to_tps_in_mode_01_where_there_is_a_ttk(
        self, open_stage: Opens, tmp_path: Path
    ) -> None:
        (tmp_path / "ttk").write_text(f"{TTK.key_id} {TTK.key.hex()}")
        keys = {"ttk_file": str(tmp_path / "ttk"), "token_key_file": None}
        lane = {"tokens": "none"}
        async with at_the_door(open_stage, changes={"keys": keys}, lane_changes=lane) as door:
            data = clear(1)
            assert await door.tap(data) == GOOD
            row = await door.settled()
            found = read(read_tap(data).card)
            assert isinstance(found, TapData)
            sent = envelope(found, TTK)
            assert VISA.pan not in sent.hex()
            (request,) = door.stage.tps.ledger.requests()
            assert request.digest == digest_of(row, sent)

    async def test_an_expired_card_is_refused_by_text_lamp_and_sound(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            assert await door.tap(clear(1, EXPIRED)) == NO
            (row,) = await door.rows()
            assert (row.state, row.disposition, row.reason) == (None, "denied", "expired")
            assert door.stage.tps.ledger.requests() == []

    async def test_a_decline_afterwards_is_on_the_row(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, choose=scripted({250: (decline("116"),)})) as door:
            assert await door.tap(clear(1)) == GOOD
            assert (await door.settled()).state == "declined"

    async def test_a_card_that_comes_twice_is_two_taps_and_one_answer_twice_is_one(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            for counter in (1, 2, 2):
                assert await door.tap(clear(counter)) == GOOD
            await door.settled()
            assert len(await door.rows()) == 2
            assert len(door.stage.tps.ledger.charges()) == 2

    async def test_an_answer_without_a_card_in_it_is_kept_and_tapped_again(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            shown = await door.tap(b"\x01\x9f\x36\x02\x00\x01")
            assert shown == Shown(Text.TRY_AGAIN, Beep.SHORT_2, Led.LED_1, 1)
            (row,) = await door.rows()
            assert (row.disposition, row.reason) == ("rejected", "malformed")


class TestRealtime:
    async def test_an_approval_lets_in_and_the_row_knows_that_it_was_seen(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, lane_changes=PAYMENTS) as door:
            assert await door.tap(clear(1)) == GOOD
            assert door.shown == [PATIENCE, GOOD]
            row = await door.settled()
            assert (row.state, row.reason) == ("approved", "approved")
            assert door.stage.tps.ledger.charged_total == 250
            undelivered = "SELECT count(*) FROM tap WHERE delivered = 0"
            await door.stage.until(lambda: _none(door, undelivered), "the reader's word that it is shown")

    async def test_a_decline_turns_away(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, lane_changes=PAYMENTS, choose=scripted({250: (decline("116"),)})) as door:
            assert await door.tap(clear(1)) == NO
            row = await door.settled()
            assert (row.state, row.reason) == ("declined", "action.116")

    async def test_a_journey_begins_and_ends_at_readers(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, lane_changes={"kind": "RETAIL_CHECK_IN_OUT", "fare": 500}) as door:
            assert [await door.tap(clear(counter)) for counter in (1, 2)] == [GOOD, GOOD]
            await door.settled()
            rows = await door.rows()
            assert [(row.kind, row.state) for row in rows] == [
                ("RETAIL_CHECK_IN", "approved"),
                ("RETAIL_CHECK_OUT", "approved"),
            ]
            assert door.stage.tps.ledger.charged_total == 500

    async def test_a_reader_that_goes_before_its_verdict_leaves_a_charge_that_a_person_hears_of(
        self, open_stage: Opens
    ) -> None:
        async with at_the_door(open_stage, lane_changes=PAYMENTS) as door:
            door.when_read = door.unplug
            await door.hold(clear(1))
            assert (await door.settled()).state == "approved"
            assert GOOD not in door.shown
            await door.stage.pass_time(lambda: bool(door.stage.post.mails))
            (mail,) = door.stage.post.mails
            assert "with another end than shown" in str(mail["Subject"])


async def _none(door: Door, query: str) -> bool:
    rows = await door.stage.daemon.journal._writer.read(lambda connection: list(connection.execute(query)))
    return bool(rows == [(0,)])


class TestEncrypted:
    @pytest.mark.parametrize(("aes", "mode"), [(False, 3), (True, 4)])
    async def test_what_the_reader_sealed_comes_to_tps_as_it_was(self, open_stage: Opens, aes: bool, mode: int) -> None:
        async with at_the_door(open_stage, lane_changes={"tokens": "none"}) as door:
            data = sealed(1, aes=aes)
            assert await door.tap(data) == GOOD
            row = await door.settled()
            assert row.state == "approved"
            tap = read_tap(data)
            assert (tap.mode, row.masked) == (mode, "5413********1513")
            assert (tap.identity or b"").startswith(b"KSN" + ksn(1))
            (request,) = door.stage.tps.ledger.requests()
            assert request.digest == digest_of(row, encode(tap.card))

    async def test_a_key_that_is_loaded_anew_lets_nobody_in_unpaid(self, open_stage: Opens) -> None:
        """Its serial numbers count from the start again; the cards' own counters and cryptograms do not."""
        async with at_the_door(open_stage, lane_changes={"tokens": "none"}) as door:
            for data in (sealed(1), varied(sealed(1), {0x9F36: b"\x00\x07", 0x9F26: bytes(8)})):
                assert await door.tap(data) == GOOD
            await door.settled()
            assert len(door.stage.tps.ledger.charges()) == len(await door.rows()) == 2

    async def test_a_mail_says_which_card_as_far_as_the_reader_showed_it(self, open_stage: Opens) -> None:
        answers = scripted({250: (system(60),)})
        async with at_the_door(open_stage, lane_changes={"tokens": "none"}, choose=answers) as door:
            await door.tap(sealed(1))
            assert (await door.settled()).state == "tap_refused"
            await door.stage.pass_time(lambda: bool(door.stage.post.mails))
            (mail,) = door.stage.post.mails
            assert "5413********1513" in mail.get_content()

    async def test_without_a_token_a_lane_may_turn_away(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage, lane_changes={"tokens": "none", "untokenised": "deny"}) as door:
            assert await door.tap(sealed(1)) == NO
            (row,) = await door.rows()
            assert row.reason == "untokenised"


def digest_of(row: TapRow, tag: bytes) -> str:
    """The ledger's digest of the request that this row must have made, if the tap data came through as it was."""
    assert row.uuid is not None
    assert row.amount is not None
    request = TransactionRequest(
        uuid=UUID(row.uuid),
        company_id=1001,
        stock_location_id=42,
        terminal_sn=SERIAL,
        terminal_type="NEO2",
        validator_serial=SERIAL,
        validator_type="NEO2",
        type="MTT",
        tapped_at=row.tapped_at,
        amount=row.amount,
        currency="978",
        tag=tag,
    )
    path, body = transaction(DEVICE_V1, request)
    return hashlib.sha256(path.encode() + b"\0" + body).hexdigest()


async def test_at_1970_a_card_is_taken_and_its_request_waits_for_the_true_time(open_stage: Opens) -> None:
    world = World()
    async with at_the_door(open_stage, clock=world.clock, tps_wall=world.tps_wall) as door:
        assert await door.tap(clear(1)) == GOOD
        (row,) = await door.rows()
        assert (row.state, row.received_at) == ("pending", row.tapped_at)
        assert door.stage.tps.ledger.requests() == []
        await learns(door.stage, world)
        settled = await door.settled()
        (request,) = door.stage.tps.ledger.requests()
        assert settled.state == "approved"
        assert request.tapped_at is not None
        assert request.tapped_at // 1000 == world.true(row.tapped_at) // 1000


class TestLost:
    @pytest.mark.parametrize("fault", ["wrong_crc", "wrong_length"])
    async def test_a_card_whose_data_was_lost_taps_again_and_is_counted(self, open_stage: Opens, fault: str) -> None:
        async with at_the_door(open_stage) as door:
            setattr(door.faults, fault, 1)
            assert await door.tap(clear(1)) == AGAIN
            assert (door.lane.cards_lost, door.lane.cards_unread) == (1, 0)
            assert await door.tap(clear(2)) == GOOD
            assert len(await door.rows()) == 1
            assert await counted(door.stage, "tpsd_cards_lost") == 1

    async def test_a_card_that_could_not_be_read_taps_again_and_is_counted_apart(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            door.fail()
            assert await door.verdict(0) == AGAIN
            assert (door.lane.cards_lost, door.lane.cards_unread) == (0, 1)
            assert await door.tap(clear(1)) == GOOD
            assert await counted(door.stage, "tpsd_cards_unread") == 1

    async def test_a_tap_that_cannot_be_committed_taps_again_when_the_disk_has_room(self, open_stage: Opens) -> None:
        with small_disk() as disk:
            async with open_stage(lane_changes={"protocol": "vivopay"}) as stage:
                async with stage.daemon_running(plug=False):
                    pass
                disk.fill()
                async with stage.daemon_running(plug=False):
                    door = Door(stage)
                    door.plug()
                    assert await door.tap(clear(1)) == AGAIN
                    await stage.until(lambda: door.lane.state == "closed", "a closed lane")
                    await door.stage.until(lambda: Shown(Text.WAIT, Beep.NONE, Led.ALL, 0) in door.shown, "a request")
                    assert door.lane.cards_lost == 1
                    disk.capacity = 2**40
                    assert await door.tap(clear(2)) == GOOD
                    assert (await door.settled()).state == "approved"
                    assert len(await door.rows()) == 1
                    door.unplug()
                stage.check_books()

    async def test_a_daemon_that_ends_between_the_tap_and_its_commit(self, open_stage: Opens) -> None:
        """The reader knows nothing of it any more: no row, no charge, and the same passenger taps again."""
        async with open_stage(lane_changes={"protocol": "vivopay"}) as stage:
            door = Door(stage)
            async with stage.daemon_running(plug=False) as daemon:
                door.plug()
                door.when_read = daemon.fleet.stop  # in the same breath: the answer lies in the port
                await door.hold(clear(1))
                await stage.until(lambda: Ended(0x23) in door.events, "the end of the transaction")
            async with stage.daemon_running(plug=False):
                assert await door.rows() == []
                assert await door.tap(clear(2)) == GOOD
                await door.settled()
                assert len(await door.rows()) == len(stage.tps.ledger.charges()) == 1
                door.unplug()
            stage.check_books()

    @pytest.mark.parametrize(("pass_back", "charges"), [([60, 60], 1), ([0, 0], 2)])
    async def test_a_reader_that_goes_after_the_commit_and_before_the_verdict(
        self, open_stage: Opens, pass_back: list[int], charges: int
    ) -> None:
        """The tap is kept, and its passenger, who saw nothing, taps again: for pass-back that is the same tap."""
        async with at_the_door(open_stage, lane_changes={"pass_back_seconds": pass_back}) as door:
            door.when_read = door.unplug
            await door.hold(clear(1))
            assert (await door.settled()).state == "approved"
            assert door.shown == []
            door.plug()
            assert await door.tap(clear(2)) == GOOD
            await door.settled()
            assert len(door.stage.tps.ledger.charges()) == charges

    @pytest.mark.parametrize("racing", [True, False])
    async def test_a_port_that_is_opened_anew_while_a_card_is_read(self, open_stage: Opens, racing: bool) -> None:
        """A new fare: the card may be faster than the cancel, was asked for the old one, and taps again."""
        async with at_the_door(open_stage, reader={"read_seconds": 60.0}) as door:
            door.faults.racing = racing
            await door.hold(clear(1))
            [lane] = lanes_of(door.stage)
            rewrite(door.stage, lanes=[lane | {"fare": 300}])
            assert (await reloaded(door.stage)).accepted
            await door.waits()
            assert (Ended(0x23) in door.events) is racing
            assert (door.lane.cards_lost, door.shown) == ((1, [AGAIN]) if racing else (0, []))
            amount = find(door.asked[-1].objects, 0x9F02)
            assert amount is not None
            assert amount.value.hex() == "000000000300"
            assert await door.rows() == []


class TestPort:
    async def test_unplugged_and_plugged_in_again(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            line = door.stage.lines[0]
            assert await door.tap(clear(1)) == GOOD
            door.unplug()
            line.pull()
            await door.stage.until(lambda: door.lane.state == "offline", "the loss to be noticed")
            loop = asyncio.get_running_loop()
            line.plug()
            door.plug(line)
            began = loop.time()
            await door.waits()
            assert loop.time() - began < SOON_SECONDS
            assert await door.tap(clear(2)) == GOOD
            assert door.lane.state == "ready"

    async def test_a_wrong_rate_is_found_and_said(self, open_stage: Opens) -> None:
        with capture_logs() as said:
            async with at_the_door(open_stage, reader={"baud": 57_600}) as door:
                assert await door.tap(clear(1)) == GOOD
        alarms = [entry["what"] for entry in said if entry["event"] == "validator_alarm"]
        assert alarms == ["it answers at 57600 baud, the lane is set to 115200"]

    async def test_behind_a_terminal_server_a_rate_is_nobody_s(self, open_stage: Opens) -> None:
        """The reader is silent at first, so a rate is asked for: the connection stays, and the reader is found."""
        with terminal_servers(1) as [server]:
            lane = {"name": "door-1", "port": server.url, "fare": 250, "protocol": "vivopay"}
            async with open_stage(changes={"lanes": [lane]}) as stage, stage.daemon_running(plug=False):
                door = Door(stage)
                door.faults.silent = 3  # the first cancel, and a ping twice
                door.plug_at(await server.connected())
                assert await door.tap(clear(1)) == GOOD
                assert (await door.settled()).state == "approved"
                door.unplug()

    async def test_another_reader_is_said_loudly(self, open_stage: Opens) -> None:
        with capture_logs() as said:
            async with at_the_door(open_stage) as door:
                line = door.stage.lines[0]
                door.unplug()
                line.pull()
                await door.stage.until(lambda: door.lane.state == "offline", "the loss to be noticed")
                door.reader.serial = "630Z000002"
                line.plug()
                door.plug(line)
                assert await door.tap(clear(1)) == GOOD
                assert (await door.settled()).terminal == "NEO2:630Z000002"
        (alarm,) = [entry for entry in said if entry["event"] == "device_changed"]
        assert (alarm["log_level"], alarm["serial"], alarm["before"]) == ("error", "630Z000002", SERIAL)

    async def test_a_tampered_reader_is_a_fault_of_the_lane(self, open_stage: Opens) -> None:
        async with at_the_door(open_stage) as door:
            door.tamper("DEVICE OUT OF SERVICE 4761739001010119")
            said = "reader fault the line says: DEVICE OUT OF SERVICE 476173******0119"
            await door.stage.until(lambda: door.lane.reason == said, "the text")
            picture = await door.stage.daemon.observer.picture()
            assert [lane.reason for lane in picture.lanes] == [said]


async def counted(stage: Stage, name: str) -> float:
    """A counter of the lane, as the page for watchers says it."""
    page = (await stage.daemon.observer.page()).decode()
    return next(
        float(line.split()[-1]) for line in page.splitlines() if line.startswith(f'{name}_total{{lane="door-1"}}')
    )
