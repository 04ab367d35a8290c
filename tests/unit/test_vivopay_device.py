"""A ViVOpay reader as a lane's device: what cards, verdicts, faults and the port become."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device.tlv import Tlv, encode
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA, varied
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.commands import TAP_AGAIN, Transaction, UserInterface
from device.vivopay.frames import encode_answer, encode_command
from device.vivopay.limits import ANSWER_SECONDS, BAUDS, DECISION_SECONDS, SILENCE_SECONDS
from device.vivopay.tap import read_tap
from tpsd.core.display import display
from tpsd.core.texts import load as load_texts
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import Micros
from tpsd.link.reconnect import JITTER_SHARE, LONGEST_SECONDS
from tpsd.link.vivopay import ACCEPTED_SECONDS, VivopayDevice, shown
from tpsd.ports import (
    CardMissed,
    DeviceDown,
    DeviceEvent,
    DeviceStatus,
    DeviceUp,
    PortWanted,
    TapArrived,
    VerdictTaken,
)

NOW = 10.0
WALL = Micros(1_790_000_000_000_000)
SERIAL = "630Z000001"
ASKED = Transaction(250, "978")
OK = Told(Verdict.ACCEPTED, "ok")
WAIT = UserInterface(Text.WAIT).command().encode()


class Wire:
    """A device, and what a reader would answer it."""

    def __init__(self, baud: int = 115_200) -> None:
        self.device = VivopayDevice(baud=baud, transaction=ASKED)

    def start(self, serial: str = SERIAL, now: float = NOW) -> list[DeviceEvent]:
        self.device.open(now)
        told: list[DeviceEvent] = []
        for command, data in ((0x05, b""), (0x18, b""), (0x12, serial.encode()), (0x03, b""), (0x01, b"")):
            told += self.answer(command, 0x00, data, now)
        return told

    def answer(self, command: int, status: int = 0, data: bytes = b"", now: float = NOW) -> list[DeviceEvent]:
        self.device.output()
        return self.device.receive(encode_answer(command, status, data), now, WALL)

    def tap(self, data: bytes = ENCRYPTED_MASTERCARD) -> list[DeviceEvent]:
        return self.answer(0x02, 0x23, data)

    def silence(self, until: type[DeviceEvent]) -> list[DeviceEvent]:
        """Nobody answers, until something of that kind is told."""
        told: list[DeviceEvent] = []
        while not any(isinstance(event, until) for event in told):
            assert self.device.deadline is not None
            told += self.device.tick(self.device.deadline, WALL)
        return told


@pytest.fixture
def wire() -> Wire:
    """A reader that waits for a card."""
    wire = Wire()
    wire.start()
    wire.device.configure(True, WALL, NOW)
    assert wire.device.output() == ASKED.command().encode()
    return wire


def arrived(events: list[DeviceEvent]) -> TapArrived:
    (event,) = events
    assert isinstance(event, TapArrived)
    return event


class TestTap:
    def test_what_a_card_becomes(self, wire: Wire) -> None:
        report = arrived(wire.tap()).report
        tap = read_tap(ENCRYPTED_MASTERCARD)
        assert (report.serial, report.type_name, report.tap_id) == (SERIAL, "NEO2", None)
        assert (report.kind, report.age_ms, report.received_at, report.tapped_at) == (0, 0, WALL, None)
        assert (report.amount, report.currency, report.fault) == (None, None, None)
        assert (report.payload, report.card) == (ENCRYPTED_MASTERCARD, tap.card)
        assert report.masked_pan == "5413********1513"
        assert report.fingerprint == SERIAL.encode() + b"\x00" + (tap.identity or b"")

    def test_the_same_card_in_another_reader_is_another_tap(self, wire: Wire) -> None:
        other = Wire()
        other.start("630Z000002")
        other.device.configure(True, WALL, NOW)
        assert arrived(wire.tap()).report.fingerprint != arrived(other.tap()).report.fingerprint

    def test_without_a_name_of_its_own_it_is_its_payload(self, wire: Wire) -> None:
        data = varied(PLAIN_VISA, {0x9F26: b""})
        assert arrived(wire.tap(data)).report.fingerprint == SERIAL.encode() + b"\x00" + data

    def test_what_cannot_be_read_says_why(self, wire: Wire) -> None:
        report = arrived(wire.tap(PLAIN_VISA[:40])).report
        assert report.fault == "tag 57 at offset 21: the length says more than is left"
        assert (report.card, report.payload) == ((), PLAIN_VISA[:40])

    def test_no_repr_shows_a_card(self, wire: Wire) -> None:
        assert "4999" not in repr(wire.tap(PLAIN_VISA))


class TestVerdict:
    @pytest.mark.parametrize(
        ("verdict", "text", "beep", "led"),
        [
            (Verdict.ACCEPTED, Text.THANK_YOU, Beep.SHORT_1, Led.LED_2),
            (Verdict.DENIED, Text.FAIL, Beep.LONG_2, Led.LED_3),
            (Verdict.TRY_AGAIN, Text.TRY_AGAIN, Beep.SHORT_2, Led.LED_1),
            (Verdict.INSERT_CARD, Text.USE_CHIP, Beep.SHORT_2, Led.LED_1),
            (Verdict.CHECKED_IN, Text.THANK_YOU, Beep.SHORT_1, Led.LED_2),
            (Verdict.CHECKED_OUT, Text.THANK_YOU, Beep.SHORT_1, Led.LED_2),
            (Verdict.CHECK_OUT_AGAIN, Text.TRY_AGAIN, Beep.SHORT_2, Led.LED_1),
            (Verdict.CHECK_OUT_FAILED, Text.FAIL, Beep.LONG_2, Led.LED_3),
            (Verdict.ALREADY_TAPPED, Text.THANK_YOU, Beep.SHORT_1, Led.LED_2),
            (Verdict.OUT_OF_SERVICE, Text.FAIL, Beep.LONG_2, Led.LED_3),
        ],
    )
    def test_each_has_a_text_a_lamp_and_a_sound(self, verdict: Verdict, text: Text, beep: Beep, led: Led) -> None:
        told = Told(verdict, "ok")
        assert shown(verdict, display(told, load_texts("en"))) == UserInterface(text, beep, led, True)

    def test_every_verdict_has_one(self) -> None:
        for verdict in Verdict:
            shown(verdict, display(Told(verdict, "ok"), load_texts("en")))

    @pytest.mark.parametrize(("beeps", "beep"), [(0, Beep.NONE), (4, Beep.SHORT_4), (9, Beep.SHORT_4)])
    def test_it_beeps_at_most_four_times(self, beeps: int, beep: Beep) -> None:
        wanted = replace(display(OK, load_texts("en")), beeps=beeps)
        assert shown(Verdict.ACCEPTED, wanted).beep is beep

    def test_it_is_written_at_once_and_its_answer_is_told(self, wire: Wire) -> None:
        event = arrived(wire.tap())
        wire.device.tell(event.answer_to, OK, display(OK, load_texts("en")), NOW)
        assert wire.device.output() == encode_command(0x01, 0x02, b"\x04\x01\x02\x01")
        assert wire.answer(0x01) == [VerdictTaken(event.answer_to)]
        assert wire.device.deadline == NOW + ACCEPTED_SECONDS

    def test_a_reader_that_refuses_to_show_it_has_not_taken_it(self, wire: Wire) -> None:
        event = arrived(wire.tap())
        wire.device.tell(event.answer_to, OK, display(OK, load_texts("en")), NOW)
        assert wire.answer(0x01, 0x0B) == []

    def test_a_refusal_stays_for_as_long_as_it_takes_to_read(self, wire: Wire) -> None:
        told = Told(Verdict.DENIED, "expired")
        wanted = display(told, load_texts("en"))
        wire.device.tell(arrived(wire.tap()).answer_to, told, wanted, NOW)
        wire.answer(0x01)
        assert wire.device.deadline == NOW + wanted.seconds

    def test_what_is_kept_asks_for_patience_and_the_verdict_follows(self, wire: Wire) -> None:
        event = arrived(wire.tap())
        wire.device.keep(event.answer_to, NOW)
        assert wire.device.output() == encode_command(0x01, 0x02, b"\x03\x00\xff\x00")
        wire.device.tell(event.answer_to, OK, display(OK, load_texts("en")), NOW)
        assert wire.device.output() == b""
        assert wire.answer(0x01) == []
        assert wire.device.output() == encode_command(0x01, 0x02, b"\x04\x01\x02\x01")
        assert wire.answer(0x01) == [VerdictTaken(event.answer_to)]

    @pytest.mark.parametrize("answer_to", [None, 1])
    def test_what_is_nobody_s_handle_is_dropped(self, wire: Wire, answer_to: object) -> None:
        wire.tap()
        wire.device.keep(answer_to, NOW)
        wire.device.tell(answer_to, OK, display(OK, load_texts("en")), NOW)
        assert wire.device.output() == b""

    def test_one_for_a_tap_that_waited_too_long_is_dropped(self, wire: Wire) -> None:
        event = arrived(wire.tap())
        late = NOW + DECISION_SECONDS
        assert wire.device.tick(late, WALL) == []
        assert wire.device.output() == ASKED.command().encode()
        wire.device.tell(event.answer_to, OK, display(OK, load_texts("en")), late)
        assert wire.device.output() == b""


class TestLane:
    def test_a_closed_lane_asks_nobody_and_says_so_once_it_was_open(self) -> None:
        wire = Wire()
        wire.start()
        wire.device.configure(False, WALL, NOW)
        assert wire.device.output() == b""
        wire.device.configure(True, WALL, NOW)
        wire.device.output()
        wire.device.configure(False, WALL, NOW)
        assert wire.device.output() == encode_command(0x05, 0x01)
        wire.answer(0x05)
        assert wire.device.output() == WAIT

    def test_a_card_that_is_faster_than_the_cancel_taps_again(self, wire: Wire) -> None:
        wire.device.configure(False, WALL, NOW)
        assert wire.tap() == [CardMissed("the lane is closed")]
        wire.answer(0x05)
        assert wire.device.output() == TAP_AGAIN.command().encode()

    def test_a_tap_that_was_not_kept_when_the_lane_closed_taps_again(self, wire: Wire) -> None:
        wire.tap()
        wire.device.configure(False, WALL, NOW)
        assert wire.device.output() == TAP_AGAIN.command().encode()
        assert wire.device.deadline == NOW
        assert wire.device.tick(NOW, WALL) == [CardMissed("the lane closed before the tap was kept")]

    @pytest.mark.parametrize("told", [True, False])
    def test_one_that_was_kept_or_told_is_not_lost_by_that(self, wire: Wire, told: bool) -> None:
        event = arrived(wire.tap())
        if told:
            wire.device.tell(event.answer_to, OK, display(OK, load_texts("en")), NOW)
        else:
            wire.device.keep(event.answer_to, NOW)
        wire.device.configure(False, WALL, NOW)
        assert wire.device.tick(NOW, WALL) == []

    @pytest.mark.parametrize("status", [0x23, 0x0A])
    def test_a_card_from_before_or_one_that_failed_taps_again(self, status: int) -> None:
        wire = Wire()
        if status == 0x23:
            wire.device.open(NOW)
            told = wire.tap()
            wire.start()
            assert told == [CardMissed("its data is lost: not ready")]
        else:
            wire.start()
            wire.device.configure(True, WALL, NOW)
            failure = b"\x01" + encode((Tlv(0xFFEE1F, bytes.fromhex("24698505")),))
            why = "the card could not be read: error 24, status word 6985"
            assert wire.answer(0x02, 0x0A, failure) == [CardMissed(why, read=False)]
        wire.device.tick(NOW, WALL)
        assert wire.device.output() == TAP_AGAIN.command().encode()

    def test_a_failure_that_says_nothing(self, wire: Wire) -> None:
        assert wire.answer(0x02, 0x0A) == [CardMissed("the card could not be read", read=False)]

    def test_a_damaged_answer_is_a_card_that_was_lost(self, wire: Wire) -> None:
        wire.device.output()
        wire.device.receive(encode_answer(0x02, 0x23, ENCRYPTED_MASTERCARD)[:-1] + b"\x00", NOW, WALL)
        wire.device.tick(NOW + SILENCE_SECONDS, WALL)
        assert wire.answer(0x05) == [CardMissed("its data is lost: damaged")]
        assert wire.device.output() == TAP_AGAIN.command().encode()
        assert wire.device.garbage > 0


class TestReader:
    def test_it_is_up(self) -> None:
        assert Wire().start() == [DeviceUp(SERIAL, "NEO2", "", None)]

    def test_another_one_says_its_own_serial(self) -> None:
        wire = Wire()
        wire.start()
        up = DeviceUp("630Z000002", "NEO2", "", None)
        assert wire.start("630Z000002") == [DeviceDown("the port was opened anew"), up]

    def test_a_fault_lasts_until_the_reader_does_something_right(self, wire: Wire) -> None:
        well = DeviceStatus("ready", "")
        assert wire.answer(0x02, 0x0B) == [DeviceStatus("reader fault", "command 02: 0B (command not allowed)")]
        assert wire.start()[1:] == [well, DeviceUp(SERIAL, "NEO2", "", None)]
        said = wire.device.receive(b"DEVICE OUT OF SERVICE 4761739001010119\r\n", NOW, WALL)
        said += wire.device.tick(NOW + SILENCE_SECONDS, WALL)
        masked = "the line says: DEVICE OUT OF SERVICE 476173******0119"
        assert said == [DeviceStatus("reader fault", masked)]
        wire.answer(0x05)
        wire.device.configure(True, WALL, NOW)
        wire.device.tick(NOW + 2 * ANSWER_SECONDS, WALL)
        event, tap = wire.tap()
        assert event == well
        assert isinstance(tap, TapArrived)

    def test_silence_ends_a_session(self, wire: Wire) -> None:
        assert wire.silence(DeviceDown) == [DeviceDown("the reader does not answer")]

    def test_every_rate_is_tried_and_then_the_port_is_opened_again(self) -> None:
        wire = Wire()
        wanted: list[DeviceEvent] = []
        for _ in BAUDS:
            wire.device.open(NOW)
            wanted += wire.silence(PortWanted)
        assert wanted == [*(PortWanted(baud) for baud in BAUDS[1:]), PortWanted(BAUDS[0], anew=True)]

    def test_the_rate_it_was_found_at_is_said_where_it_is_another(self) -> None:
        wire = Wire()
        wire.device.open(NOW)
        wire.silence(PortWanted)
        (up,) = wire.start()
        assert up == DeviceUp(SERIAL, "NEO2", "", "it answers at 57600 baud, the lane is set to 115200")


def test_a_port_that_comes_back_is_opened_within_a_second() -> None:
    assert LONGEST_SECONDS * (1 + JITTER_SHARE) < 1.0
