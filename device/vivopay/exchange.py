"""The one command under way: sent, waited for, sent again (links.md part 2: no numbers, no repetition by the line)."""

from __future__ import annotations

from device.vivopay.commands import CANCEL, Command
from device.vivopay.events import Counters


class Exchange:
    """Asks one thing at a time. What is to be written waits here until the port takes it."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._command: Command | None = None
        self._tries = 0
        self._due = 0.0
        self._waiting = bytearray()

    @property
    def command(self) -> Command | None:
        """What is not answered yet."""
        return self._command

    @property
    def deadline(self) -> float | None:
        """When its silence counts."""
        return None if self._command is None else self._due

    def send(self, command: Command, now: float) -> None:
        """Asks. Only a cancel may cut in on another command; RuntimeError for anything else: a fault of ours."""
        if self._command is not None and command.command != CANCEL.command:
            raise RuntimeError(f"{command} while {self._command} is not answered")
        self._command = command
        self._tries = 0
        self._write(command, now)

    def answered(self) -> None:
        """Nothing is under way any more."""
        self._command = None

    def damaged(self, now: float) -> bool:
        """The reader got a damaged command: sends it again; False if that was the last try."""
        return self._again(now)

    def silent(self, now: float) -> bool:
        """Its time has passed: sends it again; False if it is given up."""
        if self._command is not None and not self._command.repeats:
            self._command = None
            return False
        return self._again(now)

    def drain(self) -> bytes:
        """What is to be written now; the next call returns only what came after."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def reset(self) -> None:
        """The port was opened anew: what was asked of the old one is not answered."""
        self._command = None
        self._waiting.clear()

    def _again(self, now: float) -> bool:
        command = self._command
        if command is None or self._tries >= command.tries:
            self._command = None
            return False
        self._counters.retries += 1
        self._write(command, now)
        return True

    def _write(self, command: Command, now: float) -> None:
        self._tries += 1
        self._due = now + command.patience
        self._waiting += command.encode()
        self._counters.commands_out += 1
