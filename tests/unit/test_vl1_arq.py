"""Stop-and-wait: order, acknowledgement, NAK, timers (links.md "Session")."""

from __future__ import annotations

from itertools import pairwise

import pytest

from device.vl1.daemon import State as DaemonState
from device.vl1.events import Delivered, LostReason, Received, SessionLost
from device.vl1.frames import Frame, FrameType, encode_frame
from device.vl1.limits import (
    OUTPUT_MAX,
    PAYLOAD_MAX,
    PING_SECONDS,
    QUEUE_MAX,
    SILENCE_SECONDS,
    TIMER_FIRST_SECONDS,
    TIMER_MAX_SECONDS,
    TIMER_MIN_SECONDS,
    TRIES_MAX,
)
from device.vl1.messages import Hello
from tests.unit.test_vl1_tables import NOW, frames, hello_frame, make_daemon, types

DAEMON_UP = DaemonState.UP


class Peer:
    """A daemon in a session and the frames a validator would send it."""

    def __init__(self) -> None:
        self.end, self.number = make_daemon(DAEMON_UP)
        self.now = NOW

    def say(self, kind: FrameType, seq: int = 0, ack: int = 0, payload: bytes = b"") -> list[object]:
        return list(self.end.receive(encode_frame(Frame(kind, self.number, seq, ack, payload)), self.now))

    def written(self) -> list[Frame]:
        return frames(self.end.output())

    def until_written(self) -> list[Frame]:
        """Lets time pass up to the next deadline at which something is written."""
        while True:
            assert self.end.deadline is not None
            self.now = max(self.now, self.end.deadline)
            self.end.tick(self.now)
            if written := self.written():
                return written


@pytest.fixture
def peer() -> Peer:
    return Peer()


class TestReceiving:
    def test_the_expected_one_is_delivered_and_acknowledged(self, peer: Peer) -> None:
        for seq in range(600):
            payload = seq.to_bytes(2, "big")
            assert peer.say(FrameType.DATA, seq & 0xFF, payload=payload) == [Received(payload)]
            (ack,) = peer.written()
            assert (ack.type, ack.ack, ack.session) == (FrameType.ACK, (seq + 1) & 0xFF, peer.number)

    def test_the_one_before_is_acknowledged_only(self, peer: Peer) -> None:
        peer.say(FrameType.DATA, 0, payload=b"\x01")
        peer.written()
        for _ in range(3):
            assert peer.say(FrameType.DATA, 0, payload=b"\x01") == []
            (ack,) = peer.written()
            assert (ack.type, ack.ack) == (FrameType.ACK, 1)
        assert peer.end.counters.repeats_in == 3

    @pytest.mark.parametrize("seq", [1, 2, 100, 254, 255])
    def test_anything_else_gets_a_nak(self, peer: Peer, seq: int) -> None:
        assert peer.say(FrameType.DATA, seq, payload=b"\x01") == []
        (nak,) = peer.written()
        assert (nak.type, nak.ack) == (FrameType.NAK, 0)

    def test_retransmission_flag_is_passed_on(self, peer: Peer) -> None:
        frame = Frame(FrameType.DATA, peer.number, 0, 0, b"\x01", retransmission=True)
        assert peer.end.receive(encode_frame(frame), NOW) == [Received(b"\x01", retransmitted=True)]

    def test_ping_is_answered(self, peer: Peer) -> None:
        peer.say(FrameType.PING)
        assert [f.type for f in peer.written()] == [FrameType.PONG]
        peer.say(FrameType.PONG)
        assert peer.written() == []


class TestSending:
    def test_one_in_flight_the_others_wait(self, peer: Peer) -> None:
        tickets = [peer.end.send(bytes((n,)), NOW) for n in range(3)]
        assert len(set(tickets)) == 3
        assert peer.end.pending == 3
        for n, ticket in enumerate(tickets):
            (data,) = peer.written()
            assert (data.type, data.seq, data.payload, data.retransmission) == (
                FrameType.DATA,
                n,
                bytes((n,)),
                False,
            )
            assert peer.say(FrameType.ACK, ack=n + 1) == [Delivered(ticket)]
        assert peer.end.pending == 0

    @pytest.mark.parametrize("kind", [FrameType.ACK, FrameType.NAK, FrameType.PING, FrameType.PONG, FrameType.DATA])
    def test_any_frame_of_the_session_acknowledges(self, peer: Peer, kind: FrameType) -> None:
        ticket = peer.end.send(b"\x05", NOW)
        assert Delivered(ticket) in peer.say(kind, ack=1)

    def test_what_a_frame_acknowledges_comes_before_what_it_says(self, peer: Peer) -> None:
        ticket = peer.end.send(b"\x05", NOW)
        assert peer.say(FrameType.DATA, 0, 1, b"\x01") == [Delivered(ticket), Received(b"\x01")]

    def test_the_next_data_carries_the_new_ack(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        peer.end.send(b"\x06", NOW)
        peer.written()
        peer.say(FrameType.DATA, 0, 1, b"\x01")
        assert [(f.type, f.seq, f.ack) for f in peer.written()] == [
            (FrameType.ACK, 1, 1),
            (FrameType.DATA, 1, 1),
        ]

    @pytest.mark.parametrize("ack", [0, 2, 255, 77])
    def test_stale_acks_are_ignored(self, peer: Peer, ack: int) -> None:
        peer.end.send(b"\x05", NOW)
        assert peer.say(FrameType.ACK, ack=ack) == []
        assert peer.end.pending == 1

    def test_both_directions_at_once(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        assert peer.say(FrameType.DATA, 0, 0, b"\x01") == [Received(b"\x01")]
        assert peer.end.pending == 1

    def test_seq_wraps(self, peer: Peer) -> None:
        for n in range(520):
            peer.end.send(b"\x05", NOW)
            (data,) = peer.written()
            assert data.seq == n & 0xFF
            peer.say(FrameType.ACK, ack=(n + 1) & 0xFF)
        assert peer.end.pending == 0

    def test_without_a_session_or_with_a_full_queue_it_is_dropped_and_counted(self, peer: Peer) -> None:
        for _ in range(QUEUE_MAX + 1):  # one of them in flight
            peer.end.send(b"\x05", NOW)
        assert peer.end.counters.sends_dropped == 0
        peer.end.send(b"\x05", NOW)
        assert peer.end.counters.sends_dropped == 1
        assert peer.end.pending == QUEUE_MAX + 1
        idle, _ = make_daemon(DaemonState.GREETING)
        idle.send(b"\x05", NOW)
        assert idle.counters.sends_dropped == 1
        idle.receive(hello_frame(), NOW)
        assert idle.pending == 0

    def test_a_payload_that_the_other_end_cannot_take_is_refused(self, peer: Peer) -> None:
        with pytest.raises(ValueError, match="takes 1024"):
            peer.end.send(bytes(PAYLOAD_MAX + 1), NOW)

    @pytest.mark.parametrize(("largest", "taken"), [(300, 300), (PAYLOAD_MAX, PAYLOAD_MAX), (65535, PAYLOAD_MAX)])
    def test_how_much_the_other_end_takes(self, largest: int, taken: int) -> None:
        end, _ = make_daemon(DaemonState.GREETING)
        end.receive(hello_frame(Hello("V", 1, 1, largest_payload=largest)), NOW)
        end.send(bytes(taken), NOW)
        with pytest.raises(ValueError, match=f"takes {taken}"):
            end.send(bytes(taken + 1), NOW)


class TestNak:
    def test_of_the_one_in_flight_repeats_at_once(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        peer.written()
        peer.say(FrameType.NAK, ack=0)
        (again,) = peer.written()
        assert (again.seq, again.payload, again.retransmission) == (0, b"\x05", True)

    def test_of_the_next_acknowledges(self, peer: Peer) -> None:
        ticket = peer.end.send(b"\x05", NOW)
        assert peer.say(FrameType.NAK, ack=1) == [Delivered(ticket)]

    @pytest.mark.parametrize("ack", [2, 77, 255])
    def test_of_anything_else_ends_the_session(self, peer: Peer, ack: int) -> None:
        ticket = peer.end.send(b"\x05", NOW)
        assert peer.say(FrameType.NAK, ack=ack) == [SessionLost(LostReason.DISAGREEMENT, (ticket,))]

    def test_with_nothing_in_flight(self, peer: Peer) -> None:
        assert peer.say(FrameType.NAK, ack=0) == []
        assert peer.written() == []
        assert peer.say(FrameType.NAK, ack=1) == [SessionLost(LostReason.DISAGREEMENT)]

    def test_a_storm_of_them_writes_five_tries_and_no_more(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        for _ in range(50):
            peer.say(FrameType.NAK, ack=0)
        assert len(peer.written()) == TRIES_MAX
        assert peer.end.deadline is not None
        assert peer.end.tick(peer.end.deadline)[0] == SessionLost(LostReason.UNANSWERED, (1,))


class TestTimer:
    def wire_seconds(self, payload: int, baud: int = 115_200) -> float:
        return len(encode_frame(Frame(FrameType.DATA, 0x1111, payload=b"\x05" * payload))) * 10 / baud

    def test_starts_when_the_last_byte_should_have_left(self) -> None:
        """HELLO_ACK stands before it in the line, so it counts too."""
        end, _ = make_daemon(DAEMON_UP)
        before = end._wire.free_at
        assert before > NOW
        end.send(b"\x05" * PAYLOAD_MAX, NOW)
        assert end.deadline == pytest.approx(before + self.wire_seconds(PAYLOAD_MAX) + TIMER_FIRST_SECONDS)

    def test_a_full_frame_at_57600_takes_181_ms(self) -> None:
        assert self.wire_seconds(PAYLOAD_MAX, 57_600) == pytest.approx(0.181, abs=0.001)

    def test_doubles_five_tries_then_the_session_is_over(self, peer: Peer) -> None:
        ticket = peer.end.send(b"\x05", NOW)
        sent: list[tuple[float, Frame]] = [(peer.now, f) for f in peer.written() if f.type is FrameType.DATA]
        events: list[object] = []
        while not events:
            assert peer.end.deadline is not None
            peer.now = peer.end.deadline
            peer.say(FrameType.PONG)  # it is there, and never acknowledges
            events = list(peer.end.tick(peer.now))
            sent += [(peer.now, f) for f in peer.written() if f.type is FrameType.DATA]
        assert events == [SessionLost(LostReason.UNANSWERED, (ticket,))]
        assert [f.retransmission for _, f in sent] == [False, True, True, True, True]
        assert {(f.seq, f.payload) for _, f in sent} == {(0, b"\x05")}
        times = [*(at for at, _ in sent), peer.now]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits == pytest.approx([0.15, 0.3, 0.6, 1.2, 1.6], abs=0.01)

    def measured(self, peer: Peer, seconds: float) -> float:
        """Sends, acknowledges so much after the last byte left, and returns the timer that came of it."""
        peer.end.send(b"\x05", peer.now)
        left = peer.end._wire.free_at
        (data,) = peer.written()
        peer.now = left + seconds
        peer.say(FrameType.ACK, ack=(data.seq + 1) & 0xFF)
        assert peer.end._link is not None
        return peer.end._link._timer

    def test_follows_the_measured_time(self, peer: Peer) -> None:
        expected = TIMER_FIRST_SECONDS
        for seconds in (0.02, 0.02, 0.3, 0.5, 0.01):
            expected = expected * 7 / 8 + seconds / 2
            assert self.measured(peer, seconds) == pytest.approx(expected)

    def test_stays_between_50_and_1600_ms(self, peer: Peer) -> None:
        for _ in range(60):
            low = self.measured(peer, 0.0)
        assert low == TIMER_MIN_SECONDS
        peer.end._link._timer = TIMER_MAX_SECONDS  # type: ignore[union-attr]
        assert self.measured(peer, 1.5) == TIMER_MAX_SECONDS

    def test_an_answer_before_the_bytes_should_have_left_counts_as_none(self, peer: Peer) -> None:
        assert self.measured(peer, -0.0005) == pytest.approx(TIMER_FIRST_SECONDS * 7 / 8)

    def test_no_sample_from_a_repeated_frame(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        peer.written()
        assert [f.type for f in peer.until_written()] == [FrameType.DATA]
        peer.say(FrameType.ACK, ack=1)
        assert peer.end._link is not None
        assert peer.end._link._timer == 2 * TIMER_FIRST_SECONDS


class TestKeepingAlive:
    def test_ping_after_a_second_without_sending(self, peer: Peer) -> None:
        free = peer.end._wire.free_at
        assert [f.type for f in peer.until_written()] == [FrameType.PING]
        assert peer.now == pytest.approx(free + PING_SECONDS)
        free = peer.end._wire.free_at
        assert [f.type for f in peer.until_written()] == [FrameType.PING]
        assert peer.now == pytest.approx(free + PING_SECONDS)

    def test_silence_of_3_s_ends_it(self, peer: Peer) -> None:
        peer.now = NOW + 1
        peer.say(FrameType.PONG)
        assert peer.end.tick(NOW + 1 + SILENCE_SECONDS - 0.01) == []
        events = peer.end.tick(NOW + 1 + SILENCE_SECONDS)
        assert events == [SessionLost(LostReason.SILENCE)]

    def test_early_ticks_are_harmless(self, peer: Peer) -> None:
        peer.end.send(b"\x05", NOW)
        peer.written()
        for _ in range(100):
            assert peer.end.tick(NOW) == []
        assert peer.end.output() == b""


def test_what_the_port_does_not_take_is_bounded(peer: Peer) -> None:
    peer.end.output()
    for _ in range(5000):
        peer.say(FrameType.PING)
    assert peer.end.counters.output_dropped > 0
    data = peer.end.output()
    assert len(data) <= OUTPUT_MAX
    assert set(types(data)) == {FrameType.PONG}
