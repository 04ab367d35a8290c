"""A whole reader without a radio: cards come by a call, everything else is the real protocol, faults included.

It owns no port and no clock, and it has no memory: a tap whose answer is lost is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from device.tlv import Tlv, TlvError, decode, encode
from device.vivopay.codes import ACTIVATE, Status
from device.vivopay.commands import BURST_MODE, SERIAL_SIZE
from device.vivopay.decoder import Decoder, Item
from device.vivopay.frames import HEAD_SIZE, Frame, Side, encode_answer
from device.vivopay.garbage import Garbage, GarbageReason
from device.vivopay.outbox import Outbox
from device.vivopay.simulator_events import Activated, BadCommand, Ended, Shown, SimulatorEvent

_READ_SECONDS = 0.3  # field.md: card and reader take 250 to 450 ms
_TEXT_SECONDS = 1.0  # between two lines of a tampered reader
_LENGTH_ERROR = 64  # bytes that a wrong length is too long
_FAILURE = 0xFFEE1F


@dataclass(slots=True)
class Faults:
    """What goes wrong. Numbers of answers or commands are used up; the rest stays until it is changed."""

    silent: int = 0  # commands not answered
    wrong_crc: int = 0  # answers
    wrong_length: int = 0  # answers that say they are longer
    byte_seconds: float = 0.0  # between two bytes of an answer, which come one at a time
    split_seconds: float = 0.0  # between the halves of an answer
    padding: int = 0  # bytes: an answer is filled up with 00 to a multiple
    interim: tuple[int, ...] = ()  # statuses before each final answer to 02-40
    racing: bool = False  # a card that is being read is faster than a cancel


class SimulatedReader:
    """One reader. All times are seconds of one monotonic clock. ``line_baud`` is what the host set its port to."""

    def __init__(
        self,
        *,
        serial: str,
        baud: int = 115_200,
        burst: bool = False,
        read_seconds: float = _READ_SECONDS,
        faults: Faults | None = None,
    ) -> None:
        self.serial = serial
        self.baud = self.line_baud = baud
        self.burst = burst
        self.faults = faults or Faults()
        self.polls_on_demand = False
        self.flash_writes = 0
        self.shown: list[Shown] = []
        self._read_seconds = read_seconds
        self._decoder = Decoder(Side.COMMANDS)
        self._outbox = Outbox()
        self._plugged = True
        self._lines: tuple[str, ...] = ()  # of a tampered one
        self._speaks_at = 0.0
        self._waits_until: float | None = None  # a transaction is under way
        self._card: tuple[float, int, bytes] | None = None  # being read: when done, status, data
        self._events: list[SimulatorEvent] = []

    @property
    def is_waiting(self) -> bool:
        """Whether a card would be read."""
        return self._plugged and not self._lines and self._waits_until is not None and self._card is None

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``, at the latest."""
        if not self._plugged:
            return None
        ends_at = self._waits_until if self._card is None else self._card[0]
        speaks_at = self._speaks_at if self._lines else None
        times = (self._outbox.deadline, self._decoder.deadline, ends_at, speaks_at)
        return min((at for at in times if at is not None), default=None)

    def tap(self, data: bytes, now: float, *, status: int = Status.REQUEST_ONLINE) -> bool:
        """A card comes: the transaction ends with that status and data. False if nobody waits for one."""
        if not self.is_waiting:
            return False
        self._card = (now + self._read_seconds, status, data)
        for interim in self.faults.interim:
            self._answer(ACTIVATE, interim, b"", now)
        return True

    def fail(self, error: int, status_word: int, rf_state: int, now: float) -> bool:
        """A card comes and cannot be read."""
        record = bytes((error,)) + status_word.to_bytes(2, "big") + bytes((rf_state,))
        return self.tap(b"\x01" + encode((Tlv(_FAILURE, record),)), now, status=Status.FAILED)

    def tamper(self, lines: tuple[str, ...], now: float) -> None:
        """From now on it prints these for ever, and answers nothing."""
        self._lines, self._speaks_at = lines, now
        self._waits_until = self._card = None

    def unplug(self) -> None:
        """Whatever was under way, or on its way out, is gone."""
        self._plugged = False
        self._reset()

    def plug(self) -> None:
        """It is back, as after power on."""
        self._plugged = True
        self._reset()

    def receive(self, data: bytes, now: float) -> list[SimulatorEvent]:
        """Bytes came in; at another rate than its own they are nothing."""
        if self._plugged and not self._lines and self.baud == self.line_baud:
            self._hear(self._decoder.feed(data, now), now)
        return self._handed_over()

    def tick(self, now: float) -> list[SimulatorEvent]:
        """Does what is due."""
        if self._plugged:
            self._hear(self._decoder.tick(now), now)
            self._print(now)
            self._finish(now)
            self._outbox.tick(now)
        return self._handed_over()

    def output(self) -> bytes:
        """The bytes to write now; ask after every other call."""
        data = self._outbox.drain()
        return data if self.baud == self.line_baud else b""

    def _reset(self) -> None:
        self._decoder.reset()
        self._outbox.reset()
        self._waits_until = self._card = None

    def _hear(self, items: Iterable[Item], now: float) -> None:
        for item in items:
            if isinstance(item, Frame):
                self._command(item, now)
            else:
                self._damaged(item, now)

    def _damaged(self, item: Garbage, now: float) -> None:
        self._events.append(BadCommand())
        if item.reason is GarbageReason.CRC and item.command is not None:
            self._answer(item.command, Status.CRC, b"", now)

    def _command(self, frame: Frame, now: float) -> None:
        if self.faults.silent:
            self.faults.silent -= 1
            return
        self._cancel(now)
        match frame.command, frame.code:
            case 0x02, 0x40:
                self._activate(frame, now)
            case 0x01, 0x01:
                self.polls_on_demand = frame.data == b"\x01"
                self._answer(0x01, Status.OK, b"", now)
            case 0x01, 0x02 if len(frame.data) == 4:
                self._show(frame, now)
            case 0x12, 0x01:
                self._answer(0x12, Status.OK, self.serial.encode().ljust(SERIAL_SIZE, b"\x00"), now)
            case 0x03, 0x02:
                mode = Tlv(BURST_MODE, bytes((self.burst,)))
                self._answer(0x03, Status.OK, encode((Tlv(0xDFEE2D, b"\x00"), mode)), now)
            case 0x04, 0x00:
                self.flash_writes += 1
                self.burst = frame.data[-1:] != b"\x00"
                self._answer(0x04, Status.OK, b"", now)
            case (0x05, 0x01) | (0x18, 0x01):
                self._answer(frame.command, Status.OK, b"", now)
            case _:
                self._events.append(BadCommand())
                self._answer(frame.command, Status.UNKNOWN_COMMAND, b"", now)

    def _activate(self, frame: Frame, now: float) -> None:
        try:
            objects = decode(frame.data[1:])
        except TlvError:
            self._events.append(BadCommand())
            self._answer(ACTIVATE, Status.MALFORMED, b"", now)
            return
        self._waits_until = now + frame.data[0]
        self._events.append(Activated(frame.data[0], objects))

    def _show(self, frame: Frame, now: float) -> None:
        shown = Shown(*frame.data)
        self.shown.append(shown)
        self._events.append(shown)
        self._answer(0x01, Status.OK, b"", now)

    def _cancel(self, now: float) -> None:
        """Any command ends the transaction; with luck the card was faster."""
        if self._waits_until is None:
            return
        if self._card is not None and self.faults.racing:
            self._final(self._card[1], self._card[2], now)
            return
        self._waits_until = self._card = None
        self._events.append(Ended(None))

    def _finish(self, now: float) -> None:
        if self._card is not None:
            if now >= self._card[0]:
                self._final(self._card[1], self._card[2], now)
        elif self._waits_until is not None and now >= self._waits_until:
            self._final(Status.TIMED_OUT, b"", now)

    def _final(self, status: int, data: bytes, now: float) -> None:
        self._waits_until = self._card = None
        self._answer(ACTIVATE, status, data, now)
        self._events.append(Ended(status))

    def _print(self, now: float) -> None:
        if self._lines and now >= self._speaks_at:
            self._speaks_at = now + _TEXT_SECONDS
            self._outbox.put("".join(f"{line}\r\n" for line in self._lines).encode(), now)

    def _answer(self, command: int, status: int, data: bytes, now: float) -> None:
        faults, wire = self.faults, bytearray(encode_answer(command, status, data))
        if faults.wrong_crc:
            faults.wrong_crc -= 1
            wire[-1] ^= 0x55
        if faults.wrong_length:
            faults.wrong_length -= 1
            wire[HEAD_SIZE - 2 : HEAD_SIZE] = (len(data) + _LENGTH_ERROR).to_bytes(2, "big")
        if faults.padding:
            wire += bytes(-len(wire) % faults.padding)
        self._outbox.put(bytes(wire), now, byte_seconds=faults.byte_seconds, split_seconds=faults.split_seconds)

    def _handed_over(self) -> list[SimulatorEvent]:
        events, self._events = self._events, []
        return events
