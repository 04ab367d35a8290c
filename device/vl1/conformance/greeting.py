"""Checks of how a session begins and ends."""

from __future__ import annotations

from device.vl1.conformance.bench import Bench, Failed, Script
from device.vl1.conformance.steps import (
    QUIET_SECONDS,
    expect,
    greeted,
    heard,
    never,
    of,
    pinged,
    told,
    up,
)
from device.vl1.frames import Frame, FrameType
from device.vl1.greeting import HelloAck
from device.vl1.limits import KNOCK_SECONDS, PING_SECONDS, SILENCE_SECONDS
from device.vl1.messages import ConfigMessage

LATEST = 1.5  # times a timer's setting: a busy firmware's loop
EARLIEST = 0.6
HELLOS = 3
_SOON = KNOCK_SECONDS * LATEST
_GREETING = HelloAck().encode()


def hello_repeated(bench: Bench) -> Script[None]:
    """Without an answer, HELLO every 500 ms."""
    yield from greeted(bench)
    for _ in range(HELLOS):
        before = bench.now
        yield from expect(bench, of(FrameType.HELLO), KNOCK_SECONDS * LATEST, "HELLO is not repeated")
        if bench.now - before < KNOCK_SECONDS * EARLIEST:
            raise Failed(f"HELLO is repeated after {_ms(bench.now - before)}, not after 500 ms")


def hello_usable(bench: Bench) -> Script[None]:
    """It speaks version 1 and takes every message that is sent down."""
    hello = yield from greeted(bench)
    if not hello.is_usable:
        raise Failed(f"its HELLO offers versions {hello.versions} and payloads of {hello.largest_payload} bytes")


def idle_answers_nothing(bench: Bench) -> Script[None]:
    """Without a session, a PING and a DATA of any session."""
    yield from greeted(bench)
    other = bench.another_session()
    bench.say(FrameType.PING, session=other)
    bench.say(FrameType.DATA, session=other, payload=ConfigMessage().encode())
    answers = of(FrameType.PONG, FrameType.ACK, FrameType.NAK, FrameType.DATA)
    yield from never(bench, answers, QUIET_SECONDS, "it answers although it has no session")


def hello_ack_taken(bench: Bench) -> Script[None]:
    """After HELLO_ACK it uses the new session, and says HELLO no more."""
    yield from up(bench)
    yield from never(bench, of(FrameType.HELLO), 2 * KNOCK_SECONDS, "it says HELLO although it has a session")


def hello_ack_repeated(bench: Bench) -> Script[None]:
    """The same HELLO_ACK once more changes nothing."""
    yield from up(bench)
    bench.say(FrameType.HELLO_ACK, payload=_GREETING)
    yield from never(bench, of(FrameType.HELLO), QUIET_SECONDS, "a repeated HELLO_ACK ended its session")
    yield from pinged(bench, "no PONG after a repeated HELLO_ACK")


def hello_ack_of_another_session(bench: Bench) -> Script[None]:
    """HELLO_ACK of another session ends the one it has."""
    yield from up(bench)
    bench.say(FrameType.HELLO_ACK, session=bench.another_session(), payload=_GREETING)
    yield from expect(bench, of(FrameType.HELLO), _SOON, "no HELLO after HELLO_ACK of another session")


def other_session_dropped(bench: Bench) -> Script[None]:
    """A PING and a DATA of another session are dropped, and the session stays."""
    yield from up(bench)
    other = bench.another_session()
    bench.say(FrameType.PING, session=other)
    bench.say(FrameType.DATA, session=other, payload=ConfigMessage().encode())
    answers = of(FrameType.PONG, FrameType.ACK, FrameType.NAK)
    yield from never(bench, answers, QUIET_SECONDS, "it answers a frame of another session")
    yield from pinged(bench, "no PONG after frames of another session")


def reset_ends_the_session(bench: Bench) -> Script[None]:
    """RESET in the middle: HELLO at once, and nothing more in the old session."""
    yield from up(bench)
    old = bench.session
    yield from told(bench, ConfigMessage().encode())
    bench.knock()
    yield from expect(bench, of(FrameType.HELLO), _SOON, "no HELLO after RESET")
    bench.say(FrameType.PING, session=old)

    def in_the_old_one(frame: Frame) -> bool:
        return frame.session == old

    yield from never(bench, in_the_old_one, QUIET_SECONDS, "it goes on in the old session after RESET")


def silence_ends_the_session(bench: Bench) -> Script[None]:
    """3 s without a frame of its session; one of another session does not count."""
    yield from up(bench)
    bench.say(FrameType.ACK)
    began, bench.silent = bench.now, True
    early = yield from heard(bench, of(FrameType.HELLO), SILENCE_SECONDS / 2)
    bench.say(FrameType.PING, session=bench.another_session())
    if early is None:
        late = SILENCE_SECONDS * (LATEST - 0.5)
        yield from expect(bench, of(FrameType.HELLO), late, "no HELLO after 3 s of silence; it")
    if bench.now - began < SILENCE_SECONDS * 0.8:
        raise Failed(f"it gave the session up after {_ms(bench.now - began)} of silence, not after 3 s")


def ping_answered(bench: Bench) -> Script[None]:
    """PING, PONG."""
    yield from up(bench)
    yield from pinged(bench, "no PONG")


def ping_when_quiet(bench: Bench) -> Script[None]:
    """After a second without sending, it says PING."""
    yield from up(bench)
    bench.silent = True
    wanted = of(FrameType.PING, FrameType.DATA)  # a stored tap is a frame as well
    first = yield from expect(bench, wanted, PING_SECONDS * LATEST, "it sends nothing for a second, and then no PING")
    if first.type is FrameType.DATA:
        bench.silent = False
        bench.take(first)
        yield from expect(bench, of(FrameType.PING), PING_SECONDS * 2 * LATEST, "no PING after a second")


def counters_go_forward(bench: Bench) -> Script[None]:
    """No HELLO of this examination named lower counters than one before; judged last."""
    yield from greeted(bench)
    if bench.went_back:
        raise Failed("the boot or tap counter in its HELLO went backwards")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
