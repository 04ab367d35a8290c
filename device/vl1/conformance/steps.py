"""What the checks are made of: waiting for frames, bringing a session up, getting a tap, answering it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device.vl1.codes import Light, Shown, VerdictCode
from device.vl1.conformance.bench import Bench, Failed, Script, Unprepared, is_tap, tap_number
from device.vl1.frames import Frame, FrameType
from device.vl1.greeting import GreetingError, Hello, TapNumber
from device.vl1.limits import KNOCK_SECONDS, TRIES_MAX
from device.vl1.messages import Beeps, MessageError, TapKeptMessage, TapMessage, VerdictMessage, decode_message
from device.vl1.tap_message import stable_payload

ANSWER_SECONDS = 0.6  # for an answer at once: a USB adapter and a slow firmware have their 16 ms each many times over
QUIET_SECONDS = 0.6  # in which what must not come would have come
STORED_SECONDS = 1.0  # in which a stored tap comes after a session began
KNOCKS = 7  # 3.5 s: a validator that missed the first one gives its session up after 3 s of silence

Wanted = Callable[[Frame], bool]


@dataclass(frozen=True, slots=True)
class Tapped:
    """A TAP that was heard: its frame, not acknowledged yet, and what it says."""

    frame: Frame
    message: TapMessage

    @property
    def number(self) -> TapNumber:
        """The validator's own number for it."""
        return self.message.tap

    @property
    def stable(self) -> bytes:
        """What may never change between its sendings."""
        return stable_payload(self.frame.payload)


def of(*kinds: FrameType) -> Wanted:
    """A frame of one of these types."""
    return lambda frame: frame.type in kinds


def within(bench: Bench, kind: FrameType) -> Wanted:
    """A frame of that type and of the session that is there now."""
    session = bench.session
    return lambda frame: frame.type is kind and frame.session == session


def acknowledges(bench: Bench, seq: int) -> Wanted:
    """A frame of the session that is there now, by which DATA of that seq has arrived."""
    session, ack = bench.session, (seq + 1) & 0xFF
    return lambda frame: frame.session == session and frame.ack == ack


def heard(bench: Bench, wanted: Wanted, seconds: float) -> Script[Frame | None]:
    """The first wanted frame, None when none came; what else comes is attended to."""
    end = bench.now + seconds
    while True:
        frame = bench.unread.popleft() if bench.unread else (yield end)
        if frame is None:
            return None
        bench.note_tap(frame)
        if wanted(frame):
            return frame
        bench.attend(frame)


def expect(bench: Bench, wanted: Wanted, seconds: float, otherwise: str) -> Script[Frame]:
    """The first wanted frame. Raises Failed."""
    frame = yield from heard(bench, wanted, seconds)
    if frame is None:
        raise Failed(f"{otherwise} within {seconds:g} s")
    return frame


def never(bench: Bench, unwanted: Wanted, seconds: float, otherwise: str) -> Script[None]:
    """So many seconds without such a frame. Raises Failed."""
    frame = yield from heard(bench, unwanted, seconds)
    if frame is not None:
        raise Failed(otherwise)


def greeted(bench: Bench) -> Script[Hello]:
    """Without a session, and its HELLO just heard. Raises Unprepared."""
    for _ in range(KNOCKS):
        bench.knock()
        frame = yield from heard(bench, of(FrameType.HELLO), KNOCK_SECONDS * 1.2)
        if frame is not None:
            return _hello(frame)
    raise Unprepared("no HELLO after RESET")


def up(bench: Bench) -> Script[Hello]:
    """A new session of which a frame was heard; DATA that came with it is left unread. Raises Unprepared."""
    hello = yield from greeted(bench)
    bench.begin()
    bench.say(FrameType.PING)
    session, end, left = bench.session, bench.now + 2 * ANSWER_SECONDS, list[Frame]()
    while True:
        frame = yield end
        if frame is None:
            break
        if frame.session == session:
            if frame.type is FrameType.PONG:
                break
            left.append(frame)
    if frame is None and not left:
        raise Unprepared("no frame of the new session after HELLO_ACK")
    bench.unread.extend(left)
    return hello


def pinged(bench: Bench, otherwise: str) -> Script[None]:
    """PING, and its PONG. Raises Failed."""
    bench.say(FrameType.PING)
    yield from expect(bench, within(bench, FrameType.PONG), ANSWER_SECONDS, otherwise)


def told(bench: Bench, payload: bytes) -> Script[None]:
    """DATA down, repeated like a daemon's until it is acknowledged. Raises Unprepared."""
    seq = bench.seq
    for attempt in range(TRIES_MAX):
        bench.say(FrameType.DATA, seq=seq, payload=payload, retransmission=attempt > 0)
        frame = yield from heard(bench, acknowledges(bench, seq), ANSWER_SECONDS)
        if frame is not None:
            if frame.type is not FrameType.ACK:
                bench.unread.append(frame)  # it says more than that
            bench.seq = (seq + 1) & 0xFF
            return
    raise Unprepared("DATA is not acknowledged")


def kept(bench: Bench, number: TapNumber) -> Script[None]:
    """TAP_KEPT, and its ACK. Raises Unprepared."""
    yield from told(bench, TapKeptMessage(number).encode())


def answered(bench: Bench, tap: Tapped) -> Script[None]:
    """A VERDICT that agrees with what the passenger was shown, and its ACK. Raises Unprepared."""
    yield from told(bench, verdict(tap).encode())


def verdict(tap: Tapped) -> VerdictMessage:
    """A VERDICT of the fullest form that agrees with what the passenger was shown."""
    away = tap.message.shown is Shown.TURNED_AWAY
    return VerdictMessage(
        tap.number,
        VerdictCode.DENIED if away else VerdictCode.ACCEPTED,
        reason="conformance",
        text=("Conformance: denied" if away else "Conformance: accepted") + "\nthe second line",
        light=Light.RED if away else Light.GREEN,
        beeps=Beeps(1),
        show_seconds=2,
    )


def card(bench: Bench) -> Script[Tapped]:
    """A tap that has no verdict, in a new session, not acknowledged: a stored one, else a card is asked for.

    Raises Unprepared.
    """
    yield from up(bench)
    stored = yield from heard(bench, is_tap, STORED_SECONDS)
    return tapped(stored) if stored is not None else (yield from new_card(bench))


def new_card(bench: Bench) -> Script[Tapped]:
    """A tap that was never heard before, not acknowledged; a card is asked for. Raises Unprepared."""
    known = frozenset(bench.seen)
    bench.ask("tap a card")
    frame = yield from heard(bench, is_new(known), bench.tap_seconds)
    if frame is None:
        raise Unprepared(f"no TAP came within {bench.tap_seconds:g} s; was a card tapped?")
    return tapped(frame)


def is_new(known: frozenset[TapNumber]) -> Wanted:
    """A TAP that is none of those."""
    return lambda frame: is_tap(frame) and tap_number(frame) not in known


def again(bench: Bench, tap: Tapped, seconds: float, otherwise: str) -> Script[Tapped]:
    """The next sending of that tap, not acknowledged. Raises Failed."""
    frame = yield from expect(bench, lambda frame: is_tap(frame, tap.number), seconds, otherwise)
    return tapped(frame)


def tapped(frame: Frame) -> Tapped:
    """What a TAP's frame says. Raises Unprepared."""
    try:
        message = decode_message(frame.payload)
    except MessageError as exc:
        raise Unprepared(f"its TAP cannot be understood: {exc}") from exc
    if not isinstance(message, TapMessage):
        raise Unprepared("its TAP is something else")
    return Tapped(frame, message)


def _hello(frame: Frame) -> Hello:
    try:
        return Hello.parse(frame.payload)
    except GreetingError as exc:
        raise Unprepared(f"its HELLO cannot be understood: {exc}") from exc
