"""How one reader is kept at work, as a table (links.md part 2, "Cycle").

Every state but the closed one has the rules of ``ALWAYS``; its own rules go before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias


class State(Enum):
    """Where the daemon stands with one reader. While it starts, up to POLL_SETTING, no reader is up."""

    CLOSED = "closed"  # the port was not opened yet
    CANCELLING = "cancelling"  # what somebody before us may have begun
    PINGING = "pinging"
    NAMING = "naming"
    INSPECTING = "inspecting"
    QUIETING = "quieting"
    POLL_SETTING = "poll setting"
    WAITING = "waiting"  # for the owner to open the port
    RESTING = "resting"  # after a refusal
    IDLE = "idle"  # between transactions
    ACTIVE = "active"  # a transaction is under way
    STOPPING = "stopping"
    RESCUING = "rescuing"  # stopping: its answer may have been damaged
    TAPPED = "tapped"  # stopping, and a card was faster
    DECIDING = "deciding"  # the owner has a tap and owes a verdict
    NOTING = "noting"  # deciding, and showing something meanwhile
    SHOWING = "showing"


class Input(Enum):
    """What can happen."""

    OPENED = "the port was opened"
    DONE = "answer to the command: done"
    REFUSED = "answer to the command: refused"
    BURST = "answer to the command: burst mode is on"
    UNANSWERED = "all tries unanswered"
    HOPELESS = "all tries unanswered again, between them a ping was answered"
    TAP = "23, or 00 with data, to 02-40"
    INTERIM = "63 or 0E to 02-40"
    FAILED = "0A to 02-40"
    OVER = "08, or 00 without data, to 02-40"
    INVALID = "another status to 02-40"
    STRAY = "an answer to what was not asked"
    DAMAGE = "a damaged frame, or as many bytes that are none"
    NOISE = "fewer bytes that are no frame, or a text"
    START = "a transaction is wanted"
    STOP = "none is wanted any more, or another"
    SCREEN = "something is to be shown"
    NOTE = "something is to be shown before the verdict"
    VERDICT = "the verdict"
    UNDECIDED = "60 s without a verdict"
    RESTED = "5 s after a refusal"


class Effect(Enum):
    """What is done then, in order."""

    SAY_FIRST_CANCEL = "05-01, once"
    SAY_CANCEL = "05-01"
    SAY_PING = "18-01"
    SAY_LAST_PING = "18-01, the last before the port is opened again"
    ASK_SERIAL = "12-01"
    KEEP_SERIAL = "keep the serial number"
    ASK_CONFIGURATION = "03-02"
    BURST_OFF = "04-00, burst mode off"
    POLL_ON_DEMAND = "01-01 01"
    ASK_BAUD = "event baud wanted, or reopen wanted once all rates were tried"
    ASK_REOPEN = "event reopen wanted"
    ACTIVATE = "02-40"
    SHOW_SCREEN = "01-02 with what is to be shown"
    SHOW_NOTE = "01-02 with what goes before the verdict"
    SHOW_VERDICT = "01-02 with the verdict"
    PLAN_AGAIN = "tap again is to be shown"
    PAUSE = "no transaction for 200 ms"
    REST = "nothing for 5 s"
    TELL_UP = "event reader up"
    TELL_DOWN = "event reader down"
    TELL_FAULT = "event reader fault"
    TELL_TAP = "event card tapped"
    TELL_LOST = "event tap lost"
    TELL_FAILED = "event card failed"
    TELL_UNDECIDED = "event undecided"
    TELL_SHOWN = "event verdict shown, if it was one"
    COUNT = "count it"
    DROP = "drop it, count it"


Rule: TypeAlias = tuple[State, tuple[Effect, ...]]
Table: TypeAlias = Mapping[tuple[State, Input], Rule]

STARTING = frozenset(
    {State.CANCELLING, State.PINGING, State.NAMING, State.INSPECTING, State.QUIETING, State.POLL_SETTING}
)
DOWN = STARTING | {State.CLOSED, State.WAITING, State.RESTING}
"""The states in which no reader is up."""

_PING_AFTER_LOSS: Rule = (State.PINGING, (Effect.TELL_DOWN, Effect.SAY_PING))
_LAST_PING: Rule = (State.PINGING, (Effect.SAY_LAST_PING,))
_REOPEN: Rule = (State.WAITING, (Effect.ASK_REOPEN,))
_REFUSED: Rule = (State.RESTING, (Effect.TELL_FAULT, Effect.REST))
_CANCEL: Rule = (State.STOPPING, (Effect.SAY_CANCEL,))

ALWAYS: Mapping[Input, tuple[Effect, ...]] = {
    Input.TAP: (Effect.TELL_LOST,),
    Input.INTERIM: (Effect.DROP,),
    Input.FAILED: (Effect.DROP,),
    Input.OVER: (Effect.DROP,),
    Input.INVALID: (Effect.DROP,),
    Input.STRAY: (Effect.DROP,),
    Input.DAMAGE: (),
    Input.NOISE: (),
}
"""What changes no state, wherever it has no rule of its own."""

OWN_RULES: Table = {
    (State.CANCELLING, Input.DONE): (State.PINGING, (Effect.SAY_PING,)),
    (State.CANCELLING, Input.REFUSED): (State.PINGING, (Effect.SAY_PING,)),
    (State.CANCELLING, Input.UNANSWERED): (State.PINGING, (Effect.SAY_PING,)),
    (State.PINGING, Input.DONE): (State.NAMING, (Effect.ASK_SERIAL,)),
    (State.PINGING, Input.REFUSED): (State.NAMING, (Effect.ASK_SERIAL,)),
    (State.PINGING, Input.UNANSWERED): (State.WAITING, (Effect.ASK_BAUD,)),
    (State.NAMING, Input.DONE): (State.INSPECTING, (Effect.KEEP_SERIAL, Effect.ASK_CONFIGURATION)),
    (State.NAMING, Input.REFUSED): _REFUSED,
    (State.NAMING, Input.UNANSWERED): _LAST_PING,
    (State.NAMING, Input.HOPELESS): _REOPEN,
    (State.INSPECTING, Input.DONE): (State.POLL_SETTING, (Effect.POLL_ON_DEMAND,)),
    (State.INSPECTING, Input.REFUSED): (State.POLL_SETTING, (Effect.POLL_ON_DEMAND,)),
    (State.INSPECTING, Input.BURST): (State.QUIETING, (Effect.BURST_OFF,)),
    (State.INSPECTING, Input.UNANSWERED): _LAST_PING,
    (State.INSPECTING, Input.HOPELESS): _REOPEN,
    (State.QUIETING, Input.DONE): (State.POLL_SETTING, (Effect.POLL_ON_DEMAND,)),
    (State.QUIETING, Input.REFUSED): _REFUSED,
    (State.QUIETING, Input.UNANSWERED): _LAST_PING,
    (State.QUIETING, Input.HOPELESS): _REOPEN,
    (State.POLL_SETTING, Input.DONE): (State.IDLE, (Effect.TELL_UP,)),
    (State.POLL_SETTING, Input.REFUSED): _REFUSED,
    (State.POLL_SETTING, Input.UNANSWERED): _LAST_PING,
    (State.POLL_SETTING, Input.HOPELESS): _REOPEN,
    (State.RESTING, Input.RESTED): (State.CANCELLING, (Effect.SAY_FIRST_CANCEL,)),
    (State.IDLE, Input.START): (State.ACTIVE, (Effect.ACTIVATE,)),
    (State.IDLE, Input.SCREEN): (State.SHOWING, (Effect.SHOW_SCREEN,)),
    (State.IDLE, Input.TAP): (State.DECIDING, (Effect.TELL_TAP,)),  # the cancel's answer overtook it
    (State.ACTIVE, Input.TAP): (State.DECIDING, (Effect.TELL_TAP,)),
    (State.ACTIVE, Input.INTERIM): (State.ACTIVE, (Effect.COUNT,)),
    (State.ACTIVE, Input.FAILED): (State.IDLE, (Effect.TELL_FAILED, Effect.PAUSE)),
    (State.ACTIVE, Input.OVER): (State.IDLE, (Effect.PAUSE,)),
    (State.ACTIVE, Input.INVALID): (State.IDLE, (Effect.TELL_FAULT, Effect.REST)),
    (State.ACTIVE, Input.UNANSWERED): _CANCEL,
    (State.ACTIVE, Input.STOP): _CANCEL,
    (State.ACTIVE, Input.NOISE): _CANCEL,  # it may be what is left of an answer: waiting could last for ever
    (State.ACTIVE, Input.DAMAGE): (State.RESCUING, (Effect.SAY_CANCEL,)),
    (State.STOPPING, Input.DONE): (State.IDLE, (Effect.PAUSE,)),
    (State.STOPPING, Input.REFUSED): (State.IDLE, (Effect.PAUSE,)),
    (State.STOPPING, Input.UNANSWERED): _PING_AFTER_LOSS,
    (State.STOPPING, Input.TAP): (State.TAPPED, (Effect.TELL_TAP,)),
    (State.STOPPING, Input.DAMAGE): (State.RESCUING, ()),
    (State.RESCUING, Input.DONE): (State.IDLE, (Effect.TELL_LOST, Effect.PLAN_AGAIN, Effect.PAUSE)),
    (State.RESCUING, Input.REFUSED): (State.IDLE, (Effect.TELL_LOST, Effect.PLAN_AGAIN, Effect.PAUSE)),
    (State.RESCUING, Input.UNANSWERED): (State.PINGING, (Effect.TELL_LOST, Effect.TELL_DOWN, Effect.SAY_PING)),
    (State.RESCUING, Input.TAP): (State.TAPPED, (Effect.TELL_TAP,)),
    (State.TAPPED, Input.DONE): (State.DECIDING, ()),
    (State.TAPPED, Input.REFUSED): (State.DECIDING, ()),
    (State.TAPPED, Input.UNANSWERED): (State.DECIDING, ()),  # 01-02 will show whether the reader is there
    (State.DECIDING, Input.VERDICT): (State.SHOWING, (Effect.SHOW_VERDICT,)),
    (State.DECIDING, Input.NOTE): (State.NOTING, (Effect.SHOW_NOTE,)),
    (State.DECIDING, Input.UNDECIDED): (State.IDLE, (Effect.TELL_UNDECIDED,)),
    (State.NOTING, Input.DONE): (State.DECIDING, ()),
    (State.NOTING, Input.REFUSED): (State.DECIDING, ()),
    (State.NOTING, Input.UNANSWERED): _PING_AFTER_LOSS,
    (State.SHOWING, Input.DONE): (State.IDLE, (Effect.TELL_SHOWN,)),
    (State.SHOWING, Input.REFUSED): (State.IDLE, ()),
    (State.SHOWING, Input.UNANSWERED): _PING_AFTER_LOSS,
}
"""What each state has besides; these two and the opening of the port are all there is to read."""


class IllegalInputError(RuntimeError):
    """The table has no rule for an input at a state: a fault of ours."""

    def __init__(self, state: State, given: Input) -> None:
        super().__init__(f"{state} has no rule for {given}")


def look_up(state: State, given: Input) -> Rule:
    """The next state and what to do. Raises IllegalInputError for what the table does not have."""
    rule = READER_TABLE.get((state, given))
    if rule is None:
        raise IllegalInputError(state, given)
    return rule


def _rules(state: State) -> dict[Input, Rule]:
    down = () if state in DOWN else (Effect.TELL_DOWN,)
    rules: dict[Input, Rule] = {Input.OPENED: (State.CANCELLING, (*down, Effect.SAY_FIRST_CANCEL))}
    if state is not State.CLOSED:
        rules |= {given: (state, effects) for given, effects in ALWAYS.items()}
    return rules | {given: rule for (was, given), rule in OWN_RULES.items() if was is state}


READER_TABLE: Table = MappingProxyType(
    {(state, given): _rules(state)[given] for state in State for given in Input if given in _rules(state)}
)
"""The whole table, in the order of states and inputs."""
