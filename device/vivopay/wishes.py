"""What the owner of a session wants shown and asked, and from when on that may be done."""

from __future__ import annotations

from device.vivopay.commands import Command, Transaction, UserInterface
from device.vivopay.states import Effect, Input, State


class Wishes:
    """Of one session. Times are seconds of its clock."""

    def __init__(self) -> None:
        self.transaction: Transaction | None = None  # what every card is to be asked for
        self.screen: UserInterface | None = None  # between transactions
        self.note: UserInterface | None = None  # before the verdict
        self.verdict: UserInterface | None = None
        self.hold = 0.0  # seconds that the verdict is to be seen
        self.decide_until = 0.0
        self._active: Transaction | None = None  # what the reader was last asked for
        self._idle_until = 0.0
        self._shown_until = 0.0

    def input(self, state: State, now: float) -> Input | None:
        """What follows from them at that state."""
        match state:
            case State.IDLE if self.screen is not None and now >= self._shown_until:
                return Input.SCREEN
            case State.IDLE if self.transaction is not None and now >= self._idle_until:
                return Input.START
            case State.ACTIVE if self.transaction != self._active:
                return Input.STOP
            case State.DECIDING if self.verdict is not None:
                return Input.VERDICT
            case State.DECIDING if self.note is not None:
                return Input.NOTE
            case _:
                return None

    def overdue(self, state: State, now: float) -> Input | None:
        """What follows from the time alone."""
        if state is State.RESTING and now >= self._idle_until:
            return Input.RESTED
        return Input.UNDECIDED if state is State.DECIDING and now >= self.decide_until else None

    def deadline(self, state: State) -> float | None:
        """When one of these wants to be asked."""
        match state:
            case State.RESTING:
                return self._idle_until
            case State.IDLE if self.screen is not None:
                return self._shown_until
            case State.IDLE if self.transaction is not None:
                return self._idle_until
            case State.DECIDING:
                return self.decide_until
            case _:
                return None

    def take(self, effect: Effect, now: float) -> Command | None:
        """The command that does what is wanted; a screen, a note and a verdict are wanted once."""
        shown: UserInterface | None = None
        match effect:
            case Effect.ACTIVATE if self.transaction is not None:
                self._active = self.transaction
                return self.transaction.command()
            case Effect.SHOW_SCREEN:
                shown, self.screen = self.screen, None
            case Effect.SHOW_NOTE:
                shown, self.note = self.note, None
            case Effect.SHOW_VERDICT:
                shown, self.verdict, self.note = self.verdict, None, None
                self._idle_until = self._shown_until = now + self.hold
        return None if shown is None else shown.command()

    def wait(self, until: float) -> None:
        """No transaction before that."""
        self._idle_until = until

    def forget(self) -> None:
        """The reader is gone, and with it whoever stood before it."""
        self.screen = self.note = self.verdict = None
