"""Stop-and-wait inside one session: order, acknowledgement, repetition (links.md "Session").

It knows frames of one session and times; not how a session begins, nor what a payload says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from device.vl1.events import Counters, Delivered, LinkEvent, Received
from device.vl1.frames import Frame, FrameType
from device.vl1.limits import (
    PING_SECONDS,
    QUEUE_MAX,
    SILENCE_SECONDS,
    TIMER_FIRST_SECONDS,
    TIMER_MAX_SECONDS,
    TIMER_MIN_SECONDS,
    TRIES_MAX,
)
from device.vl1.wire import Wire


class Overdue(Enum):
    """What a session does not survive."""

    SILENCE = "3 s without a frame of this session"
    UNANSWERED = "five tries unanswered"


@dataclass(frozen=True, slots=True)
class _Sending:
    ticket: int
    payload: bytes = field(repr=False)
    seq: int
    tries: int
    left_at: float  # when its last byte should have left the line
    due: float


class StopAndWait:
    """Both directions of one session. Events go to ``emit``, frames to ``wire``."""

    def __init__(
        self, session: int, wire: Wire, counters: Counters, emit: Callable[[LinkEvent], None], now: float
    ) -> None:
        self._session = session
        self._wire = wire
        self._counters = counters
        self._emit = emit
        self._heard_at = now
        self._queue: deque[tuple[int, bytes]] = deque()
        self._sending: _Sending | None = None
        self._next_seq = 0  # of the DATA to send next
        self._expected = 0  # of the DATA to take next
        self._taken = False
        self._timer = TIMER_FIRST_SECONDS
        self.heard = False

    @property
    def pending(self) -> int:
        """Payloads not yet acknowledged, the one in flight included."""
        return len(self._queue) + (self._sending is not None)

    @property
    def tickets(self) -> tuple[int, ...]:
        """Of the payloads not yet acknowledged, oldest first."""
        flying = () if self._sending is None else (self._sending.ticket,)
        return (*flying, *(ticket for ticket, _ in self._queue))

    @property
    def deadline(self) -> float:
        """When ``overdue`` and ``tick`` want to be asked, at the latest."""
        deadline = min(self._heard_at + SILENCE_SECONDS, self._wire.free_at + PING_SECONDS)
        return deadline if self._sending is None else min(deadline, self._sending.due)

    def send(self, ticket: int, payload: bytes, now: float) -> bool:
        """Queues a payload; False if the queue is full."""
        if len(self._queue) >= QUEUE_MAX:
            return False
        self._queue.append((ticket, payload))
        self._send_next(now)
        return True

    def contradicts(self, frame: Frame) -> bool:
        """Whether the frame shows that the two ends disagree about what was sent."""
        return frame.type is FrameType.NAK and frame.ack not in self._possible_acks()

    def take(self, frame: Frame, now: float) -> None:
        """A frame of this session that does not contradict."""
        self._heard_at = now
        self.heard = True
        # What it acknowledges was there before what it says; the next DATA goes behind our own ACK.
        self._take_ack(frame, now)
        if frame.type is FrameType.DATA:
            self._take_data(frame, now)
        elif frame.type is FrameType.PING:
            self._write(FrameType.PONG, now)
        self._send_next(now)

    def overdue(self, now: float) -> Overdue | None:
        """Whether the session is dead."""
        if now >= self._heard_at + SILENCE_SECONDS:
            return Overdue.SILENCE
        if self._sending and now >= self._sending.due and self._sending.tries >= TRIES_MAX:
            return Overdue.UNANSWERED
        return None

    def tick(self, now: float) -> None:
        """Repeats what is due, and sends a PING if nothing else was sent for a second."""
        if self._sending and now >= self._sending.due:
            self._timer = min(2 * self._timer, TIMER_MAX_SECONDS)
            self._repeat(self._sending, now)
        if now >= self._wire.free_at + PING_SECONDS:
            self._write(FrameType.PING, now)

    def _possible_acks(self) -> tuple[int, ...]:
        if self._sending is None:
            return (self._next_seq,)
        return (self._sending.seq, _after(self._sending.seq))

    def _take_data(self, frame: Frame, now: float) -> None:
        if frame.seq == self._expected:
            self._expected = _after(self._expected)
            self._taken = True
            self._counters.delivered += 1
            self._emit(Received(frame.payload, frame.retransmission))
            self._write(FrameType.ACK, now)
        elif self._taken and _after(frame.seq) == self._expected:
            self._counters.repeats_in += 1
            self._write(FrameType.ACK, now)
        else:
            self._counters.naks_out += 1
            self._write(FrameType.NAK, now)

    def _take_ack(self, frame: Frame, now: float) -> None:
        if frame.type is FrameType.NAK:
            self._counters.naks_in += 1
        sending = self._sending
        if sending is None:
            return
        if frame.ack == _after(sending.seq):
            self._acknowledged(sending, now)
        elif frame.type is FrameType.NAK and sending.tries < TRIES_MAX:
            self._repeat(sending, now)

    def _acknowledged(self, sending: _Sending, now: float) -> None:
        if sending.tries == 1:  # an answer to a repeated frame may belong to either sending
            measured = max(0.0, now - sending.left_at)
            self._timer = _clamped(self._timer * 7 / 8 + measured / 2)
        self._sending = None
        self._emit(Delivered(sending.ticket))

    def _send_next(self, now: float) -> None:
        if self._sending is not None or not self._queue:
            return
        ticket, payload = self._queue.popleft()
        seq = self._next_seq
        self._next_seq = _after(seq)
        self._put_on_line(_Sending(ticket, payload, seq, tries=0, left_at=now, due=now), now)

    def _repeat(self, sending: _Sending, now: float) -> None:
        self._counters.retransmissions += 1
        self._put_on_line(sending, now)

    def _put_on_line(self, sending: _Sending, now: float) -> None:
        left_at = self._write(FrameType.DATA, now, sending)
        self._sending = replace(sending, tries=sending.tries + 1, left_at=left_at, due=left_at + self._timer)

    def _write(self, kind: FrameType, now: float, sending: _Sending | None = None) -> float:
        frame = Frame(
            type=kind,
            session=self._session,
            seq=self._next_seq if sending is None else sending.seq,
            ack=self._expected,
            payload=b"" if sending is None else sending.payload,
            retransmission=sending is not None and sending.tries > 0,
        )
        return self._wire.write(frame, now)


def _after(seq: int) -> int:
    return (seq + 1) & 0xFF


def _clamped(seconds: float) -> float:
    return min(max(seconds, TIMER_MIN_SECONDS), TIMER_MAX_SECONDS)
