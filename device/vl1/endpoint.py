"""What both ends of a VL1 session share: bytes and times in, table looked up, effects done in order.

Which states, inputs and effects there are is the table's business (``daemon``, ``validator``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from device.vl1.arq import Overdue, StopAndWait
from device.vl1.decoder import Decoder
from device.vl1.events import (
    Counters,
    Event,
    GreetingT,
    IllegalInputError,
    LostReason,
    SessionLost,
    SessionUp,
)
from device.vl1.frames import Frame, Garbage
from device.vl1.limits import PAYLOAD_MAX
from device.vl1.wire import Wire

StateT = TypeVar("StateT", bound=Enum)
InputT = TypeVar("InputT", bound=Enum)
EffectT = TypeVar("EffectT", bound=Enum)
Table: TypeAlias = Mapping[tuple[StateT, InputT], tuple[StateT, tuple[EffectT, ...]]]


def look_up(table: Table[StateT, InputT, EffectT], state: StateT, given: InputT) -> tuple[StateT, tuple[EffectT, ...]]:
    """The next state and what to do. Raises IllegalInputError for what the table does not have."""
    if (state, given) not in table:
        raise IllegalInputError(state, given)
    return table[state, given]


class Endpoint(ABC, Generic[StateT, InputT, EffectT, GreetingT]):
    """One end of a line. All times are seconds of one monotonic clock; none may be before the last."""

    def __init__(self, table: Table[StateT, InputT, EffectT], state: StateT, baud: int) -> None:
        self._table = table
        self._state = state
        self.counters = Counters()
        self._wire = Wire(baud, self.counters)
        self._decoder = Decoder()
        self._link: StopAndWait | None = None
        self._session = 0  # the last one, 0 before the first
        self._knock_at: float | None = None  # when to knock again; None in a session
        self._events: list[Event[GreetingT]] = []
        self._events_since: float | None = None  # events wait that no call has returned yet
        self._last_ticket = 0
        self._largest = PAYLOAD_MAX

    @property
    def state(self) -> StateT:
        """The row of the table it is in."""
        return self._state

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``, at the latest; None: not before something else happens."""
        if self._events_since is not None:
            return self._events_since
        return self._knock_at if self._link is None else self._link.deadline

    @property
    def pending(self) -> int:
        """Payloads sent and not yet Delivered."""
        return 0 if self._link is None else self._link.pending

    def receive(self, data: bytes, now: float) -> list[Event[GreetingT]]:
        """Bytes came in. Timers are not looked at: call ``tick`` when the deadline has passed.

        So bytes that waited while this process could not run are heard before silence is judged.
        """
        for item in self._decoder.feed(data):
            if isinstance(item, Garbage):
                self.counters.add_garbage(item)
            else:
                self.counters.frames_in += 1
                self._step(self._named(item), now, item)
        return self._handed_over()

    def tick(self, now: float) -> list[Event[GreetingT]]:
        """Does what is due; harmless when nothing is."""
        if self._link is not None:
            overdue = self._link.overdue(now)
            if overdue is None:
                self._link.tick(now)
            else:
                self._step(self._named_overdue(overdue), now)
        elif self._knock_at is not None and now >= self._knock_at:
            self._step(self._named_knock(), now)
        return self._handed_over()

    def send(self, payload: bytes, now: float) -> int:
        """Queues one DATA payload and returns its ticket, which ``Delivered`` or ``SessionLost`` names later.

        Without a session, and when QUEUE_MAX payloads wait, the payload is dropped and counted and its ticket
        never comes back: whatever matters is asked for again. Raises ValueError for a payload that the other
        end cannot take.
        """
        if len(payload) > self._largest:
            raise ValueError(f"a payload of {len(payload)} bytes: the other end takes {self._largest}")
        self._last_ticket += 1
        if self._link is None or not self._link.send(self._last_ticket, payload, now):
            self.counters.sends_dropped += 1
        return self._last_ticket

    def output(self) -> bytes:
        """The bytes to write now; ask after every other call."""
        return self._wire.drain()

    @abstractmethod
    def _named(self, frame: Frame) -> InputT:
        """Which input a frame is."""

    @abstractmethod
    def _named_overdue(self, overdue: Overdue) -> InputT:
        """Which input the end of a session's patience is."""

    @abstractmethod
    def _named_knock(self) -> InputT:
        """Which input the end of a pause between knocks is."""

    @abstractmethod
    def _do(self, effect: EffectT, given: InputT, frame: Frame | None, now: float) -> None:
        """Does one effect; ``frame`` is what brought the input, if a frame did."""

    def _step(self, given: InputT, now: float, frame: Frame | None = None) -> None:
        self._state, effects = look_up(self._table, self._state, given)
        for effect in effects:
            self._do(effect, given, frame, now)

    def _reopen(self, given: InputT, now: float) -> None:
        """The port was opened anew: nothing of the old stream or of what waited to be written counts."""
        self._decoder.reset()
        self._wire.reset(now)
        self._step(given, now)
        if self._events:
            self._events_since = now

    def _begin(self, hello: GreetingT, session: int, largest: int, now: float) -> None:
        self._events.append(SessionUp(hello, session))
        self._session = session
        self._largest = min(largest, PAYLOAD_MAX)
        self._link = StopAndWait(session, self._wire, self.counters, self._events.append, now)
        self._knock_at = None
        self.counters.sessions += 1

    def _lose(self, reason: LostReason) -> None:
        dropped = () if self._link is None else self._link.tickets
        self._link = None
        self._largest = PAYLOAD_MAX
        self.counters.lost[reason] += 1
        self._events.append(SessionLost(reason, dropped))

    def _take(self, frame: Frame | None, now: float) -> None:
        if self._link is not None and frame is not None:
            self._link.take(frame, now)

    def _drop(self, given: InputT) -> None:
        self.counters.dropped[given.name.lower()] += 1

    def _handed_over(self) -> list[Event[GreetingT]]:
        # The list itself stays: a running session appends to it.
        events = list(self._events)
        self._events.clear()
        self._events_since = None
        return events
