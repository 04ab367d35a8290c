"""Checks of stop-and-wait: order, acknowledgement, repetition, NAK."""

from __future__ import annotations

from device.vl1.conformance.bench import Bench, Failed, Script, is_tap
from device.vl1.conformance.steps import (
    ANSWER_SECONDS,
    QUIET_SECONDS,
    again,
    card,
    expect,
    heard,
    never,
    of,
    pinged,
    up,
    within,
)
from device.vl1.frames import Frame, FrameType
from device.vl1.limits import (
    STORED_TAP_SECONDS,
    TIMER_FIRST_SECONDS,
    TIMER_MAX_SECONDS,
    TIMER_MIN_SECONDS,
    TRIES_MAX,
)
from device.vl1.messages import ConfigMessage

_SOME_DATA = ConfigMessage(lane_open=True).encode()
_GIVES_UP_SECONDS = 2.0 * TRIES_MAX * TIMER_MAX_SECONDS  # its timers may all stand at their largest
_FAR = 7  # a seq that cannot be the next


def data_acknowledged(bench: Bench) -> Script[None]:
    """DATA down gets an ACK that names the next seq, and so does every frame after it."""
    yield from up(bench)
    bench.say(FrameType.DATA, payload=_SOME_DATA)
    answer = yield from expect(bench, within(bench, FrameType.ACK), ANSWER_SECONDS, "no ACK of DATA")
    _names(answer, 1, "the ACK of the first DATA")
    bench.seq = 1
    bench.say(FrameType.PING)
    pong = yield from expect(bench, within(bench, FrameType.PONG), ANSWER_SECONDS, "no PONG after DATA")
    _names(pong, 1, "the PONG after it")


def duplicate_acknowledged_once(bench: Bench) -> Script[None]:
    """The same DATA again gets one ACK with the same number: it is not taken twice."""
    yield from up(bench)
    bench.say(FrameType.DATA, payload=_SOME_DATA)
    yield from expect(bench, within(bench, FrameType.ACK), ANSWER_SECONDS, "no ACK of DATA")
    bench.say(FrameType.DATA, payload=_SOME_DATA, retransmission=True)
    repeat = yield from expect(bench, within(bench, FrameType.ACK), ANSWER_SECONDS, "no ACK of a repeated DATA")
    _names(repeat, 1, "the ACK of a repeat")
    yield from never(bench, within(bench, FrameType.ACK), QUIET_SECONDS, "a repeated DATA gets more than one ACK")
    bench.say(FrameType.DATA, seq=1, payload=_SOME_DATA)
    second = yield from expect(bench, within(bench, FrameType.ACK), ANSWER_SECONDS, "no ACK of the DATA after a repeat")
    _names(second, 2, "the ACK of the second DATA")
    bench.seq = 2


def wrong_seq_gets_nak(bench: Bench) -> Script[None]:
    """DATA that is neither the next nor the last gets NAK with the seq that is expected."""
    yield from up(bench)
    bench.say(FrameType.DATA, seq=_FAR, payload=_SOME_DATA)
    wanted = within(bench, FrameType.NAK)
    answer = yield from expect(bench, wanted, ANSWER_SECONDS, "no NAK of DATA out of order")
    _names(answer, 0, "the NAK")
    yield from pinged(bench, "no PONG after a NAK")


def seq_counts_data(bench: Bench) -> Script[None]:
    """Its DATA has seq 0 first in a session, then 1."""
    tap = yield from card(bench)
    first = tap.frame.seq
    bench.take(tap.frame)
    later = yield from again(bench, tap, 2 * STORED_TAP_SECONDS, "the tap does not come again")
    bench.take(later.frame)
    if (first, later.frame.seq) != (0, 1):
        raise Failed(f"its first two DATA of a session have seq {first} and {later.frame.seq}, not 0 and 1")


def data_repeated(bench: Bench) -> Script[None]:
    """DATA without an ACK comes again by the timer: the same seq, the same bytes, marked as a repeat."""
    tap = yield from card(bench)
    began = bench.now
    longest = 2 * TIMER_MAX_SECONDS
    repeat = yield from again(bench, tap, longest, "DATA that is not acknowledged is not sent again")
    waited = bench.now - began
    bench.take(repeat.frame)
    if repeat.frame.seq != tap.frame.seq:
        raise Failed(f"the repeat of seq {tap.frame.seq} has seq {repeat.frame.seq}")
    if repeat.frame.payload != tap.frame.payload:
        raise Failed("the repeat of a DATA frame has another payload")
    if not repeat.frame.retransmission:
        raise Failed("the repeat is not marked: bit 0 of its flags is 0")
    if waited < TIMER_MIN_SECONDS / 2:
        raise Failed(f"it repeats after {waited * 1000:.0f} ms: the timer's least is 50 ms")


def five_tries_end_the_session(bench: Bench) -> Script[None]:
    """A DATA never acknowledged is sent five times at most, then the session is over, though the line is alive."""
    tap = yield from card(bench)
    number, tries, end = tap.number, 1, bench.now + _GIVES_UP_SECONDS

    def interesting(frame: Frame) -> bool:
        return frame.type is FrameType.HELLO or is_tap(frame, number)

    while bench.now < end:
        frame = yield from heard(bench, interesting, end - bench.now)
        if frame is None:
            break
        if frame.type is FrameType.HELLO:
            return
        tries += 1
        if tries > TRIES_MAX:
            raise Failed(f"it sends one DATA frame more than {TRIES_MAX} times")
    raise Failed(f"after {tries} unanswered sendings it has not given the session up")


def nak_repeats_at_once(bench: Bench) -> Script[None]:
    """NAK whose ack is the seq in flight: it repeats now, and does not wait for its timer."""
    tap = yield from card(bench)
    # After two repeats its timer stands at four times the first: what comes sooner was not the timer.
    for _ in range(2):
        yield from again(bench, tap, 2 * TIMER_MAX_SECONDS, "DATA that is not acknowledged is not sent again")
    bench.say(FrameType.NAK, ack=tap.frame.seq, payload=b"\x01")
    soon = 2 * TIMER_FIRST_SECONDS
    repeat = yield from again(bench, tap, soon, "NAK of the seq in flight does not make it repeat")
    bench.take(repeat.frame)


def nak_acknowledges(bench: Bench) -> Script[None]:
    """NAK whose ack is behind the seq in flight: that one has arrived."""
    tap = yield from card(bench)
    bench.say(FrameType.NAK, ack=(tap.frame.seq + 1) & 0xFF, payload=b"\x01")

    def repeats(frame: Frame) -> bool:
        return is_tap(frame, tap.number) and frame.seq == tap.frame.seq

    yield from never(bench, repeats, 2 * TIMER_FIRST_SECONDS, "it repeats what a NAK acknowledged")
    yield from pinged(bench, "no PONG after such a NAK")


def nak_of_nothing_ends_the_session(bench: Bench) -> Script[None]:
    """NAK for a frame that was never sent: the two ends disagree, and begin anew."""
    yield from up(bench)
    bench.say(FrameType.NAK, ack=0x80 + _FAR, payload=b"\x01")
    yield from expect(bench, of(FrameType.HELLO), 1.0, "no HELLO after NAK for a frame that was never sent")


def _names(frame: Frame, ack: int, what: str) -> None:
    if frame.ack != ack:
        raise Failed(f"{what} has ack {frame.ack}, not {ack}")
