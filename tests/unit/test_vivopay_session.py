"""The daemon's end of a ViVOpay line: the start, the cycle, the races, what is told, and what it costs in time."""

from __future__ import annotations

import pytest

from device.tlv import decode
from device.vivopay import events as e
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.commands import CANCEL as STOP
from device.vivopay.commands import PING, TAP_AGAIN, Transaction, UserInterface, burst_is_on, parse_serial
from device.vivopay.exchange import Exchange
from device.vivopay.frames import encode_answer, encode_command
from device.vivopay.limits import (
    ANSWER_SECONDS,
    BAUDS,
    CARD_SECONDS,
    DECISION_SECONDS,
    PAUSE_SECONDS,
    REST_SECONDS,
    SILENCE_SECONDS,
    TEXT_WINDOW_SECONDS,
    TEXTS_MAX,
)
from device.vivopay.rates import Rates
from device.vivopay.session import ReaderSession
from device.vivopay.states import State
from device.vivopay.tap import CardFailure
from tests.golden.tlv_samples import S09
from tests.golden.vivopay_frames import FRAMES

NOW = 10.0
MTT = Transaction(250, "978", "276", seconds=20)
THANKS = UserInterface(Text.THANK_YOU, Beep.SHORT_1, Led.LED_0, lit=True)
WAIT = UserInterface(Text.WAIT)
PAN = "4761739001010119"
CANCEL, CANCELLED = encode_command(0x05, 0x01), encode_answer(0x05, 0x00)
CONFIGURATION = encode_answer(0x03, 0x00, S09)
SHOWN = encode_answer(0x01, 0x00)


def started(serial: bytes | None = None, now: float = NOW) -> ReaderSession:
    session = ReaderSession(baud=115_200)
    start(session, serial, now)
    return session


def start(session: ReaderSession, serial: bytes | None = None, now: float = NOW) -> list[e.ReaderEvent]:
    """From the opened port to a reader that is up."""
    name = FRAMES["serial number"].octets if serial is None else encode_answer(0x12, 0x00, serial)
    session.open(now)
    told: list[e.ReaderEvent] = []
    for answer in (CANCELLED, FRAMES["ping answered"].octets, name, CONFIGURATION, SHOWN):
        session.output()
        told += session.receive(answer, now)
    session.output()
    return told


def waiting(now: float = NOW) -> ReaderSession:
    """A reader that waits for a card."""
    session = started(now=now)
    session.arm(MTT, now)
    session.output()
    assert session.state is State.ACTIVE
    return session


def tapped(session: ReaderSession, data: bytes = ENCRYPTED_MASTERCARD, now: float = NOW) -> e.CardTapped:
    (event,) = session.receive(encode_answer(0x02, 0x23, data), now)
    assert isinstance(event, e.CardTapped)
    return event


class TestStart:
    def test_the_cycle_is_the_published_one(self) -> None:
        session = ReaderSession(baud=115_200)
        assert session.deadline is None
        session.open(NOW)
        assert session.output() == CANCEL
        assert session.receive(CANCELLED, NOW) == []
        assert session.output() == FRAMES["ping"].octets
        assert session.receive(FRAMES["ping answered"].octets, NOW) == []
        assert session.output() == FRAMES["get serial number"].octets
        assert session.receive(FRAMES["serial number"].octets, NOW) == []
        assert session.output() == encode_command(0x03, 0x02)
        assert session.receive(CONFIGURATION, NOW) == []
        assert session.output() == FRAMES["poll on demand"].octets
        assert session.receive(SHOWN, NOW) == [e.ReaderUp("630Z000001", 115_200)]
        assert session.output() == b""
        assert session.serial == "630Z000001"

    def test_burst_mode_is_turned_off_only_where_it_is_on(self) -> None:
        on = S09.replace(bytes.fromhex("DFEE7E0100"), bytes.fromhex("DFEE7E0101"))
        assert (burst_is_on(on), burst_is_on(S09), burst_is_on(b""), burst_is_on(b"\x5a\x80")) == (True, *(False,) * 3)
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        for answer in (CANCELLED, FRAMES["ping answered"].octets, FRAMES["serial number"].octets):
            session.receive(answer, NOW)
        session.output()
        session.receive(encode_answer(0x03, 0x00, on), NOW)
        assert session.output() == encode_command(0x04, 0x00, bytes.fromhex("DFEE7E0100"))
        session.receive(encode_answer(0x04, 0x00), NOW)
        assert session.output() == FRAMES["poll on demand"].octets

    def test_a_cancel_that_nobody_answers_costs_one_second(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        session.output()
        session.tick(NOW + ANSWER_SECONDS)
        assert session.output() == FRAMES["ping"].octets

    @pytest.mark.parametrize("data", [b"", bytes(15), b"\xff" * 15, b"A\x01B", b"X" * 16])
    def test_a_name_that_is_none(self, data: bytes) -> None:
        assert parse_serial(data) is None

    def test_another_serial_number_is_another_reader(self) -> None:
        session = started()
        assert start(session, b"630Z000001", NOW + 1) == [
            e.ReaderDown(e.DownReason.REOPENED),
            e.ReaderUp("630Z000001", 115_200),
        ]
        told = start(session, b"630Z000002", NOW + 2)
        assert told[1:] == [e.ReaderChanged("630Z000001", "630Z000002"), e.ReaderUp("630Z000002", 115_200)]

    def test_a_reader_that_refuses_is_told_and_asked_again_later(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        for answer in (CANCELLED, FRAMES["ping answered"].octets, FRAMES["serial number"].octets, CONFIGURATION):
            session.receive(answer, NOW)
        assert session.receive(encode_answer(0x01, 0x1D), NOW) == [e.ReaderFault("command 01: 1D (tampered)")]
        session.output()
        assert session.deadline == NOW + REST_SECONDS
        assert session.tick(NOW + REST_SECONDS - 0.1) == []
        assert session.output() == b""
        session.tick(NOW + REST_SECONDS)
        assert session.output() == CANCEL
        assert session.counters.refused == {"01: 1D": 1}

    def test_so_is_one_that_has_no_name(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        session.receive(CANCELLED + FRAMES["ping answered"].octets, NOW)
        assert session.receive(encode_answer(0x12, 0x00, bytes(15)), NOW) == [
            e.ReaderFault("command 12: answered nothing that can be used")
        ]

    def test_one_command_at_a_time_and_only_a_cancel_cuts_in(self) -> None:
        exchange = Exchange(e.Counters())
        exchange.send(MTT.command(), NOW)
        with pytest.raises(RuntimeError, match="18-01 while 02-40 is not answered"):
            exchange.send(PING, NOW)
        exchange.send(STOP, NOW)
        assert exchange.drain() == MTT.command().encode() + CANCEL


class TestPort:
    def test_nobody_answers_so_every_rate_is_tried_and_then_the_port_is_opened_again(self) -> None:
        session, now, told = ReaderSession(baud=57_600), NOW, []
        session.open(now)
        for _ in range(40):
            assert session.deadline is None or session.deadline > now
            now = session.deadline or now
            for event in session.tick(now):
                told.append((event, now))
                assert session.state is State.WAITING
                assert isinstance(event, e.BaudWanted | e.ReopenWanted)
                assert event.baud == session.baud
                session.open(now)
        each = ANSWER_SECONDS * 3  # one cancel, two pings
        assert [(event, round((at - NOW) / each)) for event, at in told[:5]] == [
            (e.BaudWanted(115_200), 1),
            (e.BaudWanted(38_400), 2),
            (e.BaudWanted(19_200), 3),
            (e.ReopenWanted(57_600), 4),
            (e.BaudWanted(115_200), 5),
        ]

    def test_the_rate_that_was_found_is_said(self) -> None:
        session = ReaderSession(baud=57_600)
        session.open(NOW)
        now = NOW
        while not session.tick(now):
            now += 0.1
        assert start(session, now=now) == [e.ReaderUp("630Z000001", 115_200)]

    def test_one_that_was_there_is_looked_for_at_its_own_rate_every_other_time(self) -> None:
        rates = Rates(115_200, BAUDS)
        assert [(rates.turn(), rates.current) for _ in range(2)] == [(True, 57_600), (True, 38_400)]
        rates.heard()
        assert rates.current == 38_400
        tried = [(rates.turn(), rates.current) for _ in range(6)]
        assert [baud for _, baud in tried] == [115_200, 38_400, 57_600, 38_400, 19_200, 38_400]
        assert [more for more, _ in tried] == [True] * 5 + [False]

    def test_without_rates_to_probe_the_port_is_opened_again_at_once(self) -> None:
        session = ReaderSession(baud=9_600, probe=())
        session.open(NOW)
        session.tick(NOW + 1)
        session.tick(NOW + 2)
        assert session.tick(NOW + 3) == [e.ReopenWanted(9_600)]

    def test_a_command_is_tried_twice_then_the_reader_is_probed_then_the_port_is_opened_again(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        session.receive(CANCELLED + FRAMES["ping answered"].octets, NOW)
        session.output()
        session.tick(NOW + 1)
        assert session.output() == FRAMES["get serial number"].octets
        session.tick(NOW + 2)
        assert session.output() == FRAMES["ping"].octets
        session.receive(FRAMES["ping answered"].octets, NOW + 2)
        assert session.output() == FRAMES["get serial number"].octets
        session.tick(NOW + 3)
        assert session.tick(NOW + 4) == [e.ReopenWanted(115_200)]

    def test_a_reader_that_was_up_and_falls_silent_is_down_and_probed(self) -> None:
        session = waiting()
        ticket = tapped(session).ticket
        session.verdict(ticket, THANKS, NOW)
        session.output()
        session.tick(NOW + 1)
        assert session.output() == THANKS.command().encode()
        assert session.tick(NOW + 2) == [e.ReaderDown(e.DownReason.UNANSWERED)]
        assert session.output() == FRAMES["ping"].octets
        assert session.serial is None

    def test_opening_again_tells_the_loss_at_the_next_call(self) -> None:
        session = waiting()
        session.open(NOW + 1)
        assert session.deadline == NOW + 1
        assert session.tick(NOW + 1) == [e.ReaderDown(e.DownReason.REOPENED)]
        assert session.output() == CANCEL
        assert session.deadline == NOW + 1 + ANSWER_SECONDS


class TestCycle:
    def test_a_card_is_asked_for_what_the_owner_wants(self) -> None:
        session = started()
        session.arm(MTT, NOW)
        wire = session.output()
        assert wire[14] == 20
        assert [(f"{item.tag:X}", item.value.hex()) for item in decode(wire[15:-2])] == [
            ("9C", "00"),
            ("9F02", "000000000250"),
            ("9F03", "000000000000"),
            ("5F2A", "0978"),
            ("9F1A", "0276"),
            ("DFEF37", "02"),
        ]
        assert wire == encode_command(0x02, 0x40, wire[14:-2])

    def test_a_reader_may_know_its_country_itself(self) -> None:
        data = Transaction(250, "978").command().data
        assert 0x9F1A not in [item.tag for item in decode(data[1:])]

    @pytest.mark.parametrize(
        ("amount", "currency", "seconds"),
        [(-1, "978", 1), (10**12, "978", 1), (0, "97", 1), (0, "9７8", 1), (0, "978", 0), (0, "978", 256)],
    )
    def test_what_does_not_fit_is_refused(self, amount: int, currency: str, seconds: int) -> None:
        with pytest.raises(ValueError, match=r"digits|s$"):
            Transaction(amount, currency, "276", seconds=seconds)

    def test_tap_commit_verdict_and_the_next_card(self) -> None:
        session = waiting()
        event = tapped(session)
        assert event.tap is not None
        assert (event.ticket, event.fault, event.payload) == (1, None, ENCRYPTED_MASTERCARD)
        assert session.output() == b""
        session.verdict(event.ticket, THANKS, NOW + 0.01)
        assert session.output() == encode_command(0x01, 0x02, b"\x04\x01\x00\x01")
        session.receive(SHOWN, NOW + 0.02)
        assert session.output() == MTT.command().encode()
        assert tapped(session).ticket == 2

    def test_the_next_card_waits_as_long_as_the_verdict_is_to_be_read(self) -> None:
        session = waiting()
        session.verdict(tapped(session).ticket, THANKS, NOW, hold=2.0)
        session.output()
        session.receive(SHOWN, NOW + 0.1)
        assert session.output() == b""
        assert session.deadline == NOW + 2.0
        session.tick(NOW + 2.0)
        assert session.output() == MTT.command().encode()

    def test_and_so_does_whatever_else_is_to_be_shown(self) -> None:
        session = waiting()
        session.verdict(tapped(session).ticket, THANKS, NOW, hold=2.0)
        session.disarm(NOW)
        session.show(UserInterface(Text.WELCOME), NOW)
        session.output()
        session.receive(SHOWN, NOW + 0.1)
        assert (session.output(), session.deadline) == (b"", NOW + 2.0)
        session.tick(NOW + 2.0)
        assert session.output() == UserInterface(Text.WELCOME).command().encode()

    def test_an_answer_that_is_no_tap_says_why(self) -> None:
        event = tapped(waiting(), PLAIN_VISA[:40])
        assert event.tap is None
        assert event.fault == "tag 57 at offset 21: the length says more than is left"

    def test_offline_is_a_tap_too_if_it_brings_data(self) -> None:
        session = waiting()
        (event,) = session.receive(encode_answer(0x02, 0x00, PLAIN_VISA), NOW)
        assert isinstance(event, e.CardTapped)
        session = waiting()
        assert session.receive(encode_answer(0x02, 0x00), NOW) == []
        assert session.state is State.IDLE

    @pytest.mark.parametrize("status", [0x63, 0x0E])
    def test_interim_answers_change_nothing(self, status: int) -> None:
        session = waiting()
        deadline = session.deadline
        for _ in range(5):
            assert session.receive(encode_answer(0x02, status, b"\x01"), NOW) == []
        assert (session.output(), session.deadline, session.counters.interim) == (b"", deadline, 5)
        assert tapped(session).ticket == 1

    def test_a_time_out_asks_again_after_a_pause(self) -> None:
        session = waiting()
        assert session.receive(encode_answer(0x02, 0x08), NOW + 20) == []
        assert session.output() == b""
        assert session.deadline == NOW + 20 + PAUSE_SECONDS
        session.tick(NOW + 20 + PAUSE_SECONDS)
        assert session.output() == MTT.command().encode()

    def test_a_card_that_failed_is_told_with_the_reader_s_reason(self) -> None:
        session = waiting()
        data = bytes.fromhex("01FFEE1F0424698505")
        assert session.receive(encode_answer(0x02, 0x0A, data), NOW) == [e.CardFailed(CardFailure(0x24, 0x6985, 0x05))]
        session.tick(NOW + PAUSE_SECONDS)
        assert session.output() == MTT.command().encode()

    def test_a_refused_transaction_is_told_and_asked_again_later(self) -> None:
        session = waiting()
        assert session.receive(encode_answer(0x02, 0x05), NOW) == [
            e.ReaderFault("command 02: 05 (incorrect parameter)")
        ]
        assert session.deadline == NOW + REST_SECONDS

    def test_the_reader_may_talk_to_a_card_for_five_seconds_more(self) -> None:
        session = waiting()
        assert session.deadline == NOW + MTT.seconds + CARD_SECONDS
        assert session.tick(NOW + MTT.seconds + CARD_SECONDS - 0.01) == []
        assert session.output() == b""
        assert tapped(session, now=NOW + MTT.seconds + CARD_SECONDS - 0.01).ticket == 1

    def test_after_that_it_is_cancelled_and_still_may_bring_a_tap(self) -> None:
        session = waiting()
        session.tick(NOW + MTT.seconds + CARD_SECONDS)
        assert session.output() == CANCEL
        assert tapped(session).ticket == 1
        session.receive(CANCELLED, NOW)
        assert session.state is State.DECIDING

    def test_another_transaction_cancels_the_one_under_way(self) -> None:
        session = waiting()
        session.arm(MTT, NOW)
        assert session.output() == b""
        other = Transaction(300, "978", "276")
        session.arm(other, NOW)
        assert session.output() == CANCEL
        session.receive(CANCELLED, NOW)
        session.tick(NOW + PAUSE_SECONDS)
        assert session.output() == other.command().encode()


class TestCancelRace:
    def test_a_tap_that_was_faster_gets_its_verdict_after_the_cancel_s_answer(self) -> None:
        session = waiting()
        session.disarm(NOW)
        assert session.output() == CANCEL
        event = tapped(session)
        session.verdict(event.ticket, THANKS, NOW)
        assert session.output() == b""  # one command at a time
        session.receive(CANCELLED, NOW)
        assert session.output() == THANKS.command().encode()
        session.receive(SHOWN, NOW)
        assert session.output() == b""

    def test_both_answers_in_one_piece(self) -> None:
        session = waiting()
        session.disarm(NOW)
        (event,) = session.receive(encode_answer(0x02, 0x23, PLAIN_VISA) + CANCELLED, NOW)
        assert isinstance(event, e.CardTapped)
        assert session.state is State.DECIDING

    def test_the_other_way_round(self) -> None:
        session = waiting()
        session.disarm(NOW)
        (event,) = session.receive(CANCELLED + encode_answer(0x02, 0x23, PLAIN_VISA), NOW)
        assert isinstance(event, e.CardTapped)

    @pytest.mark.parametrize("status", [0x08, 0x0A, 0x63, 0x0B])
    def test_any_other_end_is_only_the_end(self, status: int) -> None:
        session = waiting()
        session.disarm(NOW)
        assert session.receive(encode_answer(0x02, status) + CANCELLED, NOW) == []
        assert session.state is State.IDLE

    def test_a_card_that_came_before_we_were_ready_taps_again(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        assert session.receive(encode_answer(0x02, 0x23, PLAIN_VISA), NOW) == [e.TapLost(e.LostReason.NOT_READY)]
        assert session.counters.lost == {e.LostReason.NOT_READY: 1}


class TestUserInterface:
    def test_nothing_is_shown_while_a_transaction_is_under_way(self) -> None:
        session = waiting()
        session.show(THANKS, NOW)
        assert session.output() == b""
        session.receive(encode_answer(0x02, 0x08), NOW)
        assert session.output() == THANKS.command().encode()

    def test_something_may_be_shown_before_the_verdict(self) -> None:
        session = waiting()
        event = tapped(session)
        session.note(event.ticket, UserInterface(Text.PROCESSING), NOW)
        assert session.output() == encode_command(0x01, 0x02, b"\x03\x00\xff\x00")
        session.verdict(event.ticket, THANKS, NOW)
        assert session.output() == b""
        session.receive(SHOWN, NOW)
        assert session.output() == THANKS.command().encode()

    def test_a_note_without_a_tap_is_dropped(self) -> None:
        session = waiting()
        session.note(1, THANKS, NOW)
        ticket = tapped(session).ticket
        session.note(ticket + 1, THANKS, NOW)
        session.verdict(ticket, THANKS, NOW)
        session.note(ticket, UserInterface(Text.WAIT), NOW)
        assert session.output() == THANKS.command().encode()
        session.receive(SHOWN, NOW)
        assert session.output() == MTT.command().encode()

    def test_what_was_to_be_shown_before_the_tap_is_shown_after_its_verdict(self) -> None:
        session = waiting()
        session.show(UserInterface(Text.WELCOME), NOW)
        ticket = tapped(session).ticket
        assert session.output() == b""
        session.verdict(ticket, THANKS, NOW)
        assert session.output() == THANKS.command().encode()
        session.receive(SHOWN, NOW)
        assert session.output() == UserInterface(Text.WELCOME).command().encode()

    def test_the_latest_wins(self) -> None:
        session = waiting()
        session.show(UserInterface(Text.WELCOME), NOW)
        session.show(THANKS, NOW)
        session.receive(encode_answer(0x02, 0x08), NOW)
        assert session.output() == THANKS.command().encode()

    @pytest.mark.parametrize(("status", "told"), [(0x00, [e.VerdictShown(1)]), (0x0B, [])])
    def test_a_reader_that_cannot_show_it_goes_on(self, status: int, told: list[e.ReaderEvent]) -> None:
        session = waiting()
        session.verdict(tapped(session).ticket, THANKS, NOW)
        assert session.receive(encode_answer(0x01, status), NOW) == told
        assert session.state is State.ACTIVE

    def test_only_a_verdict_is_told_as_shown(self) -> None:
        session = waiting()
        session.show(UserInterface(Text.WELCOME), NOW)
        ticket = tapped(session).ticket
        session.note(ticket, WAIT, NOW)
        assert session.receive(SHOWN, NOW) == []
        session.verdict(ticket, THANKS, NOW)
        assert session.receive(SHOWN, NOW) == [e.VerdictShown(ticket)]
        assert session.receive(SHOWN, NOW) == []
        assert session.state is State.ACTIVE


class TestVerdict:
    def test_only_the_tap_that_waits_gets_one_and_only_one(self) -> None:
        session = waiting()
        session.verdict(1, THANKS, NOW)
        ticket = tapped(session).ticket
        session.verdict(ticket + 1, THANKS, NOW)
        assert session.output() == b""
        session.verdict(ticket, THANKS, NOW)
        session.verdict(ticket, THANKS, NOW)
        assert session.output() == THANKS.command().encode()
        assert session.counters.verdicts_late == 3

    def test_without_one_the_next_card_may_come_after_a_minute(self) -> None:
        session = waiting()
        ticket = tapped(session).ticket
        assert session.deadline == NOW + DECISION_SECONDS
        assert session.tick(NOW + DECISION_SECONDS) == [e.Undecided(ticket)]
        assert session.output() == MTT.command().encode()
        session.verdict(ticket, THANKS, NOW + DECISION_SECONDS)
        assert (session.output(), session.counters.verdicts_late) == (b"", 1)

    def test_one_for_a_reader_that_is_gone_is_dropped(self) -> None:
        session = waiting()
        ticket = tapped(session).ticket
        start(session, now=NOW + 1)
        session.verdict(ticket, THANKS, NOW + 1)
        assert session.state is State.ACTIVE
        assert session.counters.verdicts_late == 1


class TestDamage:
    WIRE = encode_answer(0x02, 0x23, ENCRYPTED_MASTERCARD)

    @pytest.mark.parametrize(
        "damaged",
        [
            WIRE[:-1] + b"\x01",
            WIRE[:99] + WIRE[100:],
            WIRE[3:],
            b"\x56" + WIRE[2:],
            WIRE[:300],
            WIRE[:12] + b"\xff" + WIRE[13:],
        ],
        ids=["crc", "a byte lost", "header lost", "header damaged", "cut", "length"],
    )
    def test_a_damaged_answer_is_a_lost_tap_and_the_passenger_taps_again(self, damaged: bytes) -> None:
        session = waiting()
        session.receive(damaged, NOW)
        session.tick(NOW + SILENCE_SECONDS)
        assert session.output() == CANCEL
        told = session.receive(CANCELLED, NOW + 0.3)
        assert told == [e.TapLost(e.LostReason.DAMAGED)]
        assert session.output() == TAP_AGAIN.command().encode()
        session.receive(SHOWN, NOW + 0.3)
        session.tick(NOW + 0.3 + PAUSE_SECONDS)
        assert session.output() == MTT.command().encode()

    def test_damage_before_the_tap_loses_nothing(self) -> None:
        session = waiting()
        session.receive(self.WIRE[:50], NOW)
        session.tick(NOW + SILENCE_SECONDS)
        assert tapped(session).ticket == 1
        assert session.receive(CANCELLED, NOW) == []
        assert session.state is State.DECIDING

    def test_a_little_noise_only_starts_the_transaction_anew(self) -> None:
        session = waiting()
        session.receive(b"\x80\x81\x82", NOW)
        session.tick(NOW + SILENCE_SECONDS)
        assert session.output() == CANCEL
        assert session.receive(CANCELLED, NOW + 0.3) == []
        session.tick(NOW + 0.3 + PAUSE_SECONDS)
        assert session.output() == MTT.command().encode()

    def test_padding_and_late_answers_do_not(self) -> None:
        session = waiting()
        assert session.receive(bytes(64) + CANCELLED + bytes(64) + FRAMES["ping answered"].octets, NOW) == []
        assert session.tick(NOW + 1) == []
        assert session.output() == b""
        assert session.counters.dropped == {"stray": 2}

    def test_a_command_that_arrived_damaged_is_sent_again_once(self) -> None:
        session = waiting()
        assert session.receive(encode_answer(0x02, 0x04), NOW) == []
        assert session.output() == MTT.command().encode()
        session.receive(encode_answer(0x02, 0x04), NOW)
        assert session.output() == CANCEL

    def test_however_its_own_number_was_damaged(self) -> None:
        session = waiting()
        session.verdict(tapped(session).ticket, THANKS, NOW)
        session.output()
        session.receive(encode_answer(0x41, 0x04), NOW)
        assert session.output() == THANKS.command().encode()


class TestText:
    def test_a_text_is_an_event_and_the_transaction_is_looked_after(self) -> None:
        session = waiting()
        (event,) = session.receive(f"DEVICE OUT OF SERVICE {PAN}\r\n".encode(), NOW)
        assert event == e.LineText(f"DEVICE OUT OF SERVICE {PAN}")
        assert PAN not in repr(event)
        assert session.output() == CANCEL

    def test_while_nobody_answers_too(self) -> None:
        session = ReaderSession(baud=115_200)
        session.open(NOW)
        assert session.receive(b"DEVICE OUT OF SERVICE\r\n", NOW) == [e.LineText("DEVICE OUT OF SERVICE")]

    def test_a_modem_manager_s_question_is_no_event(self) -> None:
        session = started()
        assert session.receive(b"AT\rAT\r\n", NOW) == []
        assert session.counters.texts == 0

    def test_a_device_that_prints_without_end_is_heard_now_and_then(self) -> None:
        session = started()
        told = [event for n in range(100) for event in session.receive(b"COUNTER %d \n" % n, NOW)]
        assert len(told) == TEXTS_MAX
        assert len(session.receive(b"COUNTER 100\n", NOW + TEXT_WINDOW_SECONDS)) == 1
        assert session.counters.texts == 101


def test_no_repr_shows_a_card() -> None:
    event = tapped(waiting(), PLAIN_VISA)
    for digits in ("4999", "9999", PLAIN_VISA.hex(), "payload"):
        assert digits not in repr(event)
