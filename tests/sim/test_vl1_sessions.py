"""Both ends of a session on one line: every frame type lost, late or repeated; bad lines; every way to come back.

The judge is a talker on each side: numbered payloads, sent again after a session was lost. In one session each
arrives in order and exactly once; over all sessions none that was reported Delivered is missing.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from device.vl1 import daemon, validator
from device.vl1.daemon import DaemonSession
from device.vl1.events import Delivered, LostReason, Received, SessionLost, SessionUp
from device.vl1.frames import Frame, FrameType, Garbage, encode_frame, parse_frame
from device.vl1.limits import KNOCK_SECONDS, SILENCE_SECONDS
from device.vl1.messages import Hello, HelloAck
from device.vl1.validator import ValidatorSession
from tests.sim.vl1_world import FRAME, PERFECT, Faults, World


class Talker:
    """Sends numbers 0 to ``total`` - 1 through one end, a few at a time, and checks what it hears."""

    def __init__(self, world: World, name: str, total: int) -> None:
        self.world = world
        self.name = name
        self.total = total
        self.waiting: deque[int] = deque(range(total))
        self.under_way: dict[int, int] = {}  # ticket: number
        self.delivered: set[int] = set()
        self.heard: list[int] = []
        self.heard_now: list[int] = []  # in this session
        self.up = False

    @property
    def end(self) -> Any:
        return self.world.ends[self.name]

    def talk(self) -> None:
        """Every 150 ms one more, while a session is there."""
        if self.up and self.waiting and len(self.under_way) < 3:
            number = self.waiting.popleft()
            self.under_way[self.end.send(number.to_bytes(2, "big") + bytes(number % 50), self.world.now)] = number
        self.world.after(0.15, self.talk)

    def on_event(self, event: Any) -> None:
        match event:
            case SessionUp():
                assert not self.up
                self.up = True
                self.heard_now = []
            case SessionLost(_, dropped):
                assert self.up
                self.up = False
                assert sorted(dropped) == sorted(self.under_way)
                self.waiting.extendleft(sorted(self.under_way.values(), reverse=True))
                self.under_way.clear()
            case Delivered(ticket):
                self.delivered.add(self.under_way.pop(ticket))
            case Received(payload):
                number = int.from_bytes(payload[:2], "big")
                assert payload[2:] == bytes(number % 50)
                assert not self.heard_now or number == self.heard_now[-1] + 1
                self.heard_now.append(number)
                self.heard.append(number)


class Pair:
    """A daemon and a validator that both talk."""

    def __init__(self, seed: int, faults: Faults = PERFECT, total: int = 12) -> None:
        rng = random.Random(seed)
        self.boot = 3
        self.daemon = DaemonSession(rng=rng, baud=115_200, hello_ack=lambda hello: HelloAck())
        self.validator = ValidatorSession(baud=115_200, hello=self.hello)
        self.world = World(seed, {"daemon": self.daemon, "validator": self.validator}, faults)
        self.talkers = {name: Talker(self.world, name, total) for name in ("daemon", "validator")}
        self.world.on_event = lambda name, event: self.talkers[name].on_event(event)

    def hello(self) -> Hello:
        return Hello("VAL00042", self.boot, 0)

    def open(self, *names: str) -> None:
        for name in names or ("daemon", "validator"):
            self.end(name).open(self.world.now)
        self.world.settle()

    def start(self) -> None:
        self.open()
        for talker in self.talkers.values():
            talker.talk()

    def end(self, name: str) -> Any:
        return self.world.ends[name]

    def both_up(self) -> bool:
        return (
            self.daemon.state is daemon.State.UP
            and self.validator.state is validator.State.UP
            and self.daemon._session == self.validator._session
        )

    def all_said(self) -> bool:
        return all(talker.delivered == set(range(talker.total)) for talker in self.talkers.values())

    def check(self, *, nothing_missing: bool = True) -> None:
        assert self.all_said()
        assert self.both_up()
        if not nothing_missing:
            return
        for name, talker in self.talkers.items():
            listener = self.talkers[self.world.other(name)]
            assert set(listener.heard) == set(range(talker.total))


class Recording:
    """Every frame of both lines, and what becomes of it. The validator's sixth DATA arrives again, much later."""

    def __init__(self, fates: dict[tuple[str, int], Sequence[float]]) -> None:
        self.fates = fates
        self.seen: list[tuple[str, int, FrameType]] = []

    def judge_of(self, name: str) -> Any:
        count = 0

        def judge(data: bytes) -> Sequence[float]:
            nonlocal count
            frame = parse_frame(data.strip(b"\x00"))
            assert not isinstance(frame, Garbage)
            self.seen.append((name, count, frame.type))
            usual: Sequence[float] = (0.0,)
            if (name, frame.type, frame.seq) == ("validator", FrameType.DATA, 5):
                usual = (0.0, 0.8)
            fate = self.fates.get((name, count), usual)
            count += 1
            return fate

        return judge


def half_open_conversation(fates: dict[tuple[str, int], Sequence[float]]) -> tuple[Pair, Recording]:
    """The daemon was killed and comes back, the validator still has its session: every frame type occurs."""
    pair = Pair(1)
    recording = Recording(fates)
    for name, line in pair.world.lines.items():
        line.judge = recording.judge_of(name)
    pair.validator.open(pair.world.now)
    pair.talkers["validator"].on_event(SessionUp(HelloAck(), 0x0BAD))
    pair.validator.receive(
        encode_frame(Frame(FrameType.HELLO_ACK, 0x0BAD, payload=HelloAck().encode())), pair.world.now
    )
    pair.validator.output()
    pair.open("daemon")
    for talker in pair.talkers.values():
        talker.talk()
    return pair, recording


def baseline() -> list[tuple[str, int, FrameType]]:
    pair, recording = half_open_conversation({})
    pair.world.run(6.0)
    pair.check()
    return recording.seen


FATES = {"lost": (), "late": (0.7,), "repeated": (0.0, 0.0), "late again": (0.0, 0.25), "much later": (0.0, 3.5)}
BASELINE = baseline()


def test_every_frame_type_occurs_in_the_baseline() -> None:
    assert {kind for _, _, kind in BASELINE} == set(FrameType)


@pytest.mark.parametrize("fate", FATES)
def test_each_frame_of_a_conversation(fate: str) -> None:
    """One frame at a time, in both directions; the talkers judge, and both ends must be up again by the end."""
    for name, index, kind in BASELINE:
        pair, _ = half_open_conversation({(name, index): FATES[fate]})
        assert pair.world.run(20.0, pair.all_said), f"{kind.name} {index} of the {name} {fate}"
        pair.world.run(2.0, pair.both_up)
        pair.check()


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("kind", FrameType, ids=lambda kind: kind.name)
def test_every_third_frame_of_a_type(kind: FrameType, fate: str) -> None:
    """Not one frame but a habit of the line, for as long as the conversation lasts."""
    pair = Pair(2)
    for line in pair.world.lines.values():
        count = 0

        def judge(data: bytes) -> Sequence[float]:
            nonlocal count
            frame = parse_frame(data.strip(b"\x00"))
            assert not isinstance(frame, Garbage)
            if frame.type is not kind:
                return (0.0,)
            count += 1
            return FATES[fate] if count % 3 == 0 else (0.0,)

        line.judge = judge
    pair.start()
    assert pair.world.run(60.0, pair.all_said)
    for line in pair.world.lines.values():
        line.judge = None
    pair.world.run(5.0, pair.both_up)
    pair.check()


# Frames on a serial line cannot overtake each other; the line where they do is harsher than any. There a HELLO_ACK
# of a dead session can come late and revive it at one end, and then an old ack acknowledges what nobody heard: on
# it only order is judged. Taps do not mind (test_vl1_taps), because only VERDICT says that a tap is kept.
BAD_LINES = {
    "20 % lost": Faults(lose=0.2),
    "20 % lost in order": Faults(lose=0.2, double=0.1, damage=0.1, delay=0.2),
    "everything, overtaking": Faults(lose=0.2, double=0.15, damage=0.15, delay=0.2, late=0.6, reorders=True),
    "half of it damaged": Faults(damage=0.5),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("faults", BAD_LINES.values(), ids=list(BAD_LINES))
@pytest.mark.parametrize("seed", range(6))
def test_bad_lines(faults: Faults, seed: int, chunked: bool) -> None:
    pair = Pair(seed, faults, total=40)
    for line in pair.world.lines.values():
        line.chunked = chunked
    pair.start()
    assert pair.world.run(600.0, pair.all_said)
    for line in pair.world.lines.values():
        line.faults = PERFECT
    pair.world.run(10.0, pair.both_up)
    pair.check(nothing_missing=not faults.reorders)


class TestRecovery:
    """However a session ends, the next one stands soon after the cause is gone."""

    @pytest.fixture
    def pair(self) -> Pair:
        pair = Pair(5, total=200)
        pair.start()
        assert pair.world.run(1.0, pair.both_up)
        pair.world.run(1.0)
        return pair

    def lost(self, pair: Pair, name: str) -> list[LostReason]:
        return [event.reason for _, event in pair.world.events[name] if isinstance(event, SessionLost)]

    def recovers(self, pair: Pair, seconds: float) -> None:
        before = pair.daemon._session
        assert pair.world.run(seconds, lambda: pair.both_up() and pair.daemon._session != before)
        pair.world.run(60.0, pair.all_said)
        pair.check()

    def test_the_first_session_stands_within_one_knock(self) -> None:
        pair = Pair(5)
        pair.world.lines["validator"].cut = True  # nobody has opened the other side
        pair.open("validator")
        pair.world.run(0.7)
        pair.world.lines["validator"].cut = False
        pair.open("daemon")
        assert pair.world.run(KNOCK_SECONDS + 0.05, pair.both_up)

    @pytest.mark.parametrize("cut", [("daemon",), ("validator",), ("daemon", "validator")], ids=str)
    def test_a_cut_line(self, pair: Pair, cut: tuple[str, ...]) -> None:
        for name in cut:
            pair.world.lines[name].cut = True
        pair.world.run(SILENCE_SECONDS + 2)
        assert not pair.both_up()
        for name in cut:
            pair.world.lines[name].cut = False
        self.recovers(pair, SILENCE_SECONDS + 2 * KNOCK_SECONDS)

    def test_silence_is_noticed_after_3_s(self, pair: Pair) -> None:
        for talker in pair.talkers.values():
            talker.waiting.clear()
            talker.total = len(talker.delivered | set(talker.under_way.values()))
        pair.world.run(1.0)
        for line in pair.world.lines.values():
            line.cut = True
        pair.world.run(SILENCE_SECONDS + 0.1)
        assert self.lost(pair, "daemon") == self.lost(pair, "validator") == [LostReason.SILENCE]

    def test_reset(self, pair: Pair) -> None:
        pair.world.inject("validator", encode_frame(Frame(FrameType.RESET)))
        self.recovers(pair, 0.1)
        assert self.lost(pair, "validator") == [LostReason.RESET]

    def test_reset_at_the_daemon(self, pair: Pair) -> None:
        pair.world.inject("daemon", encode_frame(Frame(FrameType.RESET)))
        self.recovers(pair, KNOCK_SECONDS + 0.1)
        assert self.lost(pair, "daemon")[0] is LostReason.RESET

    def test_the_validator_reboots(self, pair: Pair) -> None:
        pair.boot += 1
        pair.open("validator")
        self.recovers(pair, 0.2)
        assert self.lost(pair, "daemon") == [LostReason.HELLO]

    def test_the_daemon_is_restarted_and_the_validator_does_not_know(self, pair: Pair) -> None:
        old = pair.daemon._session
        pair.daemon = DaemonSession(rng=random.Random(99), baud=115_200, hello_ack=lambda hello: HelloAck())
        pair.world.ends["daemon"] = pair.daemon
        pair.talkers["daemon"].on_event(SessionLost(LostReason.REOPENED, tuple(pair.talkers["daemon"].under_way)))
        pair.open("daemon")
        assert pair.world.run(0.2, lambda: pair.both_up() and pair.daemon._session != old)
        assert self.lost(pair, "validator") == [LostReason.RESET]
        pair.world.run(60.0, pair.all_said)
        pair.check()

    def test_the_validator_forgot_its_session_and_the_daemon_does_not_know(self, pair: Pair) -> None:
        pair.world.inject("validator", encode_frame(Frame(FrameType.HELLO_ACK, 0x0BAD, payload=HelloAck().encode())))
        self.recovers(pair, 0.2)

    def test_the_validator_is_in_a_session_that_the_daemon_never_gave(self, pair: Pair) -> None:
        """Half open the other way: its frames are foreign there, and a RESET tells it so."""
        pair.world.inject("validator", encode_frame(Frame(FrameType.RESET)))
        pair.validator.output()  # its HELLO is lost
        pair.world.inject("validator", encode_frame(Frame(FrameType.HELLO_ACK, 0x0BAD, payload=HelloAck().encode())))
        self.recovers(pair, 2.0)

    def test_the_port_vanishes_and_comes_back(self, pair: Pair) -> None:
        pair.world.inject("daemon", b"\x7f" * 50)
        pair.open("daemon")
        self.recovers(pair, 0.2)
        assert self.lost(pair, "daemon") == [LostReason.REOPENED]


def test_frames_are_found_in_what_the_ends_write() -> None:
    """The line's own cutting of frames, on which its faults rest."""
    data = b"\x00\x00\x02\x01\x00" + b"\x00\x03\x01\x01\x00" + b"\x02\x05\x00"
    assert FRAME.findall(data) == [b"\x00\x00\x02\x01\x00", b"\x00\x03\x01\x01\x00", b"\x02\x05\x00"]
