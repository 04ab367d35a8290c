"""A simulated reader and a lane that decides, on good lines and bad: a card ends in its verdict, or is lost aloud.

The owner here is the least that a lane must be: it commits each tap after a while, gives the verdict, and does with
the port what it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from device.tlv import find
from device.vivopay import events as e
from device.vivopay.cards import ENCRYPTED_MASTERCARD, PLAIN_VISA, varied
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.commands import Transaction, UserInterface
from device.vivopay.frames import encode_answer, encode_command
from device.vivopay.limits import ANSWER_SECONDS, SILENCE_SECONDS
from device.vivopay.session import ReaderSession
from device.vivopay.simulator import Faults, SimulatedReader
from device.vivopay.simulator_events import Activated, BadCommand, Ended, Shown
from device.vivopay.states import State
from device.vivopay.tap import CardFailure
from tests.sim.vl1_world import Line, World

MTT = Transaction(250, "978", "276", seconds=20)
THANKS = UserInterface(Text.THANK_YOU, Beep.SHORT_1, Led.LED_0, lit=True)
WAIT = UserInterface(Text.WAIT)
GOOD = Shown(Text.THANK_YOU, Beep.SHORT_1, Led.LED_0, 1)
AGAIN = Shown(Text.TRY_AGAIN, Beep.SHORT_2, Led.ALL, 0)
PORT_SECONDS = 0.05


@dataclass
class ByteLine(Line):
    """Bytes as they are, each damaged, lost or doubled with that chance."""

    chance: float = 0.0

    def carry(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        if not data or self.cut:
            return []
        self.free_at = max(self.free_at, now) + len(data) * 10 / self.baud
        octets = b"".join(self._octet(octet) for octet in data) if self.chance else data
        return [(self.free_at + 0.001, octets)] if octets else []

    def _octet(self, octet: int) -> bytes:
        if self.rng.random() >= self.chance:
            return bytes((octet,))
        return self.rng.choice((b"", bytes((octet ^ 1 << self.rng.randrange(8),)), bytes((octet, octet))))


class Lane:
    """``seconds`` from tap to verdict."""

    def __init__(self, *, seconds: float = 0.0, seed: int = 1, baud: int = 115_200, **reader: Any) -> None:
        self.session = ReaderSession(baud=baud)
        self.reader = SimulatedReader(serial="630Z000001", **reader)
        self.reader.line_baud = baud
        self.world = World(seed, {"daemon": self.session, "reader": self.reader})
        for name in self.world.ends:
            self.world.lines[name] = ByteLine(self.world.rng)
        self.world.on_event = self.on_event
        self.seconds = seconds
        self.taps: list[e.CardTapped] = []
        self.session.arm(MTT, self.world.now)
        self.open()

    def open(self) -> None:
        self.reader.line_baud = self.session.baud
        self.session.open(self.world.now)
        self.world.settle()

    def on_event(self, name: str, event: Any) -> None:
        match event:
            case e.CardTapped():
                self.taps.append(event)
                self.world.after(self.seconds, lambda: self.decide(event.ticket))
            case e.BaudWanted() | e.ReopenWanted():
                self.world.after(PORT_SECONDS, self.open)

    def decide(self, ticket: int) -> None:
        self.session.verdict(ticket, THANKS, self.world.now)

    def run(self, seconds: float) -> None:
        self.world.run(seconds)

    def until_waiting(self, seconds: float = 60.0) -> None:
        assert self.world.run(seconds, lambda: self.reader.is_waiting and self.session.state is State.ACTIVE)

    def tap(self, data: bytes = ENCRYPTED_MASTERCARD) -> None:
        assert self.reader.tap(data, self.world.now)
        self.world.settle()

    def told(self, kind: type) -> list[Any]:
        return [event for _, event in self.world.events["daemon"] if isinstance(event, kind)]

    def good_tap(self) -> None:
        """Whatever was: one more card, and its verdict is shown."""
        self.until_waiting()
        shown = len(self.reader.shown)
        self.tap()
        assert self.world.run(5.0, lambda: GOOD in self.reader.shown[shown:])


@pytest.fixture
def lane() -> Lane:
    lane = Lane()
    lane.until_waiting()
    return lane


class TestGood:
    def test_it_starts(self, lane: Lane) -> None:
        assert lane.told(e.ReaderUp) == [e.ReaderUp("630Z000001", 115_200)]
        assert lane.reader.polls_on_demand
        (activated,) = [event for _, event in lane.world.events["reader"]]
        assert isinstance(activated, Activated)
        assert activated.seconds == MTT.seconds
        amount = find(activated.objects, 0x9F02)
        assert amount is not None
        assert amount.value == bytes.fromhex("000000000250")

    @pytest.mark.parametrize("data", [ENCRYPTED_MASTERCARD, PLAIN_VISA], ids=["encrypted", "plain"])
    def test_a_tap_gets_its_verdict(self, lane: Lane, data: bytes) -> None:
        lane.tap(data)
        lane.run(1.0)
        assert [event.payload for event in lane.taps] == [data]
        assert lane.reader.shown == [GOOD]
        lane.good_tap()

    def test_many_in_a_row(self, lane: Lane) -> None:
        cards = [varied(PLAIN_VISA, {0x9F36: number.to_bytes(2, "big")}) for number in range(50)]
        for data in cards:
            lane.until_waiting()
            lane.tap(data)
            lane.run(0.4)
        assert [event.payload for event in lane.taps] == cards
        assert len({event.tap.identity for event in lane.taps if event.tap is not None}) == 50
        assert lane.reader.shown == [GOOD] * 50

    def test_nobody_comes(self, lane: Lane) -> None:
        lane.run(300.0)
        assert lane.session.counters.transactions == pytest.approx(300 / (MTT.seconds + 0.2), abs=2)
        assert lane.told(e.ReaderDown) == []
        lane.good_tap()

    def test_burst_mode_is_turned_off_once(self) -> None:
        lane = Lane(burst=True)
        lane.good_tap()
        lane.open()
        lane.good_tap()
        assert (lane.reader.burst, lane.reader.flash_writes) == (False, 1)

    def test_a_card_that_fails(self, lane: Lane) -> None:
        assert lane.reader.fail(0x24, 0x6985, 0x05, lane.world.now)
        lane.run(1.0)
        assert lane.told(e.CardFailed) == [e.CardFailed(CardFailure(0x24, 0x6985, 0x05))]
        lane.good_tap()

    def test_a_card_that_comes_at_the_last_moment(self) -> None:
        lane = Lane(read_seconds=4.0)
        lane.until_waiting()
        lane.run(MTT.seconds - 0.1)
        lane.tap()
        lane.run(5.0)
        assert lane.reader.shown == [GOOD]


class TestFaults:
    @pytest.mark.parametrize(
        "faults",
        [
            Faults(byte_seconds=0.001),
            Faults(split_seconds=0.1),
            Faults(padding=64),
            Faults(interim=(0x63, 0x0E, 0x63)),
            Faults(byte_seconds=0.0005, padding=64, interim=(0x0E,)),
        ],
        ids=["byte by byte", "split", "padding", "interim", "all"],
    )
    def test_how_answers_come_does_not_matter(self, faults: Faults) -> None:
        lane = Lane(faults=faults)
        for _ in range(3):
            lane.good_tap()
        assert lane.told(e.TapLost) == []
        assert len(lane.taps) == 3

    @pytest.mark.parametrize("fault", ["wrong_crc", "wrong_length"])
    def test_a_damaged_tap_is_lost_aloud_and_the_passenger_taps_again(self, lane: Lane, fault: str) -> None:
        setattr(lane.reader.faults, fault, 1)
        lane.tap()
        lane.run(2.0)
        assert lane.told(e.TapLost) == [e.TapLost(e.LostReason.DAMAGED)]
        assert (lane.taps, lane.reader.shown) == ([], [AGAIN])
        lane.good_tap()

    @pytest.mark.parametrize("fault", ["wrong_crc", "wrong_length", "silent"])
    @pytest.mark.parametrize("number", range(1, 7))
    def test_a_bad_answer_or_more_at_the_start(self, fault: str, number: int) -> None:
        lane = Lane()
        setattr(lane.reader.faults, fault, number)
        lane.good_tap()

    def test_one_command_not_answered_is_asked_again(self, lane: Lane) -> None:
        lane.tap()
        lane.run(0.29)
        lane.reader.faults.silent = 1
        lane.run(3.0)
        assert lane.reader.shown == [GOOD]
        assert lane.told(e.ReaderDown) == []
        lane.good_tap()

    def test_a_silent_reader_is_down_and_comes_back(self, lane: Lane) -> None:
        lane.reader.faults.silent = 15
        lane.tap()
        lane.run(3.0)
        assert lane.told(e.ReaderDown) == [e.ReaderDown(e.DownReason.UNANSWERED)]
        assert len(lane.taps) == 1
        lane.good_tap()
        assert len(lane.told(e.ReaderUp)) == 2

    def test_a_damaged_command_is_said_so_and_sent_again(self, lane: Lane) -> None:
        lane.tap()
        lane.run(0.25)
        line = lane.world.lines["daemon"]
        assert isinstance(line, ByteLine)
        line.chance = 0.05
        lane.run(0.1)
        line.chance = 0.0
        lane.run(3.0)
        assert BadCommand() in [event for _, event in lane.world.events["reader"]]
        assert lane.session.counters.retries == 1
        lane.good_tap()

    def test_unplugged_in_the_middle_of_an_answer(self, lane: Lane) -> None:
        lane.reader.faults.byte_seconds = 0.01
        lane.tap()
        lane.run(1.0)
        lane.reader.unplug()
        lane.run(1.0)
        lane.reader.plug()
        lane.reader.faults.byte_seconds = 0.0
        lane.open()
        began = lane.world.now
        lane.until_waiting()
        assert lane.world.now - began < 1.0
        assert lane.taps == []
        lane.good_tap()

    def test_unplugged_for_long_and_another_one_plugged_in(self, lane: Lane) -> None:
        lane.reader.unplug()
        lane.run(120.0)
        assert lane.told(e.ReopenWanted)
        lane.reader.serial = "630Z000002"
        lane.reader.plug()
        lane.good_tap()
        assert lane.told(e.ReaderChanged) == [e.ReaderChanged("630Z000001", "630Z000002")]
        assert lane.session.serial == "630Z000002"

    @pytest.mark.parametrize("away", [3.0, 4.7, 7.9, 11.2, 30.5])
    def test_switched_off_on_a_line_that_stays_and_on_again(self, lane: Lane, away: float) -> None:
        """Nothing says that it is back, so it is looked for, mostly where it was: three seconds a rate."""
        lane.tap()
        lane.reader.unplug()
        assert lane.world.run(60.0, lambda: bool(lane.told(e.ReaderDown)))
        lane.run(away)
        lane.reader.plug()
        began = lane.world.now
        lane.until_waiting()
        assert lane.world.now - began < 3 * ANSWER_SECONDS + 0.5
        lane.good_tap()

    @pytest.mark.parametrize("baud", [115_200, 57_600, 38_400, 19_200])
    def test_a_wrong_rate_is_found_by_probing(self, baud: int) -> None:
        lane = Lane(baud=57_600)
        lane.reader.baud = baud
        lane.good_tap()
        assert lane.told(e.ReaderUp) == [e.ReaderUp("630Z000001", baud)]
        assert lane.session.baud == baud
        assert lane.told(e.ReopenWanted) == []

    def test_a_tampered_reader_prints_and_answers_nothing(self, lane: Lane) -> None:
        lane.reader.tamper(("DEVICE OUT OF SERVICE", "COUNTER 4761739001010119"), lane.world.now)
        lane.run(5.0)
        texts = [event.text for event in lane.told(e.LineText)]
        assert texts[:2] == ["DEVICE OUT OF SERVICE", "COUNTER 4761739001010119"]
        assert lane.told(e.ReaderDown) == [e.ReaderDown(e.DownReason.UNANSWERED)]
        lane.run(300.0)
        assert len(lane.told(e.LineText)) < 8 * 31 + 2


class TestReaderAlone:
    def test_it_knows_what_it_does_not_know(self) -> None:
        reader = SimulatedReader(serial="630Z000001")
        for wire, status in (
            (encode_command(0x83, 0x50), 0x02),
            (encode_command(0x02, 0x40, b"\x1e\x5a\x80"), 0x07),
            (encode_command(0x18, 0x01)[:-1] + b"\x00", 0x04),
        ):
            assert reader.receive(wire, 1.0) + reader.tick(1.0 + SILENCE_SECONDS) == [BadCommand()]
            assert reader.output() == encode_answer(wire[10], status)

    def test_nobody_is_read_unless_it_waits(self) -> None:
        reader = SimulatedReader(serial="630Z000001")
        assert not reader.tap(PLAIN_VISA, 1.0)
        reader.receive(MTT.command().encode(), 1.0)
        assert reader.tap(PLAIN_VISA, 1.0)
        assert not reader.tap(PLAIN_VISA, 1.0)
        reader.unplug()
        assert (reader.deadline, reader.tick(2.0), reader.output()) == (None, [], b"")

    def test_half_a_command_is_forgotten(self) -> None:
        reader = SimulatedReader(serial="630Z000001")
        reader.receive(encode_command(0x18, 0x01)[:9], 1.0)
        assert reader.deadline == 1.25
        assert reader.tick(1.25) == [BadCommand()]
        reader.receive(encode_command(0x18, 0x01), 1.3)
        assert reader.output() == encode_answer(0x18, 0x00)


class TestCancelRace:
    @pytest.mark.parametrize("racing", [True, False])
    def test_the_lane_closes_while_a_card_is_being_read(self, lane: Lane, racing: bool) -> None:
        lane.reader.faults.racing = racing
        lane.tap()
        lane.run(0.1)
        lane.session.disarm(lane.world.now)
        lane.session.show(WAIT, lane.world.now)
        lane.run(5.0)
        assert len(lane.taps) == racing
        assert [shown.text for shown in lane.reader.shown] == [Text.THANK_YOU, Text.WAIT][not racing :]
        assert Ended(0x23 if racing else None) in [event for _, event in lane.world.events["reader"]]
        assert lane.session.state is State.IDLE
        lane.session.arm(MTT, lane.world.now)
        lane.good_tap()

    @pytest.mark.parametrize("at", [n / 100 for n in range(20, 40)])
    def test_whenever_the_cancel_comes_the_lane_and_the_reader_agree(self, lane: Lane, at: float) -> None:
        """Around the moment the answer leaves; the reader needs 0.3 s for a card."""
        lane.tap()
        lane.run(at)
        lane.session.arm(Transaction(300, "978", "276"), lane.world.now)
        lane.run(5.0)
        ended = [event.status for _, event in lane.world.events["reader"] if isinstance(event, Ended)]
        assert len(lane.taps) == lane.reader.shown.count(GOOD) == ended.count(0x23)
        lane.good_tap()


class TestOwner:
    def test_a_verdict_that_takes_its_time(self) -> None:
        lane = Lane(seconds=8.0)
        lane.until_waiting()
        lane.tap()
        lane.run(9.0)
        assert lane.reader.shown == [GOOD]

    def test_one_that_takes_too_long(self) -> None:
        lane = Lane(seconds=90.0)
        lane.until_waiting()
        lane.tap()
        lane.run(91.0)
        assert lane.told(e.Undecided) == [e.Undecided(1)]
        assert lane.reader.shown == []


@pytest.mark.parametrize("seed", range(12))
def test_on_a_bad_line_every_card_has_an_end_and_the_lane_lives(seed: int) -> None:
    """A byte in 2000 is lost, doubled or damaged, both ways. A card's verdict is shown, or its loss is told."""
    lane = Lane(seed=seed, faults=Faults(racing=True, padding=seed % 2 * 64))
    lines = [line for line in lane.world.lines.values() if isinstance(line, ByteLine)]
    for line in lines:
        line.chance = 1 / 2000
    read = 0
    for number in range(60):
        lane.world.run(90.0, lambda: lane.reader.is_waiting)
        read += lane.reader.tap(varied(ENCRYPTED_MASTERCARD, {0x9F36: number.to_bytes(2, "big")}), lane.world.now)
        lane.world.settle()
        lane.run(lane.world.rng.uniform(0.2, 3.0))
    for line in lines:
        line.chance = 0.0
    lane.run(5.0)
    assert read > 50
    assert len(lane.taps) + len(lane.told(e.TapLost)) >= read
    assert len({event.payload for event in lane.taps}) == len(lane.taps)
    lane.good_tap()


def test_events_of_a_lane_never_show_a_card(lane: Lane) -> None:
    lane.tap(PLAIN_VISA)
    lane.run(1.0)
    lane.reader.tamper(("CARD 4761739001010119",), lane.world.now)
    lane.run(10.0)
    shown = repr([event for events in lane.world.events.values() for _, event in events])
    assert "CardTapped" in shown
    assert "LineText" in shown
    assert "4999" not in shown
    assert "4761" not in shown
