"""Both state tables of links.md: every input at every state, made by real bytes and real deadlines."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from device.vl1 import daemon, validator
from device.vl1.daemon import DAEMON_TABLE, DaemonSession
from device.vl1.decoder import Decoder
from device.vl1.endpoint import look_up
from device.vl1.events import IllegalInputError, LostReason, Received, SessionLost, SessionUp
from device.vl1.frames import Frame, FrameType, encode_frame
from device.vl1.limits import KNOCK_SECONDS, RESET_SPACING_SECONDS, SILENCE_SECONDS, TRIES_MAX
from device.vl1.messages import Hello, HelloAck, TapNumber
from device.vl1.validator import VALIDATOR_TABLE, ValidatorSession

NOW = 50.0
HELLO = Hello("VAL00042", boot=3, last_tap=17)
OTHER_BOOT = Hello("VAL00042", boot=4, last_tap=17)
ANSWER = HelloAck(TapNumber(3, 16), 1_790_000_000_000_000)
FOREIGN = 0x0001


def frames(data: bytes) -> list[Frame]:
    items = list(Decoder().feed(data))
    assert all(isinstance(item, Frame) for item in items)
    return [item for item in items if isinstance(item, Frame)]


def types(data: bytes) -> list[FrameType]:
    return [frame.type for frame in frames(data)]


def hello_frame(hello: Hello = HELLO) -> bytes:
    return encode_frame(Frame(FrameType.HELLO, payload=hello.encode()))


def make_daemon(state: daemon.State) -> tuple[DaemonSession, int]:
    """A daemon in that state, what it wrote so far taken off, and its session id."""
    session = DaemonSession(rng=random.Random(7), baud=115_200, hello_ack=lambda hello: ANSWER)
    number = 0
    if state is not daemon.State.CLOSED:
        session.open(NOW)
    if state is daemon.State.UP:
        (up,) = session.receive(hello_frame(), NOW)
        assert isinstance(up, SessionUp)
        number = up.session
    session.output()
    assert session.state is state
    return session, number


def make_validator(state: validator.State) -> tuple[ValidatorSession, int]:
    session = ValidatorSession(baud=115_200, hello=lambda: HELLO)
    if state is not validator.State.CLOSED:
        session.open(NOW)
    if state is validator.State.UP:
        session.receive(encode_frame(Frame(FrameType.HELLO_ACK, 0xBEEF, payload=ANSWER.encode())), NOW)
    session.output()
    assert session.state is state
    return session, 0xBEEF


def until_unanswered(session: DaemonSession | ValidatorSession, number: int) -> list[object]:
    """Sends, and lets every timer run out while the other end is heard but never acknowledges."""
    session.send(b"\x05", NOW)
    events: list[object] = []
    now = NOW
    while not events:
        assert session.deadline is not None
        now = max(now, session.deadline)
        if session.counters.retransmissions < TRIES_MAX - 1:
            session.receive(encode_frame(Frame(FrameType.PONG, number)), now)
        events += session.tick(now)
    assert session.counters.retransmissions == TRIES_MAX - 1
    return events


DaemonStimulus = Callable[[DaemonSession, int], list[object]]


def fed(*sent: Frame, later: float = 0.0) -> Callable[[DaemonSession | ValidatorSession, int], list[object]]:
    """Frames into either end; session -1 stands for its own."""

    def feed(session: DaemonSession | ValidatorSession, number: int) -> list[object]:
        data = b"".join(
            encode_frame(Frame(f.type, number if f.session == -1 else f.session, f.seq, f.ack, f.payload)) for f in sent
        )
        return list(session.receive(data, NOW + later))

    return feed


def reopened(session: DaemonSession | ValidatorSession, number: int) -> list[object]:
    session.open(NOW)
    return list(session.tick(NOW))


DAEMON_STIMULI: dict[daemon.Input, Callable[[DaemonSession, int], list[object]]] = {
    daemon.Input.OPENED: reopened,
    daemon.Input.KNOCK_DUE: lambda s, n: list(s.tick(NOW + KNOCK_SECONDS)),
    daemon.Input.HELLO: fed(Frame(FrameType.HELLO, payload=OTHER_BOOT.encode())),
    daemon.Input.HELLO_REPEATED: fed(Frame(FrameType.HELLO, payload=HELLO.encode())),
    daemon.Input.FRAME: fed(Frame(FrameType.DATA, -1, payload=b"\x04")),
    # Later: the RESET of opening the port was one, too.
    daemon.Input.FOREIGN: fed(Frame(FrameType.DATA, FOREIGN, payload=b"\x04"), later=RESET_SPACING_SECONDS),
    daemon.Input.UNUSABLE: fed(Frame(FrameType.HELLO, payload=b"\x5a\x80")),
    daemon.Input.STRAY: fed(Frame(FrameType.HELLO_ACK, FOREIGN, payload=ANSWER.encode())),
    daemon.Input.RESET: fed(Frame(FrameType.RESET)),
    daemon.Input.SILENCE: lambda s, n: list(s.tick(NOW + SILENCE_SECONDS)),
    daemon.Input.UNANSWERED: until_unanswered,
    daemon.Input.DISAGREEMENT: fed(Frame(FrameType.NAK, -1, ack=77)),
}
DAEMON_WRITES = {
    daemon.Effect.KNOCK: [FrameType.RESET],
    daemon.Effect.BEGIN: [FrameType.HELLO_ACK],
    daemon.Effect.ANSWER_AGAIN: [FrameType.HELLO_ACK],
    daemon.Effect.LOSE: [],
    daemon.Effect.TAKE: [FrameType.ACK],
    daemon.Effect.DROP: [],
    daemon.Effect.SAY_RESET: [FrameType.RESET],
}
DAEMON_EVENTS: dict[daemon.Effect, list[type]] = {
    daemon.Effect.BEGIN: [SessionUp],
    daemon.Effect.LOSE: [SessionLost],
    daemon.Effect.TAKE: [Received],
}

VALIDATOR_STIMULI: dict[validator.Input, Callable[[ValidatorSession, int], list[object]]] = {
    validator.Input.OPENED: reopened,
    validator.Input.KNOCK_DUE: lambda s, n: list(s.tick(NOW + KNOCK_SECONDS)),
    validator.Input.HELLO_ACK: fed(Frame(FrameType.HELLO_ACK, FOREIGN, payload=ANSWER.encode())),
    validator.Input.HELLO_ACK_REPEATED: fed(Frame(FrameType.HELLO_ACK, -1, payload=ANSWER.encode())),
    validator.Input.FRAME: fed(Frame(FrameType.DATA, -1, payload=b"\x05")),
    validator.Input.FOREIGN: fed(Frame(FrameType.DATA, FOREIGN, payload=b"\x05")),
    validator.Input.UNUSABLE: fed(Frame(FrameType.HELLO_ACK, FOREIGN, payload=b"\x5a\x80")),
    validator.Input.STRAY: fed(Frame(FrameType.HELLO, payload=HELLO.encode())),
    validator.Input.RESET: fed(Frame(FrameType.RESET)),
    validator.Input.SILENCE: lambda s, n: list(s.tick(NOW + SILENCE_SECONDS)),
    validator.Input.UNANSWERED: until_unanswered,
    validator.Input.DISAGREEMENT: fed(Frame(FrameType.NAK, -1, ack=77)),
}
VALIDATOR_WRITES = {
    validator.Effect.KNOCK: [FrameType.HELLO],
    validator.Effect.BEGIN: [],
    validator.Effect.LOSE: [],
    validator.Effect.TAKE: [FrameType.ACK],
    validator.Effect.DROP: [],
}
VALIDATOR_EVENTS: dict[validator.Effect, list[type]] = {
    validator.Effect.BEGIN: [SessionUp],
    validator.Effect.LOSE: [SessionLost],
    validator.Effect.TAKE: [Received],
}
PASSED_OVER = {FrameType.PING, FrameType.PONG, FrameType.DATA}  # what the timers wrote on the way there


@pytest.mark.parametrize("given", daemon.Input, ids=lambda given: given.name)
@pytest.mark.parametrize("state", daemon.State, ids=lambda state: state.name)
def test_daemon(state: daemon.State, given: daemon.Input) -> None:
    if (state, given) not in DAEMON_TABLE:
        with pytest.raises(IllegalInputError, match=f"{state} has no rule for {given}"):
            look_up(DAEMON_TABLE, state, given)
        return
    expected_state, effects = look_up(DAEMON_TABLE, state, given)
    session, number = make_daemon(state)
    events = DAEMON_STIMULI[given](session, number)
    assert session.state is expected_state
    written = [t for t in types(session.output()) if t not in PASSED_OVER]
    assert written == [t for effect in effects for t in DAEMON_WRITES[effect]]
    assert [type(e) for e in events] == [t for effect in effects for t in DAEMON_EVENTS.get(effect, [])]
    assert bool(session.counters.dropped) is (daemon.Effect.DROP in effects)


@pytest.mark.parametrize("given", validator.Input, ids=lambda given: given.name)
@pytest.mark.parametrize("state", validator.State, ids=lambda state: state.name)
def test_validator(state: validator.State, given: validator.Input) -> None:
    if (state, given) not in VALIDATOR_TABLE:
        with pytest.raises(IllegalInputError, match=f"{state} has no rule for {given}"):
            look_up(VALIDATOR_TABLE, state, given)
        return
    expected_state, effects = look_up(VALIDATOR_TABLE, state, given)
    session, number = make_validator(state)
    events = VALIDATOR_STIMULI[given](session, number)
    assert session.state is expected_state
    written = [t for t in types(session.output()) if t not in PASSED_OVER]
    assert written == [t for effect in effects for t in VALIDATOR_WRITES[effect]]
    assert [type(e) for e in events] == [t for effect in effects for t in VALIDATOR_EVENTS.get(effect, [])]
    assert bool(session.counters.dropped) is (validator.Effect.DROP in effects)


def test_no_frame_and_no_time_leaves_the_tables() -> None:
    """Whatever arrives at an opened end, and however late: a rule is found. 1000 random frames and pauses each."""
    rng = random.Random(11)
    for make in (make_daemon, make_validator):
        session, number = make(daemon.State.UP if make is make_daemon else validator.State.UP)  # type: ignore[arg-type]
        now = NOW
        for _ in range(1000):
            payload = rng.choice([b"", HELLO.encode(), OTHER_BOOT.encode(), ANSWER.encode(), b"\x01\x5a"])
            frame = Frame(
                rng.choice(list(FrameType)),
                rng.choice([0, number, session._session, FOREIGN]),
                rng.choice([0, 1, 255]),
                rng.choice([0, 1, 2, 255]),
                payload,
                rng.random() < 0.5,
            )
            session.receive(encode_frame(frame), now)
            if rng.random() < 0.3:
                now += rng.choice([0.01, 0.2, 0.6, 3.1])
                session.tick(now)
            if rng.random() < 0.2:
                session.send(b"\x05", now)
            session.output()
            assert session.deadline is not None
            assert session.deadline <= now + SILENCE_SECONDS


class TestDaemon:
    def test_opening_says_00_00_reset_every_500_ms(self) -> None:
        session, _ = make_daemon(daemon.State.CLOSED)
        assert session.deadline is None
        session.open(NOW)
        reset = bytes.fromhex("0000 02170101010105809311af00")
        assert session.output() == reset
        assert session.deadline == NOW + KNOCK_SECONDS
        for knock in range(1, 4):
            assert session.tick(NOW + knock * KNOCK_SECONDS - 0.01) == []
            assert session.output() == b""
            session.tick(NOW + knock * KNOCK_SECONDS)
            assert session.output() == reset

    def test_hello_is_answered_with_a_session_of_its_own(self) -> None:
        session, _ = make_daemon(daemon.State.GREETING)
        (up,) = session.receive(hello_frame(), NOW)
        assert isinstance(up, SessionUp)
        assert up.hello == HELLO
        (answer,) = frames(session.output())
        assert (answer.type, answer.session) == (FrameType.HELLO_ACK, up.session)
        assert HelloAck.parse(answer.payload) == ANSWER

    def test_session_ids_are_never_0_nor_the_last(self) -> None:
        class Stubborn(random.Random):
            """Offers the last id again before a new one."""

            offers = iter([5, 5, 6, 6, 7])

            def randrange(self, *args: object, **kwargs: object) -> int:
                assert args == (1, 1 << 16)
                return next(self.offers)

        session = DaemonSession(rng=Stubborn(), baud=115_200, hello_ack=lambda hello: ANSWER)
        session.open(NOW)
        ids = []
        for boot in range(3):
            events = session.receive(hello_frame(Hello("V", boot, 0)), NOW)
            ids += [event.session for event in events if isinstance(event, SessionUp)]
        assert ids == [5, 6, 7]

    def test_the_same_hello_gets_the_same_answer_though_time_has_passed(self) -> None:
        answers = iter(range(100))
        session = DaemonSession(
            rng=random.Random(1), baud=115_200, hello_ack=lambda hello: HelloAck(None, next(answers))
        )
        session.open(NOW)
        session.receive(hello_frame(), NOW)
        first = frames(session.output())[-1]
        assert session.receive(hello_frame(), NOW + 0.5) == []
        assert frames(session.output()) == [first]

    def test_a_hello_after_a_frame_of_the_session_begins_a_new_one(self) -> None:
        session, number = make_daemon(daemon.State.UP)
        session.receive(encode_frame(Frame(FrameType.PING, number)), NOW)
        lost, up = session.receive(hello_frame(), NOW)
        assert lost == SessionLost(LostReason.HELLO)
        assert isinstance(up, SessionUp)
        assert up.session not in (0, number)

    def test_another_serial_with_the_same_boot_counter_is_another_validator(self) -> None:
        session, _ = make_daemon(daemon.State.UP)
        lost, up = session.receive(hello_frame(Hello("VAL00043", 3, 17)), NOW)
        assert isinstance(lost, SessionLost)
        assert isinstance(up, SessionUp)

    def test_reset_for_foreign_frames_at_most_one_per_500_ms(self) -> None:
        session, _ = make_daemon(daemon.State.UP)
        now = NOW + 1
        for _ in range(10):
            session.receive(encode_frame(Frame(FrameType.PING, FOREIGN)), now)
        assert types(session.output()) == [FrameType.RESET]
        session.receive(encode_frame(Frame(FrameType.PING, FOREIGN)), now + RESET_SPACING_SECONDS)
        assert types(session.output()) == [FrameType.RESET]

    def test_foreign_frames_do_not_keep_a_session_alive(self) -> None:
        session, _ = make_daemon(daemon.State.UP)
        session.receive(encode_frame(Frame(FrameType.PING, FOREIGN)), NOW + 2.9)
        assert SessionLost(LostReason.SILENCE) in session.tick(NOW + SILENCE_SECONDS)

    def test_bytes_that_waited_are_heard_before_silence_is_judged(self) -> None:
        session, number = make_daemon(daemon.State.UP)
        session.receive(encode_frame(Frame(FrameType.PING, number)), NOW + 10)
        assert session.tick(NOW + 10) == []
        assert session.state is daemon.State.UP

    def test_opening_again_tells_the_loss_at_the_next_call(self) -> None:
        session, _ = make_daemon(daemon.State.UP)
        ticket = session.send(b"\x05", NOW)
        session.receive(b"\x7f\x7f half a frame", NOW)
        session.open(NOW + 1)
        assert session.deadline == NOW + 1
        assert session.tick(NOW + 1) == [SessionLost(LostReason.REOPENED, (ticket,))]
        assert session.deadline == NOW + 1 + KNOCK_SECONDS
        assert types(session.output()) == [FrameType.RESET]
        session.receive(hello_frame()[1:], NOW + 1)  # the half frame is forgotten
        assert session.state is daemon.State.UP

    def test_the_loss_names_what_was_not_delivered(self) -> None:
        session, number = make_daemon(daemon.State.UP)
        tickets = [session.send(b"\x05", NOW) for _ in range(3)]
        session.receive(encode_frame(Frame(FrameType.ACK, number, ack=1)), NOW)
        events = session.receive(encode_frame(Frame(FrameType.RESET)), NOW)
        assert events == [SessionLost(LostReason.RESET, tuple(tickets[1:]))]

    def test_a_validator_that_speaks_no_version_of_ours_is_not_greeted(self) -> None:
        session, _ = make_daemon(daemon.State.GREETING)
        assert session.receive(hello_frame(Hello("V", 1, 1, versions=(2, 3))), NOW) == []
        assert session.state is daemon.State.GREETING
        assert session.counters.dropped == {"unusable": 1}


class TestValidator:
    def test_idle_says_hello_every_500_ms(self) -> None:
        session, _ = make_validator(validator.State.CLOSED)
        session.open(NOW)
        for knock in range(4):
            session.tick(NOW + knock * KNOCK_SECONDS)
            (hello,) = frames(session.output())
            assert (hello.type, Hello.parse(hello.payload)) == (FrameType.HELLO, HELLO)

    @pytest.mark.parametrize("kind", [t for t in FrameType if t is not FrameType.HELLO_ACK])
    def test_idle_answers_nothing_but_hello_ack(self, kind: FrameType) -> None:
        session, _ = make_validator(validator.State.IDLE)
        assert session.receive(encode_frame(Frame(kind, 0xBEEF, payload=b"\x01")), NOW) == []
        assert session.output() == b""
        assert session.state is validator.State.IDLE

    def test_hello_ack_must_bring_a_session_and_our_version(self) -> None:
        session, _ = make_validator(validator.State.IDLE)
        session.receive(encode_frame(Frame(FrameType.HELLO_ACK, 0, payload=ANSWER.encode())), NOW)
        session.receive(encode_frame(Frame(FrameType.HELLO_ACK, 5, payload=HelloAck(version=2).encode())), NOW)
        assert session.state is validator.State.IDLE
        assert session.counters.dropped == {"unusable": 2}
