"""The daemon's end of a line as a test bench: it sends what a check wants, right or wrong, and hears everything.

It repeats nothing and ends no session by itself, so that what is seen of the other end is its own doing. No
text shows a payload.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Generator
from typing import TypeAlias, TypeVar

from device.vl1.codes import MessageNumber
from device.vl1.frames import Frame, FrameType, Garbage, GarbageReason, encode_frame
from device.vl1.greeting import GreetingError, Hello, HelloAck, TapNumber
from device.vl1.limits import PING_SECONDS
from device.vl1.tap_message import read_tap_number

T = TypeVar("T")
Script: TypeAlias = Generator[float, Frame | None, T]
"""Yields the time until which it waits; is sent the next frame, or None when that time has come."""

KEEP_ALIVE_SECONDS = PING_SECONDS / 2  # an ACK asks for nothing, so no answer to it can be taken for another's


class Failed(Exception):  # noqa: N818  (a finding, not an error of ours)
    """The validator broke the rule of the check; the text says how."""


class Unprepared(Exception):  # noqa: N818
    """The check could not be tried; the text says what was missing."""


class Bench:
    """One end of a line. ``now`` is set by whoever runs the scripts; ``tap_seconds``: the wait for a card."""

    def __init__(self, rng: random.Random, tap_seconds: float) -> None:
        self.now = 0.0
        self.tap_seconds = tap_seconds
        self.session = 0
        self.seq = 0  # of our next DATA
        self.silent = False
        self.unread: deque[Frame] = deque()  # heard, and left for the next step of the script
        self.wishes: list[str] = []  # what a person is asked to do
        self.hello: Hello | None = None  # the last that could be read
        self.newest: tuple[int, int] | None = None  # the highest boot and tap counters that a HELLO named
        self.went_back = False  # and one named lower ones later
        self.seen: set[TapNumber] = set()
        self.garbage: Counter[GarbageReason] = Counter()
        self._rng = rng
        self._unwritten = bytearray()
        self._sent_at = 0.0
        self._taken: int | None = None  # the seq of the last DATA acknowledged
        self._heard_a_frame = False

    @property
    def keep_alive_at(self) -> float | None:
        """When the session needs a frame of ours; None: it needs none."""
        return None if self.silent or not self.session else self._sent_at + KEEP_ALIVE_SECONDS

    def keep_alive(self) -> None:
        """Send a frame that asks for nothing."""
        self.say(FrameType.ACK)

    def output(self) -> bytes:
        """The bytes to write now."""
        data = bytes(self._unwritten)
        self._unwritten.clear()
        return data

    def begin_check(self) -> None:
        """Whatever the last check left behind does not count."""
        self.silent = False
        self.unread.clear()

    def heard(self, item: Frame | Garbage) -> Frame | None:
        """What came in, as far as scripts are concerned; HELLOs and garbage are noted for the checks at the end."""
        if isinstance(item, Garbage):
            if self._heard_a_frame:  # before it, the line may hold the rest of what was there
                self.garbage[item.reason] += 1
            return None
        self._heard_a_frame = True
        if item.type is FrameType.HELLO:
            self._note_hello(item)
        return item

    def note_tap(self, frame: Frame) -> None:
        """A script is about to see this frame: its tap is not new to the next one."""
        number = tap_number(frame)
        if number is not None:
            self.seen.add(number)

    def knock(self) -> None:
        """00 00 RESET: the session, if there is one, ends."""
        self.session = 0
        self.write(b"\x00" + encode_frame(Frame(FrameType.RESET)))

    def begin(self) -> None:
        """A new session and its HELLO_ACK."""
        self.session = self.another_session()
        self.seq, self._taken = 0, None
        self.say(FrameType.HELLO_ACK, payload=HelloAck().encode())

    def another_session(self) -> int:
        """A session id that is neither 0 nor the present one."""
        return self._rng.choice([number for number in range(1, 64) if number != self.session]) << 8 | 0x5A

    def say(
        self,
        kind: FrameType,
        *,
        session: int | None = None,
        seq: int | None = None,
        ack: int | None = None,
        payload: bytes = b"",
        retransmission: bool = False,
    ) -> None:
        """Send one frame; what is not given is as it should be."""
        frame = self.frame(kind, session=session, seq=seq, ack=ack, payload=payload, retransmission=retransmission)
        self.write(encode_frame(frame))

    def frame(
        self,
        kind: FrameType,
        *,
        session: int | None = None,
        seq: int | None = None,
        ack: int | None = None,
        payload: bytes = b"",
        retransmission: bool = False,
    ) -> Frame:
        """The frame that ``say`` sends."""
        return Frame(
            kind,
            self.session if session is None else session,
            self.seq if seq is None else seq,
            self.expected if ack is None else ack,
            payload,
            retransmission,
        )

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._unwritten += data
        self._sent_at = self.now

    @property
    def expected(self) -> int:
        """The next seq expected of the validator."""
        return 0 if self._taken is None else _after(self._taken)

    def take(self, frame: Frame) -> None:
        """Acknowledge a DATA frame, whatever its seq: one check judges that, the others go on."""
        self._taken = frame.seq
        self.say(FrameType.ACK)

    def attend(self, frame: Frame) -> None:
        """Do what a daemon does with a frame that no step waits for."""
        if frame.session != self.session or not self.session or self.silent:
            return
        if frame.type is FrameType.PING:
            self.say(FrameType.PONG)
        elif frame.type is FrameType.DATA:
            self.take(frame)

    def ask(self, wish: str) -> None:
        """Have a person do something."""
        self.wishes.append(wish)

    def _note_hello(self, frame: Frame) -> None:
        try:
            self.hello = Hello.parse(frame.payload)
        except GreetingError:
            return
        counters = (self.hello.boot, self.hello.last_tap)
        self.went_back = self.went_back or (self.newest is not None and counters < self.newest)
        self.newest = counters if self.newest is None else max(self.newest, counters)


def is_tap(frame: Frame, number: TapNumber | None = None) -> bool:
    """Whether it carries a TAP whose id can be read, or that one."""
    found = tap_number(frame)
    return found is not None and number in (None, found)


def tap_number(frame: Frame) -> TapNumber | None:
    """The id of the TAP it carries; None if it carries none that can be read."""
    if frame.type is not FrameType.DATA or frame.payload[:1] != bytes((MessageNumber.TAP,)):
        return None
    return read_tap_number(frame.payload)


def _after(seq: int) -> int:
    return (seq + 1) & 0xFF
