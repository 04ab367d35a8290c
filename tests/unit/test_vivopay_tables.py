"""The reader's state table: every input at every state, made by real bytes, real deadlines and the owner's calls."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from device.tlv import Tlv, encode
from device.vivopay import events as e
from device.vivopay.cards import PLAIN_VISA
from device.vivopay.codes import Text
from device.vivopay.commands import BURST_MODE, Transaction, UserInterface
from device.vivopay.decoder import Decoder
from device.vivopay.frames import Frame, Side, encode_answer
from device.vivopay.limits import BAUDS, CARD_SECONDS, DECISION_SECONDS, REST_SECONDS, SILENCE_SECONDS
from device.vivopay.session import ReaderSession
from device.vivopay.states import READER_TABLE, Effect, IllegalInputError, Input, State, look_up

NOW = 50.0
MTT = Transaction(0, "978", "276")
WAIT = UserInterface(Text.WAIT)
THANKS = UserInterface(Text.THANK_YOU)
SERIAL = b"630Z000001".ljust(15, b"\x00")
BURST_ON, BURST_OFF = (encode((Tlv(BURST_MODE, bytes((mode,))),)) for mode in (1, 0))
GOOD = {0x12: SERIAL, 0x03: BURST_OFF}
TAP = encode_answer(0x02, 0x23, PLAIN_VISA)
DAMAGED = TAP[:40] + TAP[41:]


def said(session: ReaderSession) -> list[tuple[int, int]]:
    """The commands written since the last time."""
    items = list(Decoder(Side.COMMANDS).feed(session.output(), 0.0))
    assert all(isinstance(item, Frame) for item in items)
    return [(item.command, item.code) for item in items if isinstance(item, Frame)]


def asked(session: ReaderSession) -> int:
    command = session._exchange.command
    assert command is not None
    return command.command


def answered(
    session: ReaderSession, status: int = 0, data: bytes | None = None, now: float = NOW
) -> list[e.ReaderEvent]:
    """An answer to whatever was asked."""
    command = asked(session)
    good = GOOD.get(command, b"") if status == 0 else b""
    return session.receive(encode_answer(command, status, good if data is None else data), now)


def left_alone(session: ReaderSession) -> list[e.ReaderEvent]:
    """Every try of what was asked runs out."""
    told, state = [], session.state
    while session.state is state:
        assert session.deadline is not None
        told += session.tick(session.deadline)
    return told


def result(status: int, data: bytes = b"") -> Callable[[ReaderSession], list[e.ReaderEvent]]:
    return lambda session: session.receive(encode_answer(0x02, status, data), NOW)


def noise(data: bytes) -> Callable[[ReaderSession], list[e.ReaderEvent]]:
    return lambda session: session.receive(data, NOW) + session.tick(NOW + SILENCE_SECONDS)


def called(call: Callable[[ReaderSession], None]) -> Callable[[ReaderSession], list[e.ReaderEvent]]:
    def do(session: ReaderSession) -> list[e.ReaderEvent]:
        call(session)
        return session.tick(NOW)

    return do


def then_disarmed(step: Callable[[ReaderSession], object]) -> Callable[[ReaderSession], None]:
    """So that nothing follows by itself from what is looked at."""

    def do(session: ReaderSession) -> None:
        step(session)
        session.disarm(NOW)

    return do


STEPS: dict[State, tuple[State, Callable[[ReaderSession], object]]] = {
    State.CANCELLING: (State.CLOSED, lambda s: s.open(NOW)),
    State.PINGING: (State.CANCELLING, answered),
    State.NAMING: (State.PINGING, answered),
    State.INSPECTING: (State.NAMING, answered),
    State.QUIETING: (State.INSPECTING, lambda s: answered(s, data=BURST_ON)),
    State.POLL_SETTING: (State.INSPECTING, answered),
    State.WAITING: (State.PINGING, left_alone),
    State.RESTING: (State.NAMING, lambda s: answered(s, 0x0B)),
    State.IDLE: (State.POLL_SETTING, answered),
    State.ACTIVE: (State.IDLE, lambda s: s.arm(MTT, NOW)),
    State.STOPPING: (State.ACTIVE, lambda s: s.disarm(NOW)),
    State.RESCUING: (State.ACTIVE, then_disarmed(noise(DAMAGED))),
    State.TAPPED: (State.STOPPING, result(0x23, PLAIN_VISA)),
    State.DECIDING: (State.ACTIVE, then_disarmed(result(0x23, PLAIN_VISA))),
    State.NOTING: (State.DECIDING, lambda s: s.note(1, WAIT, NOW)),
    State.SHOWING: (State.DECIDING, lambda s: s.verdict(1, THANKS, NOW)),
}
"""How each state is reached from another one."""


def reach(session: ReaderSession, state: State) -> None:
    if session.state is state:
        return
    before, step = STEPS[state]
    reach(session, before)
    step(session)
    assert session.state is state


def make(state: State) -> ReaderSession:
    session = ReaderSession(baud=115_200)
    reach(session, state)
    session.output()
    return session


def made_doubtful(state: State) -> ReaderSession:
    """In that state once more, after all tries went unanswered in it and a ping was answered."""
    session = make(state)
    left_alone(session)
    assert session.state is State.PINGING
    reach(session, state)
    session.output()
    return session


STIMULI: dict[Input, Callable[[ReaderSession], list[e.ReaderEvent]]] = {
    Input.OPENED: called(lambda s: s.open(NOW)),
    Input.DONE: answered,
    Input.REFUSED: lambda s: answered(s, 0x0B),
    Input.BURST: lambda s: answered(s, data=BURST_ON),
    Input.UNANSWERED: left_alone,
    Input.HOPELESS: left_alone,
    Input.TAP: result(0x23, PLAIN_VISA),
    Input.INTERIM: result(0x63),
    Input.FAILED: result(0x0A, bytes.fromhex("01FFEE1F0424000005")),
    Input.OVER: result(0x08),
    Input.INVALID: result(0x0B),
    Input.STRAY: lambda s: s.receive(encode_answer(0x83, 0x00, b"\xe1\x01"), NOW),
    Input.DAMAGE: noise(DAMAGED),
    Input.NOISE: noise(b"\x80\x81"),
    Input.START: called(lambda s: s.arm(MTT, NOW)),
    Input.STOP: called(lambda s: s.disarm(NOW)),
    Input.SCREEN: called(lambda s: s.show(WAIT, NOW)),
    Input.NOTE: called(lambda s: s.note(1, WAIT, NOW)),
    Input.VERDICT: called(lambda s: s.verdict(1, THANKS, NOW)),
    Input.UNDECIDED: lambda s: s.tick(NOW + DECISION_SECONDS),
    Input.RESTED: lambda s: s.tick(NOW + REST_SECONDS),
}

WRITES: dict[Effect, tuple[int, int]] = {
    Effect.SAY_FIRST_CANCEL: (0x05, 0x01),
    Effect.SAY_CANCEL: (0x05, 0x01),
    Effect.SAY_PING: (0x18, 0x01),
    Effect.SAY_LAST_PING: (0x18, 0x01),
    Effect.ASK_SERIAL: (0x12, 0x01),
    Effect.ASK_CONFIGURATION: (0x03, 0x02),
    Effect.BURST_OFF: (0x04, 0x00),
    Effect.POLL_ON_DEMAND: (0x01, 0x01),
    Effect.ACTIVATE: (0x02, 0x40),
    Effect.SHOW_SCREEN: (0x01, 0x02),
    Effect.SHOW_NOTE: (0x01, 0x02),
    Effect.SHOW_VERDICT: (0x01, 0x02),
}
TELLS: dict[Effect, type] = {
    Effect.ASK_BAUD: e.BaudWanted,
    Effect.ASK_REOPEN: e.ReopenWanted,
    Effect.TELL_UP: e.ReaderUp,
    Effect.TELL_DOWN: e.ReaderDown,
    Effect.TELL_FAULT: e.ReaderFault,
    Effect.TELL_TAP: e.CardTapped,
    Effect.TELL_LOST: e.TapLost,
    Effect.TELL_FAILED: e.CardFailed,
    Effect.TELL_UNDECIDED: e.Undecided,
    Effect.TELL_SHOWN: e.VerdictShown,
}


@pytest.mark.parametrize("given", Input, ids=lambda given: given.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_reader(state: State, given: Input) -> None:
    if (state, given) not in READER_TABLE:
        with pytest.raises(IllegalInputError, match=f"{state} has no rule for {given}"):
            look_up(state, given)
        return
    expected, effects = look_up(state, given)
    if Effect.PLAN_AGAIN in effects:
        expected, more = look_up(expected, Input.SCREEN)
        effects = (*effects, *more)
    session = made_doubtful(state) if given is Input.HOPELESS else make(state)
    told = STIMULI[given](session)
    assert session.state is expected
    tries = 1 if given not in (Input.UNANSWERED, Input.HOPELESS) else _tries(state)
    written = said(session)[tries - 1 :]
    assert written == [WRITES[effect] for effect in effects if effect in WRITES]
    assert [type(event) for event in told] == [TELLS[effect] for effect in effects if effect in TELLS]
    assert (given.name.lower() in session.counters.dropped) is (Effect.DROP in effects)


def _tries(state: State) -> int:
    return 1 if state in (State.CANCELLING, State.ACTIVE) else 2


def test_the_table_has_every_effect_and_reaches_every_state() -> None:
    assert {effect for _, effects in READER_TABLE.values() for effect in effects} == set(Effect)
    assert {state for state, _ in READER_TABLE.values()} | {State.CLOSED} == set(State)
    assert {given for _, given in READER_TABLE} == set(Input)


def test_every_opened_state_can_be_opened_again_and_hears_anything() -> None:
    heard = {Input.TAP, Input.INTERIM, Input.FAILED, Input.OVER, Input.INVALID, Input.STRAY, Input.DAMAGE, Input.NOISE}
    for state in State:
        rules = {given for was, given in READER_TABLE if was is state}
        assert Input.OPENED in rules
        assert heard <= rules or state is State.CLOSED


ANSWERS = (
    *(encode_answer(0x02, status, data) for status in (0x23, 0x00) for data in (PLAIN_VISA, b"")),
    *(encode_answer(0x02, status) for status in (0x63, 0x0E, 0x0A, 0x08, 0x0B, 0x04, 0xFF)),
    *(encode_answer(command, 0x00, GOOD.get(command, b"")) for command in (0x01, 0x03, 0x04, 0x05, 0x12, 0x18, 0x83)),
    *(encode_answer(command, 0x04) for command in (0x01, 0x05, 0x18)),
    encode_answer(0x03, 0x00, BURST_ON),
    encode_answer(0x05, 0x0B),
    DAMAGED,
    TAP[:60],
    b"\x80\x81",
    b"DEVICE OUT OF SERVICE\r\n",
    bytes(40),
)


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_and_no_time_leaves_the_table(seed: int) -> None:
    """Whatever arrives, however late, and whatever the owner wants meanwhile: a rule is found."""
    rng = random.Random(seed)
    session, now = ReaderSession(baud=115_200), NOW
    calls: list[Callable[[], object]] = [
        lambda: session.open(now),
        lambda: session.arm(MTT, now),
        lambda: session.arm(Transaction(rng.randrange(300), "978", "276"), now),
        lambda: session.disarm(now),
        lambda: session.show(WAIT, now),
        lambda: session.note(session.counters.taps, WAIT, now),
        lambda: session.verdict(session.counters.taps, THANKS, now),
    ]
    session.open(now)
    for _ in range(1_500):
        session.receive(rng.choice(ANSWERS), now)
        if rng.random() < 0.5 and session._exchange.command is not None:
            answered(session, now=now)
        if rng.random() < 0.3:
            rng.choice(calls)()
        if rng.random() < 0.3:
            now += rng.choice([0.01, 0.3, 1.1, 5.5, 61.0])
            session.tick(now)
        if session.state is State.WAITING and rng.random() < 0.5:
            session.open(now)
        assert len(said(session)) <= 4
        assert session.state in (State.WAITING, State.IDLE) or session.deadline is not None
        assert session.deadline is None or session.deadline <= now + max(DECISION_SECONDS, MTT.seconds + CARD_SECONDS)
        assert session.baud in BAUDS
