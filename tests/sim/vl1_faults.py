"""Validators with one planted fault each: the simulated one, with what it hears and says changed on the wire."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from device.vl1.cards import CARDS, read
from device.vl1.codes import VerdictCode
from device.vl1.conformance.bench import is_tap, tap_number
from device.vl1.decoder import Decoder
from device.vl1.frames import Frame, FrameType, Garbage, GarbageReason, cobs_encode, encode_body, encode_frame
from device.vl1.greeting import TapNumber
from device.vl1.messages import MessageNumber, VerdictMessage
from device.vl1.simulator import SimulatedValidator
from device.vl1.tap_memory import StoredTap, TapMemory, ValidatorState
from device.vl1.tap_message import stable_payload

NOON = 1_790_000_000_000_000


class Device:
    """A validator whose frames pass ``hears`` on the way in and ``says`` on the way out; unchanged in this class."""

    def __init__(self) -> None:
        self.validator = self.make()
        self._in = Decoder()
        self._out = Decoder()
        self._rng = random.Random(5)
        self._own = bytearray()  # frames that the fault says by itself
        self.now = 0.0

    def make(self) -> SimulatedValidator:
        return SimulatedValidator(serial="VAL00042")

    def hears(self, frame: Frame) -> Iterable[Frame]:
        yield frame

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield frame

    def say(self, frame: Frame) -> None:
        """A frame of the fault's own."""
        self._own += encode_frame(frame)

    def feed(self, frame: Frame) -> None:
        """The validator hears what nobody said."""
        self.validator.receive(encode_frame(frame), self.now)

    @property
    def deadline(self) -> float | None:
        return self.validator.deadline

    def open(self, now: float) -> None:
        self.validator.open(now)

    def receive(self, data: bytes, now: float) -> None:
        self.now = now
        for item in self._in.feed(data):
            if isinstance(item, Garbage):
                self.drops(item)
                continue
            for frame in self.hears(item):
                self.validator.receive(encode_frame(frame), now)

    def drops(self, garbage: Garbage) -> None:
        """What is no frame to the validator."""

    def tick(self, now: float) -> None:
        self.now = now
        self.validator.tick(now)

    def output(self) -> bytes:
        said = bytes(self._own)
        self._own.clear()
        for item in self._out.feed(self.validator.output()):
            if isinstance(item, Frame):
                said += b"".join(self.encoded(frame) for frame in self.says(item))
        return said

    def encoded(self, frame: Frame) -> bytes:
        return encode_frame(frame)

    def tap(self, now: float) -> None:
        """A card was tapped."""
        card = read(self._rng.choice(CARDS), self._rng, amount=250, currency="978", tapped_at=NOON, counter=1)
        self.validator.tap(now, card=card, tapped_at=NOON)


class Silent(Device):
    """No PONG."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.PONG:
            yield frame


class NoPing(Device):
    """No PING of its own."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.PING:
            yield frame


class HastyHello(Device):
    """HELLO far too often."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield frame
        if frame.type is FrameType.HELLO:
            yield frame


class OnceHello(Device):
    """One HELLO for each session lost, and no more."""

    said = False

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.HELLO or not self.said:
            yield frame
        self.said = frame.type is FrameType.HELLO

    def hears(self, frame: Frame) -> Iterable[Frame]:
        self.said = self.said and frame.type is not FrameType.RESET
        yield frame


class OldVersion(Device):
    """Its HELLO takes payloads of 100 bytes only."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO:
            frame = replace(
                frame, payload=frame.payload.replace(b"\xdf\x8a\x52\x02\x04\x00", b"\xdf\x8a\x52\x02\x00\x64")
            )
        yield frame


class AnswersIdle(Device):
    """PONG to any PING while it has no session."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.PING and not self.validator.is_up:
            self.say(replace(frame, type=FrameType.PONG))
        yield frame


class AnswersAfterReset(Device):
    """PONG in the session that a RESET has ended."""

    ended = 0
    session = 0

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.RESET:
            self.ended = self.session
        elif frame.type is FrameType.HELLO_ACK:
            self.session = frame.session
        elif frame.type is FrameType.PING and frame.session == self.ended and not self.validator.is_up:
            self.say(replace(frame, type=FrameType.PONG))
        yield frame


class AnyCrc(Device):
    """It answers whatever looks like a PING, whatever its CRC."""

    session = 0

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO_ACK:
            self.session = frame.session
        yield frame

    def drops(self, garbage: Garbage) -> None:
        if garbage.reason is GarbageReason.CRC:
            self.say(Frame(FrameType.PONG, self.session))


class AnyVersion(AnyCrc):
    """It answers a PING of any version."""

    def drops(self, garbage: Garbage) -> None:
        if garbage.reason is GarbageReason.VERSION:
            self.say(Frame(FrameType.PONG, self.session))


class EndOfTheLong(AnyCrc):
    """Of too many bytes it takes the last ones for a frame."""

    def drops(self, garbage: Garbage) -> None:
        if garbage.reason is GarbageReason.OVERSIZE:
            self.say(Frame(FrameType.PONG, self.session))


class AnswersOthers(Device):
    """It does not look at the session of a PING."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        yield frame
        if frame.type is FrameType.PING and self.validator.is_up:
            self.say(replace(frame, type=FrameType.PONG))

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.PONG:
            yield frame


class DeafToAnotherHelloAck(Device):
    """HELLO_ACK of another session changes nothing."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.HELLO_ACK or not self.validator.is_up:
            yield frame


class NeverLonely(Device):
    """Silence does not end its session."""

    session = 0

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO_ACK:
            self.session = frame.session
        yield frame

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield frame
        if frame.type is FrameType.PING:
            self.feed(Frame(FrameType.ACK, frame.session, ack=frame.seq))


class TakesRepeats(Device):
    """Every repeated DATA counts as a new one."""

    taken = 0

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO_ACK:
            self.taken = 0
        if frame.type is FrameType.DATA and frame.retransmission:
            self.taken += 1
        yield frame

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, ack=(frame.ack + self.taken) & 0xFF)


class AnswersTwice(Device):
    """Two ACKs for a repeated DATA."""

    repeat = False

    def hears(self, frame: Frame) -> Iterable[Frame]:
        self.repeat = frame.type is FrameType.DATA and frame.retransmission
        yield frame

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield frame
        if self.repeat and frame.type is FrameType.ACK:
            yield frame


class NoNak(Device):
    """No NAK."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.NAK:
            yield frame


class StaleAck(Device):
    """Its ack stands in ACK only; PONG has 0."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, ack=0) if frame.type is FrameType.PONG else frame


class NoRetransmission(Device):
    """A DATA frame leaves once."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        if not frame.retransmission:
            yield frame


class UnmarkedRepeat(Device):
    """A repeat looks like the first."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, retransmission=False)


class NewSeqOnRepeat(Device):
    """Each repeat has another seq."""

    tries = 0

    def says(self, frame: Frame) -> Iterable[Frame]:
        self.tries = self.tries + 1 if frame.retransmission else 0
        yield replace(frame, seq=(frame.seq + self.tries) & 0xFF) if frame.type is FrameType.DATA else frame


class WrongSeq(Device):
    """Its first DATA of a session has seq 1."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, seq=(frame.seq + 1) & 0xFF)

    def hears(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, ack=(frame.ack - 1) & 0xFF) if frame.ack else frame


class DeafToNak(Device):
    """NAK is nothing to it."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is not FrameType.NAK:
            yield frame


class NeverGivesUp(Device):
    """It sends a DATA again and again."""

    copies = 0

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield frame
        if frame.retransmission:
            yield frame


class ChangesOnResend(Device):
    """It stamps each sending of a tap with the time of the sending."""

    stamps = 0

    def says(self, frame: Frame) -> Iterable[Frame]:
        if is_tap(frame) and not frame.retransmission:
            self.stamps += 1
            old, new = NOON.to_bytes(8, "big"), (NOON + self.stamps).to_bytes(8, "big")
            self.payload = frame.payload.replace(old, new)
        yield replace(frame, payload=self.payload) if is_tap(frame) else frame


class ForgetsAfterKept(Device):
    """TAP_KEPT is the end of a tap."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.DATA and frame.payload[0] == MessageNumber.TAP_KEPT:
            number = TapNumber.parse(frame.payload[-8:])
            frame = replace(frame, payload=VerdictMessage(number, VerdictCode.ACCEPTED).encode())
        yield frame


class ForgetsAfterAck(Device):
    """The link's ACK is the end of a tap, here and in a new session."""

    had: frozenset[TapNumber] = frozenset()

    def says(self, frame: Frame) -> Iterable[Frame]:
        number = tap_number(frame)
        if number is not None and number in self.had and not frame.retransmission:
            self.feed(Frame(FrameType.ACK, frame.session, ack=(frame.seq + 1) & 0xFF))
            return
        if number is not None:
            self.had |= {number}
        yield frame


class DeafToVerdict(Device):
    """It acknowledges VERDICT and does nothing."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.DATA and frame.payload[0] == MessageNumber.VERDICT:
            frame = replace(frame, payload=b"\x7f")
        yield frame


class NeverTells(Device):
    """It never decides by itself."""

    def make(self) -> SimulatedValidator:
        return SimulatedValidator(serial="VAL00042", limit_seconds=None)


class _AllAtOnce(TapMemory):
    def next_to_send(self, now: float) -> StoredTap | None:
        due = super().next_to_send(now)
        return due if due is not None else self._first(self._stored)


class AllAtOnce(Device):
    """It sends every stored tap without waiting for verdicts."""

    memory: type[TapMemory] = _AllAtOnce

    def make(self) -> SimulatedValidator:
        memory = self.memory

        class Other(SimulatedValidator):
            def _start(self, state: ValidatorState) -> None:
                super()._start(state)
                self._memory = memory(self._memory.taps)

        return Other(serial="VAL00042")


class _NewestFirst(TapMemory):
    def begin_session(self) -> None:
        super().begin_session()
        self._stored.reverse()


class NewestFirst(AllAtOnce):
    """The newest stored tap comes first."""

    memory = _NewestFirst


class _LiveLast(TapMemory):
    def add(self, tap: StoredTap) -> None:
        if len(self):
            tap.live = False
        super().add(tap)


class LiveLast(AllAtOnce):
    """A live tap waits for its turn behind stored ones."""

    memory = _LiveLast


class SlowVerdict(Device):
    """It takes a VERDICT only when it comes a second time."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.DATA and frame.payload[0] == MessageNumber.VERDICT and not frame.retransmission:
            return
        yield frame


class NoAge(Device):
    """No tap says how old it is."""

    def says(self, frame: Frame) -> Iterable[Frame]:
        yield replace(frame, payload=stable_payload(frame.payload)) if is_tap(frame) else frame


class BackwardBoot(Device):
    """Its boot counter goes back with each HELLO."""

    boots = 200

    def says(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO:
            self.boots = max(self.boots - 1, 1)
            old = b"\xdf\x8a\x56\x04\x00\x00\x00\x01"
            frame = replace(frame, payload=frame.payload.replace(old, old[:-1] + bytes((self.boots,))))
        yield frame


class SpoilsPings(Device):
    """Its own PINGs have a wrong CRC now and then."""

    pings = 0

    def encoded(self, frame: Frame) -> bytes:
        if frame.type is not FrameType.PING:
            return encode_frame(frame)
        self.pings += 1
        body = bytearray(encode_body(frame))
        body[-1] ^= self.pings % 2
        return b"\x00" + cobs_encode(bytes(body)) + b"\x00"


class StrictCobs(Device):
    """It cannot read a trailing 01 behind a full block."""

    def receive(self, data: bytes, now: float) -> None:
        if not any(part.endswith(b"\x01") and len(part) > 254 for part in data.split(b"\x00")):
            super().receive(data, now)


class HelloInSession(Device):
    """It says HELLO in a session too, after every ACK of the other end."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type in (FrameType.ACK, FrameType.HELLO_ACK) and self.validator.is_up:
            self.say(Frame(FrameType.HELLO, payload=b""))
        yield frame


class BeginsAnew(Device):
    """HELLO_ACK of the session it has ends that session."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.HELLO_ACK and self.validator.is_up:
            frame = Frame(FrameType.RESET)
        yield frame


class DeafToEmptyFrames(Device):
    """It hears nothing of what begins with a run of 00."""

    def receive(self, data: bytes, now: float) -> None:
        if not data.startswith(bytes(10)):
            super().receive(data, now)


class KeepsHalfFrames(Device):
    """A frame behind half a frame goes with it."""

    half = False

    def receive(self, data: bytes, now: float) -> None:
        if self.half:
            data = data.removeprefix(b"\x00").partition(b"\x00")[2]
        self.half = bool(data) and not data.endswith(b"\x00")
        super().receive(b"" if self.half else data, now)


class ForgetsPieces(Device):
    """A frame must come at once."""

    def receive(self, data: bytes, now: float) -> None:
        if data.endswith(b"\x00"):
            super().receive(data if data.startswith(b"\x00") else b"", now)


class SmallBuffer(Device):
    """It drops payloads above 512 bytes, although it says 1024."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if len(frame.payload) <= 512:
            yield frame


class NeedsLeading00(Device):
    """It drops a frame that has no 00 of its own in front."""

    def receive(self, data: bytes, now: float) -> None:
        parts = data.split(b"\x00")
        if not parts[0] and not parts[-1]:
            data = b"".join(b"\x00" + part + b"\x00" for before, part in pairwise(parts) if part and not before)
        super().receive(data, now)


class ResetsOnUnknown(Device):
    """A message that it does not know ends its session."""

    def hears(self, frame: Frame) -> Iterable[Frame]:
        if frame.type is FrameType.DATA and frame.payload[0] not in set(MessageNumber):
            yield Frame(FrameType.RESET)
        yield frame
